// What the boot loader hands a guest: where its memory ends, and its command line.
using System;

namespace Lamina.Guest;

/// <summary>What the Multiboot loader said.</summary>
public static unsafe class BootInformation
{
    private const uint LoaderMagic = 0x2BADB002, HasMemory = 1, HasCommandLine = 1 << 2;
    private const int CommandLineLimit = 256;
    private const ulong DefaultEnd = 16 << 20;

    /// <summary>End of the memory that starts at 1 MiB.</summary>
    public static ulong MemoryEnd { get; private set; }

    public static bool IsMultiboot { get; private set; }

    /// <summary>Zero-terminated: the kernel's name, then what the user wrote; null: none.</summary>
    public static byte* CommandLine { get; private set; }

    /// <summary>The command line's last word; empty: it has none besides the kernel's name.</summary>
    public static ReadOnlySpan<byte> LastWord
    {
        get
        {
            int end = 0, start = 0;
            if (CommandLine == null) return default;
            for (; end < CommandLineLimit && CommandLine[end] != 0; end++) if (CommandLine[end] == ' ') start = end + 1;
            return start == 0 ? default : new ReadOnlySpan<byte>(CommandLine + start, end - start);
        }
    }

    public static void Initialize(uint magic, uint information)
    {
        IsMultiboot = magic == LoaderMagic;
        uint* info = (uint*)(ulong)information;
        CommandLine = IsMultiboot && (info[0] & HasCommandLine) != 0 ? (byte*)(ulong)info[4] : null;
        MemoryEnd = IsMultiboot && (info[0] & HasMemory) != 0 ? (1UL << 20) + ((ulong)info[2] << 10) : DefaultEnd;
    }
}
