// Opens a file by its path.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Lives at a fixed address until it is finished. Finishes with Success, or: NotFound, BadName, WrongKind (a directory), Busy (open already,
/// and one of the two is for writing), ReadOnly (volume, file or its entry set does not allow writing), NoMemory (more runs than there is
/// memory for), Invalid (the path, the file's entries or its chain are damaged; for writing also: clusters that the bitmap calls free).
/// </summary>
public unsafe struct ExFatOpen
{
    private enum State : byte { Start, Walk, Chain, Finished }

    private const ushort ReadOnlyAttribute = 1;

    private readonly ExFatVolume* volume;
    private readonly ExFatFile* file;
    private readonly ExFatRun* runs;
    private readonly byte* path;
    private readonly uint runCapacity, pathLength;
    private readonly bool writable;
    private State state;

    /// <param name="file">Not open.</param>
    /// <param name="runs">Stays the file's. One run is enough for a file in one piece; a file in more pieces than this is refused.</param>
    /// <param name="path">UTF-8, from the root directory on, with \ or / between names.</param>
    public ExFatOpen(ExFatVolume* volume, ExFatFile* file, ExFatRun* runs, uint runCapacity, byte* path, uint pathLength, bool writable)
    {
        this = default;
        this.volume = volume;
        this.file = file;
        this.runs = runs;
        this.runCapacity = runCapacity;
        this.path = path;
        this.pathLength = pathLength;
        this.writable = writable;
    }

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first and after a wait).</summary>
    public BlockStep Advance(bool success)
    {
        fixed (ExFatOpen* self = &this)
        {
            if (!success)
            {
                volume->StepFailed(self);
                return Finish(ImageStatus.InputOutputError);
            }
            if (state == State.Start)
            {
                if (!volume->IsMounted || file->IsOpen) return Finish(ImageStatus.Invalid);
                if (!volume->TryHold(self)) return BlockStep.Of(StepKind.Wait);
                volume->Walk.Begin(path, pathLength, false);
                state = State.Walk;
            }
        }
        BlockStep step;
        ImageStatus status;
        if (state == State.Walk)
        {
            if (volume->Walk.Advance(volume, out step, out status)) return step;
            if (status == ImageStatus.Success) status = AfterWalk();
            if (status != ImageStatus.Success) return Finish(status);
            volume->Chain.Begin(file);
            state = State.Chain;
        }
        if (state != State.Chain) return Finish(ImageStatus.Invalid);
        if (volume->Chain.Advance(out step, out status)) return step;
        return Finish(status == ImageStatus.Success ? AfterChain() : status);
    }

    private readonly ImageStatus AfterWalk()
    {
        if (volume->Walk.IsRoot || volume->Search.Set.IsDirectory) return ImageStatus.WrongKind;
        if (writable && (!volume->IsWritable || !volume->Search.Set.IsWhole || (volume->Search.Set.File->FileAttributes & ReadOnlyAttribute) != 0)) return ImageStatus.ReadOnly;
        for (ExFatFile* other = volume->FirstOpen; other != null; other = other->NextOpen)
            if (other->Set.Offset(0) == volume->Search.Set.Offset(0) && (writable || other->IsWritable)) return ImageStatus.Busy;
        file->Bind(volume, runs, runCapacity);
        file->Set = volume->Search.Set;
        return file->TakeSet() ? ImageStatus.Success : ImageStatus.Invalid;
    }

    private readonly ImageStatus AfterChain()
    {
        if (file->TouchesSystem() || (writable && !file->IsAccountedFor())) return ImageStatus.Invalid;
        file->IsWritable = writable;
        file->IsOpen = true;
        file->NextOpen = volume->FirstOpen;
        volume->FirstOpen = file;
        return ImageStatus.Success;
    }

    private BlockStep Finish(ImageStatus status)
    {
        fixed (ExFatOpen* self = &this) volume->Release(self);
        state = State.Finished;
        return BlockStep.Finish(status);
    }
}
