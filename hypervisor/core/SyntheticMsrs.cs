// The hypervisor's own MSRs, each gated by its privilege. TLFS, "Hypervisor Synthetic MSRs".
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Synic;
using Lamina.X64;
using static Lamina.Abi.HvMsr;

namespace Lamina.Hypervisor.Core;

public static unsafe class SyntheticMsrs<TBackend> where TBackend : struct, IBackend
{
    /// <summary>The privilege that a register needs; false for a register that does not exist.</summary>
    private static bool TryGetPrivilege(uint msr, out PartitionPrivileges privilege)
    {
        privilege = msr switch
        {
            HV_X64_MSR_GUEST_OS_ID or HV_X64_MSR_HYPERCALL => PartitionPrivileges.AccessHypercallMsrs,
            HV_X64_MSR_VP_INDEX => PartitionPrivileges.AccessVpIndex,
            HV_X64_MSR_RESET => PartitionPrivileges.AccessResetMsr,
            HV_X64_MSR_VP_RUNTIME => PartitionPrivileges.AccessVpRunTimeMsr,
            HV_X64_MSR_TIME_REF_COUNT => PartitionPrivileges.AccessPartitionReferenceCounter,
            HV_X64_MSR_REFERENCE_TSC => PartitionPrivileges.AccessPartitionReferenceTsc,
            HV_X64_MSR_TSC_FREQUENCY or HV_X64_MSR_APIC_FREQUENCY => PartitionPrivileges.AccessFrequencyMsrs,
            HV_X64_MSR_EOI or HV_X64_MSR_ICR or HV_X64_MSR_TPR => PartitionPrivileges.AccessIntrCtrlMsrs,
            // Linux writes it whatever its privileges are.
            HV_X64_MSR_VP_ASSIST_PAGE => PartitionPrivileges.None,
            >= HV_X64_MSR_SCONTROL and <= HV_X64_MSR_EOM or >= HV_X64_MSR_SINT0 and <= HV_X64_MSR_SINT15 => PartitionPrivileges.AccessSynicMsrs,
            >= HV_X64_MSR_STIMER0_CONFIG and <= HV_X64_MSR_STIMER3_COUNT => PartitionPrivileges.AccessSyntheticTimerMsrs,
            HV_X64_MSR_GUEST_IDLE => PartitionPrivileges.AccessGuestIdleMsr,
            >= HV_X64_MSR_CRASH_P0 and <= HV_X64_MSR_CRASH_CTL => PartitionPrivileges.None,
            HV_X64_MSR_TSC_INVARIANT_CONTROL => PartitionPrivileges.AccessTscInvariantControls,
            _ => new PartitionPrivileges(ulong.MaxValue),
        };
        return privilege.Value != ulong.MaxValue;
    }

    private static bool IsAllowed(VirtualProcessor* vp, uint msr) =>
        TryGetPrivilege(msr, out PartitionPrivileges privilege) && vp->Partition->Privileges.Includes(privilege);

    public static bool TryRead(VirtualProcessor* vp, uint msr, out ulong value)
    {
        value = 0;
        if (!IsAllowed(vp, msr))
            return false;
        switch (msr)
        {
            case HV_X64_MSR_GUEST_OS_ID: value = vp->Partition->GuestOsId; return true;
            case HV_X64_MSR_HYPERCALL: value = vp->Partition->HypercallMsr; return true;
            case HV_X64_MSR_VP_INDEX: value = vp->Index; return true;
            case HV_X64_MSR_RESET: return true;
            case HV_X64_MSR_VP_RUNTIME: value = Scheduler<TBackend>.RunTime(vp); return true;
            case HV_X64_MSR_TIME_REF_COUNT: value = Clock.ReferenceTime(vp->Partition); return true;
            case HV_X64_MSR_REFERENCE_TSC: value = vp->Partition->ReferenceTscMsr; return true;
            case HV_X64_MSR_TSC_FREQUENCY: value = Clock.TscHz; return true;
            case HV_X64_MSR_APIC_FREQUENCY: value = Clock.VirtualApicHz; return true;
            case HV_X64_MSR_VP_ASSIST_PAGE: value = vp->VpAssistPageMsr; return true;
            case HV_X64_MSR_TSC_INVARIANT_CONTROL: value = vp->Partition->TscInvariantControl; return true;
            case HV_X64_MSR_CRASH_CTL: value = CrashCtlMsr.Capabilities.Value; return true;
            case >= HV_X64_MSR_CRASH_P0 and <= HV_X64_MSR_CRASH_P4: value = vp->Partition->CrashParameters[msr - HV_X64_MSR_CRASH_P0]; return true;
            case HV_X64_MSR_EOI or HV_X64_MSR_ICR or HV_X64_MSR_TPR:
                Interrupts<TBackend>.Synchronize(vp);
                return vp->Apic.TryReadMsr(msr, Instructions.RdTsc() + vp->TscOffset, out value);
            case >= HV_X64_MSR_STIMER0_CONFIG and <= HV_X64_MSR_STIMER3_COUNT: return vp->SyntheticTimers.TryReadMsr(msr, out value);
            default: return vp->Synic.TryReadMsr(msr, out value);
        }
    }

    public static bool TryWrite(VirtualProcessor* vp, uint msr, ulong value)
    {
        if (!IsAllowed(vp, msr))
            return false;
        Partition* partition = vp->Partition;
        switch (msr)
        {
            case HV_X64_MSR_GUEST_OS_ID:
                partition->GuestOsId = value;
                // Without an identity the hypercall page goes away. TLFS, "Establishing the Hypercall Interface".
                if (value == 0)
                    Overlays<TBackend>.DisableHypercalls(partition);
                return true;
            case HV_X64_MSR_HYPERCALL: return Overlays<TBackend>.TryWriteHypercallMsr(partition, new HypercallMsr(value));
            case HV_X64_MSR_RESET: return true;
            case HV_X64_MSR_REFERENCE_TSC:
                Overlays<TBackend>.WriteReferenceTscMsr(partition, new ReferenceTscMsr(value));
                return true;
            case HV_X64_MSR_VP_ASSIST_PAGE:
                vp->VpAssistPageMsr = value;
                return true;
            case HV_X64_MSR_TSC_INVARIANT_CONTROL:
                partition->TscInvariantControl = value & 1;
                return (value & ~1UL) == 0;
            case HV_X64_MSR_CRASH_CTL: return true;
            case >= HV_X64_MSR_CRASH_P0 and <= HV_X64_MSR_CRASH_P4:
                partition->CrashParameters[msr - HV_X64_MSR_CRASH_P0] = value;
                return true;
            case HV_X64_MSR_EOI or HV_X64_MSR_ICR or HV_X64_MSR_TPR:
                Interrupts<TBackend>.Synchronize(vp);
                if (!vp->Apic.TryWriteMsr(msr, value, Instructions.RdTsc() + vp->TscOffset, out ApicEffect apicEffect))
                    return false;
                Interrupts<TBackend>.Apply(vp, apicEffect);
                return true;
            case >= HV_X64_MSR_STIMER0_CONFIG and <= HV_X64_MSR_STIMER3_COUNT:
                if (!vp->SyntheticTimers.TryWriteMsr(msr, value, Clock.ReferenceTime(partition)))
                    return false;
                Timers<TBackend>.Update(vp);
                return true;
            case >= HV_X64_MSR_SCONTROL and <= HV_X64_MSR_EOM or >= HV_X64_MSR_SINT0 and <= HV_X64_MSR_SINT15:
                vp->SynicLock.Acquire(LockRank.Synic);
                bool isWritten = vp->Synic.TryWriteMsr(msr, value, out SynicEffect effect);
                vp->SynicLock.Release(LockRank.Synic);
                if (!isWritten)
                    return false;
                Messages<TBackend>.Apply(vp, effect);
                return true;
            default: return false; // read-only
        }
    }
}
