// Why the processor left the guest. APM 2, appendix "SVM Intercept Exit Codes".

namespace Lamina.Hypervisor.Svm;

/// <summary>EXITCODE.</summary>
public static class SvmExitCode
{
    // Control registers: CRn is CR0 + n
    public const ulong VMEXIT_CR0_READ = 0x000;
    public const ulong VMEXIT_CR3_READ = 0x003;
    public const ulong VMEXIT_CR4_READ = 0x004;
    public const ulong VMEXIT_CR8_READ = 0x008;
    public const ulong VMEXIT_CR15_READ = 0x00F;
    public const ulong VMEXIT_CR0_WRITE = 0x010;
    public const ulong VMEXIT_CR3_WRITE = 0x013;
    public const ulong VMEXIT_CR4_WRITE = 0x014;
    public const ulong VMEXIT_CR8_WRITE = 0x018;
    public const ulong VMEXIT_CR15_WRITE = 0x01F;

    // Debug registers: DRn is DR0 + n
    public const ulong VMEXIT_DR0_READ = 0x020;
    public const ulong VMEXIT_DR15_READ = 0x02F;
    public const ulong VMEXIT_DR0_WRITE = 0x030;
    public const ulong VMEXIT_DR15_WRITE = 0x03F;

    // Exceptions: vector n is EXCP0 + n; EXITINFO1 holds the error code, EXITINFO2 the address of a page fault
    public const ulong VMEXIT_EXCP0 = 0x040;
    public const ulong VMEXIT_EXCP31 = 0x05F;

    // Word 1 of the intercepts
    public const ulong VMEXIT_INTR = 0x060;
    public const ulong VMEXIT_NMI = 0x061;
    public const ulong VMEXIT_SMI = 0x062;
    public const ulong VMEXIT_INIT = 0x063;
    public const ulong VMEXIT_VINTR = 0x064;
    public const ulong VMEXIT_CR0_SEL_WRITE = 0x065;
    public const ulong VMEXIT_IDTR_READ = 0x066;
    public const ulong VMEXIT_GDTR_READ = 0x067;
    public const ulong VMEXIT_LDTR_READ = 0x068;
    public const ulong VMEXIT_TR_READ = 0x069;
    public const ulong VMEXIT_IDTR_WRITE = 0x06A;
    public const ulong VMEXIT_GDTR_WRITE = 0x06B;
    public const ulong VMEXIT_LDTR_WRITE = 0x06C;
    public const ulong VMEXIT_TR_WRITE = 0x06D;
    public const ulong VMEXIT_RDTSC = 0x06E;
    public const ulong VMEXIT_RDPMC = 0x06F;
    public const ulong VMEXIT_PUSHF = 0x070;
    public const ulong VMEXIT_POPF = 0x071;
    public const ulong VMEXIT_CPUID = 0x072;
    public const ulong VMEXIT_RSM = 0x073;
    public const ulong VMEXIT_IRET = 0x074;
    public const ulong VMEXIT_SWINT = 0x075;
    public const ulong VMEXIT_INVD = 0x076;
    public const ulong VMEXIT_PAUSE = 0x077;
    public const ulong VMEXIT_HLT = 0x078;
    public const ulong VMEXIT_INVLPG = 0x079;
    public const ulong VMEXIT_INVLPGA = 0x07A;
    public const ulong VMEXIT_IOIO = 0x07B;
    public const ulong VMEXIT_MSR = 0x07C;
    public const ulong VMEXIT_TASK_SWITCH = 0x07D;
    public const ulong VMEXIT_FERR_FREEZE = 0x07E;
    public const ulong VMEXIT_SHUTDOWN = 0x07F;

    // Word 2
    public const ulong VMEXIT_VMRUN = 0x080;
    public const ulong VMEXIT_VMMCALL = 0x081;
    public const ulong VMEXIT_VMLOAD = 0x082;
    public const ulong VMEXIT_VMSAVE = 0x083;
    public const ulong VMEXIT_STGI = 0x084;
    public const ulong VMEXIT_CLGI = 0x085;
    public const ulong VMEXIT_SKINIT = 0x086;
    public const ulong VMEXIT_RDTSCP = 0x087;
    public const ulong VMEXIT_ICEBP = 0x088;
    public const ulong VMEXIT_WBINVD = 0x089;
    public const ulong VMEXIT_MONITOR = 0x08A;
    public const ulong VMEXIT_MWAIT = 0x08B;
    public const ulong VMEXIT_MWAIT_CONDITIONAL = 0x08C;
    public const ulong VMEXIT_XSETBV = 0x08D;
    public const ulong VMEXIT_RDPRU = 0x08E;
    public const ulong VMEXIT_EFER_WRITE_TRAP = 0x08F;
    public const ulong VMEXIT_CR0_WRITE_TRAP = 0x090;
    public const ulong VMEXIT_CR15_WRITE_TRAP = 0x09F;

    // Word 3
    public const ulong VMEXIT_INVLPGB = 0x0A0;
    public const ulong VMEXIT_INVLPGB_ILLEGAL = 0x0A1;
    public const ulong VMEXIT_INVPCID = 0x0A2;
    public const ulong VMEXIT_MCOMMIT = 0x0A3;
    public const ulong VMEXIT_TLBSYNC = 0x0A4;
    public const ulong VMEXIT_BUSLOCK = 0x0A5;
    public const ulong VMEXIT_IDLE_HLT = 0x0A6;

    // Nested paging: EXITINFO1 is a NestedPageFaultInfo, EXITINFO2 the guest physical address
    public const ulong VMEXIT_NPF = 0x400;

    // AVIC and SEV-ES
    public const ulong AVIC_INCOMPLETE_IPI = 0x401;
    public const ulong AVIC_NOACCEL = 0x402;
    public const ulong VMEXIT_VMGEXIT = 0x403;

    // VMRUN refused: the state is not one that can run
    public const ulong VMEXIT_INVALID = ulong.MaxValue;
}
