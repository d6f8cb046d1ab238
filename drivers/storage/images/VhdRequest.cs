// A request to a VHD's virtual disk as a sequence of steps, ordered so that power may fail at any of them.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// One request; lives at a fixed address until it is finished. Call <see cref="Advance"/>, do the step, call it with the outcome.
/// A new block becomes visible in this order: footer at the new end | flush | data and bitmap | flush | table entry. Data that a
/// bitmap hides yet: data | flush | bitmap. In memory a table entry changes only after it was written, so that no later request can be
/// flushed before what it depends on.
/// </summary>
public unsafe struct VhdRequest : IImageRequest<VhdImage>
{
    private enum State : byte
    {
        Next, Direct, ReadBits, ReadRun, FlushDone,
        AllocateFooter, AllocateFooterFlush, AllocateZeros, AllocateData, AllocateBitmap, AllocateFlush, AllocateTable,
        UpdateBits, UpdateData, UpdateFlush, UpdateBitmap, Finished,
    }

    private VhdImage* image;
    private ulong offset;
    private uint length;
    private ImageOperation operation;
    private State state;
    private uint position;      // bytes of the request that are done
    private uint chunk;         // bytes that are being done
    private uint run;           // of the chunk, in ReadRun
    private uint bitmapSector;  // in AllocateBitmap
    private ulong zeroUntil, allocatedAt;
    private fixed byte bits[512];

    public void Begin(VhdImage* image, ImageOperation operation, ulong offset, uint length)
    {
        this = default;
        this.image = image;
        this.operation = operation;
        this.offset = offset;
        this.length = length;
    }

    private readonly ulong At => offset + position;
    private readonly uint Block => (uint)(At / image->BlockBytes);
    private readonly uint InBlock => (uint)(At % image->BlockBytes);
    private readonly uint UnitInBlock => InBlock / VhdImage.UnitBytes;
    private readonly uint Unit => Block * image->UnitsPerBlock + UnitInBlock;
    private readonly ulong BlockStart => (ulong)image->Entry(Block) * 512;
    private readonly ulong DataAt => BlockStart + image->BitmapBytes + InBlock;
    private readonly ulong BitmapAt => BlockStart + UnitInBlock * 512;
    private readonly uint FirstBit => InBlock % VhdImage.UnitBytes / 512;
    private readonly uint BitsInUnit => Math.Min(image->BlockBytes, VhdImage.UnitBytes) / 512;

    public BlockStep Advance(bool success)
    {
        if (!success) return Failed();
        fixed (byte* bitmap = bits)
            switch (state)
            {
                case State.Next: return Next(bitmap);
                case State.Direct: return Proceed(bitmap);
                case State.FlushDone: return Finish(ImageStatus.Success);
                case State.ReadBits: return ReadRun(bitmap);
                case State.ReadRun:
                    position += run;
                    chunk -= run;
                    return chunk == 0 ? Next(bitmap) : ReadRun(bitmap);
                case >= State.AllocateFooter and <= State.AllocateTable: return Allocate(bitmap);
                case >= State.UpdateBits and <= State.UpdateBitmap: return Update(bitmap);
                default: return Finish(ImageStatus.Invalid);
            }
    }

    private BlockStep Next(byte* bitmap)
    {
        if (position == 0)
        {
            ImageStatus status = Check();
            if (status != ImageStatus.Success) return Finish(status);
            if (operation is ImageOperation.Flush or ImageOperation.Close) return Then(State.FlushDone, BlockStep.Of(StepKind.Flush));
        }
        while (position != length && operation != ImageOperation.Discard)
        {
            chunk = length - position;
            if (image->Type == VhdType.Fixed) return Then(State.Direct, DataStep(At));
            chunk = Math.Min(chunk, Math.Min(image->BlockBytes - InBlock, VhdImage.UnitBytes - InBlock % VhdImage.UnitBytes));
            bool allocated = image->Entry(Block) != VhdImage.Unallocated;
            // Zeros where there is nothing and no parent: nothing to do, unless somebody is just making it something.
            bool absentZeros = operation == ImageOperation.WriteZeros && !allocated && image->Type == VhdType.Dynamic;
            if (!absentZeros || image->Owner != null) return Chunk(allocated, bitmap);
            position += chunk;
        }
        return Finish(ImageStatus.Success);
    }

    private BlockStep Chunk(bool allocated, byte* bitmap)
    {
        if (allocated && image->IsFull(Unit)) return Then(State.Direct, DataStep(DataAt));
        if (operation == ImageOperation.Read)
            return allocated ? Then(State.ReadBits, BlockStep.Metadata(StepKind.Read, BitmapAt, bitmap, 512)) : Then(State.Direct, Absent(chunk));
        if (image->Owner != null) return Then(State.Next, BlockStep.Of(StepKind.Wait));
        fixed (VhdRequest* self = &this) image->Owner = self;
        return allocated ? Then(State.UpdateBits, BlockStep.Metadata(StepKind.Read, BitmapAt, bitmap, 512)) : BeginAllocation();
    }

    private readonly BlockStep DataStep(ulong fileOffset) => operation switch
    {
        ImageOperation.Read => BlockStep.Data(StepKind.Read, fileOffset, position, chunk),
        ImageOperation.Write => BlockStep.Data(StepKind.Write, fileOffset, position, chunk),
        _ => new BlockStep { Kind = StepKind.WriteZeros, Offset = fileOffset, Length = chunk },
    };

    private readonly ImageStatus Check()
    {
        if (!image->IsOpen) return ImageStatus.Invalid;
        if (operation is ImageOperation.Flush or ImageOperation.Close) return ImageStatus.Success;
        if ((offset | length) % 512 != 0 || offset > image->VirtualBytes || length > image->VirtualBytes - offset) return ImageStatus.OutOfRange;
        return operation != ImageOperation.Read && !image->IsWritable ? ImageStatus.ReadOnly : ImageStatus.Success;
    }

    private readonly BlockStep Absent(uint bytes) =>
        BlockStep.Data(image->Type == VhdType.Differencing ? StepKind.ReadParent : StepKind.ZeroData, At, position, bytes);

    /// <summary>As many sectors from the position on as are all here or all absent.</summary>
    private BlockStep ReadRun(byte* bitmap)
    {
        if (AllOnes(bitmap, 0, BitsInUnit)) image->SetFull(Unit);
        uint first = FirstBit, count = 1;
        bool present = IsSet(bitmap, first);
        while (count < chunk / 512 && IsSet(bitmap, first + count) == present) count++;
        run = count * 512;
        return Then(State.ReadRun, present ? BlockStep.Data(StepKind.Read, DataAt, position, run) : Absent(run));
    }

    private BlockStep BeginAllocation()
    {
        ulong blockInFile = (ulong)image->BitmapBytes + image->BlockBytes;
        zeroUntil = image->ContentEnd;
        allocatedAt = image->AllocationEnd;
        // The footer behind the new block must be the end of the file: where more than a block is left behind the last one, go to the end.
        if (allocatedAt + blockInFile + VhdFooter.Bytes < zeroUntil) allocatedAt = image->TailFooterDamaged ? zeroUntil : zeroUntil - VhdFooter.Bytes;
        ulong end = allocatedAt + blockInFile;
        if (end / 512 >= VhdImage.Unallocated) return Finish(ImageStatus.OutOfRange);
        image->AllocationEnd = end;
        image->ContentEnd = Math.Max(zeroUntil, end + VhdFooter.Bytes);
        return Then(State.AllocateFooter, BlockStep.Metadata(StepKind.Write, end, image->Footer, VhdFooter.Bytes));
    }

    private BlockStep Allocate(byte* bitmap)
    {
        ulong dataAt = allocatedAt + image->BitmapBytes;
        switch (state)
        {
            case State.AllocateFooter:
                // The block covers the old footer: the new one must be there first.
                return Then(State.AllocateFooterFlush, BlockStep.Of(StepKind.Flush));
            case State.AllocateFooterFlush:
                // What an earlier loss of power left behind the last block would show through where bitmaps are all ones.
                if (image->Type == VhdType.Dynamic && zeroUntil > dataAt)
                    return Then(State.AllocateZeros, new BlockStep { Kind = StepKind.WriteZeros, Offset = dataAt, Length = (uint)Math.Min(zeroUntil - dataAt, image->BlockBytes) });
                goto case State.AllocateZeros;
            case State.AllocateZeros:
                bitmapSector = 0;
                return Then(State.AllocateData, DataStep(dataAt + InBlock));
            case State.AllocateData:
            case State.AllocateBitmap:
                if (bitmapSector == image->UnitsPerBlock) return Then(State.AllocateFlush, BlockStep.Of(StepKind.Flush));
                FillNewBitmap(bitmap);
                return Then(State.AllocateBitmap, BlockStep.Metadata(StepKind.Write, allocatedAt + bitmapSector++ * 512, bitmap, 512));
            case State.AllocateFlush:
                return Then(State.AllocateTable, WriteEntry());
            default:
                BigEndian.Write32(image->Table + (ulong)Block * 4, (uint)(allocatedAt / 512));
                if (image->Type == VhdType.Dynamic)
                    for (uint i = 0; i < image->UnitsPerBlock; i++) image->SetFull(Block * image->UnitsPerBlock + i);
                return Proceed(bitmap);
        }
    }

    private readonly void FillNewBitmap(byte* bitmap)
    {
        new Span<byte>(bitmap, 512).Fill(image->Type == VhdType.Dynamic ? (byte)0xFF : (byte)0);
        if (bitmapSector == UnitInBlock) Set(bitmap, FirstBit, chunk / 512);
    }

    /// <summary>The sector of the table with the new entry, from a copy: other requests look at the table itself.</summary>
    private readonly BlockStep WriteEntry()
    {
        uint inTable = Block * 4 & ~511u;
        new ReadOnlySpan<byte>(image->Table + inTable, 512).CopyTo(new Span<byte>(image->Staging, 512));
        BigEndian.Write32(image->Staging + Block * 4 % 512, (uint)(allocatedAt / 512));
        return BlockStep.Metadata(StepKind.Write, VhdDynamicHeader.TableOffset(image->HeaderData) + inTable, image->Staging, 512);
    }

    private BlockStep Update(byte* bitmap)
    {
        switch (state)
        {
            case State.UpdateBits:
                if (AllOnes(bitmap, 0, BitsInUnit)) image->SetFull(Unit);
                if (!AllOnes(bitmap, FirstBit, chunk / 512)) return Then(State.UpdateData, DataStep(DataAt));
                Release();
                return Then(State.Direct, DataStep(DataAt));
            case State.UpdateData:
                return Then(State.UpdateFlush, BlockStep.Of(StepKind.Flush));
            case State.UpdateFlush:
                Set(bitmap, FirstBit, chunk / 512);
                return Then(State.UpdateBitmap, BlockStep.Metadata(StepKind.Write, BitmapAt, bitmap, 512));
            default:
                if (AllOnes(bitmap, 0, BitsInUnit)) image->SetFull(Unit);
                return Proceed(bitmap);
        }
    }

    private BlockStep Proceed(byte* bitmap)
    {
        Release();
        position += chunk;
        return Next(bitmap);
    }

    /// <summary>
    /// As long as no table can name a new block, its place is the next one's: a guest that tries again and again on a full volume must
    /// not move the end away for good. Its table entry may be on the disk from when it is written on.
    /// </summary>
    private BlockStep Failed()
    {
        if (state is >= State.AllocateFooter and <= State.AllocateFlush) image->AllocationEnd = allocatedAt;
        return Finish(ImageStatus.InputOutputError);
    }

    private BlockStep Finish(ImageStatus status)
    {
        Release();
        state = State.Finished;
        return BlockStep.Finish(status);
    }

    private void Release()
    {
        fixed (VhdRequest* self = &this)
            if (image->Owner == self) image->Owner = null;
    }

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }

    // A bitmap's first sector is the most significant bit of its first byte.
    private static bool IsSet(byte* bitmap, uint bit) => (bitmap[bit / 8] & 0x80 >> (int)(bit % 8)) != 0;

    private static void Set(byte* bitmap, uint first, uint count)
    {
        for (uint bit = first; bit < first + count; bit++) bitmap[bit / 8] |= (byte)(0x80 >> (int)(bit % 8));
    }

    private static bool AllOnes(byte* bitmap, uint first, uint count)
    {
        for (uint bit = first; bit < first + count; bit++)
            if (!IsSet(bitmap, bit)) return false;
        return true;
    }
}
