// Where a guest finds, below 1 MiB, what it is started with: tables, boot information and command line.
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Loader;

/// <summary>
/// All of it lies in RAM that the memory map calls usable: the guest may overwrite it once it has its own.
/// Guest-physical addresses.
/// </summary>
public static unsafe class BootLayout
{
    public const ulong Gdt = 0x6000, Tss = 0x6800, StackTop = 0x7000;
    /// <summary>Zero page, start info or Multiboot information, and the tables that belong to it.</summary>
    public const ulong Info = 0x7000, InfoLength = 0x2000;
    /// <summary>PML4, page-directory-pointer table and four page directories: the first 4 GiB in pages of 2 MiB.</summary>
    public const ulong PageTables = 0x9000;
    public const ulong CommandLine = 0x20000;
    public const int MaxCommandLine = 0x8000;

    /// <summary>Below this nothing of a kernel is loaded.</summary>
    public const ulong KernelFloor = 0x100000;
    /// <summary>Conventional memory ends here; the firmware's tables (ACPI) start at <see cref="FirmwareStart"/>.</summary>
    public const ulong LowEnd = 0xA0000, FirmwareStart = 0xE0000;

    public const ushort CodeSelector32 = 0x08, CodeSelector64 = 0x10, DataSelector = 0x18, TssSelector = 0x20;
    public const ushort GdtLimit = 6 * 8 - 1;
    public const uint TssLimit = 0x67;

    /// <summary>Writes the descriptor table that <see cref="InitialRegisters"/> names. False when there is no RAM there.</summary>
    public static bool TryWriteGdt(in GuestMemory memory)
    {
        if (!memory.TryZero(Gdt, StackTop - Gdt) || !memory.TryGetPointer(Gdt, 48, out byte* host)) return false;
        ulong* entries = (ulong*)host;
        entries[1] = 0x00CF9B000000FFFF; // 0x08 code, 32 bit, flat
        entries[2] = 0x00AF9B000000FFFF; // 0x10 code, 64 bit: __BOOT_CS of Linux
        entries[3] = 0x00CF93000000FFFF; // 0x18 data, flat: __BOOT_DS of Linux
        entries[4] = (Tss & 0xFFFFFF) << 16 | (Tss >> 24 & 0xFF) << 56 | 0x8BUL << 40 | TssLimit;
        return true;
    }

    /// <summary>Maps the first 4 GiB one to one.</summary>
    public static bool TryWriteIdentityPageTables(in GuestMemory memory)
    {
        const ulong presentWritable = 3, large = 0x80;
        if (!memory.TryZero(PageTables, 2 * 4096) || !memory.TryGetPointer(PageTables, 6 * 4096, out byte* host)) return false;
        ulong* tables = (ulong*)host;
        tables[0] = PageTables + 4096 | presentWritable;
        for (ulong i = 0; i < 4; i++) tables[512 + i] = PageTables + (2 + i) * 4096 | presentWritable;
        for (ulong i = 0; i < 4 * 512; i++) tables[1024 + i] = i << 21 | presentWritable | large;
        return true;
    }

    /// <summary>Copies a zero-terminated line; false (reported) when it is longer than <paramref name="limit"/> or this layout allows.</summary>
    public static bool TryWriteCommandLine(in GuestMemory memory, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> line, ulong limit, ref TextWriter error)
    {
        ulong separator = prefix.Length != 0 && line.Length != 0 ? 1UL : 0;
        ulong length = (ulong)prefix.Length + separator + (ulong)line.Length;
        limit = Math.Min(limit, MaxCommandLine - 1);
        if (length > limit)
        {
            error.Text("cmdline: is "u8).Decimal(length).Text(" bytes long, this kernel takes "u8).Decimal(limit);
            return false;
        }
        memory.TryCopyIn(CommandLine, prefix);
        if (separator != 0) memory.TryCopyIn(CommandLine + (ulong)prefix.Length, " "u8);
        memory.TryCopyIn(CommandLine + (ulong)prefix.Length + separator, line);
        return memory.TryZero(CommandLine + length, 1);
    }
}
