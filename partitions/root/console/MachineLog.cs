// The last lines of the machine's output, kept in memory so that they can be read again.
using System;
using Lamina.Abi;

namespace Lamina.Root.Kernel;

public static unsafe class MachineLog
{
    private const ulong Bytes = 64 * 1024; // a power of two
    private static byte* ring;
    private static ulong written;

    public static void Initialize() => ring = PhysicalMemory.RequirePages(PageCount.ForBytes(Bytes).Value);

    /// <summary>Keeps one line. Before <see cref="Initialize"/> there is nowhere to keep it.</summary>
    public static void Append(ReadOnlySpan<byte> line)
    {
        if (ring == null) return;
        foreach (byte value in line) ring[written++ % Bytes] = value;
        ring[written++ % Bytes] = (byte)'\n';
    }

    /// <summary>Writes all lines that are still whole, without keeping them again.</summary>
    public static void Print()
    {
        byte* buffer = stackalloc byte[256];
        ulong at = written > Bytes ? written - Bytes : 0, end = written;
        while (written > Bytes && at < end && ring[at++ % Bytes] != '\n') { } // the oldest may have lost its beginning
        int length = 0;
        for (; at < end; at++)
        {
            byte value = ring[at % Bytes];
            if (value != '\n' && length < 256) buffer[length++] = value;
            else if (value == '\n')
            {
                ConsoleOutput.LineUnlogged(new ReadOnlySpan<byte>(buffer, length));
                length = 0;
            }
        }
    }
}
