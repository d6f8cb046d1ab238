// A machine of some logical processors and many virtual ones in simulated time: everything that the scheduler decides is decided by its own policy.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Hypervisor.Core;

namespace Lamina.Tests.Host.Core;

/// <summary>What a virtual processor does: runs for a burst, sleeps, and so on. A burst of 0 never ends.</summary>
public readonly record struct Behaviour(uint Weight = 100, uint CapPercent = 0, uint ReservePercent = 0, ulong Burst = 0, ulong Sleep = 0, ulong Start = 0, bool IsRoot = false)
{
    public bool Spins => Burst == 0;
    public double Cap => CapPercent * 65536 / 100 / 65536.0;
    public double Reserve => ReservePercent * 65536 / 100 / 65536.0;
}

public sealed unsafe class SchedulerSimulation : IDisposable
{
    /// <summary>Ticks of a microsecond, and the policy's times as the core sets them.</summary>
    public const ulong Microsecond = 100, Slice = 4000 * Microsecond, Period = 10000 * Microsecond, Shortest = 20 * Microsecond;

    private enum Kind { Wake, CapEnds, Decide }

    private sealed class Processor
    {
        public SchedulerEntity* Running;
        public ulong ChargedTo;
        public int Version;
    }

    private readonly Behaviour[] behaviours;
    private readonly SchedulerEntity* entities;
    private readonly RunQueue* queues;
    private readonly Processor[] processors;
    private readonly ProcessorLoad[] loads;
    private readonly int[] homes;
    private readonly ulong[] burstEnd;
    private readonly ulong[] wokenAt;
    private readonly PriorityQueue<(Kind Kind, int Id, int Version), (ulong Time, long Order)> events = new();
    private long order;

    public ulong Now;
    public int IdleWhileOthersWait;
    public ulong Moves;
    /// <summary>The longest time from waking, or from the end of a turn, to running again.</summary>
    public readonly ulong[] LongestWait;
    /// <summary>Of any window: the most beyond cap * window, and the least beyond reserve * window, in ticks.</summary>
    public readonly double[] MostBeyondCap, LeastBeyondReserve;
    private readonly double[] lowestCap, highestReserve;

    public SchedulerSimulation(int processorCount, params Behaviour[] behaviours)
    {
        this.behaviours = behaviours;
        int count = behaviours.Length;
        entities = (SchedulerEntity*)NativeMemory.AllocZeroed((nuint)count, (nuint)sizeof(SchedulerEntity));
        queues = (RunQueue*)NativeMemory.AllocZeroed((nuint)processorCount, (nuint)sizeof(RunQueue));
        processors = new Processor[processorCount];
        loads = new ProcessorLoad[processorCount];
        for (int p = 0; p < processorCount; p++)
        {
            processors[p] = new Processor();
            queues[p].Slice = Slice;
            queues[p].WakeCredit = Slice;
            queues[p].Period = Period;
            queues[p].Shortest = Shortest;
        }
        homes = new int[count];
        burstEnd = new ulong[count];
        wokenAt = new ulong[count];
        LongestWait = new ulong[count];
        (MostBeyondCap, LeastBeyondReserve, lowestCap, highestReserve) = (new double[count], new double[count], new double[count], new double[count]);
        for (int i = 0; i < count; i++)
        {
            entities[i].Weight = behaviours[i].Weight;
            entities[i].Cap = behaviours[i].CapPercent * 65536 / 100;
            entities[i].Reserve = behaviours[i].IsRoot ? SchedulerEntity.Precedence : behaviours[i].ReservePercent * 65536 / 100;
            homes[i] = i % processorCount;
            Post(Kind.Wake, i, behaviours[i].Start);
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(entities);
        NativeMemory.Free(queues);
    }

    public SchedulerEntity* this[int index] => entities + index;
    public ulong RunTime(int index) => entities[index].RunTime;
    public Behaviour Of(int index) => behaviours[index];
    public int Count => behaviours.Length;

    public void SetShares(int index, uint weight, uint capPercent, uint reservePercent)
    {
        int home = homes[index];
        if (processors[home].Running != null) Charge(home);
        queues[home].Change(entities + index, weight, capPercent * 65536 / 100, reservePercent * 65536 / 100, Now);
        if (processors[home].Running != null) Arm(home);
    }

    public void RunUntil(ulong end)
    {
        while (events.TryPeek(out var next, out var at) && at.Time <= end)
        {
            events.Dequeue();
            Now = at.Time;
            if (next.Kind == Kind.Decide) { if (next.Version == processors[next.Id].Version) Decide(next.Id); }
            else Wake(next.Id, next.Kind == Kind.Wake);
            CheckConserving();
        }
        Now = end;
        for (int p = 0; p < processors.Length; p++) if (processors[p].Running != null) { Charge(p); Arm(p); }
        for (int i = 0; i < Count; i++) if (entities[i].IsQueued) LongestWait[i] = Math.Max(LongestWait[i], Now - wokenAt[i]);
    }

    private void Post(Kind kind, int id, ulong time, int version = 0) => events.Enqueue((kind, id, version), (time, order++));
    private int IndexOf(SchedulerEntity* entity) => (int)(entity - entities);

    private ReadOnlySpan<ProcessorLoad> Loads()
    {
        for (int p = 0; p < processors.Length; p++) loads[p] = new ProcessorLoad { Waiting = queues[p].Count, IsIdle = processors[p].Running == null };
        return loads;
    }

    private int Place(int index)
    {
        int home = Placement.ToQueueOn(Loads(), homes[index]);
        if (home != homes[index]) { RunQueue.Move(entities + index, queues[homes[index]].MinimumVirtualTime, queues + home); Moves++; }
        return homes[index] = home;
    }

    private void Wake(int index, bool startsBurst)
    {
        if (startsBurst && !behaviours[index].Spins) burstEnd[index] = entities[index].RunTime + behaviours[index].Burst;
        int home = Place(index);
        wokenAt[index] = Now;
        if (processors[home].Running != null) Charge(home);
        if (!queues[home].TryWake(entities + index, Now)) { Post(Kind.CapEnds, index, entities[index].CapClock); return; }
        if (processors[home].Running == null) { Dispatch(home); return; }
        if (queues[home].ShouldPreempt(processors[home].Running, Now)) { PutBack(home, false); Dispatch(home); }
        else Arm(home);
    }

    private void Decide(int p)
    {
        SchedulerEntity* running = processors[p].Running;
        Charge(p);
        int index = IndexOf(running);
        if (!behaviours[index].Spins && running->RunTime >= burstEnd[index])
        {
            processors[p].Running = null;
            Post(Kind.Wake, index, Now + behaviours[index].Sleep);
            Dispatch(p);
        }
        else if (queues[p].IsTurnOver(running, Now)) { PutBack(p, true); Dispatch(p); }
        else Arm(p);
    }

    private void PutBack(int p, bool isTurnOver)
    {
        int index = IndexOf(processors[p].Running);
        // Whoever is in the middle of a turn stays: elsewhere it would wait for the end of another's.
        int home = isTurnOver ? Place(index) : p;
        wokenAt[index] = Now;
        if (!queues[home].TryEnqueue(entities + index, Now)) Post(Kind.CapEnds, index, entities[index].CapClock);
        processors[p].Running = null;
    }

    private void Dispatch(int p)
    {
        SchedulerEntity* next = queues[p].Take(Now);
        if (next == null)
        {
            int from = Placement.ToTakeFrom(Loads());
            if (from >= 0) { next = queues[from].TakeFor(queues + p, Now); Moves++; }
        }
        processors[p].Version++;
        if (next == null) return;
        int index = IndexOf(next);
        homes[index] = p;
        LongestWait[index] = Math.Max(LongestWait[index], Now - wokenAt[index]);
        processors[p].Running = next;
        processors[p].ChargedTo = Now;
        Arm(p);
    }

    private void Arm(int p)
    {
        SchedulerEntity* running = processors[p].Running;
        int index = IndexOf(running);
        ulong next = queues[p].NextDecision(running, Now);
        if (!behaviours[index].Spins) next = Math.Min(next, Now + burstEnd[index] - running->RunTime);
        processors[p].Version++;
        if (next != ulong.MaxValue) Post(Kind.Decide, p, next, processors[p].Version);
    }

    private void Charge(int p)
    {
        SchedulerEntity* running = processors[p].Running;
        int index = IndexOf(running);
        ulong ticks = Now - processors[p].ChargedTo;
        Measure(index, processors[p].ChargedTo);
        queues[p].Charge(running, Now, ticks);
        processors[p].ChargedTo = Now;
        Measure(index, Now);
    }

    // What was used beyond a constant rate in a window is the rise of (used - rate * time) in it: the most, or least, of all windows by one running extreme.
    private void Measure(int index, ulong time)
    {
        double cap = entities[index].RunTime - behaviours[index].Cap * time, reserve = entities[index].RunTime - behaviours[index].Reserve * time;
        lowestCap[index] = Math.Min(lowestCap[index], cap);
        MostBeyondCap[index] = Math.Max(MostBeyondCap[index], cap - lowestCap[index]);
        highestReserve[index] = Math.Max(highestReserve[index], reserve);
        LeastBeyondReserve[index] = Math.Min(LeastBeyondReserve[index], reserve - highestReserve[index]);
    }

    private void CheckConserving()
    {
        bool idle = false, waiting = false;
        for (int p = 0; p < processors.Length; p++) { idle |= processors[p].Running == null; waiting |= queues[p].Count != 0; }
        if (idle && waiting) IdleWhileOthersWait++;
    }
}
