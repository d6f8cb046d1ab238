// The structures of a VHD file. "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format", "Dynamic Disk Header Format".
using System;

namespace Lamina.Drivers.Storage.Images;

public enum VhdType : uint { Fixed = 2, Dynamic = 3, Differencing = 4 }

/// <summary>The footer's fields; a footer is 512 bytes.</summary>
public static unsafe class VhdFooter
{
    public const uint Bytes = 512;
    public const ulong NoDataOffset = ulong.MaxValue;
    /// <summary>Sector numbers have 32 bits; Hyper-V's own limit is 2040 GiB.</summary>
    public const ulong MaximumVirtualBytes = 2040UL << 30;
    private const uint ChecksumOffset = 64, ReservedFeature = 2, FormatVersion = 0x00010000;

    /// <summary>Whether cookie, version, checksum, type and size are those of a VHD that we can open.</summary>
    public static bool IsValid(byte* footer)
    {
        if (!new ReadOnlySpan<byte>(footer, 8).SequenceEqual("conectix"u8)) return false;
        if (BigEndian.Read32(footer + 12) >> 16 != FormatVersion >> 16 || VhdChecksum.Of(footer, Bytes, ChecksumOffset) != BigEndian.Read32(footer + ChecksumOffset)) return false;
        ulong size = VirtualBytes(footer);
        return Type(footer) is VhdType.Fixed or VhdType.Dynamic or VhdType.Differencing && size != 0 && size % 512 == 0 && size <= MaximumVirtualBytes;
    }

    public static ulong DataOffset(byte* footer) => BigEndian.Read64(footer + 16);
    public static uint Timestamp(byte* footer) => BigEndian.Read32(footer + 24);
    public static ulong VirtualBytes(byte* footer) => BigEndian.Read64(footer + 48);
    public static VhdType Type(byte* footer) => (VhdType)BigEndian.Read32(footer + 60);
    /// <summary>16 bytes that a child names its parent by.</summary>
    public static byte* UniqueId(byte* footer) => footer + 68;

    public static void Write(byte* footer, VhdType type, ulong virtualBytes, byte* uniqueId, uint timestamp)
    {
        new Span<byte>(footer, (int)Bytes).Clear();
        "conectix"u8.CopyTo(new Span<byte>(footer, 8));
        BigEndian.Write32(footer + 8, ReservedFeature);
        BigEndian.Write32(footer + 12, FormatVersion);
        BigEndian.Write64(footer + 16, type == VhdType.Fixed ? NoDataOffset : Bytes);
        BigEndian.Write32(footer + 24, timestamp);
        // Readers take the size from the geometry, which cannot express every size, unless they know the creator for one that
        // means the size field; so creator and host system are those of Hyper-V.
        "win "u8.CopyTo(new Span<byte>(footer + 28, 4));
        BigEndian.Write32(footer + 32, 0x000A0000);
        "Wi2k"u8.CopyTo(new Span<byte>(footer + 36, 4));
        BigEndian.Write64(footer + 40, virtualBytes);
        BigEndian.Write64(footer + 48, virtualBytes);
        BigEndian.Write32(footer + 56, Geometry(virtualBytes / 512));
        BigEndian.Write32(footer + 60, (uint)type);
        new ReadOnlySpan<byte>(uniqueId, 16).CopyTo(new Span<byte>(UniqueId(footer), 16));
        BigEndian.Write32(footer + ChecksumOffset, VhdChecksum.Of(footer, Bytes, ChecksumOffset));
    }

    /// <summary>Cylinders, heads and sectors per track, packed as stored. The specification's appendix, "CHS Calculation".</summary>
    private static uint Geometry(ulong sectors)
    {
        ulong total = Math.Min(sectors, 65535UL * 16 * 255), cylindersTimesHeads, heads, perTrack;
        if (total >= 65535UL * 16 * 63)
        {
            perTrack = 255;
            heads = 16;
            cylindersTimesHeads = total / perTrack;
        }
        else
        {
            perTrack = 17;
            cylindersTimesHeads = total / perTrack;
            heads = Math.Max((cylindersTimesHeads + 1023) / 1024, 4);
            if (cylindersTimesHeads >= heads * 1024 || heads > 16)
            {
                perTrack = 31;
                heads = 16;
                cylindersTimesHeads = total / perTrack;
            }
            if (cylindersTimesHeads >= heads * 1024)
            {
                perTrack = 63;
                heads = 16;
                cylindersTimesHeads = total / perTrack;
            }
        }
        return (uint)(cylindersTimesHeads / heads << 16 | heads << 8 | perTrack);
    }
}

/// <summary>The header of dynamic and differencing disks: 1024 bytes.</summary>
public static unsafe class VhdDynamicHeader
{
    public const uint Bytes = 1024, DefaultBlockBytes = 2 << 20, LocatorCount = 8;
    public const uint MinimumBlockBytes = 4096, MaximumBlockBytes = 256 << 20;
    /// <summary>Platform code of a locator that holds a relative Windows path in UTF-16, little-endian.</summary>
    public const uint RelativeWindowsPath = 0x57327275;   // "W2ru"
    private const uint ChecksumOffset = 36, FormatVersion = 0x00010000;

    public static bool IsValid(byte* header)
    {
        if (!new ReadOnlySpan<byte>(header, 8).SequenceEqual("cxsparse"u8) || BigEndian.Read32(header + 24) >> 16 != FormatVersion >> 16) return false;
        if (VhdChecksum.Of(header, Bytes, ChecksumOffset) != BigEndian.Read32(header + ChecksumOffset)) return false;
        uint block = BlockBytes(header);
        return block is >= MinimumBlockBytes and <= MaximumBlockBytes && (block & block - 1) == 0;
    }

    public static ulong TableOffset(byte* header) => BigEndian.Read64(header + 16);
    public static uint TableEntries(byte* header) => BigEndian.Read32(header + 28);
    public static uint BlockBytes(byte* header) => BigEndian.Read32(header + 32);
    public static byte* ParentUniqueId(byte* header) => header + 40;
    public static uint ParentTimestamp(byte* header) => BigEndian.Read32(header + 56);
    /// <summary>256 UTF-16 code units, big-endian, zero-padded.</summary>
    public static byte* ParentName(byte* header) => header + 64;

    /// <summary>Where locator <paramref name="index"/> says that the parent is; platform code 0 means unused.</summary>
    public static void Locator(byte* header, uint index, out uint platform, out ulong offset, out uint length)
    {
        byte* locator = header + 576 + index * 24;
        platform = BigEndian.Read32(locator);
        length = BigEndian.Read32(locator + 8);
        offset = BigEndian.Read64(locator + 16);
    }

    public static void Write(byte* header, ulong tableOffset, uint tableEntries, uint blockBytes)
    {
        new Span<byte>(header, (int)Bytes).Clear();
        "cxsparse"u8.CopyTo(new Span<byte>(header, 8));
        BigEndian.Write64(header + 8, ulong.MaxValue);
        BigEndian.Write64(header + 16, tableOffset);
        BigEndian.Write32(header + 24, FormatVersion);
        BigEndian.Write32(header + 28, tableEntries);
        BigEndian.Write32(header + 32, blockBytes);
        Seal(header);
    }

    /// <summary>Names the parent; <paramref name="name"/> is UTF-16, little-endian, of at most 512 bytes, and also what the locator's data at <paramref name="locatorOffset"/> says.</summary>
    public static void WriteParent(byte* header, byte* uniqueId, uint timestamp, byte* name, uint nameBytes, ulong locatorOffset)
    {
        new ReadOnlySpan<byte>(uniqueId, 16).CopyTo(new Span<byte>(ParentUniqueId(header), 16));
        BigEndian.Write32(header + 56, timestamp);
        for (uint i = 0; i + 1 < nameBytes && i < 512; i += 2)
        {
            ParentName(header)[i] = name[i + 1];
            ParentName(header)[i + 1] = name[i];
        }
        byte* locator = header + 576;
        BigEndian.Write32(locator, RelativeWindowsPath);
        BigEndian.Write32(locator + 4, 512);
        BigEndian.Write32(locator + 8, nameBytes);
        BigEndian.Write64(locator + 16, locatorOffset);
        Seal(header);
    }

    private static void Seal(byte* header) => BigEndian.Write32(header + ChecksumOffset, VhdChecksum.Of(header, Bytes, ChecksumOffset));
}

internal static unsafe class VhdChecksum
{
    /// <summary>The ones' complement of the sum of all bytes but the four of the checksum itself.</summary>
    public static uint Of(byte* data, uint length, uint checksumOffset)
    {
        uint sum = 0;
        for (uint i = 0; i < length; i++)
            if (i - checksumOffset >= 4) sum += data[i];
        return ~sum;
    }
}
