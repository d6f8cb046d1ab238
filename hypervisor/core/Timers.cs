// Deadlines of virtual processors on the one physical timer. Tickless: the timer is set for the soonest deadline that somebody armed, or not at all.
using System;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class Timers<TBackend> where TBackend : struct, IBackend
{
    /// <summary>A virtual processor's APIC timer or synthetic timers changed: its next deadline is found and armed.</summary>
    public static void Update(VirtualProcessor* vp) => Set(LogicalProcessor.Current, vp, DeadlineOf(vp, Instructions.RdTsc()));

    /// <summary>
    /// The guest has armed its APIC timer anew, or disarmed it. What is due by now comes at once: it need not go the way of the physical timer, whose
    /// interrupt the guest would leave the processor for.
    /// </summary>
    public static void Change(VirtualProcessor* vp)
    {
        if (vp->Apic.Expire(Instructions.RdTsc() + vp->TscOffset))
            Interrupts<TBackend>.OnRequested(vp);
        Update(vp);
    }

    /// <summary>Nothing of a virtual processor comes due, until <see cref="Update"/>.</summary>
    public static void Stop(VirtualProcessor* vp) => Set(LogicalProcessor.Current, vp, ulong.MaxValue);

    private static ulong DeadlineOf(VirtualProcessor* vp, ulong now)
    {
        ulong deadline = ulong.MaxValue;
        if (vp->Apic.TryGetDeadline(out ulong guestTsc))
            deadline = GuestDeadline.ToHost(guestTsc, vp->TscOffset, now);
        if (vp->SyntheticTimers.IsAnyArmed && vp->SyntheticTimers.TryGetDeadline(out ulong reference))
            deadline = Math.Min(deadline, Clock.ToTsc(vp->Partition, reference, now));
        return deadline;
    }

    private static void Set(LogicalProcessor* processor, VirtualProcessor* vp, ulong deadline)
    {
        if (deadline == ulong.MaxValue && !vp->Timer.IsArmed)
            return;
        bool changed = deadline == ulong.MaxValue ? processor->Timers.Disarm(&vp->Timer) : processor->Timers.Arm(&vp->Timer, deadline);
        if (changed)
            Program(processor);
    }

    /// <summary>Sets the physical timer for the soonest deadline.</summary>
    public static void Program(LogicalProcessor* processor)
    {
        ulong deadline = processor->Timers.NextDeadline;
        if (deadline == processor->ArmedDeadline)
            return;
        processor->ArmedDeadline = deadline;
        if (deadline == ulong.MaxValue)
        {
            PhysicalApic.SetTimer(ulong.MaxValue, 0);
            return;
        }
        ulong now = Instructions.RdTsc();
        PhysicalApic.SetTimer(deadline, deadline > now ? Clock.ToApicTicks(deadline - now) : 1);
    }

    /// <summary>The physical timer fired.</summary>
    public static void Expire(LogicalProcessor* processor)
    {
        processor->ArmedDeadline = ulong.MaxValue;
        ulong now = Instructions.RdTsc();
        TimerEntry* entry;
        while ((entry = processor->Timers.TakeExpired(now)) != null)
        {
            if (entry == &processor->SliceTimer)
                Scheduler<TBackend>.SliceEnded(processor);
            else if (entry == &((VirtualProcessor*)entry->Owner)->CapTimer)
                Scheduler<TBackend>.CapEnded(processor, (VirtualProcessor*)entry->Owner);
            else
                Expire((VirtualProcessor*)entry->Owner, now);
        }
        Program(processor);
    }

    private static void Expire(VirtualProcessor* vp, ulong now)
    {
        // A tick taken and not yet ended must not swallow the next one.
        Interrupts<TBackend>.Synchronize(vp);
        vp->Work |= EntryWork.Interrupts;
        vp->Apic.Expire(now + vp->TscOffset);
        if (vp->SyntheticTimers.IsAnyArmed)
        {
            TimerSink<TBackend> sink = new(vp);
            vp->SyntheticTimers.Expire(Clock.ReferenceTime(vp->Partition), ref sink);
        }
        if ((vp->SuspendReasons & SuspendReason.Halt) != 0)
            Interrupts<TBackend>.WakeIfInterruptible(vp);
        else
            Scheduler<TBackend>.EndGrace(vp);
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (vp == processor->Running)
            Update(vp);
        else
            PutOff(processor, vp);
    }

    /// <summary>
    /// The next deadlines of one that does not run: short periods would take the time of whoever does, and what it misses merges anyhow. One that
    /// waits for its turn, or for its parent, has them looked at when that comes; one that sleeps over what is requested already, now and then; one
    /// of which this expiry requested nothing, soon, for the next one may wake it.
    /// </summary>
    private static void PutOff(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        const ulong deafMicroseconds = 10_000, asleepMicroseconds = 1000;
        // Its timer was the only one, and no periodic one: there is nothing to put off.
        if (!vp->SyntheticTimers.IsAnyArmed && !vp->Apic.TryGetDeadline(out _))
            return;
        vp->Work |= EntryWork.Timers;
        ulong deadline = ulong.MaxValue;
        ulong now = Instructions.RdTsc();
        if ((vp->SuspendReasons & SuspendReason.Halt) != 0 && (deadline = DeadlineOf(vp, now)) != ulong.MaxValue)
            deadline = Math.Max(deadline, now + Clock.FromMicroseconds(vp->Apic.HighestRequest >= 0 ? deafMicroseconds : asleepMicroseconds));
        Set(processor, vp, deadline);
    }
}
