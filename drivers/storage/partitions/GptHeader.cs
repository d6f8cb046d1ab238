// The GPT header and its entries. UEFI, "GUID Partition Table (GPT) Disk Layout".
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Partitions;

/// <summary>What a valid header says; blocks are the disk's.</summary>
internal unsafe struct GptHeader
{
    private const ulong Signature = 0x5452415020494645;   // "EFI PART"
    private const uint MinimumHeaderBytes = 92, CrcOffset = 16, MinimumEntryBytes = 128;

    public ulong FirstUsableBlock;
    public ulong LastUsableBlock;
    public ulong EntriesBlock;
    public uint EntryCount;
    public uint EntrySize;
    public uint EntriesCrc;

    public readonly uint EntryBytesTotal => EntryCount * EntrySize;

    /// <summary>
    /// Decodes the header that was read from <paramref name="block"/>; every field is checked against the disk. An array of entries beyond
    /// <paramref name="entriesCapacity"/> bytes is <see cref="ImageStatus.NoMemory"/>.
    /// </summary>
    public static ImageStatus Decode(byte* raw, uint blockBytes, ulong block, ulong blockCount, uint entriesCapacity, out GptHeader header)
    {
        header = default;
        uint headerBytes = *(uint*)(raw + 12);
        if (*(ulong*)raw != Signature || headerBytes < MinimumHeaderBytes || headerBytes > blockBytes) return ImageStatus.Invalid;
        if (Checksums.Crc32(raw, headerBytes, CrcOffset) != *(uint*)(raw + CrcOffset)) return ImageStatus.Invalid;
        if (*(ushort*)(raw + 10) != 1) return ImageStatus.Unsupported;   // major revision
        header.FirstUsableBlock = *(ulong*)(raw + 40);
        header.LastUsableBlock = *(ulong*)(raw + 48);
        header.EntriesBlock = *(ulong*)(raw + 72);
        header.EntryCount = *(uint*)(raw + 80);
        header.EntrySize = *(uint*)(raw + 84);
        header.EntriesCrc = *(uint*)(raw + 88);
        bool backup = block != 1;
        if (*(ulong*)(raw + 24) != block || (backup && *(ulong*)(raw + 32) != 1)) return ImageStatus.Invalid;   // MyLBA, AlternateLBA
        return header.Check(block, blockCount, blockBytes, entriesCapacity);
    }

    private readonly ImageStatus Check(ulong block, ulong blockCount, uint blockBytes, uint entriesCapacity)
    {
        if (EntrySize < MinimumEntryBytes || (EntrySize & EntrySize - 1) != 0 || EntryCount == 0) return ImageStatus.Invalid;
        if (FirstUsableBlock < 2 || FirstUsableBlock > LastUsableBlock || LastUsableBlock >= blockCount - 1) return ImageStatus.Invalid;
        ulong bytes = (ulong)EntryCount * EntrySize;
        if (bytes > uint.MaxValue - blockBytes || ((bytes + blockBytes - 1) & ~(ulong)(blockBytes - 1)) > entriesCapacity) return ImageStatus.NoMemory;
        ulong blocks = (bytes + blockBytes - 1) / blockBytes;
        if (EntriesBlock < 2 || EntriesBlock >= blockCount || blocks > blockCount - EntriesBlock) return ImageStatus.Invalid;
        ulong end = EntriesBlock + blocks;
        bool coversUsable = EntriesBlock <= LastUsableBlock && end > FirstUsableBlock;
        bool coversHeader = block >= EntriesBlock && block < end;
        return coversUsable || coversHeader ? ImageStatus.Invalid : ImageStatus.Success;
    }

    /// <summary>Decodes an entry; false if it is unused or does not lie in the usable blocks.</summary>
    public readonly bool TryDecodeEntry(byte* entry, out PartitionEntry partition)
    {
        partition = default;
        partition.Type = new GptGuid(*(ulong*)entry, *(ulong*)(entry + 8));
        partition.Unique = new GptGuid(*(ulong*)(entry + 16), *(ulong*)(entry + 24));
        ulong first = *(ulong*)(entry + 32), last = *(ulong*)(entry + 40);
        partition.Attributes = *(ulong*)(entry + 48);
        partition.Name = entry + 56;
        if (partition.Type.IsZero || first < FirstUsableBlock || last > LastUsableBlock || first > last) return false;
        partition.FirstBlock = first;
        partition.BlockCount = last - first + 1;
        return true;
    }
}
