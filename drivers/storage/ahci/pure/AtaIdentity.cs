// What a disk says about itself, checked. ACS-3, "IDENTIFY DEVICE data".
using System;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Ahci;

public enum AtaVerdict : byte
{
    Usable,
    /// <summary>The data is no IDENTIFY data: its checksum is wrong, or it says that it is no ATA device.</summary>
    Malformed,
    /// <summary>No DMA, no LBA or no 48-bit commands.</summary>
    TooOld,
    /// <summary>Blocks of a size that nobody here can use.</summary>
    StrangeBlocks,
    /// <summary>A password is needed first.</summary>
    Locked,
}

/// <summary>Lives where it is put; 100 bytes.</summary>
public unsafe struct AtaIdentity
{
    public const int Bytes = 512, SerialBytes = 20;
    private const ulong LbaLimit = 1UL << 48;
    private const uint LeastBlock = 512, LargestBlock = 4096;

    public ulong Blocks;
    public uint BlockBytes, PhysicalBlockBytes;

    /// <summary>Queued commands at the same time; 0: none.</summary>
    public uint QueueDepth;
    public bool HasWriteCache, CanFlush, CanForceUnitAccess, CanTrim;
    private fixed byte serial[SerialBytes];

    public ReadOnlySpan<byte> Serial
    {
        get { fixed (byte* text = serial) return new ReadOnlySpan<byte>(text, SerialBytes); }
    }

    public readonly ulong SizeInBytes => Blocks * BlockBytes;

    /// <summary>Reads a copy of the 512 bytes that IDENTIFY DEVICE gives.</summary>
    public static AtaVerdict TryParse(ReadOnlySpan<byte> data, out AtaIdentity identity)
    {
        identity = default;
        if (data.Length < Bytes || !IsIntact(data) || (Word(data, 0) & 0x8000) != 0) return AtaVerdict.Malformed;
        bool has83 = Word(data, 83) >> 14 == 1;
        if ((Word(data, 49) & 0x300) != 0x300 || !has83 || (Word(data, 83) & 1 << 10) == 0) return AtaVerdict.TooOld;
        if ((Word(data, 128) & 5) == 5) return AtaVerdict.Locked;
        identity.Blocks = Math.Min(Word(data, 100) | (ulong)Word(data, 101) << 16 | (ulong)Word(data, 102) << 32 | (ulong)Word(data, 103) << 48, LbaLimit);
        if (!identity.TryReadBlockSizes(data)) return AtaVerdict.StrangeBlocks;
        identity.ReadAbilities(data);
        for (int i = 0; i < SerialBytes; i++) identity.serial[i] = data[20 + (i ^ 1)]; // the first character is in a word's upper byte
        return AtaVerdict.Usable;
    }

    private void ReadAbilities(ReadOnlySpan<byte> data)
    {
        bool has84 = Word(data, 84) >> 14 == 1;
        ushort serialAta = Word(data, 76);
        if (serialAta is not 0 and not ushort.MaxValue && (serialAta & 1 << 8) != 0) QueueDepth = (Word(data, 75) & 0x1Fu) + 1;
        CanFlush = (Word(data, 83) & 1 << 13) != 0;
        HasWriteCache = (Word(data, 85) & 1 << 5) != 0;
        CanForceUnitAccess = has84 && (Word(data, 84) & 1 << 6) != 0;
        CanTrim = (Word(data, 169) & 1) != 0;
    }

    private bool TryReadBlockSizes(ReadOnlySpan<byte> data)
    {
        BlockBytes = PhysicalBlockBytes = LeastBlock;
        ushort sizes = Word(data, 106);
        if (sizes >> 14 != 1) return true;
        if ((sizes & 1 << 12) != 0)
        {
            ulong bytes = 2 * (Word(data, 117) | (ulong)Word(data, 118) << 16);
            if (bytes < LeastBlock || bytes > LargestBlock || (bytes & (bytes - 1)) != 0) return false;
            BlockBytes = PhysicalBlockBytes = (uint)bytes;
        }
        if ((sizes & 1 << 13) != 0) PhysicalBlockBytes <<= sizes & 0xF;
        return true;
    }

    /// <summary>The limits of a disk behind an adapter that takes <paramref name="slots"/> commands at once.</summary>
    public readonly BlockLimits MakeLimits(uint slots) => new()
    {
        Bytes = SizeInBytes,
        BlockBytes = BlockBytes,
        PhysicalBlockBytes = PhysicalBlockBytes,
        MaximumTransferBytes = CommandTable.MaximumTransferBytes,
        MaximumSegments = CommandTable.MaximumSegments,
        SegmentAlignment = 2,
        HasWriteCache = HasWriteCache,
        CanDiscard = CanTrim,
        MaximumDiscardBytes = CanTrim ? TrimRanges.MaximumBlocks * BlockBytes : 0,
        MaximumInFlight = QueueDepth == 0 ? slots : Math.Min(slots, QueueDepth),
    };

    private static ushort Word(ReadOnlySpan<byte> data, int index) => (ushort)(data[2 * index] | data[2 * index + 1] << 8);

    /// <summary>Word 255 may hold a checksum: with its mark, all bytes add up to 0.</summary>
    private static bool IsIntact(ReadOnlySpan<byte> data)
    {
        if (data[510] != 0xA5) return true;
        byte sum = 0;
        for (int i = 0; i < Bytes; i++) sum += data[i];
        return sum == 0;
    }
}
