// A raw image: the file's bytes are the disk's. It has no metadata of its own, so its planner only passes on.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>An open raw image. Its size is the file's, down to whole sectors, and stays.</summary>
public struct RawImage(ulong fileBytes, bool writable)
{
    public readonly ulong VirtualBytes = fileBytes & ~511UL;
    public readonly bool IsWritable = writable;
}

public unsafe struct RawRequest : IImageRequest<RawImage>
{
    private RawImage* image;
    private ulong offset;
    private uint length;
    private ImageOperation operation;
    private bool isDone;

    public void Begin(RawImage* image, ImageOperation operation, ulong offset, uint length)
    {
        this.image = image;
        this.operation = operation;
        this.offset = offset;
        this.length = length;
        isDone = false;
    }

    public BlockStep Advance(bool success)
    {
        if (!success) return BlockStep.Finish(ImageStatus.InputOutputError);
        if (isDone) return BlockStep.Finish(ImageStatus.Success);
        isDone = true;
        ImageStatus status = Check();
        if (status != ImageStatus.Success) return BlockStep.Finish(status);
        return operation switch
        {
            ImageOperation.Read => BlockStep.Data(StepKind.Read, offset, 0, length),
            ImageOperation.Write => BlockStep.Data(StepKind.Write, offset, 0, length),
            ImageOperation.WriteZeros => new BlockStep { Kind = StepKind.WriteZeros, Offset = offset, Length = length },
            // There is nothing to give up.
            ImageOperation.Discard => BlockStep.Finish(ImageStatus.Success),
            _ => BlockStep.Of(StepKind.Flush),
        };
    }

    private readonly ImageStatus Check()
    {
        if (operation is ImageOperation.Flush or ImageOperation.Close) return ImageStatus.Success;
        if ((offset | length) % 512 != 0 || offset > image->VirtualBytes || length > image->VirtualBytes - offset) return ImageStatus.OutOfRange;
        return operation != ImageOperation.Read && !image->IsWritable ? ImageStatus.ReadOnly : ImageStatus.Success;
    }
}
