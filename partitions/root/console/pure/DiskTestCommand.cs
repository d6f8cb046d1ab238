// What follows "test disk" on the console, parsed: NAME [BYTES] [write].
using System;

namespace Lamina.Root.Kernel;

public ref struct DiskTestCommand
{
    public const ulong UsualBytes = 32 << 20, MostBytes = 1 << 30;

    public ReadOnlySpan<byte> Name;

    /// <summary>From the disk's beginning.</summary>
    public ulong Bytes;
    public bool Writes;
    public bool IsWrong;

    public static DiskTestCommand Parse(ReadOnlySpan<byte> line)
    {
        int at = 0;
        DiskTestCommand command = new() { Name = Take(line, ref at), Bytes = UsualBytes };
        command.IsWrong = command.Name.Length == 0;
        ReadOnlySpan<byte> word = Take(line, ref at);
        if (TryNumber(word, out ulong bytes))
        {
            command.Bytes = Math.Min(bytes, MostBytes);
            word = Take(line, ref at);
        }
        command.Writes = word.SequenceEqual("write"u8);
        command.IsWrong |= !command.Writes && word.Length != 0 || Take(line, ref at).Length != 0;
        return command;
    }

    private static ReadOnlySpan<byte> Take(ReadOnlySpan<byte> line, scoped ref int at)
    {
        while (at < line.Length && line[at] == ' ') at++;
        int start = at;
        while (at < line.Length && line[at] != ' ') at++;
        return line.Slice(start, at - start);
    }

    private static bool TryNumber(ReadOnlySpan<byte> text, out ulong value)
    {
        value = 0;
        foreach (byte digit in text)
        {
            if (digit is < (byte)'0' or > (byte)'9' || value > MostBytes) return false;
            value = value * 10 + (ulong)(digit - '0');
        }
        return text.Length != 0;
    }
}
