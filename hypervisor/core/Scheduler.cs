// Runs virtual processors on this logical processor: halting, waking, suspending, and who is entered next. The policy is RunQueue's.
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class Scheduler<TBackend> where TBackend : struct, IBackend
{
    private const ulong SliceMicroseconds = 4000, WakeCreditMicroseconds = 4000;
    /// <summary>How long the sender of a signal goes on before its receiver takes the processor from it (docs/decisions/0008).</summary>
    private const ulong GraceMicroseconds = 50;
    /// <summary>The root answers for all guests: it runs when it wants to.</summary>
    public const uint RootWeight = 10000;

    public static void Initialize(LogicalProcessor* processor)
    {
        processor->Queue.Slice = Clock.FromMicroseconds(SliceMicroseconds);
        processor->Queue.WakeCredit = Clock.FromMicroseconds(WakeCreditMicroseconds);
        processor->ArmedDeadline = ulong.MaxValue;
        processor->SliceTimer.Owner = null;
    }

    /// <summary>HLT: sleeps unless an interrupt is there already.</summary>
    public static void Halt(VirtualProcessor* vp)
    {
        vp->SuspendReasons |= SuspendReason.Halt;
        vp->Work |= EntryWork.Reschedule | EntryWork.Interrupts;
        Interrupts<TBackend>.WakeIfInterruptible(vp);
    }

    /// <summary>The guest idles until any interrupt is requested, deliverable or not.</summary>
    public static void Idle(VirtualProcessor* vp)
    {
        Interrupts<TBackend>.Synchronize(vp);
        if (vp->NmiPending || vp->Apic.TryGetCandidate(out _))
            return;
        vp->IdleWait = true;
        vp->SuspendReasons |= SuspendReason.Halt;
        vp->Work |= EntryWork.Reschedule;
    }

    /// <summary>Gives a virtual processor a reason not to run. One that is running leaves before its next entry.</summary>
    public static void Suspend(VirtualProcessor* vp, uint reason)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        vp->SuspendReasons |= reason;
        vp->Work |= EntryWork.Reschedule;
        processor->Queue.Remove(&vp->Scheduling);
        if (processor->Running != null)
            processor->Running->Work |= EntryWork.Reschedule;
    }

    /// <summary>Takes reasons away; with the last one the virtual processor is runnable.</summary>
    public static void Resume(VirtualProcessor* vp, uint reason)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if ((vp->SuspendReasons & reason) == 0)
            return;
        vp->SuspendReasons &= ~reason;
        if (!vp->IsRunnable || vp == processor->Running)
            return;
        processor->Queue.Wake(&vp->Scheduling);
        VirtualProcessor* running = processor->Running;
        if (running == null)
            return;
        Charge(processor, running);
        if (!running->IsRunnable || processor->Queue.ShouldPreempt(&running->Scheduling))
            running->Work |= EntryWork.Reschedule;
        else if (!processor->SliceTimer.IsArmed)
            ArmSlice(processor);
    }

    /// <summary>
    /// A running virtual processor has just woken somebody by a signal: it goes on for a moment, unless it halts, so that what it does next
    /// is found in the same turn. Any other interrupt for who waits ends the grace.
    /// </summary>
    public static void GrantGrace(VirtualProcessor* sender)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (sender != processor->Running || !sender->IsRunnable)
            return;
        sender->Work &= ~EntryWork.Reschedule;
        if (processor->InGrace)
            return;
        processor->InGrace = true;
        ulong end = Instructions.RdTsc() + Clock.FromMicroseconds(GraceMicroseconds);
        if (processor->SliceTimer.IsArmed && processor->SliceTimer.Deadline <= end)
            return;
        if (processor->Timers.Arm(&processor->SliceTimer, end))
            Timers<TBackend>.Program(processor);
    }

    /// <summary>An interrupt has come for a virtual processor that may be waiting for the end of a grace.</summary>
    public static void EndGrace(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (processor->InGrace && vp != processor->Running)
            processor->Running->Work |= EntryWork.Reschedule;
    }

    /// <summary>A virtual processor that goes away for good.</summary>
    public static void Remove(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        Suspend(vp, SuspendReason.Explicit);
        if (processor->Timers.Disarm(&vp->Timer))
            Timers<TBackend>.Program(processor);
        if (processor->Loaded == vp)
            processor->Loaded = null;
    }

    /// <summary>The guest spins: the others first.</summary>
    public static void Yield(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (processor->Queue.IsEmpty)
            return;
        Charge(processor, vp);
        SchedulerEntity* first = processor->Queue.First;
        if (first->VirtualTime > vp->Scheduling.VirtualTime)
            vp->Scheduling.VirtualTime = first->VirtualTime;
        vp->Work |= EntryWork.Reschedule;
    }

    /// <summary>Time that a virtual processor has run, in 100 ns.</summary>
    public static ulong RunTime(VirtualProcessor* vp)
    {
        ulong ticks = vp->Scheduling.RunTime;
        if (LogicalProcessor.Current->Running == vp)
            ticks += Instructions.RdTsc() - vp->DispatchTsc;
        return ticks / (Clock.TscHz / 10_000_000);
    }

    /// <summary>The slow half of the way back into a guest: whatever the work word asks for, and perhaps another guest.</summary>
    public static VirtualProcessor* PrepareEntry(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        while (true)
        {
            if ((vp->Work & EntryWork.Reschedule) != 0)
            {
                vp->Work &= ~EntryWork.Reschedule;
                vp = SwitchFrom(processor, vp);
            }
            if ((vp->Work & (EntryWork.Interrupts | EntryWork.Nmi)) != 0)
            {
                vp->Work &= ~(EntryWork.Interrupts | EntryWork.Nmi);
                Interrupts<TBackend>.PrepareEntry(vp);
            }
            if (vp->Work != 0)
                continue;
            if (processor->Loaded != vp)
            {
                if (processor->Loaded != null)
                    TBackend.Leave(processor->Loaded);
                processor->Loaded = vp;
                TBackend.Enter(vp);
            }
            return vp;
        }
    }

    private static VirtualProcessor* SwitchFrom(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        if (processor->Running != null)
            Charge(processor, processor->Running);
        if (vp->IsRunnable)
            processor->Queue.Enqueue(&vp->Scheduling);
        processor->Running = null;
        processor->InGrace = false;
        SchedulerEntity* next = processor->Queue.Take();
        while (next == null)
        {
            // Nobody wants the processor: sleep until an interrupt makes somebody runnable. No timer runs but those that are armed.
            TBackend.Idle();
            next = processor->Queue.Take();
        }
        VirtualProcessor* chosen = (VirtualProcessor*)next->Owner;
        processor->Running = chosen;
        chosen->DispatchTsc = Instructions.RdTsc();
        if (processor->Queue.IsEmpty)
        {
            if (processor->Timers.Disarm(&processor->SliceTimer))
                Timers<TBackend>.Program(processor);
        }
        else
            ArmSlice(processor);
        return chosen;
    }

    private static void ArmSlice(LogicalProcessor* processor)
    {
        if (processor->Timers.Arm(&processor->SliceTimer, Instructions.RdTsc() + processor->Queue.Slice))
            Timers<TBackend>.Program(processor);
    }

    private static void Charge(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        ulong now = Instructions.RdTsc();
        RunQueue.Charge(&vp->Scheduling, now - vp->DispatchTsc);
        vp->DispatchTsc = now;
    }

    /// <summary>The running slice ended: others that wait get their turn if they are behind.</summary>
    public static void SliceEnded(LogicalProcessor* processor)
    {
        VirtualProcessor* running = processor->Running;
        processor->InGrace = false;
        if (running == null || processor->Queue.IsEmpty)
            return;
        Charge(processor, running);
        if (processor->Queue.First->VirtualTime <= running->Scheduling.VirtualTime)
            running->Work |= EntryWork.Reschedule;
        else
            ArmSlice(processor);
    }
}
