// What a partition may do: EBX:EAX of CPUID leaf 0x40000003. TLFS, "Partition Privilege Flags" (HV_PARTITION_PRIVILEGE_MASK).

#pragma warning disable CS0660, CS0661 // Equals(object) would box.

namespace Lamina.Abi;

/// <summary>HV_PARTITION_PRIVILEGE_MASK: a set of privileges, one bit each; the bits combine with |.</summary>
public readonly struct PartitionPrivileges(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>EAX of CPUID leaf 0x40000003: MSRs that may be accessed.</summary>
    public uint Eax => (uint)Value;

    /// <summary>EBX of that leaf: hypercalls that may be made.</summary>
    public uint Ebx => (uint)(Value >> 32);

    /// <summary>Whether every privilege in <paramref name="needed"/> is held. True for the empty set.</summary>
    public bool Includes(PartitionPrivileges needed) => (Value & needed.Value) == needed.Value;

    public static PartitionPrivileges operator |(PartitionPrivileges left, PartitionPrivileges right) => new(left.Value | right.Value);
    public static PartitionPrivileges operator &(PartitionPrivileges left, PartitionPrivileges right) => new(left.Value & right.Value);
    public static PartitionPrivileges operator ~(PartitionPrivileges privileges) => new(~privileges.Value);
    public static bool operator ==(PartitionPrivileges left, PartitionPrivileges right) => left.Value == right.Value;
    public static bool operator !=(PartitionPrivileges left, PartitionPrivileges right) => left.Value != right.Value;

    public static PartitionPrivileges None => new(0);

    // MSRs: EAX

    /// <summary>HV_X64_MSR_VP_RUNTIME.</summary>
    public static PartitionPrivileges AccessVpRunTimeMsr => new(1UL << 0);
    /// <summary>HV_X64_MSR_TIME_REF_COUNT.</summary>
    public static PartitionPrivileges AccessPartitionReferenceCounter => new(1UL << 1);
    /// <summary>HV_X64_MSR_SCONTROL .. SINT15.</summary>
    public static PartitionPrivileges AccessSynicMsrs => new(1UL << 2);
    /// <summary>HV_X64_MSR_STIMER0_CONFIG .. STIMER3_COUNT.</summary>
    public static PartitionPrivileges AccessSyntheticTimerMsrs => new(1UL << 3);
    /// <summary>HV_X64_MSR_EOI, ICR, TPR.</summary>
    public static PartitionPrivileges AccessIntrCtrlMsrs => new(1UL << 4);
    /// <summary>HV_X64_MSR_GUEST_OS_ID, HYPERCALL.</summary>
    public static PartitionPrivileges AccessHypercallMsrs => new(1UL << 5);
    /// <summary>HV_X64_MSR_VP_INDEX.</summary>
    public static PartitionPrivileges AccessVpIndex => new(1UL << 6);
    /// <summary>HV_X64_MSR_RESET.</summary>
    public static PartitionPrivileges AccessResetMsr => new(1UL << 7);
    /// <summary>HV_X64_MSR_STATS_*.</summary>
    public static PartitionPrivileges AccessStatsMsr => new(1UL << 8);
    /// <summary>HV_X64_MSR_REFERENCE_TSC.</summary>
    public static PartitionPrivileges AccessPartitionReferenceTsc => new(1UL << 9);
    /// <summary>HV_X64_MSR_GUEST_IDLE.</summary>
    public static PartitionPrivileges AccessGuestIdleMsr => new(1UL << 10);
    /// <summary>HV_X64_MSR_TSC_FREQUENCY, APIC_FREQUENCY.</summary>
    public static PartitionPrivileges AccessFrequencyMsrs => new(1UL << 11);
    /// <summary>HV_X64_MSR_SYNTH_DEBUG_*.</summary>
    public static PartitionPrivileges AccessDebugMsrs => new(1UL << 12);
    /// <summary>HV_X64_MSR_REENLIGHTENMENT_CONTROL, TSC_EMULATION_*.</summary>
    public static PartitionPrivileges AccessReenlightenmentControls => new(1UL << 13);
    /// <summary>HV_X64_MSR_TSC_INVARIANT_CONTROL.</summary>
    public static PartitionPrivileges AccessTscInvariantControls => new(1UL << 15);

    // Hypercalls: EBX, whose bit 0 is bit 32

    /// <summary>HvCallCreatePartition and everything that a parent does to a child.</summary>
    public static PartitionPrivileges CreatePartitions => new(1UL << 32);
    /// <summary>HvCallGetPartitionId.</summary>
    public static PartitionPrivileges AccessPartitionId => new(1UL << 33);
    /// <summary>HvCallDepositMemory, HvCallWithdrawMemory, HvCallGetMemoryBalance.</summary>
    public static PartitionPrivileges AccessMemoryPool => new(1UL << 34);
    public static PartitionPrivileges AdjustMessageBuffers => new(1UL << 35);
    /// <summary>HvCallPostMessage.</summary>
    public static PartitionPrivileges PostMessages => new(1UL << 36);
    /// <summary>HvCallSignalEvent.</summary>
    public static PartitionPrivileges SignalEvents => new(1UL << 37);
    /// <summary>HvCallCreatePort.</summary>
    public static PartitionPrivileges CreatePort => new(1UL << 38);
    /// <summary>HvCallConnectPort.</summary>
    public static PartitionPrivileges ConnectPort => new(1UL << 39);
    /// <summary>HvCallMapStatsPage, HvCallUnmapStatsPage.</summary>
    public static PartitionPrivileges AccessStats => new(1UL << 40);
    /// <summary>HvCallPostDebugData, HvCallRetrieveDebugData, HvCallResetDebugSession.</summary>
    public static PartitionPrivileges Debugging => new(1UL << 43);
    /// <summary>HvCallAddLogicalProcessor and its like; Linux 6.1 and 6.12 take it alone as "I am the root".</summary>
    public static PartitionPrivileges CpuManagement => new(1UL << 44);
    public static PartitionPrivileges ConfigureProfiler => new(1UL << 45);
    public static PartitionPrivileges AccessVpExitTracing => new(1UL << 46);
    public static PartitionPrivileges EnableExtendedGvaRangesForFlushVirtualAddressList => new(1UL << 47);
    /// <summary>HvCallEnableVpVtl, HvCallVtlCall, HvCallVtlReturn.</summary>
    public static PartitionPrivileges AccessVsm => new(1UL << 48);
    /// <summary>HvCallGetVpRegisters, HvCallSetVpRegisters.</summary>
    public static PartitionPrivileges AccessVpRegisters => new(1UL << 49);
    /// <summary>output in XMM registers.</summary>
    public static PartitionPrivileges FastHypercallOutput => new(1UL << 51);
    /// <summary>codes 0x8000 and up.</summary>
    public static PartitionPrivileges EnableExtendedHypercalls => new(1UL << 52);
    /// <summary>HvCallStartVirtualProcessor.</summary>
    public static PartitionPrivileges StartVirtualProcessor => new(1UL << 53);
    public static PartitionPrivileges Isolation => new(1UL << 54);
}
