// Who runs next on one logical processor: virtual-time fair, with wake-up preemption. Policy only; knows neither clock nor hardware.
using System;

namespace Lamina.Hypervisor.Core;

/// <summary>What the scheduler keeps of one virtual processor. Times are TSC ticks; virtual time is ticks scaled by 1024 / weight.</summary>
public unsafe struct SchedulerEntity
{
    public const uint DefaultWeight = 100;

    internal SchedulerEntity* next;
    internal SchedulerEntity* previous;
    internal bool queued;

    /// <summary>The virtual processor that this is the entity of.</summary>
    public void* Owner;
    /// <summary>1 to 10000; relative. Hyper-V's default is 100.</summary>
    public uint Weight;
    public ulong VirtualTime;
    /// <summary>Ticks run in total.</summary>
    public ulong RunTime;

    public readonly bool IsQueued => queued;
}

/// <summary>
/// The runnable entities of a logical processor but the running one, ordered by virtual time. Invariants: the order holds;
/// <see cref="MinimumVirtualTime"/> never goes back, and no waking entity is placed further than <see cref="WakeCredit"/> behind it,
/// so that a long sleep buys a prompt start but not a monopoly.
/// </summary>
public unsafe struct RunQueue
{
    private SchedulerEntity* first;
    private SchedulerEntity* last;

    public ulong MinimumVirtualTime;
    /// <summary>Ticks of virtual time that a sleeper may be behind the others when it wakes.</summary>
    public ulong WakeCredit;
    /// <summary>Ticks that one entity runs before another of the same virtual time gets its turn.</summary>
    public ulong Slice;

    public readonly bool IsEmpty => first == null;
    public readonly SchedulerEntity* First => first;

    /// <summary>Queues an entity that became runnable after sleeping.</summary>
    public void Wake(SchedulerEntity* entity)
    {
        ulong floor = MinimumVirtualTime > WakeCredit ? MinimumVirtualTime - WakeCredit : 0;
        entity->VirtualTime = Math.Max(entity->VirtualTime, floor);
        Enqueue(entity);
    }

    /// <summary>Queues an entity that was running and still is runnable. Behind those of equal virtual time: equals take turns.</summary>
    public void Enqueue(SchedulerEntity* entity)
    {
        if (entity->queued)
            return;
        SchedulerEntity* after = last;
        while (after != null && after->VirtualTime > entity->VirtualTime)
            after = after->previous;
        entity->previous = after;
        entity->next = after == null ? first : after->next;
        if (entity->next == null) last = entity; else entity->next->previous = entity;
        if (after == null) first = entity; else after->next = entity;
        entity->queued = true;
    }

    public void Remove(SchedulerEntity* entity)
    {
        if (!entity->queued)
            return;
        if (entity->previous == null) first = entity->next; else entity->previous->next = entity->next;
        if (entity->next == null) last = entity->previous; else entity->next->previous = entity->previous;
        entity->next = entity->previous = null;
        entity->queued = false;
    }

    /// <summary>Takes the entity that is furthest behind; null when none is runnable.</summary>
    public SchedulerEntity* Take()
    {
        SchedulerEntity* entity = first;
        if (entity == null)
            return null;
        Remove(entity);
        MinimumVirtualTime = Math.Max(MinimumVirtualTime, entity->VirtualTime);
        return entity;
    }

    /// <summary>Accounts for ticks that an entity has run.</summary>
    public static void Charge(SchedulerEntity* entity, ulong ticks)
    {
        entity->RunTime += ticks;
        entity->VirtualTime += ticks * 1024 / Math.Max(1, entity->Weight);
    }

    /// <summary>Whether the first in the queue should run instead of <paramref name="running"/> now, because it is further behind.</summary>
    public readonly bool ShouldPreempt(SchedulerEntity* running) => first != null && first->VirtualTime < running->VirtualTime;
}
