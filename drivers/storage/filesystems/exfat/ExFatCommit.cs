// Brings what a file has become in memory to the disk, in an order in which power may fail anywhere.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Part of the volume. Growth: bitmap and the FAT's entries of new clusters | flush (the data too) | the link to them from a chain that was
/// there (not before: others free a chain to its end) | flush | file entry and stream extension | flush. What loss of power leaves is clusters that nobody has, or a chain
/// that is longer than its file. Shrinking: entries | flush | the chain's new end | flush | bitmap.
/// </summary>
internal unsafe struct ExFatCommit
{
    private enum State : byte { Dirty, Bitmap, Fat, Flush, Link, LinkFlush, Seal, Entries, EntriesFlush, Committed, End, EndFlush, Ended, Free, FreedBitmap }

    private ExFatFile* file;
    private State state;
    private ulong length, validLength;
    private uint clusters, index;
    private bool isChain, mustLink, trims, removes;

    /// <param name="trim">Gives clusters back that the length does not need.</param>
    /// <param name="removal">The file's lengths are 0, and its entries go.</param>
    public void Begin(ExFatFile* of, bool trim = false, bool removal = false)
    {
        this = default;
        file = of;
        trims = trim;
        removes = removal;
        of->CommitPending = true;
        of->IsBeingRemoved = removal;
        length = of->DataLength;
        validLength = of->ValidDataLength;
        clusters = of->Volume->ClustersFor(length);
        bool wasChain = of->DiskClusters != 0 && !of->Contiguous;
        isChain = clusters != 0 && (wasChain || of->Set.Count == 0 || !of->IsOneRun(clusters));
        if (clusters <= of->DiskClusters || !isChain) index = clusters;
        else if (wasChain) index = of->DiskClusters;
        mustLink = index != 0 && index < clusters;
    }

    /// <summary>True with a step to perform, false when the file is durable.</summary>
    public bool Advance(out BlockStep step)
    {
        ExFatVolume* volume = file->Volume;
        for (; ; )
            switch (state)
            {
                case State.Dirty:
                    if (!volume->IsMarkedDirty(out step)) return true;
                    state = clusters > file->DiskClusters ? State.Bitmap : State.Flush;
                    break;
                case State.Bitmap:
                    if (!volume->IsBitmapWritten(out step)) return true;
                    state = State.Fat;
                    break;
                case State.Fat:
                    if (WriteChain(volume, out step)) return true;
                    state = State.Flush;
                    break;
                case State.Flush: return Flush(mustLink ? State.Link : State.Seal, out step);
                case State.Link:
                    if (SetLink(volume, file->DiskClusters - 1, file->ClusterOf(file->DiskClusters), out step)) state = State.LinkFlush;
                    return true;
                case State.LinkFlush: return Flush(State.Seal, out step);
                case State.Seal:
                    ChangeSet(volume);
                    state = file->Set.Count == 0 ? State.Committed : State.Entries;
                    break;
                case State.Entries:
                    if (volume->SetWriter.Advance(volume, out step)) return true;
                    state = State.EntriesFlush;
                    break;
                case State.EntriesFlush: return Flush(State.Committed, out step);
                case State.Committed:
                    trims |= clusters < file->DiskClusters;
                    file->MustEndChain = isChain && (clusters < file->DiskClusters || (clusters == file->DiskClusters && file->MustEndChain));
                    TakeAsOnDisk();
                    state = file->MustEndChain ? State.End : State.Ended;
                    break;
                case State.End:
                    if (SetLink(volume, clusters - 1, ExFatBootSector.EndOfChain, out step)) state = State.EndFlush;
                    return true;
                case State.EndFlush: return Flush(State.Ended, out step);
                case State.Ended:
                    file->MustEndChain = false;
                    if (!trims)
                    {
                        step = default;
                        return false;
                    }
                    state = State.Free;
                    break;
                case State.Free:
                    file->TrimTo(clusters);
                    state = State.FreedBitmap;
                    break;
                default: return !volume->IsBitmapWritten(out step);
            }
    }

    private bool Flush(State next, out BlockStep step)
    {
        state = next;
        step = BlockStep.Of(StepKind.Flush);
        return true;
    }

    /// <summary>Writes the FAT's entries from the index on, as many at a time as are in one window; true while that takes steps.</summary>
    private bool WriteChain(ExFatVolume* volume, out BlockStep step)
    {
        step = default;
        if (index >= clusters) return false;
        uint low = uint.MaxValue, high = 0;
        for (; index < clusters; index++)
        {
            uint cluster = file->ClusterOf(index);
            // A window that has changes is written before the next one is read.
            if (high != 0 && !volume->HoldsFatEntry(cluster)) break;
            if (!volume->TryFatEntry(cluster, out uint* entry, out step)) return true;
            *entry = index + 1 < clusters ? file->ClusterOf(index + 1) : ExFatBootSector.EndOfChain;
            low = Math.Min(low, cluster);
            high = Math.Max(high, cluster);
        }
        step = volume->WriteFat(low, high);
        return true;
    }

    /// <summary>True with the write, false with the read that comes before it.</summary>
    private readonly bool SetLink(ExFatVolume* volume, uint from, uint to, out BlockStep step)
    {
        uint cluster = file->ClusterOf(from);
        if (!volume->TryFatEntry(cluster, out uint* entry, out step)) return false;
        *entry = to;
        step = volume->WriteFat(cluster, cluster);
        return true;
    }

    private readonly void ChangeSet(ExFatVolume* volume)
    {
        if (file->Set.Count == 0) return;
        if (removes)
        {
            for (uint i = 0; i < file->Set.Count; i++) *file->Set.Entry(i) &= unchecked((byte)~ExFatEntryType.InUse);
            volume->SetWriter.BeginRemoval(&file->Set);
            return;
        }
        ExFatStreamEntry* stream = file->Set.Stream;
        stream->DataLength = length;
        stream->ValidDataLength = validLength;
        stream->FirstCluster = clusters == 0 ? 0 : file->FirstCluster;
        stream->GeneralSecondaryFlags = (byte)(ExFatStreamEntry.AllocationPossible | (clusters != 0 && !isChain ? ExFatStreamEntry.NoFatChain : 0));
        ExFatFileEntry* entry = file->Set.File;
        if (!file->IsDirectory) entry->FileAttributes |= ExFatFileEntry.Archive;
        if (volume->Timestamp != 0)
        {
            entry->LastModifiedTimestamp = volume->Timestamp;
            entry->LastModified10msIncrement = 0;
            entry->LastModifiedUtcOffset = ExFatTimestamp.Utc;
        }
        file->Set.Seal();
        volume->SetWriter.BeginChange(&file->Set);
    }

    private readonly void TakeAsOnDisk()
    {
        file->CommitPending = file->HasChanged = file->MustStamp = false;
        file->DiskLength = length;
        file->DiskValidLength = validLength;
        file->DiskClusters = clusters;
        file->Contiguous = clusters != 0 && !isChain;
    }
}
