// Interrupts and exceptions on their way into a guest. SDM 3C, "Event Injection", "VM Exits Induced by the TPR Shadow".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    private const ulong RflagsIf = 1 << 9;
    private const byte DoubleFault = 8, MachineCheck = 18;

    /// <summary>
    /// #DB and #AC, whose delivery can raise the same exception again without end: the processor takes no interrupt meanwhile and would be
    /// lost to everybody else. Intercepted, each round is an exit.
    /// </summary>
    private const uint RecursiveExceptions = 1u << Debug | 1u << AlignmentCheck;

    public static void UpdateExceptionIntercepts(VirtualProcessor* vp)
    {
        uint vectors = vp->Partition->ExceptionIntercepts | 1u << MachineCheck; // #MC is the machine's, never a guest's
        if (!vp->Partition->IsRoot)
            vectors |= RecursiveExceptions;
        Write(vp, CachedField.ExceptionBitmap, vectors);
    }

    /// <summary>An event whose delivery the exit cut off is delivered again. SDM 3C, "Information for VM Exits During Event Delivery".</summary>
    private static void TakeCutOffEvent(VirtualProcessor* vp, VmxState* state)
    {
        InterruptionInformation cutOff = new InterruptionInformation((uint)state->IdtVectoringInformation, 0).ToInject();
        if (cutOff.DeliverErrorCode)
            cutOff = new(cutOff.Information, (uint)VmRead(VmcsField.IdtVectoringErrorCode));
        if (cutOff.IsOfInstruction)
            state->PendingLength = (uint)Read(vp, CachedField.InstructionLength);
        // A non-maskable interrupt that was not delivered blocks none: its second injection wants them open.
        if (cutOff.Type == InterruptionInformation.Nmi)
            Write(vp, CachedField.Interruptibility, Read(vp, CachedField.Interruptibility) & ~(ulong)InterruptibilityState.BlockingByNmi);
        state->PendingEvent = cutOff.Value;
        // The guest has run no instruction since its entry, and may not at the next: physical interrupts are let in here, or never.
        OpenInterruptWindow();
    }

    public static void InjectException(VirtualProcessor* vp, byte vector, bool hasErrorCode, uint errorCode)
    {
        VmxState* state = StateOf(vp);
        if (state->IsOffer)
        {
            WithdrawOffer(vp, state);
            vp->Work |= EntryWork.Interrupts;
        }
        EndShadow(vp);
        InterruptionInformation pending = new(state->PendingEvent);
        ExceptionPair pair = pending.Valid && pending.Type == InterruptionInformation.HardwareException ? ExceptionPairs.Of(pending.Vector, vector) : ExceptionPair.Serial;
        if (pair != ExceptionPair.Serial)
        {
            state->PendingEvent = pair == ExceptionPair.DoubleFault ? InterruptionInformation.ForException(DoubleFault, 0).Value : 0;
            if (pair == ExceptionPair.Shutdown)
                Intercepts<VmxBackend>.UnrecoverableException(vp);
            return;
        }
        if (pending.Valid && pending.Type == InterruptionInformation.ExternalInterrupt)
        {
            Interrupts<VmxBackend>.Synchronize(vp);
            vp->Apic.Reinstate(pending.Vector);
            vp->Work |= EntryWork.Interrupts;
        }
        if (pending.Valid && pending.Type == InterruptionInformation.Nmi)
        {
            vp->NmiPending = true;
            vp->Work |= EntryWork.Nmi;
        }
        state->PendingEvent = (hasErrorCode ? InterruptionInformation.ForException(vector, errorCode) : InterruptionInformation.ForException(vector)).Value;
    }

    public static bool HasPendingInjection(VirtualProcessor* vp) => StateOf(vp)->PendingEvent != 0;

    // Interrupts are offered anew right behind it (Interrupts.PrepareEntry).
    public static bool TryInjectNmi(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        if (state->IsOffer)
            WithdrawOffer(vp, state);
        if (VmxFeatures.LeaksNmiBlocking)
            DropForeignNmiBlocking(vp, state);
        NmiWindow window = NmiWindows.For(Read(vp, CachedField.Interruptibility), state->PendingEvent != 0);
        SetPrimaryControl(vp, PrimaryControls.NmiWindowExiting, window == NmiWindow.Nmi);
        state->NmiWaitsForInterruptWindow = window == NmiWindow.Interrupt;
        SetInterruptWindow(vp, false);
        if (window != NmiWindow.Open)
            return false;
        state->PendingEvent = InterruptionInformation.ForNmi().Value;
        state->MayBlockNmis = true;
        return true;
    }

    private static void DropForeignNmiBlocking(VirtualProcessor* vp, VmxState* state)
    {
        ulong before = Read(vp, CachedField.Interruptibility), own = NmiWindows.WithoutForeign(before, state->MayBlockNmis);
        if (own != before)
            Write(vp, CachedField.Interruptibility, own);
    }

    /// <summary>Whether the guest is to exit as soon as it can take interrupts: an interrupt waits for that, or an NMI.</summary>
    private static void SetInterruptWindow(VirtualProcessor* vp, bool forInterrupt) =>
        SetPrimaryControl(vp, PrimaryControls.InterruptWindowExiting, forInterrupt || StateOf(vp)->NmiWaitsForInterruptWindow);

    private static void SetPrimaryControl(VirtualProcessor* vp, uint control, bool on)
    {
        ulong before = Read(vp, CachedField.PrimaryControls), after = on ? before | control : before & ~(ulong)control;
        if (before != after)
            Write(vp, CachedField.PrimaryControls, after);
    }

    public static void InjectInterrupt(VirtualProcessor* vp, byte vector)
    {
        StateOf(vp)->PendingEvent = InterruptionInformation.ForInterrupt(vector).Value;
        StateOf(vp)->IsOffer = false;
    }

    /// <summary>An interrupt that was to be injected goes back: nothing has entered since the offer was made.</summary>
    private static void WithdrawOffer(VirtualProcessor* vp, VmxState* state)
    {
        state->IsOffer = false;
        state->PendingEvent = 0;
        vp->OfferedVector = 0;
    }

    /// <summary>
    /// The processor watches over an offer by exits: when IF or the shadow holds it back, as soon as it could be taken; when the task priority
    /// does, as soon as that is below the vector's. When nothing does, the vector is injected at the entry that follows.
    /// </summary>
    public static bool OfferInterrupt(VirtualProcessor* vp, byte vector, bool notify)
    {
        VmxState* state = StateOf(vp);
        if (state->IsOffer)
        {
            state->IsOffer = false;
            state->PendingEvent = 0;
        }
        InterruptOffer offer = InterruptOffer.For(vector, vp->Apic.TaskPriority, !notify && state->PendingEvent == 0 && IsOpen(vp));
        if (offer.IsInjected)
        {
            state->PendingEvent = InterruptionInformation.ForInterrupt(vector).Value;
            state->IsOffer = true;
        }
        SetInterruptWindow(vp, offer.WaitsForWindow);
        SetTprThreshold(vp, offer.TprThreshold);
        return offer.IsInjected;
    }

    // SDM 3C, "Checks on VMX Controls": a threshold above the task priority is refused at entry, so it follows every change of either.
    private static void SetTprThreshold(VirtualProcessor* vp, uint threshold)
    {
        if (Read(vp, CachedField.TprThreshold) != threshold)
            Write(vp, CachedField.TprThreshold, threshold);
    }

    /// <summary>IF set and no interrupt shadow.</summary>
    private static bool IsOpen(VirtualProcessor* vp) =>
        (Read(vp, CachedField.Rflags) & RflagsIf) != 0 && (Read(vp, CachedField.Interruptibility) & InterruptibilityState.Shadow) == 0;

    public static bool IsOfferTaken(VirtualProcessor* vp) => !StateOf(vp)->IsOffer;

    public static bool IsInterruptible(VirtualProcessor* vp, byte vector) => vector >> 4 > vp->Apic.TaskPriority >> 4 && IsOpen(vp);

    // The TPR shadow is the TPR of the virtual APIC's own page: there is nothing to be carried over.
    public static byte GetTaskPriority(VirtualProcessor* vp) => (byte)(vp->Apic.TaskPriority & 0xF0);

    public static void SetTaskPriority(VirtualProcessor* vp, byte value)
    {
        vp->Apic.TaskPriority = value;
        SetTprThreshold(vp, 0);
        vp->Work |= EntryWork.Interrupts;
    }

    public static void SetTscOffset(VirtualProcessor* vp, ulong offset) => Write(vp, CachedField.TscOffset, offset);

    /// <summary>IRET unblocks NMIs before it can fault or exit: an exit in the midst of it must leave them blocked for its second try.</summary>
    // SDM 3C, "Information for VM Exits Due to Vectored Events", bit 12.
    private static void BlockNmisAgain(VirtualProcessor* vp)
    {
        if (StateOf(vp)->PendingEvent == 0)
            Write(vp, CachedField.Interruptibility, Read(vp, CachedField.Interruptibility) | InterruptibilityState.BlockingByNmi);
    }

    /// <summary>
    /// An instruction in an interrupt shadow, single-stepped, that is to be carried out once more: entries insist on the pending trap, which not every
    /// processor saves.
    /// </summary>
    // SDM 3C, "Checks on Guest Non-Register State".
    private static void KeepPendingTrap(VirtualProcessor* vp)
    {
        if ((Read(vp, CachedField.Interruptibility) & InterruptibilityState.Shadow) != 0 && (Read(vp, CachedField.Rflags) & RflagsTf) != 0)
            Write(vp, CachedField.PendingDebugExceptions, Read(vp, CachedField.PendingDebugExceptions) | PendingDebugExceptions.BS);
    }
}
