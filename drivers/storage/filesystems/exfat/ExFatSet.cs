// A file's directory entries and where each of them lies. exFAT specification 1.00, "Generic Primary DirectoryEntry Template".
using System;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// The copy of an entry set: file, stream extension, names, and what benign entries follow. Longer sets are counted and
/// their checksum is computed, but only this many entries are kept: such a file can be read, not changed.
/// </summary>
internal unsafe struct ExFatSet
{
    public const uint MaximumEntries = 19, NameUnitsPerEntry = 15;

    private fixed byte entries[(int)(MaximumEntries * ExFatEntryType.Bytes)];
    private fixed ulong offsets[(int)MaximumEntries];
    private ushort checksum;

    /// <summary>Entries seen so far; 0: none.</summary>
    public uint Count;

    // A set is part of a structure at a fixed address.
    public readonly byte* Entry(uint index)
    {
        fixed (byte* first = entries) return first + index * ExFatEntryType.Bytes;
    }

    public readonly ExFatFileEntry* File => (ExFatFileEntry*)Entry(0);
    public readonly ExFatStreamEntry* Stream => (ExFatStreamEntry*)Entry(1);

    /// <summary>Of an entry, in bytes of the volume.</summary>
    public readonly ulong Offset(uint index) => offsets[index];

    public void SetOffset(uint index, ulong offset) => offsets[index] = offset;

    public readonly bool IsComplete => Count != 0 && Count == (uint)File->SecondaryCount + 1;
    public readonly bool IsWhole => IsComplete && Count <= MaximumEntries;
    public readonly bool IsDirectory => (File->FileAttributes & ExFatFileEntry.Directory) != 0;
    public readonly uint NameEntries => (Stream->NameLength + NameUnitsPerEntry - 1) / NameUnitsPerEntry;

    /// <summary>Both entries that change with a file's length are in one sector of 512 bytes: a change is whole or not at all.</summary>
    public readonly bool ChangesAtOnce => offsets[0] / 512 == offsets[1] / 512;

    /// <summary>Makes it a set of zeroed entries.</summary>
    public void Clear(uint count)
    {
        Count = count;
        new Span<byte>(Entry(0), (int)(count * ExFatEntryType.Bytes)).Clear();
    }

    public void Append(byte* entry, ulong offset)
    {
        if (Count < MaximumEntries)
        {
            new ReadOnlySpan<byte>(entry, (int)ExFatEntryType.Bytes).CopyTo(new Span<byte>(Entry(Count), (int)ExFatEntryType.Bytes));
            offsets[Count] = offset;
        }
        checksum = Add(Count == 0 ? (ushort)0 : checksum, entry, Count == 0);
        Count++;
    }

    /// <summary>Complete, in the order that a file's set has, with a name, and its checksum is right.</summary>
    public readonly bool IsSound => HasFileShape && checksum == File->SetChecksum;

    /// <summary>Complete and in the order that a file's set has, whatever its checksum.</summary>
    public readonly bool HasFileShape
    {
        get
        {
            if (!IsComplete || Count < 3 || Stream->EntryType != ExFatEntryType.StreamExtension || Stream->NameLength == 0 || Count < 2 + NameEntries) return false;
            for (uint i = 0; i < NameEntries; i++)
                if (*Entry(2 + i) != ExFatEntryType.FileName) return false;
            // What we do not know but would have to is reason to leave the file alone.
            for (uint i = 2 + NameEntries; i < Count && i < MaximumEntries; i++)
                if ((*Entry(i) & ExFatEntryType.Benign) == 0) return false;
            return true;
        }
    }

    public readonly char NameUnit(uint index) => *(char*)(Entry(2 + index / NameUnitsPerEntry) + 2 + index % NameUnitsPerEntry * sizeof(char));

    /// <summary>Writes the checksum into the file entry; the set is whole.</summary>
    public void Seal()
    {
        checksum = 0;
        for (uint i = 0; i < Count; i++) checksum = Add(checksum, Entry(i), i == 0);
        File->SetChecksum = checksum;
    }

    /// <summary>"SetChecksum Field": over all bytes but the checksum's own.</summary>
    private static ushort Add(ushort checksum, byte* entry, bool isFirst)
    {
        for (uint i = 0; i < ExFatEntryType.Bytes; i++)
            if (!isFirst || i is not (2 or 3)) checksum = (ushort)((ushort)(checksum << 15 | checksum >> 1) + entry[i]);
        return checksum;
    }
}
