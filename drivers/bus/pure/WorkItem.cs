// Work that an interrupt handler leaves for the executor: an intrusive queue, so that queueing needs no memory.

namespace Lamina.Drivers.Bus;

/// <summary>Lives in its owner's memory, zero-initialised but for handler and context, and must stay put while queued.</summary>
public unsafe struct WorkItem
{
    public delegate*<void*, void> Handler;
    public void* Context;
    internal WorkItem* Next;
    internal bool Queued;
}

/// <summary>First in, first out. Not safe against interrupts by itself: the host disables them around each call.</summary>
public unsafe struct WorkQueue
{
    private WorkItem* first;
    private WorkItem* last;

    public readonly bool IsEmpty => first == null;

    /// <summary>Appends the item unless it is in the queue already.</summary>
    public void Add(WorkItem* item)
    {
        if (item->Queued) return;
        item->Queued = true;
        item->Next = null;
        if (first == null) first = item;
        else last->Next = item;
        last = item;
    }

    /// <summary>Takes an item out, if it is queued: its memory is about to go.</summary>
    public void Remove(WorkItem* item)
    {
        if (!item->Queued) return;
        item->Queued = false;
        WorkItem* before = null;
        for (WorkItem* at = first; at != item; at = at->Next) before = at;
        if (before == null) first = item->Next;
        else before->Next = item->Next;
        if (last == item) last = before;
    }

    /// <summary>Takes the oldest item; it may be queued again at once, by its own handler too.</summary>
    public bool TryTake(out WorkItem* item)
    {
        item = first;
        if (item == null) return false;
        first = item->Next;
        item->Queued = false;
        return true;
    }
}
