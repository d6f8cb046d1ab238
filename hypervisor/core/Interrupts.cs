// Interrupts into virtual processors: requested in the virtual APIC, offered to the processor, taken by the guest.
using Lamina.Abi;
using Lamina.Hypervisor.Apic;

namespace Lamina.Hypervisor.Core;

public static unsafe class Interrupts<TBackend> where TBackend : struct, IBackend
{
    /// <summary>
    /// Takes over what the guest did without an exit: the offered vector that it has taken, and its task priority.
    /// To be called before the virtual APIC is looked at.
    /// </summary>
    public static void Synchronize(VirtualProcessor* vp)
    {
        if (TBackend.TryRefreshApic(vp))
            return;
        byte offered = vp->OfferedVector;
        if (offered != 0 && TBackend.IsOfferTaken(vp))
        {
            vp->OfferedVector = 0;
            vp->Apic.Acknowledge(offered);
            vp->Count(HvStatsVpCounters.VpVirtualInterrupts);
        }
        vp->Apic.TaskPriority = TBackend.GetTaskPriority(vp);
    }

    /// <summary>Requests a vector at a virtual processor and wakes it if it sleeps.</summary>
    public static void Assert(VirtualProcessor* vp, byte vector, bool level)
    {
        if (!vp->IsHere)
        {
            vp->Posted.Post(vector, level);
            Visits<TBackend>.Request(vp, VisitRequest.Interrupt);
            return;
        }
        // The guest may have taken the same vector already, and not ended it yet: then this is a request of its own.
        Synchronize(vp);
        if (!vp->Apic.Assert(vector, level))
            return;
        OnRequested(vp);
    }

    /// <summary>What others have posted for a virtual processor of this one.</summary>
    public static void TakePosted(VirtualProcessor* vp)
    {
        Synchronize(vp);
        if (vp->Posted.Drain(ref vp->Apic))
            OnRequested(vp);
    }

    /// <summary>A vector is newly requested, of a virtual processor of this processor.</summary>
    public static void OnRequested(VirtualProcessor* vp)
    {
        vp->Work |= EntryWork.Interrupts;
        if ((vp->SuspendReasons & SuspendReason.Halt) != 0)
            WakeIfInterruptible(vp);
        else
            Scheduler<TBackend>.EndGrace(vp);
    }

    /// <summary>Whether something has come that ends a HLT.</summary>
    public static bool IsWoken(VirtualProcessor* vp)
    {
        Synchronize(vp);
        return vp->NmiPending || vp->Apic.TryGetCandidate(out byte vector) && TBackend.IsInterruptible(vp, vector);
    }

    public static void WakeIfInterruptible(VirtualProcessor* vp)
    {
        if (IsWoken(vp) || vp->IdleWait)
        {
            vp->IdleWait = false;
            Scheduler<TBackend>.Resume(vp, SuspendReason.Halt);
        }
    }

    public static void RequestNmi(VirtualProcessor* vp)
    {
        if (!vp->IsHere)
        {
            Visits<TBackend>.Request(vp, VisitRequest.NonMaskable);
            return;
        }
        vp->NmiPending = true;
        vp->Work |= EntryWork.Nmi;
        if ((vp->SuspendReasons & SuspendReason.Halt) != 0)
            WakeIfInterruptible(vp);
    }

    /// <summary>Before an entry: what of the requests reaches the processor now.</summary>
    public static void PrepareEntry(VirtualProcessor* vp)
    {
        Synchronize(vp);
        if (vp->NmiPending && TBackend.TryInjectNmi(vp))
            vp->NmiPending = false;
        if (TBackend.TryDelegateInterrupts(vp))
            return;
        if (!vp->Apic.TryGetCandidate(out byte vector))
        {
            Withdraw(vp);
            return;
        }
        // A vector with automatic EOI has no EOI exit after which the next could be offered: it is injected here, or
        // the processor is asked to exit when it could take it.
        if (vp->Apic.IsAutoEoi(vector))
        {
            if (TBackend.IsInterruptible(vp, vector) && !TBackend.HasPendingInjection(vp))
            {
                vp->Apic.AcknowledgeAutoEoi(vector);
                vp->Count(HvStatsVpCounters.VpVirtualInterrupts);
                Withdraw(vp);
                TBackend.InjectInterrupt(vp, vector);
                if (vp->Apic.TryGetCandidate(out byte next))
                    TBackend.OfferInterrupt(vp, next, true);
            }
            else
                TBackend.OfferInterrupt(vp, vector, true);
            return;
        }
        vp->OfferedVector = TBackend.OfferInterrupt(vp, vector, false) ? vector : (byte)0;
    }

    private static void Withdraw(VirtualProcessor* vp)
    {
        vp->OfferedVector = 0;
        TBackend.OfferInterrupt(vp, 0, false);
    }

    /// <summary>Carries out what an access to the virtual APIC asked for.</summary>
    public static void Apply(VirtualProcessor* vp, ApicEffect effect)
    {
        if (TBackend.GetTaskPriority(vp) != (vp->Apic.TaskPriority & 0xF0))
        {
            TBackend.SetTaskPriority(vp, vp->Apic.TaskPriority);
            vp->Work |= EntryWork.Interrupts;
        }
        if (effect.IsNone)
            return;
        if (effect.HasInterruptsChanged)
            vp->Work |= EntryWork.Interrupts;
        if (effect.HasEndOfInterrupt)
        {
            // With nothing requested there is nothing to offer; only a processor that delivers by itself is to be told.
            if (TBackend.TryRefreshApic(vp))
                vp->Work |= EntryWork.Interrupts;
            if (vp->Synic.QueuedSints != 0 || effect.IsLevelTriggered)
                EndOfInterrupt(vp, effect.Vector, effect.IsLevelTriggered);
        }
        if (effect.HasTimerChanged)
            Timers<TBackend>.Change(vp);
        if (effect.HasSendIpi)
            SendIpi(vp, effect.Command);
        if (effect.HasModeChanged)
            vp->Work |= EntryWork.Interrupts;
    }

    /// <summary>The guest has ended a vector; its APIC knows already.</summary>
    public static void EndOfInterrupt(VirtualProcessor* vp, byte vector, bool level)
    {
        // TLFS, "SINTx Registers": an EOI is also a chance to deliver what waits.
        if (vp->Synic.QueuedSints != 0)
            Messages<TBackend>.Redeliver(vp);
        if (!level)
            return;
        if (vp->Partition->IsRoot)
            DeviceInterrupts.EndOfInterrupt(vp, vector);
        else
            Intercepts<TBackend>.ApicEoi(vp, vector);
    }

    /// <summary>Delivers a command to every virtual processor of the sender's partition that it addresses.</summary>
    public static void SendIpi(VirtualProcessor* sender, IcrCommand command) => Deliver(sender->Partition, command, sender->Apic.ApicId);

    /// <summary>Delivers a command from outside (a device, the parent): <paramref name="senderId"/> matches nobody then.</summary>
    public static void Deliver(Partition* partition, IcrCommand command, uint senderId = uint.MaxValue - 1)
    {
        bool single = command.DeliveryMode == ApicDeliveryMode.LowestPriority;
        for (uint i = 0; i < Partition.MaximumVps; i++)
        {
            VirtualProcessor* target = partition->GetVp(i);
            if (target == null || !target->Apic.Matches(command, senderId))
                continue;
            DeliverTo(target, command);
            if (single)
                return;
        }
    }

    private static void DeliverTo(VirtualProcessor* target, IcrCommand command)
    {
        switch (command.DeliveryMode)
        {
            case ApicDeliveryMode.Fixed:
            case ApicDeliveryMode.LowestPriority:
                Assert(target, command.Vector, command.IsLevelTriggered);
                break;
            case ApicDeliveryMode.NonMaskable:
                RequestNmi(target);
                break;
            case ApicDeliveryMode.Init when !command.IsInitDeassert:
                Init(target);
                break;
            case ApicDeliveryMode.StartUp:
                StartUp(target, command.Vector);
                break;
        }
    }

    /// <summary>INIT: back to the state after reset.</summary>
    public static void Init(VirtualProcessor* target)
    {
        // Its own: the instruction that sent it is carried out first, and its state has to be in memory.
        if (!target->IsHere || LogicalProcessor.Current->Loaded == target)
        {
            Visits<TBackend>.Request(target, VisitRequest.Init);
            if (target->IsHere)
                target->Work |= EntryWork.Visitors;
            return;
        }
        Scheduler<TBackend>.Suspend(target, SuspendReason.Startup);
        target->Apic.Init();
        TBackend.ResetVp(target);
        // Nothing of before is requested or in service any more, and no address means what it meant.
        target->Work |= EntryWork.Interrupts;
        VirtualProcessors<TBackend>.FlushTranslations(target);
        // The bootstrap processor starts over by itself, the others wait for a start-up IPI. SDM 3A, "MP Initialization Protocol".
        if (target->Apic.IsBootstrap)
            Scheduler<TBackend>.Resume(target, SuspendReason.Startup | SuspendReason.Halt);
    }

    /// <summary>A start-up IPI: without effect but for who waits for it.</summary>
    public static void StartUp(VirtualProcessor* target, byte vector)
    {
        if (!target->IsHere)
        {
            target->StartupVector = vector;
            Visits<TBackend>.Request(target, VisitRequest.StartUp);
            return;
        }
        if ((target->SuspendReasons & SuspendReason.Startup) == 0)
            return;
        TBackend.SetStartup(target, vector);
        Scheduler<TBackend>.Resume(target, SuspendReason.Startup | SuspendReason.Halt);
    }
}
