// Creates an empty file or a directory.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Lives at a fixed address until it is finished; then the file is there and durable. Finishes with Success, or: Exists, NotFound (a directory on
/// the way), WrongKind, BadName, NoSpace, ReadOnly, NoMemory (a directory in too many pieces to grow), Invalid. Power may fail anywhere:
/// either the whole set is there or nothing of it, which is why a new name has at most 210 units.
/// </summary>
public unsafe struct ExFatCreate
{
    private enum State : byte { Start, Walk, GrowChain, GrowZeros, GrowCommit, Dirty, FirstCluster, Bitmap, BitmapFlush, Fillers, FillersFlush, Set, SetFlush, Finished }

    private readonly ExFatVolume* volume;
    private readonly byte* path;
    private readonly uint pathLength;
    private readonly bool isDirectory;
    private State state;
    private bool usesDirectory;   // the volume's directory file holds clusters that are not on the disk yet

    /// <param name="path">UTF-8, from the root directory on, with \ or / between names.</param>
    /// <param name="directory">Creates a directory, not a file.</param>
    public ExFatCreate(ExFatVolume* volume, byte* path, uint pathLength, bool directory)
    {
        this = default;
        this.volume = volume;
        this.path = path;
        this.pathLength = pathLength;
        isDirectory = directory;
    }

    private readonly ExFatFile* Directory => &volume->Directory;

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first and after a wait).</summary>
    public BlockStep Advance(bool success)
    {
        fixed (ExFatCreate* self = &this)
        {
            if (!success)
            {
                volume->StepFailed(self);
                return Finish(ImageStatus.InputOutputError);
            }
            if (state == State.Start)
            {
                if (!volume->IsMounted) return Finish(ImageStatus.Invalid);
                if (!volume->IsWritable) return Finish(ImageStatus.ReadOnly);
                if (!volume->TryHold(self)) return BlockStep.Of(StepKind.Wait);
                volume->Walk.Begin(path, pathLength, true);
                state = State.Walk;
            }
        }
        for (; ; )
        {
            ImageStatus status = ImageStatus.Success;
            if (state <= State.GrowCommit ? FindPlace(out BlockStep step, ref status) : WriteSet(out step, ref status)) return step;
            if (status != ImageStatus.Success || state == State.Finished) return Finish(status);
        }
    }

    /// <summary>True with a step; false with the state changed or a status that ends it.</summary>
    private bool FindPlace(out BlockStep step, ref ImageStatus status)
    {
        step = default;
        switch (state)
        {
            case State.Walk:
                if (volume->Walk.Advance(volume, out step, out status)) return true;
                if (status == ImageStatus.Success) status = ImageStatus.Exists;
                else if (status == ImageStatus.NotFound && volume->Walk.IsLast) status = volume->Search.HasPlace ? ToDirty() : BeginGrowth();
                return false;
            case State.GrowChain:
                if (volume->Chain.Advance(out step, out status)) return true;
                if (status == ImageStatus.Success) status = Grow();
                return false;
            case State.GrowZeros:
                step = ZeroLastCluster();
                state = State.GrowCommit;
                Directory->DataLength = Directory->ValidDataLength += volume->ClusterBytes;
                volume->Commit.Begin(Directory);
                return true;
            case State.GrowCommit:
                if (volume->Commit.Advance(out step)) return true;
                usesDirectory = false;
                volume->Walk.Parent = Directory->Set;
                volume->Walk.Restart(volume);
                state = State.Walk;
                return false;
            default:
                status = ImageStatus.Invalid;
                return false;
        }
    }

    private ImageStatus ToDirty()
    {
        state = State.Dirty;
        return ImageStatus.Success;
    }

    /// <summary>The directory as a file: its clusters must be known to add one.</summary>
    private ImageStatus BeginGrowth()
    {
        Directory->Bind(volume, volume->DirectoryRunList, ExFatVolume.DirectoryRuns);
        state = State.GrowChain;
        if (volume->Walk.Parent.Count == 0)
        {
            Directory->IsDirectory = true;
            volume->Chain.BeginRoot(Directory);
            return ImageStatus.Success;
        }
        Directory->Set = volume->Walk.Parent;
        if (!Directory->Set.IsWhole) return ImageStatus.ReadOnly;
        if (!Directory->TakeSet()) return ImageStatus.Invalid;
        volume->Chain.Begin(Directory);
        return ImageStatus.Success;
    }

    private ImageStatus Grow()
    {
        if (Directory->Set.Count == 0)
        {
            Directory->DiskClusters = Directory->ClusterCount;
            Directory->DataLength = Directory->ValidDataLength = Directory->DiskLength = Directory->DiskValidLength = (ulong)Directory->ClusterCount << volume->ClusterShift;
        }
        else if (Directory->TouchesSystem()) return ImageStatus.Invalid;
        if (!Directory->IsAccountedFor()) return ImageStatus.Invalid;
        if (Directory->DataLength + volume->ClusterBytes > ExFatVolume.MaximumDirectoryBytes) return ImageStatus.NoSpace;
        ImageStatus status = ExFatAllocation.Grow(Directory, Directory->ClusterCount + 1);
        usesDirectory = status == ImageStatus.Success;
        state = State.GrowZeros;
        return status;
    }

    private readonly BlockStep ZeroLastCluster()
    {
        volume->Entries.Forget();
        return new BlockStep { Kind = StepKind.WriteZeros, Offset = volume->ClusterOffset(Directory->LastCluster), Length = volume->ClusterBytes };
    }

    private bool WriteSet(out BlockStep step, ref ImageStatus status)
    {
        step = default;
        switch (state)
        {
            case State.Dirty:
                if (!volume->IsMarkedDirty(out step)) return true;
                state = isDirectory ? State.FirstCluster : State.Fillers;
                return false;
            case State.FirstCluster:
                Directory->Bind(volume, volume->DirectoryRunList, ExFatVolume.DirectoryRuns);
                Directory->IsDirectory = true;
                status = ExFatAllocation.Grow(Directory, 1);
                if (status != ImageStatus.Success) return false;
                usesDirectory = true;
                step = ZeroLastCluster();
                state = State.Bitmap;
                return true;
            case State.Bitmap:
                if (!volume->IsBitmapWritten(out step)) return true;
                return Then(State.Fillers, BlockStep.Of(StepKind.Flush), out step);
            case State.Fillers:
                if (volume->Search.FillerSlots == 0) return BeginSet();
                if (!volume->TryHeap(volume->Search.FirstFiller, out byte* filler, out step)) return true;
                for (uint i = 0; i < volume->Search.FillerSlots; i++) filler[i * ExFatEntryType.Bytes] = ExFatEntryType.Unused;
                return Then(State.FillersFlush, volume->Entries.Write(volume->Search.FirstFiller, volume->Search.FirstFiller, volume->SectorShift), out step);
            case State.FillersFlush:
                BeginSet();
                step = BlockStep.Of(StepKind.Flush);
                return true;
            case State.Set:
                if (volume->SetWriter.Advance(volume, out step)) return true;
                return Then(State.SetFlush, BlockStep.Of(StepKind.Flush), out step);
            case State.SetFlush:
                usesDirectory = false;
                state = State.Finished;
                return false;
            default:
                status = ImageStatus.Invalid;
                return false;
        }
    }

    private bool Then(State next, BlockStep with, out BlockStep step)
    {
        state = next;
        step = with;
        return true;
    }

    private bool BeginSet()
    {
        ExFatSet* set = &volume->Search.Set;
        ref ExFatName name = ref volume->Search.Name;
        uint nameEntries = (name.Length + ExFatSet.NameUnitsPerEntry - 1) / ExFatSet.NameUnitsPerEntry;
        set->Clear(2 + nameEntries);
        for (uint i = 0; i < set->Count; i++) set->SetOffset(i, volume->Search.Slot(i));
        uint now = volume->Timestamp == 0 ? ExFatTimestamp.Earliest : volume->Timestamp;
        *set->File = new ExFatFileEntry
        {
            EntryType = ExFatEntryType.File, SecondaryCount = (byte)(1 + nameEntries), FileAttributes = isDirectory ? ExFatFileEntry.Directory : ExFatFileEntry.Archive,
            CreateTimestamp = now, LastModifiedTimestamp = now, LastAccessedTimestamp = now,
            CreateUtcOffset = ExFatTimestamp.Utc, LastModifiedUtcOffset = ExFatTimestamp.Utc, LastAccessedUtcOffset = ExFatTimestamp.Utc,
        };
        *set->Stream = new ExFatStreamEntry
        {
            EntryType = ExFatEntryType.StreamExtension, GeneralSecondaryFlags = ExFatStreamEntry.AllocationPossible,
            NameLength = (byte)name.Length, NameHash = name.Hash(volume->UpCase),
        };
        if (isDirectory)
        {
            set->Stream->GeneralSecondaryFlags |= ExFatStreamEntry.NoFatChain;
            set->Stream->FirstCluster = Directory->FirstCluster;
            set->Stream->DataLength = set->Stream->ValidDataLength = volume->ClusterBytes;
        }
        for (uint i = 0; i < nameEntries; i++) *set->Entry(2 + i) = ExFatEntryType.FileName;
        for (uint i = 0; i < name.Length; i++)
            *(char*)(set->Entry(2 + i / ExFatSet.NameUnitsPerEntry) + 2 + i % ExFatSet.NameUnitsPerEntry * sizeof(char)) = name[i];
        set->Seal();
        Directory->CommitPending = true;
        volume->SetWriter.BeginNew(set);
        state = State.Set;
        return false;
    }

    private BlockStep Finish(ImageStatus status)
    {
        // What may be on the disk already is rather leaked than used twice.
        if (usesDirectory && !Directory->CommitPending) Directory->TrimTo(Directory->DiskClusters);
        usesDirectory = false;
        fixed (ExFatCreate* self = &this) volume->Release(self);
        state = State.Finished;
        return BlockStep.Finish(status);
    }
}
