// Which of several logical processors an entity runs on: where it wakes, from whom an idle processor takes one, and how shares hold between them.
using System.Runtime.CompilerServices;

namespace Lamina.Hypervisor.Core;

/// <summary>What a processor publishes of itself. Others read it without its lock: a stale value makes a worse choice, never a wrong one.</summary>
public struct ProcessorLoad
{
    /// <summary>How many wait in its queue.</summary>
    public uint Waiting;
    /// <summary>Nobody runs on it.</summary>
    public bool IsIdle;
    /// <summary>Weights of all that want it, the running one's included.</summary>
    public uint Weight;
    /// <summary>Its queue's <see cref="RunQueue.Clock"/>, and the TSC of that. From there on it goes on as fast as its weight lets it: a processor without turns to decide says nothing for long.</summary>
    public ulong Clock, At;

    internal readonly ulong ClockAt(ulong now) => (long)(now - At) <= 0 ? Clock : Clock + SchedulerEntity.Scale(now - At, Weight);
}

/// <summary>What all processors publish.</summary>
public readonly unsafe struct ProcessorLoads(ProcessorLoad** all, int count)
{
    private readonly ProcessorLoad** all = all;
    public readonly int Count = count;
    public ProcessorLoad* this[int index] => all[index];
}

/// <summary>
/// No processor is idle while somebody waits: who wakes goes to an idle one if there is any, and who becomes idle takes from the longest queue.
/// Weights hold between processors, too: a queue's virtual time goes on the slower the more weight it carries, and who waits in one that is a turn behind is given to one that
/// carries less and is ahead, one in a period. It takes along what it is owed, so that shares come out right over time even where no distribution of weights is even.
/// None of this looks at more than a few words of each of the other processors, at moments that there are anyway.
/// </summary>
public static unsafe class Placement
{
    /// <summary>A processor that nobody runs on: <paramref name="last"/> if that is one (its caches are there); -1 for none.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int FindIdle(ProcessorLoads loads, int last)
    {
        if (loads[last]->IsIdle)
            return last;
        for (int i = 0; i < loads.Count; i++)
            if (loads[i]->IsIdle)
                return i;
        return -1;
    }

    /// <summary>The processor that an idle one takes from: the one with the longest queue; -1 when nobody waits anywhere.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static int ToTakeFrom(ProcessorLoads loads)
    {
        int best = -1;
        for (int i = 0; i < loads.Count; i++)
            if (loads[i]->Waiting != 0 && (best < 0 || loads[i]->Waiting > loads[best]->Waiting))
                best = i;
        return best;
    }

    /// <summary>
    /// Who waits on processor <paramref name="self"/> and had better be elsewhere, and where; null for nobody. <paramref name="kept"/>: whose state cannot leave now, or null.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static SchedulerEntity* Find(RunQueue* queue, ProcessorLoads loads, int self, void* kept, ulong now, int* to)
    {
        // One with precedence may wait beside the order: he stays.
        if (queue->First == null)
            return null;
        ProcessorLoad* own = loads[self], other;
        ulong clock = 0, turn = 0;
        int index = FindIdle(loads, self);
        bool isIdle = index >= 0;
        if (index == self || !isIdle && ((long)(now - queue->NextMove) < 0 || (index = FindAhead(queue, loads, self, now, &clock)) < 0))
            return null;
        *to = index;
        other = loads[index];
        // Virtual time of a turn of somebody of the usual weight here.
        if (!isIdle)
            turn = SchedulerEntity.Scale(queue->Slice, own->Weight / (queue->Count + 1));
        SchedulerEntity* found = null;
        for (SchedulerEntity* entity = queue->First; entity != null; entity = entity->Next)
        {
            if (entity->HasPrecedence || entity->Owner == kept)
                continue;
            if (isIdle)
                return entity;
            // First who makes the two more even by it. Else nobody can, and the one who is owed twice as much has its time there.
            bool evens = 2 * entity->Weight + other->Weight <= own->Weight;
            if (!evens && found != null || !queue->IsOwed(entity, clock, evens ? turn : 2 * turn, now))
                continue;
            found = entity;
            if (evens)
                break;
        }
        return found;
    }

    /// <summary>Of the processors that carry less weight the one that is furthest ahead; -1 for none. What two are apart beyond a few turns is forgotten.</summary>
    private static int FindAhead(RunQueue* queue, ProcessorLoads loads, int self, ulong now, ulong* clock)
    {
        ulong own = queue->Clock, forgotten = queue->First->Scale(6 * queue->Slice), furthest = 0;
        int best = -1;
        for (int i = 0; i < loads.Count; i++)
        {
            ProcessorLoad* other = loads[i];
            if (i == self)
                continue;
            ulong at = other->ClockAt(now);
            if ((long)(own - at) > (long)forgotten)
            {
                // Somebody there wants more than one processor can give; that is no claim on others.
                if (other->At != long.MaxValue)
                    other->At = now;
                other->Clock = at = own - forgotten;
            }
            if (other->Weight >= loads[self]->Weight || best >= 0 && (long)(at - furthest) <= 0)
                continue;
            best = i;
            furthest = at;
        }
        if (best >= 0 && (long)(furthest - own) > (long)forgotten)
            queue->Skew += furthest - forgotten - own;
        *clock = furthest;
        return best;
    }

    /// <summary>
    /// Says what processor <paramref name="self"/> has to do; <paramref name="running"/>: null for nobody, else charged up to what <see cref="ProcessorLoad.At"/> says already.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Publish(RunQueue* queue, SchedulerEntity* running, ProcessorLoads loads, int self)
    {
        ProcessorLoad* load = loads[self];
        bool wasIdle = load->IsIdle;
        load->Waiting = queue->Count;
        load->Weight = queue->QueuedWeight;
        load->IsIdle = running == null && queue->Count == 0;
        if (running != null)
            load->Weight += running->Weight;
        // Nobody's virtual time goes on meanwhile.
        if (running == null || running->HasPrecedence)
            load->At = long.MaxValue;
        if (load->IsIdle)
            return;
        ulong clock = load->Clock;
        // While it was idle the others went on.
        if (wasIdle)
            for (int i = 0; i < loads.Count; i++)
                if (!loads[i]->IsIdle && (long)(loads[i]->Clock - clock) > 0)
                    clock = loads[i]->Clock;
        if ((long)(clock - queue->Clock) > 0)
            queue->Skew = clock - queue->MinimumVirtualTime;
        load->Clock = queue->Clock;
    }

    /// <summary>An entity that is not queued any more goes from one processor to another, to <see cref="RunQueue.Settle"/> there.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Send(SchedulerEntity* entity, RunQueue* from, ProcessorLoad* to, ulong now)
    {
        bool isIdle = to->IsIdle;
        if (!isIdle)
            from->NextMove = now + from->Period;
        entity->VirtualTime += from->Skew;
        // Until that one says what it has itself.
        to->IsIdle = false;
        to->Waiting++;
        to->Weight += entity->Weight;
        if (isIdle)
            to->Clock = entity->VirtualTime;
    }
}
