// Why the processor left the guest. SDM 3D, appendix "Basic Exit Reasons".

namespace Lamina.Hypervisor.Vmx;

/// <summary>Bits 15:0 of the exit reason.</summary>
public static class VmxExitReason
{
    public const ushort ExceptionOrNmi = 0;
    public const ushort ExternalInterrupt = 1;
    public const ushort TripleFault = 2;
    public const ushort InitSignal = 3;
    public const ushort StartupIpi = 4;
    public const ushort IoSmi = 5;
    public const ushort OtherSmi = 6;
    public const ushort InterruptWindow = 7;
    public const ushort NmiWindow = 8;
    public const ushort TaskSwitch = 9;
    public const ushort CPUID = 10;
    public const ushort GETSEC = 11;
    public const ushort HLT = 12;
    public const ushort INVD = 13;
    public const ushort INVLPG = 14;
    public const ushort RDPMC = 15;
    public const ushort RDTSC = 16;
    public const ushort RSM = 17;
    public const ushort VMCALL = 18;
    public const ushort VMCLEAR = 19;
    public const ushort VMLAUNCH = 20;
    public const ushort VMPTRLD = 21;
    public const ushort VMPTRST = 22;
    public const ushort VMREAD = 23;
    public const ushort VMRESUME = 24;
    public const ushort VMWRITE = 25;
    public const ushort VMXOFF = 26;
    public const ushort VMXON = 27;
    public const ushort ControlRegisterAccesses = 28;
    public const ushort MovDr = 29;
    public const ushort IoInstruction = 30;
    public const ushort RDMSR = 31;
    public const ushort WRMSR = 32;
    public const ushort EntryFailureInvalidGuestState = 33;
    public const ushort EntryFailureMsrLoading = 34;
    public const ushort MWAIT = 36;
    public const ushort MonitorTrapFlag = 37;
    public const ushort MONITOR = 39;
    public const ushort PAUSE = 40;
    public const ushort EntryFailureMachineCheckEvent = 41;
    public const ushort TprBelowThreshold = 43;
    public const ushort ApicAccess = 44;
    public const ushort VirtualizedEoi = 45;
    public const ushort AccessToGdtrOrIdtr = 46;
    public const ushort AccessToLdtrOrTr = 47;
    public const ushort EptViolation = 48;
    public const ushort EptMisconfiguration = 49;
    public const ushort INVEPT = 50;
    public const ushort RDTSCP = 51;
    public const ushort VmxPreemptionTimerExpired = 52;
    public const ushort INVVPID = 53;
    public const ushort WBINVD = 54;
    public const ushort XSETBV = 55;
    public const ushort ApicWrite = 56;
    public const ushort RDRAND = 57;
    public const ushort INVPCID = 58;
    public const ushort VMFUNC = 59;
    public const ushort ENCLS = 60;
    public const ushort RDSEED = 61;
    public const ushort PageModificationLogFull = 62;
    public const ushort XSAVES = 63;
    public const ushort XRSTORS = 64;

    /// <summary>The basic reason, and bit 31: others say in what mode the guest was (27: an enclave) or what is pending besides.</summary>
    public const uint Compared = 0xFFFF | EntryFailure;

    /// <summary>Bit 31 of the whole field: the entry failed, the guest has not run.</summary>
    public const uint EntryFailure = 1u << 31;
}
