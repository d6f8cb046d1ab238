// Runs several requests of an image over a file that completes asynchronously: no threads, no allocation, no dispatch.

namespace Lamina.Drivers.Storage.Images;

/// <summary>The file under an image, and whoever waits for its requests.</summary>
public interface IBlockFile
{
    /// <summary>
    /// Begins a step (never <see cref="StepKind.Finished"/>, <see cref="StepKind.Wait"/>, <see cref="StepKind.NeedMemory"/>) of the request
    /// <paramref name="tag"/>; its end is told by <see cref="ImageQueue{TImage,TRequest,TFile}.Complete"/>, later and not from within this call.
    /// A read, write, zeroing or parent's read with no buffer is about the data of that request.
    /// </summary>
    void Submit(uint tag, in BlockStep step);

    /// <summary>The request <paramref name="tag"/> has ended; its tag is free and may be started anew from within this call.</summary>
    void Finished(uint tag, ImageStatus status);
}

/// <summary>A place for one request, in caller-supplied memory.</summary>
public struct ImageSlot<TRequest> where TRequest : unmanaged
{
    internal enum Use : byte { Free, Running, Waiting }

    internal TRequest Request;
    internal Use State;
}

/// <summary>
/// A request's tag is the number of its slot. Lives at a fixed address. <c>ImageQueue&lt;VhdImage, VhdRequest, F&gt;</c> or
/// <c>ImageQueue&lt;VhdxImage, VhdxRequest, F&gt;</c>.
/// </summary>
public unsafe struct ImageQueue<TImage, TRequest, TFile>
    where TImage : unmanaged
    where TRequest : unmanaged, IImageRequest<TImage>
    where TFile : struct, IBlockFile
{
    private readonly TImage* image;
    private readonly ImageSlot<TRequest>* slots;
    private readonly uint slotCount;
    private uint waiting;
    private bool isRetrying;
    private TFile file;

    /// <param name="slots">Zeroed, at a fixed address.</param>
    public ImageQueue(TImage* image, ImageSlot<TRequest>* slots, uint slotCount, TFile file)
    {
        this = default;
        this.image = image;
        this.slots = slots;
        this.slotCount = slotCount;
        this.file = file;
    }

    /// <summary>Starts a request; false if the tag is none of ours or in use. It may end before this returns.</summary>
    public bool TryStart(uint tag, ImageOperation operation, ulong offset, uint length)
    {
        if (tag >= slotCount || slots[tag].State != ImageSlot<TRequest>.Use.Free) return false;
        slots[tag].Request.Begin(image, operation, offset, length);
        slots[tag].State = ImageSlot<TRequest>.Use.Running;
        Advance(tag, true);
        RetryWaiting();
        return true;
    }

    /// <summary>The step that was submitted last for <paramref name="tag"/> has ended; false if there is none.</summary>
    public bool Complete(uint tag, bool success)
    {
        if (tag >= slotCount || slots[tag].State != ImageSlot<TRequest>.Use.Running) return false;
        Advance(tag, success);
        RetryWaiting();
        return true;
    }

    /// <summary>False when it ended in a wait.</summary>
    private bool Advance(uint tag, bool success)
    {
        BlockStep step = slots[tag].Request.Advance(success);
        switch (step.Kind)
        {
            case StepKind.Finished:
                slots[tag].State = ImageSlot<TRequest>.Use.Free;
                file.Finished(tag, step.Status);
                return true;
            case StepKind.Wait:
                slots[tag].State = ImageSlot<TRequest>.Use.Waiting;
                waiting++;
                return false;
            default:
                file.Submit(tag, step);
                return true;
        }
    }

    /// <summary>
    /// Until two passes brought nothing: one that ends a wait only to wait for something else may have let go of what others need.
    /// </summary>
    private void RetryWaiting()
    {
        // A request started from within Finished comes here again: the loop that is running sees to it.
        if (isRetrying) return;
        isRetrying = true;
        for (uint idle = 0; waiting != 0 && idle < 2; idle++)
            for (uint tag = 0; tag < slotCount; tag++)
            {
                if (slots[tag].State != ImageSlot<TRequest>.Use.Waiting) continue;
                slots[tag].State = ImageSlot<TRequest>.Use.Running;
                waiting--;
                if (Advance(tag, true)) idle = uint.MaxValue;   // 0 after this pass
            }
        isRetrying = false;
    }
}
