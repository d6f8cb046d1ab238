// The deadlines that a logical processor's one physical timer serves, soonest first.
namespace Lamina.Hypervisor.Core;

/// <summary>One armed deadline; embedded in what it belongs to.</summary>
public unsafe struct TimerEntry
{
    internal TimerEntry* next;
    internal TimerEntry* previous;
    internal bool armed;

    /// <summary>TSC of the logical processor.</summary>
    public ulong Deadline;
    public void* Owner;

    public readonly bool IsArmed => armed;
}

/// <summary>A sorted list: few entries are armed at a time, and most changes are at its head.</summary>
public unsafe struct TimerQueue
{
    private TimerEntry* first;

    public readonly TimerEntry* First => first;

    /// <summary>The soonest deadline, or <see cref="ulong.MaxValue"/>.</summary>
    public readonly ulong NextDeadline => first == null ? ulong.MaxValue : first->Deadline;

    /// <summary>Arms or re-arms an entry. True when the soonest deadline changed, so that the physical timer must be set anew.</summary>
    public bool Arm(TimerEntry* entry, ulong deadline)
    {
        ulong before = NextDeadline;
        Unlink(entry);
        entry->Deadline = deadline;
        TimerEntry* after = null;
        for (TimerEntry* at = first; at != null && at->Deadline <= deadline; at = at->next)
            after = at;
        entry->previous = after;
        entry->next = after == null ? first : after->next;
        if (entry->next != null) entry->next->previous = entry;
        if (after == null) first = entry; else after->next = entry;
        entry->armed = true;
        return NextDeadline != before;
    }

    /// <summary>True when the soonest deadline changed.</summary>
    public bool Disarm(TimerEntry* entry)
    {
        bool wasFirst = entry->armed && first == entry;
        Unlink(entry);
        return wasFirst;
    }

    /// <summary>Takes the soonest entry if its deadline has come, else null.</summary>
    public TimerEntry* TakeExpired(ulong now)
    {
        TimerEntry* entry = first;
        if (entry == null || entry->Deadline > now)
            return null;
        Unlink(entry);
        return entry;
    }

    private void Unlink(TimerEntry* entry)
    {
        if (!entry->armed)
            return;
        if (entry->previous == null) first = entry->next; else entry->previous->next = entry->next;
        if (entry->next != null) entry->next->previous = entry->previous;
        entry->next = entry->previous = null;
        entry->armed = false;
    }
}

/// <summary>A guest's deadline on the host's counter.</summary>
public static class GuestDeadline
{
    /// <summary>
    /// The host TSC at which a guest's counter (host + <paramref name="offset"/>) reaches a value: <paramref name="now"/> for one that it has
    /// passed, MaxValue for one that the host's counter never comes to.
    /// </summary>
    // By distance from now: a guest sets its counter to whatever it likes, and a difference of absolute values may wrap into the past.
    public static ulong ToHost(ulong guestTsc, ulong offset, ulong now)
    {
        ulong guestNow = now + offset;
        ulong distance = guestTsc > guestNow ? guestTsc - guestNow : 0;
        return guestTsc == ulong.MaxValue || distance >= ulong.MaxValue - now ? ulong.MaxValue : now + distance;
    }
}
