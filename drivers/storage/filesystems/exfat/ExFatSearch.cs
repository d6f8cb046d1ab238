// Goes through a directory: finds a name, and a place for a new entry set.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

internal enum SearchOutcome : byte { Load, Found, NotFound, Damaged }

/// <summary>
/// Part of the volume. <see cref="Begin"/>, then <see cref="Advance"/> until it is no longer Load. A found set is in <see cref="Set"/>.
/// Sets that are incomplete or whose checksum is wrong are passed over; if the name is one of theirs, the outcome is Damaged.
/// </summary>
internal unsafe struct ExFatSearch
{
    private const uint SlotsPerUnit = 512 / ExFatEntryType.Bytes;

    public ExFatName Name;
    public ExFatSet Set;
    private ExFatCursor cursor;
    private bool everySet, ended, damaged;

    // The place for a new set.
    private uint slotsWanted, slotsFound, endIndex;
    private ulong endOffset;
    private fixed ulong slots[(int)SlotsPerUnit];
    private uint fillerSlots;

    /// <param name="slotsFor">Entries of a new set for which to find a place; 0: none.</param>
    public void Begin(in ExFatCursor at, uint slotsFor)
    {
        cursor = at;
        Set.Count = 0;
        everySet = ended = damaged = false;
        slotsWanted = slotsFor;
        slotsFound = fillerSlots = 0;
        endIndex = uint.MaxValue;
    }

    /// <summary>Found stands for each set in turn then.</summary>
    public void BeginEverySet(in ExFatCursor at)
    {
        Begin(at, 0);
        everySet = true;
    }

    public readonly bool HasPlace => slotsWanted != 0 && slotsFound == slotsWanted;
    /// <summary>Of the place's entries, in bytes of the volume.</summary>
    public readonly ulong Slot(uint index) => slots[index];
    /// <summary>Slots from the end of the directory to the place, which must no longer look like its end; all in 512 aligned bytes.</summary>
    public readonly uint FillerSlots => fillerSlots;
    public readonly ulong FirstFiller => endOffset;
    /// <summary>Behind the last entry that was taken.</summary>
    public readonly ExFatCursor Cursor => cursor;
    /// <summary>Some set could not be trusted.</summary>
    public readonly bool SawDamage => damaged;

    public SearchOutcome Advance(ExFatVolume* volume, out BlockStep read)
    {
        for (; ; )
        {
            switch (cursor.TryEntry(volume, out byte* entry, out ulong offset, out read))
            {
                case CursorOutcome.Load: return SearchOutcome.Load;
                case CursorOutcome.Damaged: return SearchOutcome.Damaged;
                case CursorOutcome.End: return AtEnd();
                default:
                    cursor.MoveNext();
                    if (Take(volume, entry, offset)) return SearchOutcome.Found;
                    if (ended && (slotsWanted == 0 || HasPlace)) return AtEnd();
                    break;
            }
        }
    }

    private SearchOutcome AtEnd()
    {
        damaged |= everySet && Set.Count != 0 && !Set.IsComplete;
        return damaged && !everySet ? SearchOutcome.Damaged : SearchOutcome.NotFound;
    }

    /// <summary>True when the entry completes a set that was sought.</summary>
    private bool Take(ExFatVolume* volume, byte* entry, ulong offset)
    {
        byte type = ended ? ExFatEntryType.EndOfDirectory : *entry;
        if (Set.Count != 0 && !Set.IsComplete)
        {
            if (ExFatEntryType.IsSecondary(type))
            {
                Set.Append(entry, offset);
                return Set.IsComplete && IsSought(volume);
            }
            damaged |= everySet;
        }
        Set.Count = 0;
        if ((type & ExFatEntryType.InUse) == 0) TakeFree(type, offset);
        else
        {
            if (!HasPlace) slotsFound = 0;
            if (type == ExFatEntryType.File) Set.Append(entry, offset);
            else damaged |= everySet && !IsKnown(type);
        }
        return false;
    }

    private bool IsSought(ExFatVolume* volume)
    {
        if (everySet)
        {
            if (Set.IsSound) return true;
            damaged = true;
            return false;
        }
        if (!Set.HasFileShape || !Name.Equals(Set, volume->UpCase)) return false;
        damaged |= !Set.IsSound;
        return Set.IsSound;
    }

    /// <summary>What has no clusters, or such as are accounted for elsewhere.</summary>
    private static bool IsKnown(byte type) =>
        type is ExFatEntryType.AllocationBitmap or ExFatEntryType.UpCaseTable or ExFatEntryType.VolumeLabel or ExFatEntryType.VolumeGuid;

    /// <summary>
    /// A new set goes into one unit of 512 bytes, of which it needs no more: a sector is written whole or not at all.
    /// </summary>
    private void TakeFree(byte type, ulong offset)
    {
        uint index = (uint)(cursor.Position / ExFatEntryType.Bytes) - 1, inUnit = index % SlotsPerUnit;
        if (type == ExFatEntryType.EndOfDirectory && !ended)
        {
            ended = true;
            endIndex = index;
            endOffset = offset;
        }
        if (slotsWanted == 0 || HasPlace) return;
        if (slotsFound == 0)
        {
            if (inUnit + slotsWanted > SlotsPerUnit) return;
            fillerSlots = endIndex < index ? index - endIndex : 0;
        }
        slots[slotsFound++] = offset;
    }
}
