// Numbers of model-specific registers, with the feature that gates each. SDM 4, "Architectural MSRs"; APM 2, appendix "MSR Cross-Reference".

namespace Lamina.X64;

/// <summary>MSR numbers.</summary>
public static class Msr
{
    // CPUID.01H:EDX.TSC
    public const uint IA32_TIME_STAMP_COUNTER = 0x010;

    // Always
    public const uint IA32_PLATFORM_ID = 0x017;

    // CPUID.01H:EDX.APIC
    public const uint IA32_APIC_BASE = 0x01B;

    // CPUID.01H:ECX.VMX or SMX
    public const uint IA32_FEATURE_CONTROL = 0x03A;

    // CPUID.07H.0:EBX.TSC_ADJUST
    public const uint IA32_TSC_ADJUST = 0x03B;

    // CPUID.07H.0:EDX[26] (AMD: 8000_0008 EBX[14])
    public const uint IA32_SPEC_CTRL = 0x048;
    public const uint IA32_PRED_CMD = 0x049;

    // Microcode
    public const uint IA32_BIOS_UPDT_TRIG = 0x079;
    public const uint IA32_BIOS_SIGN_ID = 0x08B;

    // Intel, model specific; Linux reads it for the TSC's ratio
    public const uint MSR_PLATFORM_INFO = 0x0CE;

    // CPUID.06H:ECX[0]
    public const uint IA32_MPERF = 0x0E7;
    public const uint IA32_APERF = 0x0E8;

    // CPUID.01H:EDX.MTRR
    public const uint IA32_MTRRCAP = 0x0FE;
    public const uint IA32_MTRR_PHYSBASE0 = 0x200;
    public const uint IA32_MTRR_PHYSMASK0 = 0x201;
    public const uint IA32_MTRR_PHYSMASK9 = 0x213;
    public const uint IA32_MTRR_FIX64K_00000 = 0x250;
    public const uint IA32_MTRR_FIX16K_80000 = 0x258;
    public const uint IA32_MTRR_FIX16K_A0000 = 0x259;
    public const uint IA32_MTRR_FIX4K_C0000 = 0x268;
    public const uint IA32_MTRR_FIX4K_F8000 = 0x26F;
    public const uint IA32_MTRR_DEF_TYPE = 0x2FF;

    // CPUID.07H.0:EDX.ARCH_CAPABILITIES
    public const uint IA32_ARCH_CAPABILITIES = 0x10A;

    // CPUID.07H.0:EDX.L1D_FLUSH
    public const uint IA32_FLUSH_CMD = 0x10B;

    // IA32_ARCH_CAPABILITIES.TSX_CTRL
    public const uint IA32_TSX_CTRL = 0x122;

    // CPUID.01H:EDX.SEP
    public const uint IA32_SYSENTER_CS = 0x174;
    public const uint IA32_SYSENTER_ESP = 0x175;
    public const uint IA32_SYSENTER_EIP = 0x176;

    // CPUID.01H:EDX.MCA
    public const uint IA32_MCG_CAP = 0x179;
    public const uint IA32_MCG_STATUS = 0x17A;
    public const uint IA32_MCG_CTL = 0x17B;
    public const uint IA32_MC0_CTL = 0x400;

    // CPUID.0AH (Intel)
    public const uint IA32_PMC0 = 0x0C1;
    public const uint IA32_PERFEVTSEL0 = 0x186;
    public const uint IA32_FIXED_CTR0 = 0x309;
    public const uint IA32_PERF_GLOBAL_CTRL = 0x38F;

    // CPUID.01H:ECX.EIST, CPUID.01H:EDX.ACPI
    public const uint IA32_PERF_STATUS = 0x198;
    public const uint IA32_PERF_CTL = 0x199;
    public const uint IA32_THERM_INTERRUPT = 0x19B;
    public const uint IA32_THERM_STATUS = 0x19C;

    // Intel
    public const uint IA32_MISC_ENABLE = 0x1A0;

    // P6 and later, AMD K7 and later
    public const uint IA32_DEBUGCTL = 0x1D9;

    // CPUID.01H:EDX.PAT
    public const uint IA32_PAT = 0x277;

    // CPUID.01H:ECX.VMX
    public const uint IA32_VMX_BASIC = 0x480;
    public const uint IA32_VMX_PINBASED_CTLS = 0x481;
    public const uint IA32_VMX_PROCBASED_CTLS = 0x482;
    public const uint IA32_VMX_EXIT_CTLS = 0x483;
    public const uint IA32_VMX_ENTRY_CTLS = 0x484;
    public const uint IA32_VMX_MISC = 0x485;
    public const uint IA32_VMX_CR0_FIXED0 = 0x486;
    public const uint IA32_VMX_CR0_FIXED1 = 0x487;
    public const uint IA32_VMX_CR4_FIXED0 = 0x488;
    public const uint IA32_VMX_CR4_FIXED1 = 0x489;
    public const uint IA32_VMX_VMCS_ENUM = 0x48A;

    // IA32_VMX_PROCBASED_CTLS bit 63
    public const uint IA32_VMX_PROCBASED_CTLS2 = 0x48B;

    // IA32_VMX_PROCBASED_CTLS2 bits 33, 37
    public const uint IA32_VMX_EPT_VPID_CAP = 0x48C;

    // IA32_VMX_BASIC bit 55
    public const uint IA32_VMX_TRUE_PINBASED_CTLS = 0x48D;
    public const uint IA32_VMX_TRUE_PROCBASED_CTLS = 0x48E;
    public const uint IA32_VMX_TRUE_EXIT_CTLS = 0x48F;
    public const uint IA32_VMX_TRUE_ENTRY_CTLS = 0x490;

    // IA32_VMX_PROCBASED_CTLS2 bit 45
    public const uint IA32_VMX_VMFUNC = 0x491;

    // CPUID.07H.0:ECX.CET_SS or EDX.CET_IBT
    public const uint IA32_U_CET = 0x6A0;
    public const uint IA32_S_CET = 0x6A2;
    public const uint IA32_PL0_SSP = 0x6A4;
    public const uint IA32_PL3_SSP = 0x6A7;
    public const uint IA32_INTERRUPT_SSP_TABLE_ADDR = 0x6A8;

    // CPUID.01H:ECX.TSC_DEADLINE
    public const uint IA32_TSC_DEADLINE = 0x6E0;

    // CPUID.01H:ECX.X2APIC; the number is X2ApicFirst + xAPIC offset / 16
    public const uint X2ApicFirst = 0x800;
    public const uint X2ApicLast = 0x8FF;
    public const uint IA32_X2APIC_APICID = 0x802;
    public const uint IA32_X2APIC_VERSION = 0x803;
    public const uint IA32_X2APIC_TPR = 0x808;
    public const uint IA32_X2APIC_EOI = 0x80B;
    public const uint IA32_X2APIC_LDR = 0x80D;
    public const uint IA32_X2APIC_SIVR = 0x80F;
    public const uint IA32_X2APIC_ICR = 0x830;
    public const uint IA32_X2APIC_LVT_TIMER = 0x832;
    public const uint IA32_X2APIC_INIT_COUNT = 0x838;
    public const uint IA32_X2APIC_CUR_COUNT = 0x839;
    public const uint IA32_X2APIC_DIV_CONF = 0x83E;
    public const uint IA32_X2APIC_SELF_IPI = 0x83F;

    // CPUID.0DH.1:EAX.XSAVES
    public const uint IA32_XSS = 0xDA0;

    // CPUID.80000001H:EDX.LM
    public const uint IA32_EFER = 0xC0000080;
    public const uint IA32_STAR = 0xC0000081;
    public const uint IA32_LSTAR = 0xC0000082;
    public const uint IA32_CSTAR = 0xC0000083;
    public const uint IA32_FMASK = 0xC0000084;
    public const uint IA32_FS_BASE = 0xC0000100;
    public const uint IA32_GS_BASE = 0xC0000101;
    public const uint IA32_KERNEL_GS_BASE = 0xC0000102;

    // CPUID.80000001H:EDX.RDTSCP or CPUID.07H.0:ECX.RDPID
    public const uint IA32_TSC_AUX = 0xC0000103;

    // AMD; CPUID 8000_000A EDX.TscRateMsr
    public const uint TSC_RATIO = 0xC0000104;

    // AMD; CPUID 8000_0007 EDX.EffFreqRO
    public const uint MPERF_READ_ONLY = 0xC00000E7;
    public const uint APERF_READ_ONLY = 0xC00000E8;

    // AMD
    public const uint PERF_EVT_SEL0 = 0xC0010000;
    public const uint PERF_CTR0 = 0xC0010004;
    public const uint PERF_CTR3 = 0xC0010007;
    public const uint SYSCFG = 0xC0010010;
    public const uint HWCR = 0xC0010015;
    public const uint IORR_BASE0 = 0xC0010016;
    public const uint TOP_MEM = 0xC001001A;
    public const uint TOP_MEM2 = 0xC001001D;
    public const uint MMIO_CFG_BASE = 0xC0010058;
    public const uint PSTATE_CURRENT_LIMIT = 0xC0010061;
    public const uint PSTATE_CONTROL = 0xC0010062;
    public const uint PSTATE_STATUS = 0xC0010063;
    public const uint PSTATE_DEF0 = 0xC0010064;

    // AMD; CPUID 8000_0001 ECX.SVM
    public const uint VM_CR = 0xC0010114;
    public const uint IGNNE = 0xC0010115;
    public const uint SMM_CTL = 0xC0010116;
    public const uint VM_HSAVE_PA = 0xC0010117;

    // AMD; CPUID 8000_000A EDX.SVML
    public const uint SVM_KEY = 0xC0010118;

    // AMD; CPUID 8000_000A EDX.AVIC
    public const uint AVIC_DOORBELL = 0xC001011B;

    // AMD; CPUID 8000_0008 EBX.VIRT_SSBD
    public const uint VIRT_SPEC_CTRL = 0xC001011F;

    // AMD; CPUID 8000_0001 ECX.OSVW
    public const uint OSVW_ID_LENGTH = 0xC0010140;
    public const uint OSVW_STATUS = 0xC0010141;

    // AMD; CPUID 8000_0001 ECX.PerfCtrExtCore
    public const uint PERF_CTL0 = 0xC0010200;

    // AMD, model specific
    public const uint LS_CFG = 0xC0011020;
    public const uint DE_CFG = 0xC0011029;
}
