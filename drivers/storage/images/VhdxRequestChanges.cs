// The part of a VHDX's requests that changes the disk: writes, zeros, discards, and the closing.
using System;

namespace Lamina.Drivers.Storage.Images;

public unsafe partial struct VhdxRequest
{
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
        return wasDraining ? Then(State.Next, BlockStep.Of(StepKind.Wait)) : Finish(ImageStatus.NoSpace);
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
}
