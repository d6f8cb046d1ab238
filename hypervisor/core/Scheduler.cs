// Runs virtual processors on this logical processor: halting, waking, suspending, and who is entered next. The policy is RunQueue's.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe partial class Scheduler<TBackend> where TBackend : struct, IBackend
{
    private const ulong SliceMicroseconds = 4000, WakeCreditMicroseconds = 4000, PeriodMicroseconds = 10000, ShortestMicroseconds = 20;
    /// <summary>How long the sender of a signal goes on before its receiver takes the processor from it (docs/decisions/0008).</summary>
    private const ulong GraceMicroseconds = 50;

    public static void Initialize(LogicalProcessor* processor)
    {
        processor->Queue.Slice = Clock.FromMicroseconds(SliceMicroseconds);
        processor->Queue.WakeCredit = Clock.FromMicroseconds(WakeCreditMicroseconds);
        processor->Queue.Period = Clock.FromMicroseconds(PeriodMicroseconds);
        processor->Queue.Shortest = Clock.FromMicroseconds(ShortestMicroseconds);
        processor->ArmedDeadline = ulong.MaxValue;
        processor->SliceTimer.Owner = null;
    }

    /// <summary>HLT: sleeps unless an interrupt is there already. Then it has never slept, and its turn goes on.</summary>
    public static void Halt(VirtualProcessor* vp)
    {
        if (!Interrupts<TBackend>.IsWoken(vp))
        {
            vp->SuspendReasons |= SuspendReason.Halt;
            vp->Work |= EntryWork.Reschedule | EntryWork.Interrupts;
        }
        else if (vp->OfferedVector == 0)
            vp->Work |= EntryWork.Interrupts;
    }

    /// <summary>The guest idles until any interrupt is requested, deliverable or not, or a message has come that it polls for.</summary>
    public static void Idle(VirtualProcessor* vp)
    {
        // What the guest took counts, the task priority does not.
        if (!TBackend.TryRefreshApic(vp) && vp->OfferedVector != 0)
            Interrupts<TBackend>.Synchronize(vp);
        if (vp->NmiPending || vp->Apic.TryGetCandidate(out _) || vp->Synic.IsPolledMessageWaiting)
            return;
        vp->IdleWait = true;
        vp->SuspendReasons |= SuspendReason.Halt;
        vp->Work |= EntryWork.Reschedule;
    }

    /// <summary>Gives a virtual processor a reason not to run. One that is running leaves before its next entry.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Suspend(VirtualProcessor* vp, uint reason)
    {
        vp->SuspendReasons |= reason;
        vp->Work |= EntryWork.Reschedule;
        if (vp->Scheduling.IsQueued)
            Unqueue(vp);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Unqueue(VirtualProcessor* vp) => LogicalProcessor.Current->Queue.Remove(&vp->Scheduling, Instructions.RdTsc());

    /// <summary>Takes reasons away; with the last one the virtual processor is runnable.</summary>
    [SkipLocalsInit]
    public static void Resume(VirtualProcessor* vp, uint reason)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if ((vp->SuspendReasons & reason) == 0)
            return;
        vp->SuspendReasons &= ~reason;
        if (!vp->IsRunnable || vp == processor->Running || IsOfTurn(processor, vp))
            return;
        Settle(processor);
        Admit(processor, vp);
    }

    /// <summary>Queues a virtual processor that has become runnable, and has the running one leave for it if that is due.</summary>
    private static void Admit(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        ulong now = Instructions.RdTsc();
        VirtualProcessor* running = processor->Running;
        // Who has precedence has no place in virtual time, and gives the others none.
        bool isOrdered = !vp->Scheduling.HasPrecedence && running != null && !running->Scheduling.HasPrecedence;
        if (isOrdered)
            Charge(processor, running, now);
        if (!processor->Queue.TryWake(&vp->Scheduling, now))
        {
            WaitForCap(processor, vp);
            return;
        }
        if (!LogicalProcessors.IsSingle)
            ProcessorBalance.NoteWaiting(processor);
        if (running == null)
            return;
        if (!running->IsRunnable)
            running->Work |= EntryWork.Reschedule;
        else if (!isOrdered)
        {
            if (!running->Scheduling.HasPrecedence)
                running->Work |= EntryWork.Reschedule;
        }
        else if (!processor->Queue.ShouldPreempt(&running->Scheduling, now))
            ArmDecision(processor, now);
        else if (processor->Queue.HasRunShortest(&running->Scheduling, now, out ulong end))
        {
            running->Work |= EntryWork.Reschedule;
            processor->IsPreempted = true;
        }
        else
            ArmSlice(processor, end);
    }

    /// <summary>
    /// A running virtual processor has just woken somebody by a signal: it goes on for a moment, unless it halts, so that what it does next
    /// is found in the same turn. Any other interrupt for who waits ends the grace.
    /// </summary>
    public static void GrantGrace(VirtualProcessor* sender)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        // One with a cap may have to leave because that is used up.
        if (sender != processor->Running || !sender->IsRunnable || sender->Scheduling.IsCapped)
            return;
        sender->Work &= ~EntryWork.Reschedule;
        if (processor->InGrace)
            return;
        processor->InGrace = true;
        ArmSlice(processor, Instructions.RdTsc() + Clock.FromMicroseconds(GraceMicroseconds));
    }

    /// <summary>An interrupt has come for a virtual processor that may be waiting for the end of a grace.</summary>
    public static void EndGrace(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (processor->InGrace && vp != processor->Running)
            processor->Running->Work |= EntryWork.Reschedule;
    }

    /// <summary>A virtual processor that goes away, for good or to another processor. Its registers are in memory already.</summary>
    private static void Forget(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        Settle(processor);
        processor->Queue.Remove(&vp->Scheduling, Instructions.RdTsc());
        if (processor->Timers.Disarm(&vp->Timer) | processor->Timers.Disarm(&vp->CapTimer))
            Timers<TBackend>.Program(processor);
        if (processor->Running == vp)
        {
            processor->Running = null;
            processor->InGrace = false;
        }
        if (processor->Loaded == vp)
            processor->Loaded = null;
        ProcessorBalance.Publish(processor);
    }

    /// <summary>A virtual processor, explicitly suspended, that goes away for good.</summary>
    public static void Remove(VirtualProcessor* vp) => Forget(LogicalProcessor.Current, vp);

    /// <summary>The guest spins: the others first, above all one of its own that waits here. TLFS, "HvCallNotifyLongSpinWait".</summary>
    public static void Yield(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        Settle(processor);
        ulong now = Instructions.RdTsc();
        Charge(processor, vp, now);
        if (processor->Queue.Yield(&vp->Scheduling, now))
            vp->Work |= EntryWork.Reschedule;
        // Whom it waits for may have been handed over to this processor, with a request that an emulator has lost (docs/decisions/0005).
        if (!LogicalProcessors.IsSingle && (System.Threading.Volatile.Read(ref processor->Visitors) | System.Threading.Volatile.Read(ref processor->Calls)
            | System.Threading.Volatile.Read(ref processor->Seekers)) != 0)
            vp->Work |= EntryWork.Visitors;
    }

    /// <summary>Sets the shares of a partition's virtual processor, as the partition has them now.</summary>
    public static void SetShares(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        Partition* partition = vp->Partition;
        Settle(processor);
        ulong now = Instructions.RdTsc();
        if (processor->Running != null)
            Charge(processor, processor->Running, now);
        processor->Queue.Change(&vp->Scheduling, partition->CpuWeight, partition->CpuCap, partition->CpuReserve, now);
        // What it has to wait for, or how long, may be no more.
        if ((vp->SuspendReasons & SuspendReason.Cap) != 0)
            CapEnded(processor, vp);
        else if (processor->Running != null)
            ArmDecision(processor, now);
    }

    /// <summary>Brings a virtual processor's times in its counters up to now: else they are those of its last change.</summary>
    public static void UpdateCounters(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        Settle(processor);
        ulong now = Instructions.RdTsc();
        if (vp == processor->Running)
            Charge(processor, vp, now);
        ((ulong*)vp->Stats)[HvStatsVpCounters.VpWaitingForCpuTime] = Clock.ToReferenceTicks(vp->Scheduling.WaitTimeUntil(now));
    }

    /// <summary>Time that a virtual processor has run, in 100 ns.</summary>
    public static ulong RunTime(VirtualProcessor* vp)
    {
        Settle(LogicalProcessor.Current);
        ulong ticks = vp->Scheduling.RunTime;
        if (LogicalProcessor.Current->Running == vp)
            ticks += Instructions.RdTsc() - vp->DispatchTsc;
        return Clock.ToReferenceTicks(ticks);
    }

    /// <summary>
    /// The slow half of the way back into a guest: whatever the work word asks for, and perhaps another guest. Null: nobody is to be entered before
    /// the world switch has put the state in its registers into memory and called <see cref="Park"/>.
    /// </summary>
    [SkipLocalsInit]
    public static VirtualProcessor* PrepareEntry(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        Ranks.RequireNone();
        // Nothing but this to be done, and nobody else's business: see Scheduler.Answers.cs.
        if (vp->Work == EntryWork.Reschedule && LogicalProcessors.IsSingle)
        {
            VirtualProcessor* next = PassTurn(processor, vp);
            if (next != null)
            {
                vp->Work = 0;
                vp = next;
                if (vp->Work == 0)
                {
                    Load(processor, vp);
                    return vp;
                }
            }
        }
        processor->InRegisters = processor->Loaded;
        while (true)
        {
            if ((vp->Work & EntryWork.Visitors) != 0)
            {
                vp->Work &= ~EntryWork.Visitors;
                Visits<TBackend>.Receive(processor);
                GiveAway(processor);
                if (processor->IsParkWanted || System.Threading.Volatile.Read(ref processor->Calls) != 0)
                    return Unload(processor);
            }
            if ((vp->Work & EntryWork.Reschedule) != 0)
            {
                vp->Work &= ~EntryWork.Reschedule;
                VirtualProcessor* next = PassTurn(processor, vp);
                vp = next != null ? next : SwitchFrom(processor, vp);
                if (vp == null || !LogicalProcessors.IsSingle && processor->Loaded != null && ProcessorBalance.IsUneven(processor))
                    return Unload(processor);
            }
            if ((vp->Work & EntryWork.Timers) != 0)
            {
                vp->Work &= ~EntryWork.Timers;
                Timers<TBackend>.Update(vp);
            }
            if ((vp->Work & (EntryWork.Interrupts | EntryWork.Nmi)) != 0)
            {
                vp->Work &= ~(EntryWork.Interrupts | EntryWork.Nmi);
                Interrupts<TBackend>.PrepareEntry(vp);
            }
            if (vp->Work != 0)
                continue;
            if (processor->Loaded != vp)
                Load(processor, vp);
            if (!LogicalProcessors.IsSingle)
                Announce(processor, vp);
            return vp;
        }
    }

    /// <summary>What the world switch does not exchange, for another one than the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        if (processor->Loaded != null)
            TBackend.Leave(processor->Loaded);
        processor->Loaded = vp;
        TBackend.Enter(vp);
    }

    private static VirtualProcessor* SwitchFrom(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        if (processor->Asking != null)
        {
            SettleTurn(processor);
            // Whoever answered goes on: nobody takes the processor from it.
            if (vp == processor->Running && vp->IsRunnable && vp->Scheduling.HasPrecedence)
            {
                ProcessorBalance.Publish(processor);
                return vp;
            }
        }
        ulong now = Instructions.RdTsc();
        if (processor->Running != null)
            Charge(processor, processor->Running, now);
        if (vp->IsRunnable && !processor->Queue.TryEnqueue(&vp->Scheduling, now))
            WaitForCap(processor, vp);
        processor->Running = null;
        processor->InGrace = processor->IsPreempted = false;
        return Dispatch(processor, now);
    }

    /// <summary>Whose turn it is; null when nobody wants the processor and it has to park before it sleeps, since others may want something of it.</summary>
    private static VirtualProcessor* Dispatch(LogicalProcessor* processor, ulong now)
    {
        SchedulerEntity* next = processor->Queue.Take(now);
        if (next == null && LogicalProcessors.IsSingle)
            next = Idle(processor, out now);
        if (next == null)
        {
            ProcessorBalance.Publish(processor);
            return null;
        }
        VirtualProcessor* chosen = (VirtualProcessor*)next->Owner;
        processor->Running = chosen;
        System.Threading.Volatile.Write(ref processor->Entered, (ulong)chosen);
        if (chosen != processor->InRegisters)
            processor->Count(HvStatsLpCounters.LpContextSwitches);
        chosen->DispatchTsc = now;
        ulong* counters = (ulong*)chosen->Stats;
        counters[HvStatsVpCounters.VpLogicalProcessorDispatches] = next->Dispatches;
        counters[HvStatsVpCounters.VpWaitingForCpuTime] = Clock.ToReferenceTicks(next->WaitTime);
        if (!next->HasPrecedence && (!processor->Queue.IsEmpty || next->IsCapped))
            ArmDecision(processor, now);
        if (!LogicalProcessors.IsSingle)
            ProcessorBalance.Publish(processor);
        return chosen;
    }

    /// <summary>Nobody wants the processor: it sleeps until an interrupt makes somebody runnable. No timer runs but those that are armed.</summary>
    private static SchedulerEntity* Idle(LogicalProcessor* processor, out ulong now)
    {
        if (processor->Timers.Disarm(&processor->SliceTimer))
            Timers<TBackend>.Program(processor);
        while (true)
        {
            Halt(processor);
            now = Instructions.RdTsc();
            SchedulerEntity* next = processor->Queue.Take(now);
            if (next != null)
                return next;
        }
    }

    private static void Halt(LogicalProcessor* processor)
    {
        ulong before = Instructions.RdTsc();
        TBackend.Idle();
        processor->IdleTime += Instructions.RdTsc() - before;
        processor->Count(HvStatsLpCounters.LpProcessorHalts);
    }

    /// <summary>Arms the timer for the policy's next decision.</summary>
    private static void ArmDecision(LogicalProcessor* processor, ulong now)
    {
        ulong next = processor->Queue.NextDecision(&processor->Running->Scheduling, now);
        if (next != ulong.MaxValue)
            ArmSlice(processor, next);
    }

    /// <summary>
    /// A timer that is armed earlier than needed stays: it is set at most once for a turn, not at each switch to the root and back, and who is asked
    /// too early asks for a later time.
    /// </summary>
    private static void ArmSlice(LogicalProcessor* processor, ulong end)
    {
        if (processor->SliceTimer.IsArmed && processor->SliceTimer.Deadline <= end)
            return;
        if (processor->Timers.Arm(&processor->SliceTimer, end))
            Timers<TBackend>.Program(processor);
    }

    private static void Charge(LogicalProcessor* processor, VirtualProcessor* vp, ulong now)
    {
        processor->Queue.Charge(&vp->Scheduling, now, now - vp->DispatchTsc);
        vp->DispatchTsc = now;
        ((ulong*)vp->Stats)[HvStatsVpCounters.VpTotalRunTime] = Clock.ToReferenceTicks(vp->Scheduling.RunTime);
    }

    /// <summary>The policy asked to be asked again: a cap may be used up, a turn over, somebody behind its reserve.</summary>
    public static void SliceEnded(LogicalProcessor* processor)
    {
        VirtualProcessor* running = processor->Running;
        processor->InGrace = false;
        if (running == null || running->Scheduling.HasPrecedence)
            return;
        ulong now = Instructions.RdTsc();
        Charge(processor, running, now);
        if (processor->Queue.IsTurnOver(&running->Scheduling, now))
            running->Work |= EntryWork.Reschedule;
        else
        {
            ArmDecision(processor, now);
            if (!LogicalProcessors.IsSingle)
                ProcessorBalance.NoteWaiting(processor);
        }
    }

    private static void WaitForCap(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        vp->SuspendReasons |= SuspendReason.Cap;
        if (processor->Timers.Arm(&vp->CapTimer, vp->Scheduling.CapClock))
            Timers<TBackend>.Program(processor);
    }

    /// <summary>A virtual processor may run again: its cap was used up.</summary>
    public static void CapEnded(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        if (processor->Timers.Disarm(&vp->CapTimer))
            Timers<TBackend>.Program(processor);
        Resume(vp, SuspendReason.Cap);
    }
}
