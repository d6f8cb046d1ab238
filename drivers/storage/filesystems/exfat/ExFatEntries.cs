// Directory entries of exFAT. Specification 1.00, "Directory Structure" and "Directory Entry Definitions".
using System;
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>The first byte of an entry.</summary>
public static class ExFatEntryType
{
    public const uint Bytes = 32;

    public const byte EndOfDirectory = 0x00;
    /// <summary>What fills slots that are free but have used ones behind them: a file entry that is not in use.</summary>
    public const byte Unused = 0x05;
    public const byte AllocationBitmap = 0x81, UpCaseTable = 0x82, VolumeLabel = 0x83, File = 0x85, VolumeGuid = 0xA0, StreamExtension = 0xC0, FileName = 0xC1;

    public const byte InUse = 0x80, Secondary = 0x40, Benign = 0x20;

    public static bool IsSecondary(byte type) => (type & (InUse | Secondary)) == (InUse | Secondary);
}

[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct ExFatFileEntry
{
    public const ushort Directory = 0x10, Archive = 0x20;

    [FieldOffset(0)] public byte EntryType;
    [FieldOffset(1)] public byte SecondaryCount;
    [FieldOffset(2)] public ushort SetChecksum;
    [FieldOffset(4)] public ushort FileAttributes;
    [FieldOffset(8)] public uint CreateTimestamp;
    [FieldOffset(12)] public uint LastModifiedTimestamp;
    [FieldOffset(16)] public uint LastAccessedTimestamp;
    [FieldOffset(20)] public byte Create10msIncrement;
    [FieldOffset(21)] public byte LastModified10msIncrement;
    [FieldOffset(22)] public byte CreateUtcOffset;
    [FieldOffset(23)] public byte LastModifiedUtcOffset;
    [FieldOffset(24)] public byte LastAccessedUtcOffset;
}

[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct ExFatStreamEntry
{
    public const byte AllocationPossible = 1, NoFatChain = 2;

    [FieldOffset(0)] public byte EntryType;
    [FieldOffset(1)] public byte GeneralSecondaryFlags;
    [FieldOffset(3)] public byte NameLength;
    [FieldOffset(4)] public ushort NameHash;
    [FieldOffset(8)] public ulong ValidDataLength;
    [FieldOffset(20)] public uint FirstCluster;
    [FieldOffset(24)] public ulong DataLength;
}

/// <summary>Allocation bitmap and up-case table; <see cref="TableChecksum"/> is the latter's.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct ExFatTableEntry
{
    [FieldOffset(0)] public byte EntryType;
    [FieldOffset(1)] public byte BitmapFlags;
    [FieldOffset(4)] public uint TableChecksum;
    [FieldOffset(20)] public uint FirstCluster;
    [FieldOffset(24)] public ulong DataLength;
}

/// <summary>Date and time as directory entries hold them: two seconds' resolution, from 1980 on.</summary>
public static class ExFatTimestamp
{
    /// <summary>OffsetFromUtc valid and zero.</summary>
    public const byte Utc = 0x80;
    /// <summary>1980-01-01, 0:00.</summary>
    public const uint Earliest = 1 << 21 | 1 << 16;

    public static uint From(uint year, uint month, uint day, uint hour, uint minute, uint second) =>
        year is < 1980 or > 2107 ? Earliest : (year - 1980) << 25 | month << 21 | day << 16 | hour << 11 | minute << 5 | second / 2;

    /// <summary>Of seconds since 1970, UTC.</summary>
    public static uint FromUnix(ulong seconds)
    {
        // Years that begin in March have their odd day at the end; eras of 400 of them have all the same length.
        const ulong day = 86400, daysToMarchOfYear0 = 719468, daysOfEra = 146097;
        ulong days = seconds / day + daysToMarchOfYear0, inEra = days % daysOfEra, second = seconds % day;
        ulong year = (inEra - inEra / 1460 + inEra / 36524 - inEra / (daysOfEra - 1)) / 365, inYear = inEra - (365 * year + year / 4 - year / 100);
        ulong fromMarch = (5 * inYear + 2) / 153, month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
        year += days / daysOfEra * 400 + (month <= 2 ? 1u : 0);
        return From((uint)Math.Min(year, uint.MaxValue), (uint)month, (uint)(inYear - (153 * fromMarch + 2) / 5 + 1), (uint)(second / 3600), (uint)(second / 60 % 60), (uint)(second % 60));
    }
}
