// Writes the entries of a set to their places in a directory.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Part of the volume. Entries that share 512 aligned bytes go in one write.</summary>
internal unsafe struct ExFatSetWriter
{
    private const ulong Unit = 512;

    private ExFatSet* set;
    private uint low, high;   // the entries still to be written
    private bool firstIsLast, flushBetween, flushNext;

    /// <summary>All in one write.</summary>
    public void BeginNew(ExFatSet* entries) => Begin(entries, entries->Count, true, true);

    /// <summary>The file entry first: without it the others mean nothing.</summary>
    public void BeginRemoval(ExFatSet* entries) => Begin(entries, entries->Count, false, true);

    /// <summary>File entry and stream extension.</summary>
    public void BeginChange(ExFatSet* entries) => Begin(entries, 2, true, false);

    private void Begin(ExFatSet* entries, uint count, bool fileEntryLast, bool flush)
    {
        set = entries;
        low = 0;
        high = count;
        firstIsLast = fileEntryLast;
        flushBetween = flush;
        flushNext = false;
    }

    /// <summary>True with a step to perform, false when all is written (and not yet flushed).</summary>
    public bool Advance(ExFatVolume* volume, out BlockStep step)
    {
        step = default;
        if (low == high) return false;
        if (flushNext)
        {
            flushNext = false;
            step = BlockStep.Of(StepKind.Flush);
            return true;
        }
        uint first = firstIsLast ? high - 1 : low, last = first;
        if (firstIsLast)
            while (first > low && UnitOf(first - 1) == UnitOf(last)) first--;
        else
            while (last + 1 < high && UnitOf(last + 1) == UnitOf(first)) last++;
        if (!volume->TryHeap(set->Offset(first), out _, out step)) return true;
        for (uint i = first; i <= last; i++)
            for (uint b = 0; b < ExFatEntryType.Bytes; b++) volume->Entries.At(set->Offset(i))[b] = set->Entry(i)[b];
        step = volume->Entries.Write(set->Offset(first), set->Offset(last), volume->SectorShift);
        if (firstIsLast) high = first;
        else low = last + 1;
        flushNext = flushBetween;
        return true;
    }

    private readonly ulong UnitOf(uint entry) => set->Offset(entry) / Unit;
}
