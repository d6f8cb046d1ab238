// A request on an open file's data, or on its length, as a sequence of steps.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

public enum ExFatOperation : byte
{
    Read,
    /// <summary>Beyond the end it makes the file longer.</summary>
    Write,
    /// <summary>What has been written, and the lengths and clusters that belong to it, are durable afterwards.</summary>
    Flush,
    /// <summary>Makes the offset the file's length. New bytes read as zeros, and take clusters at once but are durable only by a flush; a
    /// shorter file is durable when this has finished.</summary>
    Resize,
    /// <summary>Deletes the file, which is closed and gone for good when this has finished; if it fails, it may be done again and nothing else.</summary>
    Remove,
}

/// <summary>
/// Lives at a fixed address until it is finished; any number at a time on one file. Reads, and writes to what is valid, are nothing but steps on
/// data. A write beyond that waits for any other such write, and writes zeros between what was valid and its start. Overlapping
/// requests are in no order. Finishes with NoSpace or NoMemory (run list) when a file cannot grow.
/// </summary>
public unsafe struct ExFatRequest
{
    private enum State : byte { Start, Data, ReadPartial, TailRead, TailWrite, Zeros, PlainFlush, Commit, Finished }

    private const uint MaximumZeros = 16 << 20;

    private readonly ExFatFile* file;
    private readonly ulong offset;
    private readonly uint length;
    private readonly ExFatOperation operation;
    private State state;
    private bool counted, extends;
    private uint position;
    private ulong valid;     // when the request began
    private ulong zeroed;    // how far the gap in front of a write is zero

    /// <param name="offset">Multiple of 512; Resize: any, the new length.</param>
    /// <param name="length">Multiple of 512; of the data of Read and Write.</param>
    public ExFatRequest(ExFatFile* file, ExFatOperation operation, ulong offset, uint length)
    {
        this = default;
        this.file = file;
        this.operation = operation;
        this.offset = offset;
        this.length = length;
    }

    private readonly ulong End => offset + length;

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first and after a wait).</summary>
    public BlockStep Advance(bool success)
    {
        if (!success)
        {
            fixed (ExFatRequest* self = &this) file->Volume->StepFailed(self);
            return Finish(ImageStatus.InputOutputError);
        }
        switch (state)
        {
            case State.Start: return Start();
            case State.Data: return NextPiece();
            case State.ReadPartial: return EndOfValid();
            case State.TailRead: return ZeroTail();
            case State.TailWrite:
                zeroed = RoundUp(zeroed);
                return NextZeros();
            case State.Zeros: return NextZeros();
            case State.PlainFlush: return Finish(ImageStatus.Success);
            case State.Commit:
                if (file->Volume->Commit.Advance(out BlockStep step)) return step;
                if (operation == ExFatOperation.Remove) file->Abandon();
                return Finish(ImageStatus.Success);
            default: return Finish(ImageStatus.Invalid);
        }
    }

    private static ulong RoundUp(ulong bytes) => (bytes + 511) & ~511UL;

    private BlockStep Start()
    {
        ImageStatus status = Check();
        BlockStep step = status != ImageStatus.Success ? Finish(status) : operation switch
        {
            ExFatOperation.Flush => StartFlush(),
            ExFatOperation.Resize => StartResize(),
            ExFatOperation.Remove => StartRemoval(),
            ExFatOperation.Write => StartWrite(),
            _ => StartRead(),
        };
        if (state is State.Start or State.Finished) return step;
        // Those that wait are not counted: what they wait for may be that nobody runs.
        counted = true;
        file->Running++;
        return step;
    }

    private BlockStep StartRead()
    {
        if (End > RoundUp(file->DataLength)) return Finish(ImageStatus.OutOfRange);
        valid = file->ValidDataLength;
        return NextPiece();
    }

    private readonly ImageStatus Check()
    {
        if (!file->IsOpen || (file->IsBeingRemoved && operation != ExFatOperation.Remove)) return ImageStatus.Invalid;
        if (operation is ExFatOperation.Write or ExFatOperation.Resize or ExFatOperation.Remove && !file->IsWritable) return ImageStatus.ReadOnly;
        if (operation is not (ExFatOperation.Read or ExFatOperation.Write)) return ImageStatus.Success;
        return (offset | length) % 512 != 0 || offset > ulong.MaxValue - length ? ImageStatus.OutOfRange : ImageStatus.Success;
    }

    private BlockStep StartFlush()
    {
        if (!file->NeedsFlush) return Then(State.PlainFlush, BlockStep.Of(StepKind.Flush));
        return TryHoldVolume() ? BeginCommit() : BlockStep.Of(StepKind.Wait);
    }

    private BlockStep BeginCommit()
    {
        file->Volume->Commit.Begin(file, operation != ExFatOperation.Flush, operation == ExFatOperation.Remove);
        state = State.Commit;
        return Advance(true);
    }

    private bool TryHoldVolume()
    {
        fixed (ExFatRequest* self = &this) return file->Volume->TryHold(self);
    }

    private bool TryExtend()
    {
        fixed (ExFatRequest* self = &this)
        {
            if (file->Extender != null && file->Extender != self) return false;
            file->Extender = self;
            return true;
        }
    }

    private BlockStep StartResize()
    {
        if (!TryExtend()) return BlockStep.Of(StepKind.Wait);
        if (offset > file->Volume->MaximumFileBytes) return Finish(ImageStatus.NoSpace);
        // The same length again, when it failed to get to the disk, is no growth.
        if (offset > file->DataLength || (offset == file->DataLength && offset >= file->DiskLength && !file->MustEndChain))
        {
            ImageStatus status = ExFatAllocation.Grow(file, file->Volume->ClustersFor(offset));
            if (status == ImageStatus.Success) file->DataLength = offset;
            return Finish(status);
        }
        // What others do with clusters that go must be over.
        if (file->Running != 0 || !TryHoldVolume()) return BlockStep.Of(StepKind.Wait);
        file->DataLength = offset;
        file->ValidDataLength = Math.Min(file->ValidDataLength, offset);
        return BeginCommit();
    }

    private BlockStep StartRemoval()
    {
        if (!TryExtend() || file->Running != 0 || !TryHoldVolume()) return BlockStep.Of(StepKind.Wait);
        file->DataLength = file->ValidDataLength = 0;
        return BeginCommit();
    }

    private BlockStep StartWrite()
    {
        if (length == 0) return Finish(ImageStatus.Success);
        file->HasChanged = true;
        if (End <= file->ValidDataLength) return NextPiece();
        if (!TryExtend()) return BlockStep.Of(StepKind.Wait);
        extends = true;
        if (End > file->Volume->MaximumFileBytes) return Finish(ImageStatus.NoSpace);
        ImageStatus status = ExFatAllocation.Grow(file, file->Volume->ClustersFor(End));
        if (status != ImageStatus.Success) return Finish(status);
        zeroed = file->ValidDataLength;
        return NextZeros();
    }

    /// <summary>Zeros from where the file was valid to where the write begins; the sector in which it ended keeps its front.</summary>
    private BlockStep NextZeros()
    {
        if (zeroed >= offset) return NextPiece();
        if (!file->TryMap(zeroed, out ulong at, out ulong contiguous)) return Finish(ImageStatus.Invalid);
        if (zeroed % 512 != 0) return Then(State.TailRead, BlockStep.Metadata(StepKind.Read, at & ~511UL, Tail, 512));
        uint bytes = (uint)Math.Min(Math.Min(contiguous, offset - zeroed), MaximumZeros);
        zeroed += bytes;
        return Then(State.Zeros, new BlockStep { Kind = StepKind.WriteZeros, Offset = at, Length = bytes });
    }

    private BlockStep ZeroTail()
    {
        if (!file->TryMap(zeroed & ~511UL, out ulong at, out _)) return Finish(ImageStatus.Invalid);
        uint keep = (uint)(zeroed % 512);
        new Span<byte>(Tail + keep, (int)(512 - keep)).Clear();
        return Then(State.TailWrite, BlockStep.Metadata(StepKind.Write, at, Tail, 512));
    }

    // The file is at a fixed address.
    private readonly byte* Tail => file->Tail;

    private BlockStep NextPiece()
    {
        if (position == length) return AfterData();
        ulong from = offset + position;
        uint left = length - position;
        if (operation == ExFatOperation.Read)
        {
            ulong readable = RoundUp(valid);
            if (from >= readable) return Piece(new BlockStep { Kind = StepKind.ZeroData, DataOffset = position, Length = left });
            left = (uint)Math.Min(left, readable - from);
        }
        if (!file->TryMap(from, out ulong at, out ulong contiguous)) return Finish(ImageStatus.Invalid);
        uint bytes = (uint)Math.Min(left, contiguous);
        BlockStep step = BlockStep.Data(operation == ExFatOperation.Read ? StepKind.Read : StepKind.Write, at, position, bytes);
        bool endsInPartial = operation == ExFatOperation.Read && from + bytes > valid;
        position += bytes;
        return Then(endsInPartial ? State.ReadPartial : State.Data, step);
    }

    private BlockStep Piece(BlockStep step)
    {
        position += step.Length;
        return Then(State.Data, step);
    }

    /// <summary>Behind the last valid byte a sector may hold anything.</summary>
    private BlockStep EndOfValid() =>
        Then(State.Data, new BlockStep { Kind = StepKind.ZeroData, DataOffset = (uint)(valid - offset), Length = (uint)(RoundUp(valid) - valid) });

    private BlockStep AfterData()
    {
        if (extends)
        {
            file->ValidDataLength = Math.Max(file->ValidDataLength, End);
            file->DataLength = Math.Max(file->DataLength, End);
        }
        return Finish(ImageStatus.Success);
    }

    private BlockStep Finish(ImageStatus status)
    {
        fixed (ExFatRequest* self = &this)
        {
            file->Volume->Release(self);
            if (file->Extender == self) file->Extender = null;
        }
        if (counted) file->Running--;
        counted = false;
        state = State.Finished;
        return BlockStep.Finish(status);
    }

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
