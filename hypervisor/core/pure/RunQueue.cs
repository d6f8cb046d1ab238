// Who runs next on one logical processor: virtual-time fair by weight, within caps, above reserves, with wake-up preemption.
// Policy only; knows neither clock nor hardware.
using System;
using System.Runtime.CompilerServices;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// The runnable entities of a logical processor but the running one, ordered by virtual time; those with a reserve also by the time at which they
/// fall behind it. Who is behind its reserve goes first, the longest behind before others; then who is furthest behind in virtual time.
/// Invariants: the order holds; <see cref="MinimumVirtualTime"/> never goes back; nobody is queued further from it than its credit behind or
/// two slices ahead, so that neither a long sleep nor a long run alone (or by reserve) is paid for by others or held against it for long.
/// </summary>
public unsafe struct RunQueue
{
    private SchedulerEntity* first;
    private SchedulerEntity* last;
    private TimerQueue reserves;
    /// <summary>One with precedence that waits, beside the order: it is next. Another one stands in the order.</summary>
    private SchedulerEntity* urgent;

    public ulong MinimumVirtualTime;
    /// <summary>Ticks that a sleeper may run before the others when it wakes.</summary>
    public ulong WakeCredit;
    /// <summary>Ticks that one entity runs before another of the same virtual time gets its turn.</summary>
    public ulong Slice;
    /// <summary>Caps and reserves hold over this many ticks: in any time t an entity runs cap * (t + Period) at most.</summary>
    public ulong Period;
    /// <summary>The part of the period by which a cap's clock may be behind: a timer that is late takes nothing from who waits for it.</summary>
    private readonly ulong Lateness => Period / 4;
    /// <summary>No decision is asked for earlier than this many ticks from now: a guest must get somewhere between two of them.</summary>
    public ulong Shortest;
    /// <summary>How many wait, and the sum of their weights.</summary>
    public uint Count, QueuedWeight;
    /// <summary>What makes virtual times of several processors comparable: an entity that moves keeps the sum of its own and this.</summary>
    public ulong Skew;
    /// <summary>When the next entity may be given away for the sake of shares.</summary>
    public ulong NextMove;
    public readonly ulong Clock => MinimumVirtualTime + Skew;

    public readonly bool IsEmpty => first == null && urgent == null;
    /// <summary>The first of the order.</summary>
    public readonly SchedulerEntity* First => first;

    /// <summary>
    /// Queues an entity that became runnable after sleeping, or after its cap had it wait. False: its cap is used up, and it is to be woken
    /// at its <see cref="SchedulerEntity.CapClock"/>. Whoever runs is to be charged before, so that its sleep is measured against the present.
    /// </summary>
    public bool TryWake(SchedulerEntity* entity, ulong now)
    {
        if (entity->HasPrecedence)
        {
            if (!entity->queued)
                Insert(entity, now);
            return true;
        }
        ulong earliest = MinimumVirtualTime - entity->Scale(WakeCredit);
        if (IsBefore(entity->VirtualTime, earliest))
            entity->VirtualTime = earliest;
        // A reserve is not saved up.
        entity->ReserveClock = Math.Max(entity->ReserveClock, now);
        return TryEnqueue(entity, now);
    }

    /// <summary>Queues an entity that was running and still is runnable, behind those of equal virtual time: equals take turns. False as for <see cref="TryWake"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryEnqueue(SchedulerEntity* entity, ulong now)
    {
        if (IsExhausted(entity, now))
            return false;
        if (!entity->queued)
            Insert(entity, now);
        return true;
    }

    private void Insert(SchedulerEntity* entity, ulong now)
    {
        entity->queued = true;
        entity->queuedAt = now;
        Count++;
        if (entity->HasPrecedence && urgent == null)
        {
            urgent = entity;
            return;
        }
        ulong latest = MinimumVirtualTime + entity->Scale(2 * Slice);
        if (IsBefore(latest, entity->VirtualTime))
            entity->VirtualTime = latest;
        SchedulerEntity* after = last;
        while (after != null && IsBefore(entity->VirtualTime, after->VirtualTime))
            after = after->previous;
        entity->previous = after;
        entity->next = after == null ? first : after->next;
        if (entity->next == null) last = entity; else entity->next->previous = entity;
        if (after == null) first = entity; else after->next = entity;
        QueuedWeight += entity->Weight;
        if (entity->Reserve == 0)
            return;
        entity->reserveEntry.Owner = entity;
        reserves.Arm(&entity->reserveEntry, entity->HasPrecedence ? 0 : entity->ReserveClock);
    }

    public void Remove(SchedulerEntity* entity, ulong now)
    {
        if (!entity->queued)
            return;
        Leave(entity, now);
        if (entity == urgent)
            urgent = null;
        else
            Unlink(entity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Leave(SchedulerEntity* entity, ulong now)
    {
        entity->queued = false;
        entity->WaitTime += now - entity->queuedAt;
        Count--;
    }

    /// <summary>Takes an entity out of the order.</summary>
    private void Unlink(SchedulerEntity* entity)
    {
        if (entity->previous == null) first = entity->next; else entity->previous->next = entity->next;
        if (entity->next == null) last = entity->previous; else entity->next->previous = entity->previous;
        entity->next = entity->previous = null;
        if (entity->reserveEntry.IsArmed)
            reserves.Disarm(&entity->reserveEntry);
        QueuedWeight -= entity->Weight;
    }

    /// <summary>Takes the entity whose turn it is; null when none is runnable.</summary>
    public SchedulerEntity* Take(ulong now)
    {
        SchedulerEntity* entity = urgent;
        if (entity != null)
        {
            urgent = null;
            Leave(entity, now);
        }
        else
        {
            entity = Choose(now);
            if (entity == null)
                return null;
            Leave(entity, now);
            Unlink(entity);
        }
        entity->Dispatches++;
        entity->dispatchedAt = now;
        return entity;
    }

    /// <summary>Whether an entity that waits here is so many ticks behind what it would have got where another processor's <see cref="Clock"/> is <paramref name="clock"/>, or behind its reserve.</summary>
    public readonly bool IsOwed(SchedulerEntity* entity, ulong clock, ulong virtualTime, ulong now) =>
        (long)(clock - Skew - entity->VirtualTime) > (long)virtualTime || entity->HasReserve && entity->ReserveClock + Slice < now;

    /// <summary>An entity has come from another processor. It brings what it is owed, up to three turns: others are not to wait for longer.</summary>
    public void Settle(SchedulerEntity* entity, bool isIdle)
    {
        if (isIdle)
            Skew = entity->VirtualTime - MinimumVirtualTime;
        entity->VirtualTime -= Skew;
        ulong earliest = MinimumVirtualTime - entity->Scale(3 * Slice);
        if (IsBefore(entity->VirtualTime, earliest))
            entity->VirtualTime = earliest;
    }

    /// <summary>Who of the order is next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly SchedulerEntity* Choose(ulong now)
    {
        TimerEntry* behind = reserves.First;
        return behind != null && behind->Deadline <= now ? (SchedulerEntity*)behind->Owner : first;
    }

    /// <summary>Accounts for the ticks up to <paramref name="now"/> that the running entity has run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Charge(SchedulerEntity* running, ulong now, ulong ticks)
    {
        running->RunTime += ticks;
        if (!running->HasPrecedence)
            ChargeShare(running, now, ticks);
    }

    private void ChargeShare(SchedulerEntity* running, ulong now, ulong ticks)
    {
        running->VirtualTime += running->Scale(ticks);
        // Rounded up: whoever is charged often must not get more for it.
        if (running->IsCapped)
            running->CapClock = CapClockAt(running, now - ticks) + SchedulerEntity.Stretch(ticks, running->Cap) + 1;
        // What it gets beyond its reserve for other reasons is not held against it for longer than a period.
        if (running->HasReserve)
            running->ReserveClock = Math.Min(running->ReserveClock + SchedulerEntity.Stretch(ticks, running->Reserve), now + Period);
        ulong minimum = first != null && IsBefore(first->VirtualTime, running->VirtualTime) ? first->VirtualTime : running->VirtualTime;
        if (IsBefore(MinimumVirtualTime, minimum))
            MinimumVirtualTime = minimum;
    }

    private readonly ulong CapClockAt(SchedulerEntity* entity, ulong time) => Math.Max(entity->CapClock, time - Math.Min(time, Lateness));

    /// <summary>Whether an entity has used up its cap and must not run before its <see cref="SchedulerEntity.CapClock"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool IsExhausted(SchedulerEntity* entity, ulong now) => entity->IsCapped && entity->CapClock >= now + Period - Lateness;

    /// <summary>Whether <paramref name="running"/> should leave at once, for somebody who waits and without the end of its turn, or because its cap is used up.</summary>
    public readonly bool ShouldPreempt(SchedulerEntity* running, ulong now) =>
        IsDecided(running, now, out bool goes) ? goes : IsBefore(first->VirtualTime, running->VirtualTime);

    /// <summary>
    /// Whether <paramref name="running"/> has had the shortest turn that there is. False: at <paramref name="end"/>. Else somebody whose sleeps are short
    /// would take the processor again and again before it gets anywhere.
    /// </summary>
    public readonly bool HasRunShortest(SchedulerEntity* running, ulong now, out ulong end)
    {
        end = running->dispatchedAt + Shortest;
        return now >= end;
    }

    /// <summary>The same at the end of its turn: equals take turns.</summary>
    public readonly bool IsTurnOver(SchedulerEntity* running, ulong now) =>
        IsDecided(running, now, out bool goes) ? goes : !IsBefore(running->VirtualTime, first->VirtualTime);

    /// <summary>Whether it is decided without virtual times: by its cap, by precedence, by reserves, or because nobody waits.</summary>
    private readonly bool IsDecided(SchedulerEntity* running, ulong now, out bool goes)
    {
        goes = IsExhausted(running, now);
        if (goes || running->HasPrecedence)
            return true;
        if (urgent != null)
        {
            goes = true;
            return true;
        }
        if (first == null)
            return true;
        TimerEntry* behind = reserves.First;
        if (behind == null || behind->Deadline > now)
            return running->HasReserve && running->ReserveClock <= now;
        goes = !running->HasReserve || behind->Deadline < running->ReserveClock;
        return true;
    }

    /// <summary>The time at which the policy is to be asked again while <paramref name="running"/> runs; MaxValue when only events can change anything.</summary>
    public readonly ulong NextDecision(SchedulerEntity* running, ulong now)
    {
        if (running->HasPrecedence)
            return ulong.MaxValue;
        ulong turn = ulong.MaxValue;
        if (running->IsCapped)
            turn = SchedulerEntity.Remaining(CapClockAt(running, now), running->Cap, now, Period - Lateness);
        if (!IsEmpty)
        {
            turn = Math.Min(turn, Slice);
            if (running->HasReserve && running->ReserveClock <= now)
                turn = Math.Min(turn, SchedulerEntity.Remaining(running->ReserveClock, running->Reserve, now, Period));
            TimerEntry* behind = reserves.First;
            if (behind != null && behind->Deadline > now)
                turn = Math.Min(turn, behind->Deadline - now);
        }
        return turn == ulong.MaxValue ? ulong.MaxValue : now + Math.Max(turn, Shortest);
    }

    /// <summary>
    /// The running entity spins: one of its own group that waits, and may hold what it waits for, gets its place, so that no group gains. With none of
    /// them here it steps behind whoever is first. False: nobody waits.
    /// </summary>
    public bool Yield(SchedulerEntity* running, ulong now)
    {
        if (urgent != null)
            return true;
        if (first == null)
            return false;
        SchedulerEntity* sibling = first;
        while (sibling != null && sibling->Group != running->Group)
            sibling = sibling->next;
        if (sibling == null)
        {
            if (IsBefore(running->VirtualTime, first->VirtualTime))
                running->VirtualTime = first->VirtualTime;
            return true;
        }
        if (IsBefore(sibling->VirtualTime, running->VirtualTime))
            return true;
        Remove(sibling, now);
        ulong place = running->VirtualTime;
        running->VirtualTime = sibling->VirtualTime;
        sibling->VirtualTime = place;
        Insert(sibling, now);
        return true;
    }

    /// <summary>Changes an entity's settings, queued or not. Clocks start anew: what it used under the old ones is forgiven.</summary>
    public void Change(SchedulerEntity* entity, uint weight, uint cap, uint reserve, ulong now)
    {
        bool wasQueued = entity->queued;
        Remove(entity, now);
        entity->Weight = weight;
        entity->Cap = cap;
        entity->Reserve = reserve;
        entity->CapClock = entity->ReserveClock = now;
        if (wasQueued)
            Insert(entity, now);
    }

    private static bool IsBefore(ulong left, ulong right) => (long)(left - right) < 0;
}
