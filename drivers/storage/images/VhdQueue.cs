// Runs several requests of a VHD over a file that completes asynchronously: no threads, no allocation.

namespace Lamina.Drivers.Storage.Images;

/// <summary>The file under an image, and whoever waits for its requests.</summary>
public interface IBlockFile
{
    /// <summary>
    /// Begins a step (never <see cref="StepKind.Finished"/>, <see cref="StepKind.Wait"/>, <see cref="StepKind.NeedMemory"/>) of the request
    /// <paramref name="tag"/>; its end is told by <see cref="VhdQueue{TFile}.Complete"/>, later and not from within this call. A step with no
    /// buffer is about the data of that request.
    /// </summary>
    void Submit(uint tag, in BlockStep step);

    /// <summary>The request <paramref name="tag"/> has ended; its tag is free and may be started anew from within this call.</summary>
    void Finished(uint tag, ImageStatus status);
}

/// <summary>A place for one request, in caller-supplied memory.</summary>
public struct VhdSlot
{
    internal enum Use : byte { Free, Running, Waiting }

    internal VhdRequest Request;
    internal Use State;
}

/// <summary>A request's tag is the number of its slot. Lives at a fixed address.</summary>
public unsafe struct VhdQueue<TFile> where TFile : struct, IBlockFile
{
    private readonly VhdImage* image;
    private readonly VhdSlot* slots;
    private readonly uint slotCount;
    private TFile file;

    /// <param name="slots">Zeroed, at a fixed address.</param>
    public VhdQueue(VhdImage* image, VhdSlot* slots, uint slotCount, TFile file)
    {
        this.image = image;
        this.slots = slots;
        this.slotCount = slotCount;
        this.file = file;
    }

    /// <summary>Starts a request; false if the tag is none of ours or in use. It may end before this returns.</summary>
    public bool TryStart(uint tag, ImageOperation operation, ulong offset, uint length)
    {
        if (tag >= slotCount || slots[tag].State != VhdSlot.Use.Free) return false;
        slots[tag].Request = new VhdRequest(image, operation, offset, length);
        slots[tag].State = VhdSlot.Use.Running;
        if (Advance(tag, true)) RetryWaiting();
        return true;
    }

    /// <summary>The step that was submitted last for <paramref name="tag"/> has ended; false if there is none.</summary>
    public bool Complete(uint tag, bool success)
    {
        if (tag >= slotCount || slots[tag].State != VhdSlot.Use.Running) return false;
        if (Advance(tag, success)) RetryWaiting();
        return true;
    }

    /// <summary>True when the request has ended, so that others may find what they waited for.</summary>
    private bool Advance(uint tag, bool success)
    {
        BlockStep step = slots[tag].Request.Advance(success);
        switch (step.Kind)
        {
            case StepKind.Finished:
                slots[tag].State = VhdSlot.Use.Free;
                file.Finished(tag, step.Status);
                return true;
            case StepKind.Wait:
                slots[tag].State = VhdSlot.Use.Waiting;
                return false;
            default:
                file.Submit(tag, step);
                return false;
        }
    }

    private void RetryWaiting()
    {
        for (uint tag = 0; tag < slotCount; tag++)
        {
            if (slots[tag].State != VhdSlot.Use.Waiting) continue;
            slots[tag].State = VhdSlot.Use.Running;
            if (Advance(tag, true)) tag = uint.MaxValue;   // from the first again
        }
    }
}
