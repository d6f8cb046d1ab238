// Interrupts and exceptions on their way into a guest. APM 2, "Event Injection", "Interrupt and Local APIC Support".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    private const ulong RflagsIf = 1 << 9;
    private const byte Breakpoint = 3, Overflow = 4, DoubleFault = 8, PageFault = 14;
    private const ushort Cr8Bit = 1 << 8;
    private const ulong Dr6Breakpoints = 0xF;

    /// <summary>
    /// #DB and #AC, whose delivery can raise the same exception again without end: the processor takes no interrupt meanwhile and would be
    /// lost to everybody else. Intercepted, each round is an exit.
    /// </summary>
    private const uint RecursiveExceptions = 1u << Debug | 1u << AlignmentCheck;

    public static void UpdateExceptionIntercepts(VirtualProcessor* vp)
    {
        uint vectors = vp->Partition->ExceptionIntercepts | 1u << 18; // #MC is the machine's, never a guest's
        if (!vp->Partition->IsRoot)
            vectors |= RecursiveExceptions;
        if (vp->Stepping != SteppingReason.None)
            vectors |= 1u << Debug;
        StateOf(vp)->Control.InterceptExceptions = vectors;
    }

    /// <summary>An event whose delivery the exit cut off is delivered again.</summary>
    private static void TakeCutOffEvent(Vmcb* vmcb)
    {
        EventInjection cutOff = vmcb->Control.EXITINTINFO;
        // INTn, INT3 and INTO: RIP is still theirs, and they are carried out again.
        bool isInstruction = cutOff.TYPE == EventInjection.SoftwareInterrupt || cutOff.TYPE == EventInjection.Exception && cutOff.VECTOR is Breakpoint or Overflow;
        // TCG calls everything else an exception, and refuses vectors that none has.
        if (cutOff.TYPE == EventInjection.Exception && cutOff.VECTOR == 2)
            cutOff = EventInjection.ForNmi();
        else if (cutOff.TYPE == EventInjection.Exception && cutOff.VECTOR >= 31)
            cutOff = EventInjection.ForInterrupt(cutOff.VECTOR);
        if (!isInstruction)
            vmcb->Control.EVENTINJ = cutOff;
        // The guest has run no instruction since its entry, and may not at the next: physical interrupts are let in here, or never.
        OpenInterruptWindow();
    }

    public static void InjectException(VirtualProcessor* vp, byte vector, bool hasErrorCode, uint errorCode)
    {
        Vmcb* vmcb = StateOf(vp);
        EventInjection pending = vmcb->Control.EVENTINJ;
        ExceptionPair pair = pending.Valid && pending.TYPE == EventInjection.Exception ? ExceptionPairs.Of(pending.VECTOR, vector) : ExceptionPair.Serial;
        if (pair != ExceptionPair.Serial)
        {
            vmcb->Control.EVENTINJ = pair == ExceptionPair.DoubleFault ? EventInjection.ForException(DoubleFault, 0) : EventInjection.None;
            if (pair == ExceptionPair.Shutdown)
                Intercepts<SvmBackend>.UnrecoverableException(vp);
            return;
        }
        if (pending.Valid && pending.TYPE == EventInjection.ExternalInterrupt)
        {
            // An injected offer that was not looked at since is still requested.
            if (vp->OfferedVector == pending.VECTOR)
                vp->OfferedVector = 0;
            else
                vp->Apic.Reinstate(pending.VECTOR);
        }
        if (pending.Valid && pending.TYPE == EventInjection.Nmi)
            vp->NmiPending = true;
        vmcb->Control.EVENTINJ = hasErrorCode ? EventInjection.ForException(vector, errorCode) : EventInjection.ForException(vector);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool HasPendingInjection(VirtualProcessor* vp) => (StateOf(vp)->Control.EVENTINJ.Value & 1UL << 31) != 0;

    public static bool TryInjectNmi(VirtualProcessor* vp)
    {
        VmcbControlArea* control = &StateOf(vp)->Control;
        // NMIs stay masked until IRET: its intercept is on exactly as long, and its exit brings us back.
        if (vp->Stepping != SteppingReason.None || (control->Intercept1 & VmcbIntercept1.IRET) != 0)
            return false;
        if (control->EVENTINJ.Valid)
        {
            // The event goes first; an interrupt to ourselves brings the guest back right behind it.
            PhysicalApic.InterruptSelf();
            return false;
        }
        if ((control->InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0)
        {
            Step(vp, SteppingReason.Shadow);
            return false;
        }
        control->EVENTINJ = EventInjection.ForNmi();
        control->Intercept1 |= VmcbIntercept1.IRET;
        return true;
    }

    /// <summary>
    /// Lets the guest run one instruction, by its trap flag: after an IRET that ends an NMI handler, or an instruction in an interrupt
    /// shadow. (A physical interrupt to ourselves does not do: TCG takes it before the instruction.)
    /// </summary>
    private static void Step(VirtualProcessor* vp, byte reason)
    {
        Vmcb* vmcb = StateOf(vp);
        vp->Stepping = reason;
        vp->SteppedTrapFlag = (vmcb->Save.RFLAGS & RflagsTf) != 0;
        vmcb->Save.RFLAGS |= RflagsTf;
        vmcb->Control.InterceptExceptions |= 1u << Debug;
    }

    /// <summary>
    /// IRET with NMIs masked: they are open again behind it, and not before. So it is stepped over even when none waits: one that comes by an interrupt
    /// that the guest exits for in front of it would find no mask, and its frame would take the place of the first one's.
    /// </summary>
    private static void OnIret(VirtualProcessor* vp)
    {
        StateOf(vp)->Control.Intercept1 &= ~VmcbIntercept1.IRET;
        Step(vp, SteppingReason.Iret);
    }

    /// <summary>
    /// Another exit than the step's own trap. Of the instruction's own making: it is carried out here, or later, and the step is taken back.
    /// </summary>
    private static void InterruptStep(VirtualProcessor* vp, ulong exitCode)
    {
        if (exitCode is SvmExitCode.VMEXIT_INTR or SvmExitCode.VMEXIT_NMI or SvmExitCode.VMEXIT_SMI or SvmExitCode.VMEXIT_EXCP0 + Debug)
            return;
        Vmcb* vmcb = StateOf(vp);
        if (!vp->SteppedTrapFlag)
            vmcb->Save.RFLAGS &= ~RflagsTf;
        // An IRET that did not come to its end leaves NMIs masked.
        if (vp->Stepping == SteppingReason.Iret)
            vmcb->Control.Intercept1 |= VmcbIntercept1.IRET;
        vp->Stepping = SteppingReason.None;
        UpdateExceptionIntercepts(vp);
        vp->Work |= EntryWork.Nmi;
    }

    /// <summary>The #DB that ends a step of ours; false when the trap is the guest's own.</summary>
    private static bool TryEndStep(VirtualProcessor* vp)
    {
        if (vp->Stepping == SteppingReason.None)
            return false;
        Vmcb* vmcb = StateOf(vp);
        // IRET has loaded the guest's own flags; any other instruction leaves ours set.
        bool own = vp->Stepping == SteppingReason.Iret ? (vmcb->Save.RFLAGS & RflagsTf) != 0 : vp->SteppedTrapFlag;
        if (!own)
        {
            vmcb->Save.RFLAGS &= ~RflagsTf;
            vmcb->Save.DR6 &= ~Dr6Bs;
        }
        bool pass = vp->SteppedTrapFlag || (vmcb->Save.DR6 & Dr6Breakpoints) != 0;
        vp->Stepping = SteppingReason.None;
        UpdateExceptionIntercepts(vp);
        vp->Work |= EntryWork.Nmi;
        if (pass)
            InjectException(vp, Debug, false, 0);
        return true;
    }

    public static void InjectInterrupt(VirtualProcessor* vp, byte vector) => StateOf(vp)->Control.EVENTINJ = EventInjection.ForInterrupt(vector);

    public static bool OfferInterrupt(VirtualProcessor* vp, byte vector, bool notify)
    {
        VmcbControlArea* control = &StateOf(vp)->Control;
        bool offered = vector != 0;
        if (Shared.IsTcg)
        {
            // The emulator lets an equal priority through, and asserts when CR8 is written with an interrupt pending: it gets none
            // that the task priority holds back, and no write to CR8 while there is one.
            control->InterceptCrWrite = (ushort)(offered ? control->InterceptCrWrite | Cr8Bit : control->InterceptCrWrite & ~Cr8Bit);
            offered &= vector >> 4 > (control->V_INTR.V_TPR & 0xF);
            if (offered && (control->InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0)
                SkipShadowedHalt(vp);
        }
        if (Shared.IsBochs && offered && !notify && !control->EVENTINJ.Valid && IsInterruptible(vp, vector))
        {
            // To IsOfferTaken it looks like an offer that the guest took as its first act.
            control->EVENTINJ = EventInjection.ForInterrupt(vector);
            control->V_INTR = control->V_INTR.WithV_IRQ(false);
            control->Intercept1 &= ~VmcbIntercept1.VINTR;
            return true;
        }
        control->V_INTR = control->V_INTR.WithRequest(vector, offered);
        control->Intercept1 = notify ? control->Intercept1 | VmcbIntercept1.VINTR : control->Intercept1 & ~VmcbIntercept1.VINTR;
        return offered;
    }

    /// <summary>
    /// After an exit in an interrupt shadow the emulator delivers an interrupt at once, as if there were none. Between STI and HLT that is
    /// fatal, as the HLT would sleep over it: the interrupt is to end the HLT, so it is taken for done.
    /// </summary>
    private static void SkipShadowedHalt(VirtualProcessor* vp)
    {
        const byte hlt = 0xF4;
        Vmcb* vmcb = StateOf(vp);
        if ((vmcb->Save.RFLAGS & RflagsIf) == 0 || vmcb->Save.CPL != 0 || vmcb->Control.EVENTINJ.Valid || vp->Stepping != SteppingReason.None)
            return;
        byte* bytes = stackalloc byte[GuestInstruction<SvmBackend>.MaximumLength];
        if (GuestInstruction<SvmBackend>.Fetch(vp, bytes) != 0 && bytes[0] == hlt)
            SetRip(vp, vmcb->Save.RIP + 1);
    }

    public static bool IsOfferTaken(VirtualProcessor* vp)
    {
        VmcbControlArea* control = &StateOf(vp)->Control;
        if (control->V_INTR.V_IRQ)
            return false;
        // Nothing is pending any more: CR8 may be written again.
        control->InterceptCrWrite &= unchecked((ushort)~Cr8Bit);
        return true;
    }

    public static bool IsInterruptible(VirtualProcessor* vp, byte vector)
    {
        Vmcb* vmcb = StateOf(vp);
        return (vmcb->Save.RFLAGS & RflagsIf) != 0 && (vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW) == 0
            && vector >> 4 > (vmcb->Control.V_INTR.V_TPR & 0xF);
    }

    // AVIC is not used.
    public static bool TryRefreshApic(VirtualProcessor* vp) => false;
    public static bool TryDelegateInterrupts(VirtualProcessor* vp) => false;
    public static bool PrefersExplicitEoi => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte GetTaskPriority(VirtualProcessor* vp) => (byte)(StateOf(vp)->Control.V_INTR.Value << 4);
    public static void SetTaskPriority(VirtualProcessor* vp, byte value) =>
        StateOf(vp)->Control.V_INTR = StateOf(vp)->Control.V_INTR.WithV_TPR((byte)(value >> 4));
    public static void SetTscOffset(VirtualProcessor* vp, ulong offset) => StateOf(vp)->Control.TSC_OFFSET = offset;
}

/// <summary>Why a guest is let run a single instruction.</summary>
internal static class SteppingReason
{
    internal const byte None = 0, Iret = 1, Shadow = 2;
}
