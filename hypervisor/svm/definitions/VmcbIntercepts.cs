// Bits of the VMCB's intercept words and of its other small control fields. APM 2, "VMCB Layout, Control Area".

namespace Lamina.Hypervisor.Svm;

/// <summary>Intercept word at 00Ch.</summary>
public static class VmcbIntercept1
{
    public const uint INTR = 1u << 0;
    public const uint NMI = 1u << 1;
    public const uint SMI = 1u << 2;
    public const uint INIT = 1u << 3;

    /// <summary>A virtual interrupt could be taken now: the interrupt window.</summary>
    public const uint VINTR = 1u << 4;

    /// <summary>Writes of CR0 that change more than TS and MP.</summary>
    public const uint CR0_SEL_WRITE = 1u << 5;
    public const uint IDTR_READ = 1u << 6;
    public const uint GDTR_READ = 1u << 7;
    public const uint LDTR_READ = 1u << 8;
    public const uint TR_READ = 1u << 9;
    public const uint IDTR_WRITE = 1u << 10;
    public const uint GDTR_WRITE = 1u << 11;
    public const uint LDTR_WRITE = 1u << 12;
    public const uint TR_WRITE = 1u << 13;
    public const uint RDTSC = 1u << 14;
    public const uint RDPMC = 1u << 15;
    public const uint PUSHF = 1u << 16;
    public const uint POPF = 1u << 17;
    public const uint CPUID = 1u << 18;
    public const uint RSM = 1u << 19;
    public const uint IRET = 1u << 20;
    public const uint INTn = 1u << 21;
    public const uint INVD = 1u << 22;
    public const uint PAUSE = 1u << 23;
    public const uint HLT = 1u << 24;
    public const uint INVLPG = 1u << 25;
    public const uint INVLPGA = 1u << 26;

    /// <summary>IN and OUT to ports whose bit in the I/O permission map is set.</summary>
    public const uint IOIO_PROT = 1u << 27;

    /// <summary>RDMSR and WRMSR of registers whose bit in the MSR permission map is set.</summary>
    public const uint MSR_PROT = 1u << 28;
    public const uint TaskSwitches = 1u << 29;
    public const uint FERR_FREEZE = 1u << 30;
    public const uint Shutdown = 1u << 31;
}

/// <summary>Intercept word at 010h.</summary>
public static class VmcbIntercept2
{
    /// <summary>Must be set, or VMRUN fails.</summary>
    public const uint VMRUN = 1u << 0;
    public const uint VMMCALL = 1u << 1;
    public const uint VMLOAD = 1u << 2;
    public const uint VMSAVE = 1u << 3;
    public const uint STGI = 1u << 4;
    public const uint CLGI = 1u << 5;
    public const uint SKINIT = 1u << 6;
    public const uint RDTSCP = 1u << 7;
    public const uint ICEBP = 1u << 8;
    public const uint WBINVD = 1u << 9;
    public const uint MONITOR = 1u << 10;
    public const uint MWAIT = 1u << 11;

    /// <summary>MWAIT while monitor hardware is armed.</summary>
    public const uint MWAIT_Conditional = 1u << 12;
    public const uint XSETBV = 1u << 13;
    public const uint RDPRU = 1u << 14;

    /// <summary>After the write has been done.</summary>
    public const uint EFER_WRITE_TRAP = 1u << 15;

    /// <summary>After the write has been done; CR1 has bit 17 and so on.</summary>
    public const uint CR0_WRITE_TRAP = 1u << 16;
}

/// <summary>Intercept word at 014h.</summary>
public static class VmcbIntercept3
{
    public const uint INVLPGB = 1u << 0;
    public const uint INVLPGB_ILLEGAL = 1u << 1;
    public const uint INVPCID = 1u << 2;
    public const uint MCOMMIT = 1u << 3;
    public const uint TLBSYNC = 1u << 4;
    public const uint BusLock = 1u << 5;
    public const uint IDLE_HLT = 1u << 6;
}

/// <summary>TLB_CONTROL. APM 2, "TLB Control"; all but the first two need feature FlushByAsid.</summary>
public static class TlbControl
{
    public const byte DoNothing = 0;
    public const byte FlushEntireTlb = 1;
    public const byte FlushThisGuest = 3;
    public const byte FlushThisGuestNonGlobal = 7;
}

/// <summary>The quadword at 068h.</summary>
public static class InterruptState
{
    public const ulong INTERRUPT_SHADOW = 1UL << 0;

    /// <summary>Virtual interrupts are masked: RFLAGS.IF of an SEV-ES guest.</summary>
    public const ulong GUEST_INTERRUPT_MASK = 1UL << 1;
}

/// <summary>The quadword at 090h.</summary>
public static class NestedPagingControl
{
    public const ulong NP_ENABLE = 1UL << 0;
    public const ulong SEV = 1UL << 1;
    public const ulong SEV_ES = 1UL << 2;
    public const ulong GMET_ENABLE = 1UL << 3;
}

/// <summary>The quadword at 0B8h.</summary>
public static class VirtualizationEnable
{
    public const ulong LBR_VIRTUALIZATION_ENABLE = 1UL << 0;

    /// <summary>VMLOAD and VMSAVE of the guest work on guest physical addresses.</summary>
    public const ulong VirtualizedVmloadVmsave = 1UL << 1;
}

/// <summary>VMCB clean bits. APM 2, "VMCB Clean Bits".</summary>
public static class VmcbClean
{
    /// <summary>Intercepts, TSC_OFFSET, pause filter.</summary>
    public const uint I = 1u << 0;

    /// <summary>IOPM_BASE_PA, MSRPM_BASE_PA.</summary>
    public const uint IOPM = 1u << 1;
    public const uint ASID = 1u << 2;

    /// <summary>V_TPR, V_IRQ and the rest of V_INTR.</summary>
    public const uint TPR = 1u << 3;

    /// <summary>N_CR3, G_PAT, NP_ENABLE.</summary>
    public const uint NP = 1u << 4;

    /// <summary>CR0, CR3, CR4, EFER.</summary>
    public const uint CRx = 1u << 5;

    /// <summary>DR6, DR7.</summary>
    public const uint DRx = 1u << 6;

    /// <summary>GDTR, IDTR.</summary>
    public const uint DT = 1u << 7;

    /// <summary>CS, DS, SS, ES and CPL.</summary>
    public const uint SEG = 1u << 8;
    public const uint CR2 = 1u << 9;

    /// <summary>DBGCTL and the branch records.</summary>
    public const uint LBR = 1u << 10;
    public const uint AVIC = 1u << 11;
    public const uint CET = 1u << 12;

    public const uint None = 0;
    public const uint All = (1u << 13) - 1;
}
