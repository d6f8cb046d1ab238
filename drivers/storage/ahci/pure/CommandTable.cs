// A command for the adapter: header, command FIS, the list of memory. AHCI 1.3.1, "Command List Structure", "Command Table".
using System;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Ahci;

/// <summary>32 bytes in the command list, one a slot.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct CommandHeader
{
    public const ushort Write = 1 << 6;
    public const ushort FisDwords = AtaCommand.FisBytes / 4;

    [FieldOffset(0)] public ushort Flags;
    [FieldOffset(2)] public ushort PRDTL;
    [FieldOffset(4)] public uint PRDBC;
    [FieldOffset(8)] public ulong CTBA;
    [FieldOffset(16)] public ulong Reserved0;
    [FieldOffset(24)] public ulong Reserved1;
}

/// <summary>16 bytes: where data is.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct PhysicalRegion
{
    [FieldOffset(0)] public ulong DBA;
    [FieldOffset(8)] public uint Reserved;
    /// <summary>Bytes less one; that number is odd.</summary>
    [FieldOffset(12)] public uint DBC;
}

/// <summary>2 KiB: the FIS, and as many regions as fit.</summary>
public static unsafe class CommandTable
{
    public const uint Bytes = 2048, MaximumSegments = (Bytes - RegionsOffset) / 16;
    public const uint MaximumTransferBytes = 1 << 20;
    private const uint RegionsOffset = 0x80;

    /// <summary>Builds a command without data or with one piece of it.</summary>
    public static void Build(CommandHeader* header, byte* table, ulong tablePhysical, in AtaCommand command, ulong dataPhysical, uint dataBytes)
    {
        BlockSegment segment = new() { Physical = dataPhysical, Length = dataBytes };
        Build(header, table, tablePhysical, command, &segment, dataBytes == 0 ? 0u : 1u);
    }

    /// <summary>
    /// Builds a command. Segments (at most <see cref="MaximumSegments"/>, even addresses and lengths, the latter up to
    /// <see cref="MaximumTransferBytes"/>) that are empty are left out, as a region cannot be.
    /// </summary>
    public static void Build(CommandHeader* header, byte* table, ulong tablePhysical, in AtaCommand command, BlockSegment* segments, uint count)
    {
        command.WriteFis(new Span<byte>(table, AtaCommand.FisBytes));
        PhysicalRegion* regions = (PhysicalRegion*)(table + RegionsOffset);
        ushort used = 0;
        for (uint i = 0; i < count; i++)
            if (segments[i].Length != 0) regions[used++] = new PhysicalRegion { DBA = segments[i].Physical, DBC = segments[i].Length - 1 };
        *header = new CommandHeader
        {
            Flags = (ushort)(CommandHeader.FisDwords | (command.IsWrite ? CommandHeader.Write : 0)), PRDTL = used, CTBA = tablePhysical,
        };
    }
}
