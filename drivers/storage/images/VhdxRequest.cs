// A request to a VHDX's virtual disk as a sequence of steps, ordered so that power may fail at any of them.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// One request. Data goes to its place first; what makes it visible, if anything must, then joins the next commit
/// (<see cref="VhdxCommit"/>), which this or another request drives. In memory an entry or a bit changes only once the log has it.
/// </summary>
public unsafe partial struct VhdxRequest : IImageRequest<VhdxImage>
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

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}
