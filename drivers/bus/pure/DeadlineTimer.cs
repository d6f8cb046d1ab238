// Timers as an intrusive list sorted by deadline: there are few, and the next one is always at hand.

namespace Lamina.Drivers.Bus;

/// <summary>Lives in its owner's memory, zero-initialised but for handler and context, and must stay put while armed.</summary>
public unsafe struct DeadlineTimer
{
    public delegate*<void*, void> Handler;
    public void* Context;

    /// <summary>100 ns, on the host's clock.</summary>
    public ulong Deadline { get; internal set; }
    public bool IsArmed { get; internal set; }
    internal DeadlineTimer* Next;
}

/// <summary>Timers in the order of their deadlines; equal ones in the order of arming.</summary>
public unsafe struct DeadlineList
{
    private DeadlineTimer* first;

    /// <summary>The earliest deadline; <see cref="ulong.MaxValue"/> when there is none.</summary>
    public readonly ulong Next => first == null ? ulong.MaxValue : first->Deadline;

    /// <summary>Arms a timer, or moves an armed one.</summary>
    public void Arm(DeadlineTimer* timer, ulong deadline)
    {
        Cancel(timer);
        timer->Deadline = deadline;
        timer->IsArmed = true;
        if (first == null || deadline < first->Deadline)
        {
            timer->Next = first;
            first = timer;
            return;
        }
        DeadlineTimer* before = first;
        while (before->Next != null && before->Next->Deadline <= deadline) before = before->Next;
        timer->Next = before->Next;
        before->Next = timer;
    }

    /// <summary>Takes a timer out; one that is not armed is left alone.</summary>
    public void Cancel(DeadlineTimer* timer)
    {
        if (!timer->IsArmed) return;
        timer->IsArmed = false;
        if (first == timer)
        {
            first = timer->Next;
            return;
        }
        DeadlineTimer* before = first;
        while (before->Next != timer) before = before->Next;
        before->Next = timer->Next;
    }

    /// <summary>Takes the earliest timer out if its deadline has come.</summary>
    public bool TryTakeDue(ulong now, out DeadlineTimer* timer)
    {
        timer = first;
        if (timer == null || timer->Deadline > now) return false;
        first = timer->Next;
        timer->IsArmed = false;
        return true;
    }
}
