// The structures of a VHDX file as they lie in it, little-endian. MS-VHDX, "Structures".
using System;
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Storage.Images;

/// <summary>A GUID as VHDX stores it: the first three groups little-endian, the last two as printed.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly unsafe struct VhdxGuid(ulong low, ulong high)
{
    public const uint Bytes = 16, TextCharacters = 38;

    public readonly ulong Low = low, High = high;

    public bool IsZero => (Low | High) == 0;
    public bool Equals(VhdxGuid other) => Low == other.Low && High == other.High;

    /// <summary>From the printed groups; the last two together are <paramref name="d"/> (16 digits).</summary>
    internal static VhdxGuid Of(uint a, ushort b, ushort c, ulong d)
    {
        ulong reversed = 0;
        for (int i = 0; i < 8; i++) reversed = reversed << 8 | (d >> i * 8 & 0xFF);
        return new(a | (ulong)b << 32 | (ulong)c << 48, reversed);
    }

    // Which byte comes next as two digits in "{00112233-4455-6677-8899-AABBCCDDEEFF}".
    private static ReadOnlySpan<byte> PrintedOrder => [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

    private static bool IsDash(uint character) => character is 9 or 14 or 19 or 24;

    /// <summary>Writes <see cref="TextCharacters"/> UTF-16 code units, lowercase, in braces.</summary>
    internal void WriteText(byte* text)
    {
        VhdxGuid copy = this;
        uint digit = 0;
        for (uint i = 0; i < TextCharacters; i++)
        {
            byte character = (byte)(i == 0 ? '{' : i == TextCharacters - 1 ? '}' : '-');
            if (i != 0 && i != TextCharacters - 1 && !IsDash(i))
            {
                int value = ((byte*)&copy)[PrintedOrder[(int)digit / 2]] >> (digit % 2 == 0 ? 4 : 0) & 15;
                character = (byte)(value < 10 ? '0' + value : 'a' + value - 10);
                digit++;
            }
            text[i * 2] = character;
            text[i * 2 + 1] = 0;
        }
    }

    /// <summary>Reads what <see cref="WriteText"/> writes, in any case.</summary>
    internal static bool TryReadText(byte* text, uint bytes, out VhdxGuid guid)
    {
        VhdxGuid result = default;
        guid = default;
        if (bytes != TextCharacters * 2) return false;
        uint digit = 0;
        for (uint i = 0; i < TextCharacters; i++)
        {
            byte character = text[i * 2];
            if (text[i * 2 + 1] != 0) return false;
            if (i == 0 || i == TextCharacters - 1 || IsDash(i))
            {
                if (character != (i == 0 ? '{' : i == TextCharacters - 1 ? '}' : '-')) return false;
                continue;
            }
            int value = character is >= (byte)'0' and <= (byte)'9' ? character - '0' : (character | 0x20) is >= 'a' and <= 'f' ? (character | 0x20) - 'a' + 10 : -1;
            if (value < 0) return false;
            ((byte*)&result)[PrintedOrder[(int)digit / 2]] |= (byte)(value << (digit % 2 == 0 ? 4 : 0));
            digit++;
        }
        guid = result;
        return true;
    }
}

/// <summary>Where the parts of the header section are.</summary>
public static class VhdxLayout
{
    public const uint MiB = 1 << 20, SectionBytes = 64 << 10;
    /// <summary>"Layout": everything else begins behind the header section.</summary>
    public const ulong HeaderSectionBytes = MiB;
    internal const ulong RegionTableOffset = 3 * SectionBytes, RegionTable2Offset = 4 * SectionBytes;
    /// <summary>Longer files are refused: twice what the largest virtual disk can need.</summary>
    public const ulong MaximumFileBytes = 128UL << 40;
    public const ulong MaximumVirtualBytes = 64UL << 40;

    internal static ulong HeaderOffset(uint index) => SectionBytes * (1 + (ulong)index);
    internal static ReadOnlySpan<byte> Signature => "vhdxfile"u8;
}

/// <summary>"Headers".</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VhdxHeader
{
    public const uint Bytes = 4096, SignatureValue = 0x64616568;
    public const ushort CurrentVersion = 1;

    public uint Signature;
    public uint Checksum;
    public ulong SequenceNumber;
    public VhdxGuid FileWriteGuid;
    public VhdxGuid DataWriteGuid;
    public VhdxGuid LogGuid;
    public ushort LogVersion;
    public ushort Version;
    public uint LogLength;
    public ulong LogOffset;

    public static bool IsValid(VhdxHeader* header) => header->Signature == SignatureValue && header->Checksum == Checksums.Crc32C((byte*)header, Bytes, 4);

    public static void Seal(VhdxHeader* header) => header->Checksum = Checksums.Crc32C((byte*)header, Bytes, 4);
}

/// <summary>"Region Table Header".</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VhdxRegionTable
{
    public const uint Bytes = 64 << 10, SignatureValue = 0x69676572, MaximumEntries = 2047;

    public uint Signature;
    public uint Checksum;
    public uint EntryCount;
    public uint Reserved;

    public static bool IsValid(VhdxRegionTable* table) =>
        table->Signature == SignatureValue && table->EntryCount <= MaximumEntries && table->Checksum == Checksums.Crc32C((byte*)table, Bytes, 4);

    public static VhdxRegionEntry* Entries(VhdxRegionTable* table) => (VhdxRegionEntry*)(table + 1);
}

/// <summary>"Region Table Entry".</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VhdxRegionEntry
{
    public VhdxGuid Guid;
    public ulong FileOffset;
    public uint Length;
    public uint Required;

    public static VhdxGuid Bat => VhdxGuid.Of(0x2DC27766, 0xF623, 0x4200, 0x9D64115E9BFD4A08);
    public static VhdxGuid Metadata => VhdxGuid.Of(0x8B7CA206, 0x4790, 0x4B9A, 0xB8FE575F050F886E);
}

/// <summary>"Metadata Table Header".</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VhdxMetadataTable
{
    public const uint Bytes = 64 << 10, MaximumEntries = 2047, MaximumUserEntries = 1024, MaximumItemBytes = 1 << 20;
    public const ulong SignatureValue = 0x617461646174656D;

    public ulong Signature;
    public ushort Reserved;
    public ushort EntryCount;
    private fixed byte reserved2[20];

    public static VhdxMetadataEntry* Entries(VhdxMetadataTable* table) => (VhdxMetadataEntry*)(table + 1);
}

/// <summary>"Metadata Table Entry" and "Known Metadata Items".</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VhdxMetadataEntry
{
    public const uint IsUser = 1, IsVirtualDisk = 2, IsRequired = 4;

    public VhdxGuid ItemId;
    public uint Offset;
    public uint Length;
    public uint Flags;
    public uint Reserved2;

    public static VhdxGuid FileParameters => VhdxGuid.Of(0xCAA16737, 0xFA36, 0x4D43, 0xB3B633F0AA44E76B);
    public static VhdxGuid VirtualDiskSize => VhdxGuid.Of(0x2FA54224, 0xCD1B, 0x4876, 0xB2115DBED83BF4B8);
    public static VhdxGuid VirtualDiskId => VhdxGuid.Of(0xBECA12AB, 0xB2E6, 0x4523, 0x93EFC309E000C746);
    public static VhdxGuid LogicalSectorSize => VhdxGuid.Of(0x8141BF1D, 0xA96F, 0x4709, 0xBA47F233A8FAAB5F);
    public static VhdxGuid PhysicalSectorSize => VhdxGuid.Of(0xCDA348C7, 0x445D, 0x4471, 0x9CC9E9885251C556);
    public static VhdxGuid ParentLocator => VhdxGuid.Of(0xA8D35F2D, 0xB30B, 0x454D, 0xABF7D3D84834AB0C);
}

/// <summary>"File Parameters": limits of BlockSize, and the bits behind it.</summary>
internal static class VhdxFileParameters
{
    public const uint Bytes = 8, LeaveBlockAllocated = 1, HasParent = 2;
    public const uint MinimumBlockBytes = 1 << 20, MaximumBlockBytes = 256 << 20;

    public static bool IsBlockSize(uint bytes) => bytes is >= MinimumBlockBytes and <= MaximumBlockBytes && (bytes & bytes - 1) == 0;
}

/// <summary>"Payload BAT Entry States"; a sector bitmap block is not present or fully present.</summary>
public enum VhdxBlockState : byte
{
    PAYLOAD_BLOCK_NOT_PRESENT = 0,
    PAYLOAD_BLOCK_UNDEFINED = 1,
    PAYLOAD_BLOCK_ZERO = 2,
    PAYLOAD_BLOCK_UNMAPPED = 3,
    PAYLOAD_BLOCK_FULLY_PRESENT = 6,
    PAYLOAD_BLOCK_PARTIALLY_PRESENT = 7,
}

/// <summary>"BAT Entry".</summary>
internal readonly struct VhdxBatEntry(ulong value)
{
    public readonly ulong Value = value;

    public VhdxBlockState State => (VhdxBlockState)(Value & 7);
    /// <summary>Bytes; a multiple of 1 MiB.</summary>
    public ulong FileOffset => Value & ~0xFFFFFUL;
    public bool IsPresent => State is VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT or VhdxBlockState.PAYLOAD_BLOCK_PARTIALLY_PRESENT;

    public static VhdxBatEntry Of(VhdxBlockState state, ulong fileOffset) => new((ulong)state | fileOffset);
}

/// <summary>"Entry Header" of the log.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct VhdxLogEntryHeader
{
    public const uint Bytes = 64, SignatureValue = 0x65676F6C, SectorBytes = 4096;
    /// <summary>In the entry's first sector; the others hold 128.</summary>
    public const uint FirstDescriptors = (SectorBytes - Bytes) / VhdxLogDescriptor.Bytes;

    public uint Signature;
    public uint Checksum;
    public uint EntryLength;
    public uint Tail;
    public ulong SequenceNumber;
    public uint DescriptorCount;
    public uint Reserved;
    public VhdxGuid LogGuid;
    public ulong FlushedFileOffset;
    public ulong LastFileOffset;

    public readonly ulong DescriptorSectors => (Bytes + (ulong)DescriptorCount * VhdxLogDescriptor.Bytes + SectorBytes - 1) / SectorBytes;
}

/// <summary>"Zero Descriptor" and "Data Descriptor": the same size, and the same fields from the third on.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VhdxLogDescriptor
{
    public const uint Bytes = 32, Zero = 0x6F72657A, Data = 0x63736564;

    public uint Signature;
    /// <summary>Of a data descriptor.</summary>
    public uint TrailingBytes;
    /// <summary>Of a data descriptor; of a zero descriptor this is ZeroLength.</summary>
    public ulong LeadingBytes;
    public ulong FileOffset;
    public ulong SequenceNumber;
}

/// <summary>"Data Sector": 4084 bytes lie between SequenceHigh and SequenceLow.</summary>
internal static unsafe class VhdxLogDataSector
{
    public const uint SignatureValue = 0x61746164, Trailing = 4092;

    public static bool IsValid(byte* sector, ulong sequence) => *(uint*)sector == SignatureValue && *(uint*)(sector + 4) == sequence >> 32 && *(uint*)(sector + Trailing) == (uint)sequence;

    /// <summary>Turns 4 KiB of content into a data sector; the descriptor takes what makes room.</summary>
    public static void Seal(byte* sector, VhdxLogDescriptor* descriptor, ulong sequence)
    {
        descriptor->LeadingBytes = *(ulong*)sector;
        descriptor->TrailingBytes = *(uint*)(sector + Trailing);
        *(uint*)sector = SignatureValue;
        *(uint*)(sector + 4) = (uint)(sequence >> 32);
        *(uint*)(sector + Trailing) = (uint)sequence;
    }

    /// <summary>Undoes <see cref="Seal"/>.</summary>
    public static void Restore(byte* sector, VhdxLogDescriptor* descriptor)
    {
        *(ulong*)sector = descriptor->LeadingBytes;
        *(uint*)(sector + Trailing) = descriptor->TrailingBytes;
    }
}
