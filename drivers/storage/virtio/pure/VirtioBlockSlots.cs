// The requests that a virtio block queue works on, one in each slot, with how far each has come.
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Virtio;

/// <summary>The driver's own knowledge of a request; the device cannot write here.</summary>
public unsafe struct VirtioBlockSlot
{
    internal const ushort None = ushort.MaxValue;

    /// <summary>Null: the slot is free.</summary>
    internal BlockRequest* Request;

    /// <summary>Bytes of the request that are done, and that the device is at.</summary>
    internal ulong Done, PartBytes;

    /// <summary>Where in the request's segments the next part begins.</summary>
    internal uint Segment, SegmentOffset;

    /// <summary>The next free slot, or the next to be started.</summary>
    internal ushort Next;

    /// <summary>The data of a write that must be stable is written; now the cache is flushed.</summary>
    internal bool IsFlushing;

    /// <summary>The device has a part of it; else it waits to be started.</summary>
    internal bool IsWithDevice;

    /// <summary>Ticks since the device was given the part.</summary>
    internal byte Age;
}

/// <summary>Free slots as a stack, and those to be started in order.</summary>
internal unsafe struct VirtioBlockSlots
{
    private VirtioBlockSlot* slots;
    private ushort free, first, last;

    public ushort Count { get; private set; }
    public readonly bool HasFree => free != VirtioBlockSlot.None;
    public readonly bool HasReady => first != VirtioBlockSlot.None;
    public readonly VirtioBlockSlot* At(uint index) => slots + index;

    public void Initialize(VirtioBlockSlot* memory, ushort count)
    {
        slots = memory;
        Count = count;
        free = first = last = VirtioBlockSlot.None;
        for (int i = count - 1; i >= 0; i--) Release((ushort)i);
    }

    /// <summary>Takes a free slot for a request and puts it behind those that are ready.</summary>
    public void Occupy(BlockRequest* request)
    {
        ushort index = free;
        free = slots[index].Next;
        slots[index] = new VirtioBlockSlot { Request = request };
        AddReady(index);
    }

    public void Release(ushort index)
    {
        slots[index].Request = null;
        slots[index].IsWithDevice = false;
        slots[index].Next = free;
        free = index;
    }

    public void AddReady(ushort index)
    {
        slots[index].Next = VirtioBlockSlot.None;
        if (first == VirtioBlockSlot.None) first = index;
        else slots[last].Next = index;
        last = index;
    }

    /// <summary>Puts one back to where it was taken from.</summary>
    public void AddReadyFirst(ushort index)
    {
        slots[index].Next = first;
        if (first == VirtioBlockSlot.None) last = index;
        first = index;
    }

    public ushort TakeReady()
    {
        ushort index = first;
        first = slots[index].Next;
        return index;
    }

    /// <summary>Nothing is ready any more: its requests have been given up.</summary>
    public void ForgetReady() => first = VirtioBlockSlot.None;
}
