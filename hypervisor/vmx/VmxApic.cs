// Interrupts that the processor delivers by itself: virtual-interrupt delivery over the virtual APIC's own page.
// SDM 3C, "APIC Virtualization and Virtual Interrupts".
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Core;
using Lamina.X64;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    private const uint DelegationControls = SecondaryControls.VirtualizeX2ApicMode | SecondaryControls.ApicRegisterVirtualization | SecondaryControls.VirtualInterruptDelivery;

    public static bool PrefersExplicitEoi => VmxFeatures.DeliversInterrupts;

    /// <summary>MSR bitmap of guests whose x2APIC registers are the page's: reads of what the page holds, and writes that are virtualised whole.</summary>
    private static void MakeX2ApicBitmap(byte* bitmap)
    {
        for (uint msr = Msr.X2ApicFirst; msr <= Msr.IA32_X2APIC_SELF_IPI; msr++)
        {
            // The current count is computed, and the page keeps the halves of the ICR as an xAPIC does.
            bool isHeld = LocalApic.IsReadableInX2Apic(msr) && msr is not (Msr.IA32_X2APIC_CUR_COUNT or Msr.IA32_X2APIC_ICR);
            bool isVirtualised = msr is Msr.IA32_X2APIC_EOI || (msr is Msr.IA32_X2APIC_TPR or Msr.IA32_X2APIC_SELF_IPI && VmxFeatures.KeepsRequestsBack);
            VmxMsrBitmap.TrySet(bitmap, msr, !isHeld, !isVirtualised);
        }
    }

    public static bool TryRefreshApic(VirtualProcessor* vp)
    {
        VmxState* state = StateOf(vp);
        if (!state->IsDelegated)
            return false;
        if (state->IsApicStale)
            vp->Apic.Resynchronize();
        state->IsApicStale = false;
        return true;
    }

    /// <summary>
    /// In x2APIC mode, and while no vector ends by itself (the processor knows no automatic EOI). In xAPIC mode the page is not mapped for the guest,
    /// and its accesses are decoded in software.
    /// </summary>
    public static bool TryDelegateInterrupts(VirtualProcessor* vp)
    {
        if (!VmxFeatures.DeliversInterrupts)
            return false;
        VmxState* state = StateOf(vp);
        bool delegates = vp->Apic.IsX2Apic && !vp->Apic.HasAutoEoi;
        if (delegates != state->IsDelegated)
            SetDelegation(vp, state, delegates);
        if (!delegates)
            return false;
        MakeCurrent(vp);
        // As of now; from here on the processor keeps them.
        bool mayWait = VmxFeatures.KeepsRequestsBack || state->PendingEvent == 0 && IsOpen(vp);
        DelegatedInterrupts told = DelegatedInterrupts.For(vp->Apic.HighestRequest, vp->Apic.HighestInService, mayWait);
        VmWrite(VmcsField.GuestInterruptStatus, told.Status);
        SetInterruptWindow(vp, told.WaitsForWindow);
        // An EOI is a chance for messages that wait, and may make a request due.
        bool endsExit = vp->Synic.QueuedSints != 0 || !VmxFeatures.KeepsRequestsBack && vp->Apic.HighestRequest >= 0;
        for (int word = 0; word < 4; word++)
        {
            // Level-triggered vectors are ended elsewhere, too.
            ulong exits = endsExit ? ulong.MaxValue : vp->Apic.LevelTriggered(word);
            if (state->EoiExits[word] == exits)
                continue;
            state->EoiExits[word] = exits;
            VmWrite((ulong)(VmcsField.EoiExitBitmap0 + 2 * word), exits);
        }
        return true;
    }

    private static void SetDelegation(VirtualProcessor* vp, VmxState* state, bool on)
    {
        if (on)
        {
            OfferInterrupt(vp, 0, false);
            vp->OfferedVector = 0;
        }
        state->IsDelegated = on;
        state->IsApicStale = false;
        ulong controls = Read(vp, CachedField.SecondaryControls);
        Write(vp, CachedField.SecondaryControls, on ? controls | DelegationControls : controls & ~(ulong)DelegationControls);
        MakeCurrent(vp);
        VmWrite(VmcsField.AddressOfMsrBitmaps, on ? Shared.X2ApicMsrBitmap : Shared.MsrBitmap);
        for (int word = 0; word < 4; word++)
        {
            state->EoiExits[word] = 0;
            if (on)
                VmWrite((ulong)(VmcsField.EoiExitBitmap0 + 2 * word), 0);
        }
    }

    /// <summary>The processor has ended a vector of which the EOI-exit bitmap wants to know.</summary>
    private static void HandleVirtualizedEoi(VirtualProcessor* vp, byte vector)
    {
        Interrupts<VmxBackend>.Synchronize(vp);
        vp->Work |= EntryWork.Interrupts;
        Interrupts<VmxBackend>.EndOfInterrupt(vp, vector, vp->Apic.IsLevelTriggered(vector));
    }

    /// <summary>A write that the processor put into the page and leaves to us: in x2APIC mode a self-IPI of a vector that no APIC takes.</summary>
    private static void HandleApicWrite(VirtualProcessor* vp, uint offset)
    {
        Interrupts<VmxBackend>.Synchronize(vp);
        if (vp->Apic.TryWriteMsr(Msr.X2ApicFirst + (offset >> 4), *(uint*)(vp->Apic.RegisterPage + offset), Instructions.RdTsc() + vp->TscOffset, out ApicEffect effect))
            Interrupts<VmxBackend>.Apply(vp, effect);
    }
}
