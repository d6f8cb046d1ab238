// Messages and events into a virtual processor's SynIC, and what its writes to SynIC registers bring about.
using System.Numerics;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Core;

public static unsafe class Messages<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Carries out what a SynIC register write asked for.</summary>
    public static void Apply(VirtualProcessor* vp, SynicEffect effect)
    {
        switch (effect.Kind)
        {
            case SynicEffectKind.MessagePageChanged:
                Overlays<TBackend>.MoveMessagePage(vp);
                Redeliver(vp);
                break;
            case SynicEffectKind.EventPageChanged:
                Overlays<TBackend>.MoveEventPage(vp);
                break;
            case SynicEffectKind.ControlChanged:
            case SynicEffectKind.EndOfMessage:
                Redeliver(vp);
                break;
            case SynicEffectKind.SintChanged:
                vp->Synic.UpdateAutoEoi(effect, ref vp->Apic);
                vp->Work |= EntryWork.Interrupts;
                break;
        }
    }

    /// <summary>Slots may be free again: whatever waits goes in.</summary>
    public static void Redeliver(VirtualProcessor* vp)
    {
        if (vp->Synic.QueuedSints != 0)
        {
            vp->SynicLock.Acquire(LockRank.Synic);
            uint delivered = vp->Synic.Redeliver();
            if (EoiBacklog.IsAny && vp->Partition->IsRoot && Intercepts<TBackend>.SendWaitingEois())
                delivered |= 1u << SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX;
            vp->SynicLock.Release(LockRank.Synic);
            for (; delivered != 0; delivered &= delivered - 1)
                AssertSint(vp, vp->Synic.GetInterruptVector(BitOperations.TrailingZeroCount(delivered)));
        }
        if (vp->SyntheticTimers.IsAnyWaiting)
        {
            TimerSink<TBackend> sink = new(vp);
            vp->SyntheticTimers.RetryWaiting(Clock.ReferenceTime(vp->Partition), ref sink);
            Timers<TBackend>.Update(vp);
        }
    }

    /// <summary>Something has arrived at a SINT. One that is polled has no vector: it ends the sleep of who waits in HV_X64_MSR_GUEST_IDLE all the same.</summary>
    internal static void AssertSint(VirtualProcessor* vp, byte vector)
    {
        if (vector != 0)
            AssertVector(vp, vector);
        else if (vp->Synic.HasPolledSints)
            WakePoller(vp);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AssertVector(VirtualProcessor* vp, byte vector) => Interrupts<TBackend>.Assert(vp, vector, false);

    /// <summary>A virtual processor that polls for messages looks again.</summary>
    public static void WakePoller(VirtualProcessor* vp)
    {
        if (!vp->IsHere)
            Visits<TBackend>.Request(vp, VisitRequest.Message);
        else if (!vp->IdleWait)
            Scheduler<TBackend>.EndGrace(vp);
        else
        {
            vp->IdleWait = false;
            Scheduler<TBackend>.Resume(vp, SuspendReason.Halt);
        }
    }

    /// <summary>Queues a message of the core's own (intercepts, EOI notices): it waits for its slot and cannot fail.</summary>
    public static void Enqueue(VirtualProcessor* target, uint sint, PendingMessage* node)
    {
        target->SynicLock.Acquire(LockRank.Synic);
        byte vector = target->Synic.Enqueue((int)sint, node);
        target->SynicLock.Release(LockRank.Synic);
        AssertSint(target, vector);
    }

    /// <summary>Posts a message whose sender can try again.</summary>
    public static HvStatus Post(VirtualProcessor* target, uint sint, HvMessage* message)
    {
        target->SynicLock.Acquire(LockRank.Synic);
        PostResult posted = target->Synic.TryPostMessage((int)sint, message, out byte vector);
        target->SynicLock.Release(LockRank.Synic);
        switch (posted)
        {
            case PostResult.Posted:
                AssertSint(target, vector);
                return HvStatus.HV_STATUS_SUCCESS;
            case PostResult.Busy: return HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS;
            default: return HvStatus.HV_STATUS_INVALID_SYNIC_STATE;
        }
    }

    public static HvStatus SignalEvent(VirtualProcessor* target, uint sint, uint flag) => SignalEvent(target, sint, flag, out _);

    /// <summary>Sets an event flag; <paramref name="newly"/>: it was clear before.</summary>
    public static HvStatus SignalEvent(VirtualProcessor* target, uint sint, uint flag, out bool newly)
    {
        newly = false;
        target->SynicLock.Acquire(LockRank.Synic);
        SignalResult signaled = target->Synic.TrySignalEvent((int)sint, flag, out byte vector);
        target->SynicLock.Release(LockRank.Synic);
        switch (signaled)
        {
            case SignalResult.Signaled:
                newly = true;
                AssertSint(target, vector);
                return HvStatus.HV_STATUS_SUCCESS;
            case SignalResult.AlreadySet: return HvStatus.HV_STATUS_SUCCESS;
            default: return HvStatus.HV_STATUS_INVALID_SYNIC_STATE;
        }
    }
}

/// <summary>Where a virtual processor's synthetic timers deliver to.</summary>
public readonly unsafe struct TimerSink<TBackend> : ITimerSink where TBackend : struct, IBackend
{
    private readonly VirtualProcessor* vp;
    public TimerSink(VirtualProcessor* vp) => this.vp = vp;

    public void AssertDirect(byte vector) => Interrupts<TBackend>.Assert(vp, vector, false);

    public bool TryDeliverMessage(int sint, uint timer, ulong expiration, ulong delivery)
    {
        vp->SynicLock.Acquire(LockRank.Synic);
        PostResult posted = vp->Synic.TryPostTimerMessage(sint, timer, expiration, delivery, out byte vector);
        vp->SynicLock.Release(LockRank.Synic);
        if (posted != PostResult.Posted)
            return false;
        Messages<TBackend>.AssertSint(vp, vector);
        return true;
    }
}
