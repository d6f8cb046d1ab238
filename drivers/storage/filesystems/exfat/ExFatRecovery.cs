// Goes through a volume that was not left properly and sets its allocation bitmap right.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// For a volume with <see cref="ExFatVolume.WasDirty"/>, before its files are opened. Walks all directories, collects the clusters that files have, ends
/// chains that are longer than their file, and writes a bitmap that says the same; then VolumeDirty goes. Lives at a fixed address until
/// it is finished. Finishes with Success, or: Invalid (two files have one cluster: nothing was freed, do not write to this volume before
/// a repair), Busy (files are open), ReadOnly, NoMemory, Unsupported (directories nested deeper than <see cref="MaximumDepth"/>).
/// Reads every directory and the FAT's part of every chain; no data.
/// </summary>
public unsafe struct ExFatRecovery
{
    public const uint MaximumDepth = 64;

    private enum State : byte { Start, Memory, UpCase, Root, Sets, SetChain, Surplus, Dirty, Bitmap, Flush, Boot, LastFlush, Finished }

    private const uint BadCluster = 0xFFFFFFF7;

    private readonly ExFatVolume* volume;
    private ExFatBitmap owned;
    private ExFatCursor* stack;
    private uint depth;
    private State state;
    private uint cluster, left;        // of the chain that is followed
    private bool contiguous, toItsEnd;
    private uint surplus;              // where to look for clusters that nobody has

    public ExFatRecovery(ExFatVolume* volume)
    {
        this = default;
        this.volume = volume;
    }

    /// <summary>Clusters that nobody had.</summary>
    public uint FreedClusters { get; private set; }
    /// <summary>Clusters of files that the bitmap called free.</summary>
    public uint AddedClusters { get; private set; }
    /// <summary>There are entries whose clusters are not known for sure: nothing was freed and VolumeDirty stays. Worth a check by other means.</summary>
    public bool SawDamage { get; private set; }

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first and after a wait),
    /// <paramref name="memory"/> what <see cref="StepKind.NeedMemory"/> asked for: it is needed until this has finished.</summary>
    public BlockStep Advance(bool success, byte* memory)
    {
        fixed (ExFatRecovery* self = &this)
        {
            if (!success)
            {
                volume->StepFailed(self);
                return Finish(state == State.Memory ? ImageStatus.NoMemory : ImageStatus.InputOutputError);
            }
            if (state == State.Start)
            {
                if (!volume->IsMounted || !volume->IsWritable) return Finish(volume->IsMounted ? ImageStatus.ReadOnly : ImageStatus.Invalid);
                if (volume->FirstOpen != null) return Finish(ImageStatus.Busy);
                if (!volume->TryHold(self)) return BlockStep.Of(StepKind.Wait);
                ulong need = ExFatBitmap.MemoryBytes(volume->ClusterCount, volume->SectorShift) + MaximumDepth * (uint)sizeof(ExFatCursor);
                return Then(State.Memory, new BlockStep { Kind = StepKind.NeedMemory, Length = (uint)need });
            }
        }
        if (state == State.Memory && memory == null) return Finish(ImageStatus.NoMemory);
        return state <= State.SetChain ? Collect(memory) : Correct();
    }

    private BlockStep Collect(byte* memory)
    {
        for (; ; )
            switch (state)
            {
                case State.Memory:
                    stack = (ExFatCursor*)memory;
                    owned.Attach(memory + MaximumDepth * (uint)sizeof(ExFatCursor), volume->ClusterCount, volume->SectorShift);
                    owned.Use(volume->Bitmap.FirstClusterOnDisk, volume->ClustersFor(((ulong)volume->ClusterCount + 7) / 8));
                    Follow(State.UpCase, volume->UpCaseFirstCluster, volume->UpCaseClusters, false, false);
                    break;
                case State.UpCase:
                case State.Root:
                case State.SetChain:
                    if (!FollowChain(out BlockStep step, out bool shared)) return step;
                    if (shared) return Finish(ImageStatus.Invalid);
                    if (state == State.UpCase) Follow(State.Root, volume->RootCluster, uint.MaxValue, false, true);
                    else if (state == State.Root) Enter(ExFatCursor.AtRoot(volume));
                    else if (!volume->Search.Set.IsDirectory) state = State.Sets;
                    else if (depth + 1 == MaximumDepth) return Finish(ImageStatus.Unsupported);
                    else
                    {
                        stack[depth++] = volume->Search.Cursor;
                        Enter(ExFatCursor.At(volume->Search.Set));
                    }
                    break;
                default:
                    SearchOutcome outcome = volume->Search.Advance(volume, out step);
                    if (outcome == SearchOutcome.Load) return step;
                    if (outcome == SearchOutcome.Found)
                    {
                        TakeSet();
                        break;
                    }
                    SawDamage |= outcome == SearchOutcome.Damaged || volume->Search.SawDamage;
                    if (depth == 0)
                    {
                        state = State.Surplus;
                        surplus = ExFatBootSector.FirstCluster;
                        return Correct();
                    }
                    volume->Search.BeginEverySet(stack[--depth]);
                    break;
            }
    }

    private void Enter(in ExFatCursor directory)
    {
        volume->Search.BeginEverySet(directory);
        state = State.Sets;
    }

    private void TakeSet()
    {
        ref ExFatSet set = ref volume->Search.Set;
        ExFatStreamEntry* stream = set.Stream;
        SawDamage |= volume->Search.SawDamage || set.Count != 2 + set.NameEntries;   // benign entries may have clusters
        bool tooLong = stream->DataLength > volume->MaximumFileBytes;
        SawDamage |= tooLong;
        bool isChain = (stream->GeneralSecondaryFlags & ExFatStreamEntry.NoFatChain) == 0;
        Follow(State.SetChain, stream->FirstCluster, tooLong ? 0 : volume->ClustersFor(stream->DataLength), !isChain, false);
    }

    private void Follow(State next, uint first, uint count, bool inOnePiece, bool toEnd)
    {
        state = next;
        cluster = first;
        left = count;
        contiguous = inOnePiece;
        toItsEnd = toEnd;
    }

    /// <summary>True when the chain is done; false with a step.</summary>
    private bool FollowChain(out BlockStep step, out bool shared)
    {
        step = default;
        shared = false;
        while (left != 0)
        {
            if (!volume->IsCluster(cluster))
            {
                SawDamage = true;
                return true;
            }
            uint next = cluster + 1;
            if (!contiguous)
            {
                if (!volume->TryFatEntry(cluster, out uint* link, out step)) return false;
                if (left == 1 && *link != ExFatBootSector.EndOfChain)
                {
                    *link = ExFatBootSector.EndOfChain;
                    step = volume->WriteFat(cluster, cluster);
                    return false;
                }
                next = *link;
            }
            if (owned.IsUsed(cluster))
            {
                shared = true;
                return true;
            }
            owned.Use(cluster, 1);
            left--;
            cluster = next;
            if (contiguous || next != ExFatBootSector.EndOfChain) continue;
            SawDamage |= left != 0 && !toItsEnd;
            return true;
        }
        return true;
    }

    private BlockStep Correct()
    {
        BlockStep step;
        switch (state)
        {
            case State.Surplus:
                if (CountSurplus(out step)) return step;
                state = State.Dirty;
                goto case State.Dirty;
            case State.Dirty:
                if (!volume->IsMarkedDirty(out step)) return step;
                fixed (ExFatBitmap* corrected = &owned) volume->Bitmap.ReplaceBy(corrected);
                state = State.Bitmap;
                goto case State.Bitmap;
            case State.Bitmap:
                if (!volume->IsBitmapWritten(out step)) return step;
                return Then(State.Flush, BlockStep.Of(StepKind.Flush));
            case State.Flush:
                if (SawDamage) return Finish(ImageStatus.Success);
                volume->WasDirty = false;
                return Then(State.Boot, volume->WriteClean());
            case State.Boot: return Then(State.LastFlush, BlockStep.Of(StepKind.Flush));
            default: return Finish(state == State.LastFlush ? ImageStatus.Success : ImageStatus.Invalid);
        }
    }

    /// <summary>Clusters in use that no file has: leaked, unless they are bad ones, or some owner may have been missed. True with a step.</summary>
    private bool CountSurplus(out BlockStep step)
    {
        step = default;
        while ((surplus = volume->Bitmap.NextUsed(surplus, volume->Bitmap.End)) < volume->Bitmap.End)
        {
            if (owned.IsUsed(surplus))
            {
                surplus++;
                continue;
            }
            bool keep = SawDamage;
            if (!keep)
            {
                if (!volume->TryFatEntry(surplus, out uint* link, out step)) return true;
                keep = *link == BadCluster;
            }
            if (keep) owned.Use(surplus, 1);
            else FreedClusters++;
            surplus++;
        }
        for (uint at = ExFatBootSector.FirstCluster; (at = owned.NextUsed(at, owned.End)) < owned.End; at++)
            if (!volume->Bitmap.IsUsed(at)) AddedClusters++;
        return false;
    }

    private BlockStep Finish(ImageStatus status)
    {
        fixed (ExFatRecovery* self = &this) volume->Release(self);
        return Then(State.Finished, BlockStep.Finish(status));
    }

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
