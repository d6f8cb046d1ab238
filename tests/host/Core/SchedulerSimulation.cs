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
    private readonly ProcessorLoad** loadTable;
    private readonly ProcessorLoads loads;
    private readonly int[] homes;
    private readonly ulong[] burstEnd;
    private readonly ulong[] wokenAt;
    private readonly PriorityQueue<(Kind Kind, int Id, int Version), (ulong Time, long Order)> events = new();
    private long order;

    public ulong Now;
    public int IdleWhileOthersWait;
    public ulong Moves;
    public readonly ulong[] MovesOf;
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
        loadTable = (ProcessorLoad**)NativeMemory.Alloc((nuint)(processorCount * sizeof(ProcessorLoad*)));
        for (int p = 0; p < processorCount; p++) loadTable[p] = (ProcessorLoad*)NativeMemory.AllocZeroed((nuint)sizeof(ProcessorLoad));
        loads = new ProcessorLoads(loadTable, processorCount);
        for (int p = 0; p < processorCount; p++)
        {
            processors[p] = new Processor();
            loads[p]->IsIdle = true;
            queues[p].Slice = Slice;
            queues[p].WakeCredit = Slice;
            queues[p].Period = Period;
            queues[p].Shortest = Shortest;
        }
        homes = new int[count];
        burstEnd = new ulong[count];
        wokenAt = new ulong[count];
        LongestWait = new ulong[count];
        MovesOf = new ulong[count];
        (MostBeyondCap, LeastBeyondReserve, lowestCap, highestReserve) = (new double[count], new double[count], new double[count], new double[count]);
        for (int i = 0; i < count; i++)
        {
            entities[i].Owner = entities + i;
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
        for (int p = 0; p < loads.Count; p++) NativeMemory.Free(loadTable[p]);
        NativeMemory.Free(loadTable);
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

    private void Publish(int p)
    {
        loads[p]->At = processors[p].ChargedTo;
        Placement.Publish(queues + p, processors[p].Running, loads, p);
    }

    private void Wake(int index, bool startsBurst)
    {
        if (startsBurst && !behaviours[index].Spins) burstEnd[index] = entities[index].RunTime + behaviours[index].Burst;
        int home = homes[index];
        wokenAt[index] = Now;
        if (processors[home].Running != null) Charge(home);
        if (!queues[home].TryWake(entities + index, Now)) { Post(Kind.CapEnds, index, entities[index].CapClock); return; }
        Enqueued(home);
    }

    /// <summary>Somebody more waits, and whoever runs is charged.</summary>
    private void Enqueued(int p)
    {
        if (processors[p].Running != null && queues[p].ShouldPreempt(processors[p].Running, Now)) PutBack(p);
        if (processors[p].Running == null) { Dispatch(p); return; }
        Arm(p);
        Publish(p);
        Balance(p);
    }

    /// <summary>Gives away who had better be elsewhere.</summary>
    private void Balance(int p)
    {
        SchedulerEntity* entity;
        int to;
        while (processors[p].Running != null && queues[p].Count != 0 && (entity = Placement.Find(queues + p, loads, p, null, Now, &to)) != null)
        {
            Give(entity, p, to);
            Arrive(entity, to);
        }
    }

    private void Give(SchedulerEntity* entity, int from, int to)
    {
        int index = IndexOf(entity);
        queues[from].Remove(entity, Now);
        Publish(from);
        Placement.Send(entity, queues + from, loads[to], Now);
        homes[index] = to;
        Moves++;
        MovesOf[index]++;
    }

    private void Arrive(SchedulerEntity* entity, int p)
    {
        if (processors[p].Running != null) Charge(p);
        queues[p].Settle(entity, processors[p].Running == null && queues[p].IsEmpty);
        if (!queues[p].TryEnqueue(entity, Now)) Post(Kind.CapEnds, IndexOf(entity), entity->CapClock);
        else Enqueued(p);
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
        else if (queues[p].IsTurnOver(running, Now)) { PutBack(p); Dispatch(p); }
        else
        {
            Arm(p);
            Publish(p);
            Balance(p);
        }
    }

    private void PutBack(int p)
    {
        int index = IndexOf(processors[p].Running);
        wokenAt[index] = Now;
        if (!queues[p].TryEnqueue(entities + index, Now)) Post(Kind.CapEnds, index, entities[index].CapClock);
        processors[p].Running = null;
    }

    private void Dispatch(int p)
    {
        SchedulerEntity* next = queues[p].Take(Now);
        processors[p].Version++;
        if (next == null)
        {
            Publish(p);
            int from = Placement.ToTakeFrom(loads);
            if (from < 0) return;
            next = queues[from].First;
            while (next != null && next->HasPrecedence) next = next->Next;
            if (next == null) return;
            Give(next, from, p);
            Arrive(next, p);
            return;
        }
        int index = IndexOf(next);
        LongestWait[index] = Math.Max(LongestWait[index], Now - wokenAt[index]);
        processors[p].Running = next;
        processors[p].ChargedTo = Now;
        Arm(p);
        Publish(p);
        Balance(p);
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
