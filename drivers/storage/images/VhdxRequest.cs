// A request to a VHDX's virtual disk as a sequence of steps, ordered so that power may fail at any of them.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// One request. Data goes to its place first; what makes it visible, if anything must, then joins the next commit
/// (<see cref="VhdxCommit"/>), which this or another request drives. In memory an entry or a bit changes only once the log has it.
/// </summary>
public unsafe struct VhdxRequest : IImageRequest<VhdxImage>
{
    private enum State : byte
    {
        Next, Headers, Direct, LoadPage, ReadRun, FlushDone,
        ZeroBitmap, ZeroBlock, Extend, WriteNew, WriteAbsent, Joined, Committing, CloseWaiting, Closing, Finished,
    }

    internal VhdxRequest* NextChange, NextInBatch;
    internal VhdxChange Change;

    private VhdxImage* image;
    private ulong offset;
    private uint length;
    private ImageOperation operation;
    private State state;
    private bool isLinked, hasPage, pageIsNew;
    private uint position;      // bytes of the request that are done
    private uint chunk;         // bytes that are being done
    private uint run;           // of the chunk, in ReadRun
    private uint page;          // of bits, pinned
    private uint epoch;
    private ulong dirtyUntil, extendTo;

    public void Begin(VhdxImage* image, ImageOperation operation, ulong offset, uint length)
    {
        this = default;
        this.image = image;
        this.operation = operation;
        this.offset = offset;
        this.length = length;
        epoch = image->Space.Enter();
    }

    private readonly ulong At => offset + position;
    private readonly uint Block => (uint)(At / image->BlockBytes);
    private readonly uint InBlock => (uint)(At % image->BlockBytes);
    private readonly uint Sector => image->FirstBitOf(Block) + InBlock / image->SectorBytes;
    private readonly uint FirstBit => Sector % VhdxBitmapPages.SectorsPerPage;
    private readonly ulong PageInBitmap => Sector / VhdxBitmapPages.SectorsPerPage * VhdxBitmapPages.PageBytes;
    private readonly byte* Bits => image->BitmapPages.Data(page);

    public BlockStep Advance(bool success)
    {
        if (state == State.Committing || state == State.Closing) return Drive(success);
        if (!success) return Finish(ImageStatus.InputOutputError);
        switch (state)
        {
            case State.Next: return Next();
            case State.Headers: return UpdateHeaders();
            case State.Direct: return Proceed();
            case State.FlushDone: return Finish(ImageStatus.Success);
            case State.LoadPage:
                image->BitmapPages.SetLoaded(page);
                Unpin();
                return Next();
            case State.ReadRun:
                position += run;
                chunk -= run;
                return chunk == 0 ? Proceed() : ReadRun();
            case >= State.ZeroBitmap and <= State.WriteNew: return Allocate();
            case State.WriteAbsent:
            case State.Joined: return Join();
            case State.CloseWaiting: return Close();
            default: return Finish(ImageStatus.Invalid);
        }
    }

    private BlockStep Next()
    {
        if (position == 0)
        {
            ImageStatus status = Check();
            if (status != ImageStatus.Success) return Finish(status);
            if (operation == ImageOperation.Flush) return Then(State.FlushDone, BlockStep.Of(StepKind.Flush));
            if (operation == ImageOperation.Close) return Close();
        }
        // Discards and zeros may skip any number of blocks without a step.
        while (position != length)
        {
            chunk = Math.Min(length - position, image->BlockBytes - InBlock);
            if (operation == ImageOperation.Read) return Read();
            if (image->IsClosing) return Finish(ImageStatus.ReadOnly);
            if (!image->DataIsNew) return BeginHeaders();
            if (image->Commit.IsDoubtful) return Commit();
            if (!TrySkip()) return Write();
            position += chunk;
        }
        return Finish(ImageStatus.Success);
    }

    private readonly ImageStatus Check()
    {
        if (!image->IsOpen) return ImageStatus.Invalid;
        if (operation is ImageOperation.Flush or ImageOperation.Close) return ImageStatus.Success;
        if (offset % image->SectorBytes != 0 || length % image->SectorBytes != 0 || offset > image->VirtualBytes || length > image->VirtualBytes - offset) return ImageStatus.OutOfRange;
        return operation != ImageOperation.Read && !image->IsWritable ? ImageStatus.ReadOnly : ImageStatus.Success;
    }

    /// <summary>Before the first change of what the guest sees: the GUIDs by which others tell that it has changed.</summary>
    private BlockStep BeginHeaders()
    {
        if (image->HeaderOwner != null) return Then(State.Next, BlockStep.Of(StepKind.Wait));
        fixed (VhdxRequest* self = &this) image->HeaderOwner = self;
        image->BeginNewData();
        return UpdateHeaders();
    }

    private BlockStep UpdateHeaders()
    {
        if (image->Headers.TryNext(out BlockStep step)) return Then(State.Headers, step);
        image->DataIsNew = true;
        image->HeaderOwner = null;
        return Next();
    }

    private BlockStep Read()
    {
        VhdxBatEntry entry = image->Entry(Block);
        switch (entry.State)
        {
            case VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT:
                return Then(State.Direct, BlockStep.Data(StepKind.Read, entry.FileOffset + InBlock, position, chunk));
            case VhdxBlockState.PAYLOAD_BLOCK_PARTIALLY_PRESENT:
                CutToPage();
                return TryPin(image->BitmapOffset(image->ChunkOf(Block)) + PageInBitmap, out BlockStep step) ? ReadRun() : step;
            case VhdxBlockState.PAYLOAD_BLOCK_NOT_PRESENT when image->HasParent:
                return Then(State.Direct, BlockStep.Data(StepKind.ReadParent, At, position, chunk));
            default:
                return Then(State.Direct, BlockStep.Data(StepKind.ZeroData, At, position, chunk));
        }
    }

    private void CutToPage() => chunk = Math.Min(chunk, (VhdxBitmapPages.SectorsPerPage - FirstBit) * image->SectorBytes);

    /// <summary>As many sectors from the position on as are all here or all the parent's.</summary>
    private BlockStep ReadRun()
    {
        VhdxBatEntry entry = image->Entry(Block);
        bool present = VhdxBits.IsSet(Bits, FirstBit);
        run = VhdxBits.Run(Bits, FirstBit, chunk / image->SectorBytes) * image->SectorBytes;
        // While it waited for a step before, the block may have been discarded.
        if (!entry.IsPresent)
        {
            Unpin();
            return Next();
        }
        if (entry.State == VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT)
        {
            present = true;
            run = chunk;
        }
        return Then(State.ReadRun, present ? BlockStep.Data(StepKind.Read, entry.FileOffset + InBlock, position, run) : BlockStep.Data(StepKind.ReadParent, At, position, run));
    }

    /// <summary>True when the page is here and pinned; else the step that gets it.</summary>
    private bool TryPin(ulong fileOffset, out BlockStep step)
    {
        step = default;
        page = image->BitmapPages.Find(fileOffset);
        if (page != VhdxBitmapPages.None && image->BitmapPages.IsLoaded(page))
        {
            image->BitmapPages.Pin(page);
            return hasPage = true;
        }
        if (page == VhdxBitmapPages.None && image->Commit.IsClearing(fileOffset))
        {
            step = Commit();   // who was at it may have failed
            return false;
        }
        page = page == VhdxBitmapPages.None ? image->BitmapPages.Claim(fileOffset) : VhdxBitmapPages.None;   // somebody is reading it
        if (page == VhdxBitmapPages.None) step = Then(State.Next, BlockStep.Of(StepKind.Wait));
        else
        {
            hasPage = pageIsNew = true;
            step = Then(State.LoadPage, BlockStep.Metadata(StepKind.Read, fileOffset, Bits, VhdxBitmapPages.PageBytes));
        }
        return false;
    }

    private void Unpin()
    {
        if (hasPage) image->BitmapPages.Unpin(page);
        hasPage = pageIsNew = false;
    }

    /// <summary>Blocks of which a discard or zeros need nothing.</summary>
    private readonly bool TrySkip()
    {
        if (operation == ImageOperation.Write) return false;
        bool whole = InBlock == 0 && chunk == image->BytesOf(Block);
        if (operation == ImageOperation.Discard && (!whole || image->IsFixed)) return true;
        return !image->IsWorthZero(Block) && !image->IsChanging(Block, 1);
    }

    private BlockStep Write()
    {
        if (image->IsChanging(Block, 1)) return Then(State.Next, BlockStep.Of(StepKind.Wait));
        VhdxBatEntry entry = image->Entry(Block);
        bool whole = InBlock == 0 && chunk == image->BytesOf(Block);
        if (operation != ImageOperation.Write && whole && !image->IsFixed) return ZeroBlocks();
        if (entry.State == VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT) return Then(State.Direct, DataStep(entry.FileOffset + InBlock));
        bool inParent = image->HasParent && entry.State == VhdxBlockState.PAYLOAD_BLOCK_NOT_PRESENT;
        if (entry.State != VhdxBlockState.PAYLOAD_BLOCK_PARTIALLY_PRESENT) return BeginAllocation(inParent && !whole);

        CutToPage();
        if (!TryPin(image->BitmapOffset(image->ChunkOf(Block)) + PageInBitmap, out BlockStep step)) return step;
        if (VhdxBits.AllSet(Bits, FirstBit, chunk / image->SectorBytes))
        {
            Unpin();
            return Then(State.Direct, DataStep(entry.FileOffset + InBlock));
        }
        SetBits();
        Link();
        return Then(State.WriteAbsent, DataStep(entry.FileOffset + InBlock));
    }

    private readonly BlockStep DataStep(ulong fileOffset) =>
        operation == ImageOperation.Write ? BlockStep.Data(StepKind.Write, fileOffset, position, chunk) : new BlockStep { Kind = StepKind.WriteZeros, Offset = fileOffset, Length = chunk };

    private void SetBits()
    {
        Change.BitsBlock = Block;
        Change.Chunk = image->ChunkOf(Block);
        Change.Page = page;
        Change.FirstBit = InBlock / image->SectorBytes;
        Change.BitCount = chunk / image->SectorBytes;
    }

    /// <summary>As many whole blocks as the range covers and one page of the BAT has entries for.</summary>
    private BlockStep ZeroBlocks()
    {
        uint first = Block, count = 0;
        ulong covered = 0;
        while (covered < length - position && image->EntryIndex(first + count) / 512 == image->EntryIndex(first) / 512)
        {
            uint bytes = image->BytesOf(first + count);
            if (bytes > length - position - covered) break;
            covered += bytes;
            count++;
        }
        if (image->IsChanging(first, count)) return Then(State.Next, BlockStep.Of(StepKind.Wait));
        chunk = (uint)covered;
        Change.FirstBlock = first;
        Change.BlockCount = count;
        Change.Entry = VhdxBatEntry.Of(VhdxBlockState.PAYLOAD_BLOCK_ZERO, 0);
        Link();
        return Join();
    }

    /// <summary>Room for a block, and for a sector bitmap block where the block becomes partially present and its chunk has none.</summary>
    private BlockStep BeginAllocation(bool partial)
    {
        uint chunkIndex = image->ChunkOf(Block);
        ulong newBitmap = 0;
        bool needsBitmap = partial && image->BitmapOffset(chunkIndex) == 0;
        if (partial) CutToPage();
        if (needsBitmap && (image->IsMakingBitmap(chunkIndex) || !image->BitmapPages.HasRoom)) return Then(State.Next, BlockStep.Of(StepKind.Wait));
        if (partial && !needsBitmap && !TryPin(image->BitmapOffset(chunkIndex) + PageInBitmap, out BlockStep step)) return step;
        if (needsBitmap && !image->Space.TryAllocate(VhdxLayout.MiB, true, out newBitmap)) return NoSpace();
        if (!image->Space.TryAllocate(image->BlockBytes, false, out ulong at))
        {
            if (needsBitmap) image->Space.Free(newBitmap, VhdxLayout.MiB);
            return NoSpace();
        }
        if (needsBitmap)
        {
            page = image->BitmapPages.Claim(newBitmap + PageInBitmap);
            image->BitmapPages.SetLoaded(page);
            hasPage = pageIsNew = true;
        }
        dirtyUntil = (image->ContentEnd + 511) & ~511UL;
        extendTo = Math.Max(at + image->BlockBytes, newBitmap == 0 ? 0 : newBitmap + VhdxLayout.MiB);
        image->ContentEnd = Math.Max(image->ContentEnd, extendTo);
        if (partial) SetBits();
        Change.Chunk = chunkIndex;
        Change.NewBitmap = newBitmap;
        Change.ClearsBits = partial && !needsBitmap;
        Change.FirstBlock = Block;
        Change.BlockCount = 1;
        Change.Entry = VhdxBatEntry.Of(partial ? VhdxBlockState.PAYLOAD_BLOCK_PARTIALLY_PRESENT : VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT, at);
        Link();
        state = State.ZeroBitmap;
        return Zeros(State.ZeroBitmap, newBitmap, newBitmap == 0 ? 0 : VhdxLayout.MiB, out step) ? step : Allocate();
    }

    /// <summary>
    /// There is room for every block and bitmap: what lacks has just been given up and will be free, or failing writes have left it in doubt.
    /// </summary>
    private BlockStep NoSpace()
    {
        Unpin();
        // This one has nothing under way: what is given up must not wait for it, as it waits for that.
        bool wasDraining = image->Space.IsDraining;
        image->Space.Leave(epoch);
        epoch = image->Space.Enter();
        if (wasDraining && !image->Space.IsDraining) return Next();
        return wasDraining ? Then(State.Next, BlockStep.Of(StepKind.Wait)) : Finish(ImageStatus.OutOfRange);
    }

    /// <summary>What an earlier owner left in a new place would show through.</summary>
    private bool Zeros(State next, ulong at, uint bytes, out BlockStep step)
    {
        uint dirty = dirtyUntil > at ? (uint)Math.Min(dirtyUntil - at, bytes) : 0;
        step = new BlockStep { Kind = StepKind.WriteZeros, Offset = at, Length = dirty };
        if (dirty != 0) state = next;
        return dirty != 0;
    }

    private BlockStep Allocate()
    {
        ulong at = Change.Entry.FileOffset;
        switch (state)
        {
            case State.ZeroBitmap:
                bool visible = Change.BitCount == 0 && chunk != image->BlockBytes;
                if (visible && Zeros(State.ZeroBlock, at, image->BlockBytes, out BlockStep step)) return step;
                goto case State.ZeroBlock;
            case State.ZeroBlock:
                // The file must not end within a block.
                if (extendTo > image->ExtendedEnd) return Then(State.Extend, new BlockStep { Kind = StepKind.WriteZeros, Offset = extendTo - 512, Length = 512 });
                goto case State.Extend;
            case State.Extend:
                image->ExtendedEnd = Math.Max(image->ExtendedEnd, extendTo);
                return Then(State.WriteNew, DataStep(at + InBlock));
            default:
                return Join();
        }
    }

    /// <summary>Everything is in its place but what makes it visible.</summary>
    private BlockStep Join()
    {
        if (Change.State == VhdxChange.Progress.Preparing) Change.State = VhdxChange.Progress.Joined;
        if (Change.State == VhdxChange.Progress.Committed) return Proceed();
        if (Change.State == VhdxChange.Progress.Failed) return Finish(ImageStatus.InputOutputError);
        return Commit();
    }

    /// <summary>Drives the next commit, with or without a change of its own.</summary>
    private BlockStep Commit()
    {
        if (image->Commit.IsBusy) return Then(Change.State == VhdxChange.Progress.None ? State.Next : State.Joined, BlockStep.Of(StepKind.Wait));
        image->Commit.Begin(retires: false);
        state = State.Committing;
        return Drive(true);
    }

    private BlockStep Drive(bool success)
    {
        if (image->Commit.TryNext(success, out BlockStep step)) return step;
        if (image->Commit.Status != ImageStatus.Success || state == State.Closing) return Finish(image->Commit.Status);
        return Change.State == VhdxChange.Progress.None ? Next() : Join();
    }

    private BlockStep Close()
    {
        image->IsClosing = true;
        if (image->FirstChange != null || image->HeaderOwner != null || image->Commit.IsBusy) return Then(State.CloseWaiting, BlockStep.Of(StepKind.Wait));
        image->Commit.Begin(retires: true);
        state = State.Closing;
        return Drive(true);
    }

    private BlockStep Proceed()
    {
        Unpin();
        Change = default;
        position += chunk;
        return Next();
    }

    private BlockStep Finish(ImageStatus status)
    {
        if (state == State.Finished) return BlockStep.Finish(ImageStatus.Invalid);
        if (Change.State is VhdxChange.Progress.Preparing or VhdxChange.Progress.Joined) FreePlaces(doubtful: false);
        Unlink();
        // A page that could not be read in, or of a bitmap that does not exist: not to be found by anybody.
        if (hasPage && pageIsNew && Change.State != VhdxChange.Progress.Committed)
        {
            image->BitmapPages.Drop(page);
            hasPage = false;
        }
        Unpin();
        fixed (VhdxRequest* self = &this)
            if (image->HeaderOwner == self) image->HeaderOwner = null;
        state = State.Finished;
        image->Space.Leave(epoch);
        return BlockStep.Finish(status);
    }

    /// <summary>Gives back the room of a block, and a sector bitmap block, that did not come to be.</summary>
    internal void FreePlaces(bool doubtful)
    {
        if (Change.BlockCount == 0 || !Change.Entry.IsPresent) return;
        FreePlace(Change.Entry.FileOffset, image->BlockBytes, doubtful);
        if (Change.NewBitmap != 0) FreePlace(Change.NewBitmap, VhdxLayout.MiB, doubtful);
    }

    private readonly void FreePlace(ulong at, uint bytes, bool doubtful)
    {
        if (doubtful) image->Space.Doubt(at, bytes);
        else image->Space.Free(at, bytes);
    }

    private void Link()
    {
        Change.State = VhdxChange.Progress.Preparing;
        NextChange = null;
        isLinked = true;
        fixed (VhdxRequest* self = &this)
        {
            VhdxRequest** link = &image->FirstChange;
            while (*link != null) link = &(*link)->NextChange;
            *link = self;
        }
    }

    private void Unlink()
    {
        if (!isLinked) return;
        isLinked = false;
        fixed (VhdxRequest* self = &this)
        {
            VhdxRequest** link = &image->FirstChange;
            while (*link != self) link = &(*link)->NextChange;
            *link = NextChange;
        }
    }

    /// <summary>The commit that this had joined has succeeded or failed.</summary>
    internal void EndChange(VhdxChange.Progress progress)
    {
        Unlink();
        Change.State = progress;
    }

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
