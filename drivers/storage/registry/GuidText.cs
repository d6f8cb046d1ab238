// GUIDs as people write them: 8-4-4-4-12 hexadecimal digits, of which the first three groups are little-endian on disk.
using System;
using Lamina.Drivers.Storage.Partitions;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Registry;

public static class GuidText
{
    public const int Length = 36;

    /// <summary>Which byte of the GUID on disk the digits stand for, in the order of the text.</summary>
    private static ReadOnlySpan<byte> Order => [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

    private static bool IsDashBefore(int index) => index is 4 or 6 or 8 or 10;

    public static ref TextWriter Guid(this ref TextWriter writer, GptGuid guid)
    {
        for (int i = 0; i < 16; i++)
        {
            if (IsDashBefore(i)) writer.Char((byte)'-');
            int at = Order[i];
            writer.HexDigits((at < 8 ? guid.Low : guid.High) >> 8 * (at & 7) & 0xFF, 2);
        }
        return ref writer;
    }

    /// <summary>Capitals or not; no braces.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out GptGuid guid)
    {
        guid = default;
        ulong low = 0, high = 0;
        if (text.Length != Length) return false;
        for (int i = 0, at = 0; i < 16; i++, at += 2)
        {
            if (IsDashBefore(i) && text[at++] != '-') return false;
            int upper = Digit(text[at]), lower = Digit(text[at + 1]);
            if (upper < 0 || lower < 0) return false;
            ulong value = (ulong)(upper << 4 | lower) << 8 * (Order[i] & 7);
            if (Order[i] < 8) low |= value;
            else high |= value;
        }
        guid = new GptGuid(low, high);
        return true;
    }

    private static int Digit(byte value) => value switch
    {
        >= (byte)'0' and <= (byte)'9' => value - '0',
        >= (byte)'a' and <= (byte)'f' => value - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => value - 'A' + 10,
        _ => -1,
    };
}
