// Names of virtual processor registers. TLFS, "Virtual Processor Registers" (HV_REGISTER_NAME).

namespace Lamina.Abi;

/// <summary>HV_REGISTER_NAME.</summary>
public static class HvRegisterName
{
    // Suspend registers
    public const uint HvRegisterExplicitSuspend = 0x00000000;
    public const uint HvRegisterInterceptSuspend = 0x00000001;
    public const uint HvRegisterInstructionEmulationHints = 0x00000002;
    public const uint HvRegisterDispatchSuspend = 0x00000003;
    public const uint HvRegisterInternalActivityState = 0x00000004;

    // Version: CPUID 0x40000002
    public const uint HvRegisterHypervisorVersion = 0x00000100;

    // Feature access: CPUID 0x40000003 and up
    public const uint HvRegisterPrivilegesAndFeaturesInfo = 0x00000200;
    public const uint HvRegisterFeaturesInfo = 0x00000201;
    public const uint HvRegisterImplementationLimitsInfo = 0x00000202;
    public const uint HvRegisterHardwareFeaturesInfo = 0x00000203;
    public const uint HvRegisterCpuManagementFeaturesInfo = 0x00000204;
    public const uint HvRegisterSvmFeaturesInfo = 0x00000205;
    public const uint HvRegisterSkipLevelFeaturesInfo = 0x00000206;
    public const uint HvRegisterNestedVirtFeaturesInfo = 0x00000207;
    public const uint HvRegisterIptFeaturesInfo = 0x00000208;

    // Guest crash registers
    public const uint HvRegisterGuestCrashP0 = 0x00000210;
    public const uint HvRegisterGuestCrashP1 = 0x00000211;
    public const uint HvRegisterGuestCrashP2 = 0x00000212;
    public const uint HvRegisterGuestCrashP3 = 0x00000213;
    public const uint HvRegisterGuestCrashP4 = 0x00000214;
    public const uint HvRegisterGuestCrashCtl = 0x00000215;

    // Pending interruption
    public const uint HvRegisterPendingInterruption = 0x00010002;
    public const uint HvRegisterInterruptState = 0x00010003;
    public const uint HvRegisterPendingEvent0 = 0x00010004;
    public const uint HvRegisterPendingEvent1 = 0x00010005;
    public const uint HvX64RegisterDeliverabilityNotifications = 0x00010006;

    // User-mode registers
    public const uint HvX64RegisterRax = 0x00020000;
    public const uint HvX64RegisterRcx = 0x00020001;
    public const uint HvX64RegisterRdx = 0x00020002;
    public const uint HvX64RegisterRbx = 0x00020003;
    public const uint HvX64RegisterRsp = 0x00020004;
    public const uint HvX64RegisterRbp = 0x00020005;
    public const uint HvX64RegisterRsi = 0x00020006;
    public const uint HvX64RegisterRdi = 0x00020007;
    public const uint HvX64RegisterR8 = 0x00020008;
    public const uint HvX64RegisterR9 = 0x00020009;
    public const uint HvX64RegisterR10 = 0x0002000A;
    public const uint HvX64RegisterR11 = 0x0002000B;
    public const uint HvX64RegisterR12 = 0x0002000C;
    public const uint HvX64RegisterR13 = 0x0002000D;
    public const uint HvX64RegisterR14 = 0x0002000E;
    public const uint HvX64RegisterR15 = 0x0002000F;
    public const uint HvX64RegisterRip = 0x00020010;
    public const uint HvX64RegisterRflags = 0x00020011;

    // Floating point and vector registers
    public const uint HvX64RegisterXmm0 = 0x00030000;
    public const uint HvX64RegisterXmm1 = 0x00030001;
    public const uint HvX64RegisterXmm2 = 0x00030002;
    public const uint HvX64RegisterXmm3 = 0x00030003;
    public const uint HvX64RegisterXmm4 = 0x00030004;
    public const uint HvX64RegisterXmm5 = 0x00030005;
    public const uint HvX64RegisterXmm6 = 0x00030006;
    public const uint HvX64RegisterXmm7 = 0x00030007;
    public const uint HvX64RegisterXmm8 = 0x00030008;
    public const uint HvX64RegisterXmm9 = 0x00030009;
    public const uint HvX64RegisterXmm10 = 0x0003000A;
    public const uint HvX64RegisterXmm11 = 0x0003000B;
    public const uint HvX64RegisterXmm12 = 0x0003000C;
    public const uint HvX64RegisterXmm13 = 0x0003000D;
    public const uint HvX64RegisterXmm14 = 0x0003000E;
    public const uint HvX64RegisterXmm15 = 0x0003000F;
    public const uint HvX64RegisterFpMmx0 = 0x00030010;
    public const uint HvX64RegisterFpMmx1 = 0x00030011;
    public const uint HvX64RegisterFpMmx2 = 0x00030012;
    public const uint HvX64RegisterFpMmx3 = 0x00030013;
    public const uint HvX64RegisterFpMmx4 = 0x00030014;
    public const uint HvX64RegisterFpMmx5 = 0x00030015;
    public const uint HvX64RegisterFpMmx6 = 0x00030016;
    public const uint HvX64RegisterFpMmx7 = 0x00030017;
    public const uint HvX64RegisterFpControlStatus = 0x00030018;
    public const uint HvX64RegisterXmmControlStatus = 0x00030019;

    // Control registers
    public const uint HvX64RegisterCr0 = 0x00040000;
    public const uint HvX64RegisterCr2 = 0x00040001;
    public const uint HvX64RegisterCr3 = 0x00040002;
    public const uint HvX64RegisterCr4 = 0x00040003;
    public const uint HvX64RegisterCr8 = 0x00040004;
    public const uint HvX64RegisterXfem = 0x00040005;

    // Debug registers
    public const uint HvX64RegisterDr0 = 0x00050000;
    public const uint HvX64RegisterDr1 = 0x00050001;
    public const uint HvX64RegisterDr2 = 0x00050002;
    public const uint HvX64RegisterDr3 = 0x00050003;
    public const uint HvX64RegisterDr6 = 0x00050004;
    public const uint HvX64RegisterDr7 = 0x00050005;

    // Segment registers
    public const uint HvX64RegisterEs = 0x00060000;
    public const uint HvX64RegisterCs = 0x00060001;
    public const uint HvX64RegisterSs = 0x00060002;
    public const uint HvX64RegisterDs = 0x00060003;
    public const uint HvX64RegisterFs = 0x00060004;
    public const uint HvX64RegisterGs = 0x00060005;
    public const uint HvX64RegisterLdtr = 0x00060006;
    public const uint HvX64RegisterTr = 0x00060007;

    // Table registers
    public const uint HvX64RegisterIdtr = 0x00070000;
    public const uint HvX64RegisterGdtr = 0x00070001;

    // Virtualized MSRs
    public const uint HvX64RegisterTsc = 0x00080000;
    public const uint HvX64RegisterEfer = 0x00080001;
    public const uint HvX64RegisterKernelGsBase = 0x00080002;
    public const uint HvX64RegisterApicBase = 0x00080003;
    public const uint HvX64RegisterPat = 0x00080004;
    public const uint HvX64RegisterSysenterCs = 0x00080005;
    public const uint HvX64RegisterSysenterEip = 0x00080006;
    public const uint HvX64RegisterSysenterEsp = 0x00080007;
    public const uint HvX64RegisterStar = 0x00080008;
    public const uint HvX64RegisterLstar = 0x00080009;
    public const uint HvX64RegisterCstar = 0x0008000A;
    public const uint HvX64RegisterSfmask = 0x0008000B;
    public const uint HvX64RegisterInitialApicId = 0x0008000C;

    // Cache control MSRs
    public const uint HvX64RegisterMtrrCap = 0x0008000D;
    public const uint HvX64RegisterMtrrDefType = 0x0008000E;
    public const uint HvX64RegisterMtrrPhysBase0 = 0x00080010;
    public const uint HvX64RegisterMtrrPhysBase1 = 0x00080011;
    public const uint HvX64RegisterMtrrPhysBase2 = 0x00080012;
    public const uint HvX64RegisterMtrrPhysBase3 = 0x00080013;
    public const uint HvX64RegisterMtrrPhysBase4 = 0x00080014;
    public const uint HvX64RegisterMtrrPhysBase5 = 0x00080015;
    public const uint HvX64RegisterMtrrPhysBase6 = 0x00080016;
    public const uint HvX64RegisterMtrrPhysBase7 = 0x00080017;
    public const uint HvX64RegisterMtrrPhysBase8 = 0x00080018;
    public const uint HvX64RegisterMtrrPhysBase9 = 0x00080019;
    public const uint HvX64RegisterMtrrPhysBaseA = 0x0008001A;
    public const uint HvX64RegisterMtrrPhysBaseB = 0x0008001B;
    public const uint HvX64RegisterMtrrPhysBaseC = 0x0008001C;
    public const uint HvX64RegisterMtrrPhysBaseD = 0x0008001D;
    public const uint HvX64RegisterMtrrPhysBaseE = 0x0008001E;
    public const uint HvX64RegisterMtrrPhysBaseF = 0x0008001F;
    public const uint HvX64RegisterMtrrPhysMask0 = 0x00080040;
    public const uint HvX64RegisterMtrrPhysMask1 = 0x00080041;
    public const uint HvX64RegisterMtrrPhysMask2 = 0x00080042;
    public const uint HvX64RegisterMtrrPhysMask3 = 0x00080043;
    public const uint HvX64RegisterMtrrPhysMask4 = 0x00080044;
    public const uint HvX64RegisterMtrrPhysMask5 = 0x00080045;
    public const uint HvX64RegisterMtrrPhysMask6 = 0x00080046;
    public const uint HvX64RegisterMtrrPhysMask7 = 0x00080047;
    public const uint HvX64RegisterMtrrPhysMask8 = 0x00080048;
    public const uint HvX64RegisterMtrrPhysMask9 = 0x00080049;
    public const uint HvX64RegisterMtrrPhysMaskA = 0x0008004A;
    public const uint HvX64RegisterMtrrPhysMaskB = 0x0008004B;
    public const uint HvX64RegisterMtrrPhysMaskC = 0x0008004C;
    public const uint HvX64RegisterMtrrPhysMaskD = 0x0008004D;
    public const uint HvX64RegisterMtrrPhysMaskE = 0x0008004E;
    public const uint HvX64RegisterMtrrPhysMaskF = 0x0008004F;
    public const uint HvX64RegisterMtrrFix64k00000 = 0x00080070;
    public const uint HvX64RegisterMtrrFix16k80000 = 0x00080071;
    public const uint HvX64RegisterMtrrFix16kA0000 = 0x00080072;
    public const uint HvX64RegisterMtrrFix4kC0000 = 0x00080073;
    public const uint HvX64RegisterMtrrFix4kC8000 = 0x00080074;
    public const uint HvX64RegisterMtrrFix4kD0000 = 0x00080075;
    public const uint HvX64RegisterMtrrFix4kD8000 = 0x00080076;
    public const uint HvX64RegisterMtrrFix4kE0000 = 0x00080077;
    public const uint HvX64RegisterMtrrFix4kE8000 = 0x00080078;
    public const uint HvX64RegisterMtrrFix4kF0000 = 0x00080079;
    public const uint HvX64RegisterMtrrFix4kF8000 = 0x0008007A;

    // Further MSRs
    public const uint HvX64RegisterTscAux = 0x0008007B;
    public const uint HvX64RegisterBndcfgs = 0x0008007C;
    public const uint HvX64RegisterDebugCtl = 0x0008007D;
    public const uint HvX64RegisterSpecCtrl = 0x00080084;
    public const uint HvX64RegisterPredCmd = 0x00080085;
    public const uint HvX64RegisterVirtSpecCtrl = 0x00080086;
    public const uint HvX64RegisterTscVirtualOffset = 0x00080087;
    public const uint HvX64RegisterXss = 0x0008008B;
    public const uint HvX64RegisterUCet = 0x0008008C;
    public const uint HvX64RegisterSCet = 0x0008008D;
    public const uint HvX64RegisterSsp = 0x0008008E;
    public const uint HvX64RegisterPl0Ssp = 0x0008008F;
    public const uint HvX64RegisterPl1Ssp = 0x00080090;
    public const uint HvX64RegisterPl2Ssp = 0x00080091;
    public const uint HvX64RegisterPl3Ssp = 0x00080092;
    public const uint HvX64RegisterInterruptSspTableAddr = 0x00080093;
    public const uint HvX64RegisterTscVirtualMultiplier = 0x00080094;
    public const uint HvX64RegisterTscDeadline = 0x00080095;
    public const uint HvX64RegisterTscAdjust = 0x00080096;

    // Local APIC registers: 0x00084000 plus the x2APIC MSR number
    public const uint HvX64RegisterApicId = 0x00084802;
    public const uint HvX64RegisterApicVersion = 0x00084803;
    public const uint HvX64RegisterApicTpr = 0x00084808;
    public const uint HvX64RegisterApicPpr = 0x0008480A;
    public const uint HvX64RegisterApicEoi = 0x0008480B;
    public const uint HvX64RegisterApicLdr = 0x0008480D;
    public const uint HvX64RegisterApicSpurious = 0x0008480F;
    public const uint HvX64RegisterApicIsr0 = 0x00084810;
    public const uint HvX64RegisterApicIsr1 = 0x00084811;
    public const uint HvX64RegisterApicIsr2 = 0x00084812;
    public const uint HvX64RegisterApicIsr3 = 0x00084813;
    public const uint HvX64RegisterApicIsr4 = 0x00084814;
    public const uint HvX64RegisterApicIsr5 = 0x00084815;
    public const uint HvX64RegisterApicIsr6 = 0x00084816;
    public const uint HvX64RegisterApicIsr7 = 0x00084817;
    public const uint HvX64RegisterApicTmr0 = 0x00084818;
    public const uint HvX64RegisterApicTmr1 = 0x00084819;
    public const uint HvX64RegisterApicTmr2 = 0x0008481A;
    public const uint HvX64RegisterApicTmr3 = 0x0008481B;
    public const uint HvX64RegisterApicTmr4 = 0x0008481C;
    public const uint HvX64RegisterApicTmr5 = 0x0008481D;
    public const uint HvX64RegisterApicTmr6 = 0x0008481E;
    public const uint HvX64RegisterApicTmr7 = 0x0008481F;
    public const uint HvX64RegisterApicIrr0 = 0x00084820;
    public const uint HvX64RegisterApicIrr1 = 0x00084821;
    public const uint HvX64RegisterApicIrr2 = 0x00084822;
    public const uint HvX64RegisterApicIrr3 = 0x00084823;
    public const uint HvX64RegisterApicIrr4 = 0x00084824;
    public const uint HvX64RegisterApicIrr5 = 0x00084825;
    public const uint HvX64RegisterApicIrr6 = 0x00084826;
    public const uint HvX64RegisterApicIrr7 = 0x00084827;
    public const uint HvX64RegisterApicEse = 0x00084828;
    public const uint HvX64RegisterApicIcr = 0x00084830;
    public const uint HvX64RegisterApicLvtTimer = 0x00084832;
    public const uint HvX64RegisterApicLvtThermal = 0x00084833;
    public const uint HvX64RegisterApicLvtPerfmon = 0x00084834;
    public const uint HvX64RegisterApicLvtLint0 = 0x00084835;
    public const uint HvX64RegisterApicLvtLint1 = 0x00084836;
    public const uint HvX64RegisterApicLvtError = 0x00084837;
    public const uint HvX64RegisterApicInitCount = 0x00084838;
    public const uint HvX64RegisterApicCurrentCount = 0x00084839;
    public const uint HvX64RegisterApicDivide = 0x0008483E;
    public const uint HvX64RegisterApicSelfIpi = 0x0008483F;

    // Synthetic registers
    public const uint HvRegisterVpRuntime = 0x00090000;
    public const uint HvX64RegisterHypercall = 0x00090001;
    public const uint HvRegisterGuestOsId = 0x00090002;
    public const uint HvRegisterVpIndex = 0x00090003;
    public const uint HvRegisterTimeRefCount = 0x00090004;
    public const uint HvRegisterCpuManagementVersion = 0x00090007;
    public const uint HvRegisterVpAssistPage = 0x00090013;
    public const uint HvRegisterVpRootSignalCount = 0x00090014;
    public const uint HvRegisterReferenceTsc = 0x00090017;
    public const uint HvRegisterVpConfig = 0x00090018;
    public const uint HvRegisterReferenceTscSequence = 0x0009001A;

    // SynIC registers; 0x12 is HV_X64_MSR_SIEFP, 0x13 is HV_X64_MSR_SIMP
    public const uint HvRegisterSint0 = 0x000A0000;
    public const uint HvRegisterSint1 = 0x000A0001;
    public const uint HvRegisterSint2 = 0x000A0002;
    public const uint HvRegisterSint3 = 0x000A0003;
    public const uint HvRegisterSint4 = 0x000A0004;
    public const uint HvRegisterSint5 = 0x000A0005;
    public const uint HvRegisterSint6 = 0x000A0006;
    public const uint HvRegisterSint7 = 0x000A0007;
    public const uint HvRegisterSint8 = 0x000A0008;
    public const uint HvRegisterSint9 = 0x000A0009;
    public const uint HvRegisterSint10 = 0x000A000A;
    public const uint HvRegisterSint11 = 0x000A000B;
    public const uint HvRegisterSint12 = 0x000A000C;
    public const uint HvRegisterSint13 = 0x000A000D;
    public const uint HvRegisterSint14 = 0x000A000E;
    public const uint HvRegisterSint15 = 0x000A000F;
    public const uint HvRegisterScontrol = 0x000A0010;
    public const uint HvRegisterSversion = 0x000A0011;
    public const uint HvRegisterSifp = 0x000A0012;
    public const uint HvRegisterSipp = 0x000A0013;
    public const uint HvRegisterEom = 0x000A0014;
    public const uint HvRegisterSirbp = 0x000A0015;

    // Synthetic timer registers
    public const uint HvRegisterStimer0Config = 0x000B0000;
    public const uint HvRegisterStimer0Count = 0x000B0001;
    public const uint HvRegisterStimer1Config = 0x000B0002;
    public const uint HvRegisterStimer1Count = 0x000B0003;
    public const uint HvRegisterStimer2Config = 0x000B0004;
    public const uint HvRegisterStimer2Count = 0x000B0005;
    public const uint HvRegisterStimer3Config = 0x000B0006;
    public const uint HvRegisterStimer3Count = 0x000B0007;
}
