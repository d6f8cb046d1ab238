// Numbers of the synthetic MSRs. TLFS, "Hypervisor Synthetic MSRs". Each group names the privilege that gates it.

namespace Lamina.Abi;

/// <summary>Synthetic MSR numbers, 0x40000000 and up.</summary>
public static class HvMsr
{
    // AccessHypercallMsrs
    public const uint HV_X64_MSR_GUEST_OS_ID = 0x40000000;
    public const uint HV_X64_MSR_HYPERCALL = 0x40000001;

    // AccessVpIndex
    public const uint HV_X64_MSR_VP_INDEX = 0x40000002;

    // AccessResetMsr
    public const uint HV_X64_MSR_RESET = 0x40000003;

    // AccessVpRunTimeMsr
    public const uint HV_X64_MSR_VP_RUNTIME = 0x40000010;

    // AccessPartitionReferenceCounter
    public const uint HV_X64_MSR_TIME_REF_COUNT = 0x40000020;

    // AccessPartitionReferenceTsc
    public const uint HV_X64_MSR_REFERENCE_TSC = 0x40000021;

    // AccessFrequencyMsrs; both in Hz
    public const uint HV_X64_MSR_TSC_FREQUENCY = 0x40000022;
    public const uint HV_X64_MSR_APIC_FREQUENCY = 0x40000023;

    // AccessIntrCtrlMsrs
    public const uint HV_X64_MSR_EOI = 0x40000070;
    public const uint HV_X64_MSR_ICR = 0x40000071;
    public const uint HV_X64_MSR_TPR = 0x40000072;
    public const uint HV_X64_MSR_VP_ASSIST_PAGE = 0x40000073;

    // AccessSynicMsrs
    public const uint HV_X64_MSR_SCONTROL = 0x40000080;
    public const uint HV_X64_MSR_SVERSION = 0x40000081;
    public const uint HV_X64_MSR_SIEFP = 0x40000082;
    public const uint HV_X64_MSR_SIMP = 0x40000083;
    public const uint HV_X64_MSR_EOM = 0x40000084;
    public const uint HV_X64_MSR_SIRBP = 0x40000085;
    public const uint HV_X64_MSR_SINT0 = 0x40000090;
    public const uint HV_X64_MSR_SINT15 = 0x4000009F;

    // AccessSyntheticTimerMsrs; CONFIG of timer n is STIMER0_CONFIG + 2n, COUNT the number after it
    public const uint HV_X64_MSR_STIMER0_CONFIG = 0x400000B0;
    public const uint HV_X64_MSR_STIMER0_COUNT = 0x400000B1;
    public const uint HV_X64_MSR_STIMER1_CONFIG = 0x400000B2;
    public const uint HV_X64_MSR_STIMER1_COUNT = 0x400000B3;
    public const uint HV_X64_MSR_STIMER2_CONFIG = 0x400000B4;
    public const uint HV_X64_MSR_STIMER2_COUNT = 0x400000B5;
    public const uint HV_X64_MSR_STIMER3_CONFIG = 0x400000B6;
    public const uint HV_X64_MSR_STIMER3_COUNT = 0x400000B7;

    // AccessStatsMsr
    public const uint HV_X64_MSR_STATS_PARTITION_RETAIL_PAGE = 0x400000E0;
    public const uint HV_X64_MSR_STATS_PARTITION_INTERNAL_PAGE = 0x400000E1;
    public const uint HV_X64_MSR_STATS_VP_RETAIL_PAGE = 0x400000E2;
    public const uint HV_X64_MSR_STATS_VP_INTERNAL_PAGE = 0x400000E3;

    // AccessGuestIdleMsr
    public const uint HV_X64_MSR_GUEST_IDLE = 0x400000F0;

    // AccessDebugMsrs
    public const uint HV_X64_MSR_SYNTH_DEBUG_CONTROL = 0x400000F1;
    public const uint HV_X64_MSR_SYNTH_DEBUG_STATUS = 0x400000F2;
    public const uint HV_X64_MSR_SYNTH_DEBUG_SEND_BUFFER = 0x400000F3;
    public const uint HV_X64_MSR_SYNTH_DEBUG_RECEIVE_BUFFER = 0x400000F4;
    public const uint HV_X64_MSR_SYNTH_DEBUG_PENDING_BUFFER = 0x400000F5;
    public const uint HV_X64_MSR_DEBUG_OPTIONS = 0x400000FF;

    // Feature GuestCrashMsrsAvailable
    public const uint HV_X64_MSR_CRASH_P0 = 0x40000100;
    public const uint HV_X64_MSR_CRASH_P1 = 0x40000101;
    public const uint HV_X64_MSR_CRASH_P2 = 0x40000102;
    public const uint HV_X64_MSR_CRASH_P3 = 0x40000103;
    public const uint HV_X64_MSR_CRASH_P4 = 0x40000104;
    public const uint HV_X64_MSR_CRASH_CTL = 0x40000105;

    // AccessReenlightenmentControls
    public const uint HV_X64_MSR_REENLIGHTENMENT_CONTROL = 0x40000106;
    public const uint HV_X64_MSR_TSC_EMULATION_CONTROL = 0x40000107;
    public const uint HV_X64_MSR_TSC_EMULATION_STATUS = 0x40000108;

    // Feature SyntheticTimeUnhaltedTimerAvailable
    public const uint HV_X64_MSR_STIME_UNHALTED_TIMER_CONFIG = 0x40000114;
    public const uint HV_X64_MSR_STIME_UNHALTED_TIMER_COUNT = 0x40000115;

    // AccessTscInvariantControls
    public const uint HV_X64_MSR_TSC_INVARIANT_CONTROL = 0x40000118;
}
