// Registers that are MSRs of the guest under another name. TLFS, "Virtual Processor Registers".
using Lamina.Abi;
using Lamina.X64;
using static Lamina.Abi.HvRegisterName;

namespace Lamina.Hypervisor.Hypercalls;

public static class RegisterMsrs
{
    /// <summary>What the names of local APIC registers have in common; the rest is the number of the x2APIC MSR.</summary>
    private const uint ApicNames = 0x00084000;

    public static bool IsApic(uint name) => name is >= HvX64RegisterApicId and <= HvX64RegisterApicSelfIpi;

    /// <summary>Offset in the xAPIC page of what an x2APIC MSR names.</summary>
    public static uint XApicOffset(uint msr) => (msr - Msr.X2ApicFirst) << 4;

    /// <summary>The MSR whose value a register is. False: it is no MSR that the core keeps.</summary>
    public static bool TryMap(uint name, out uint msr)
    {
        msr = 0;
        if (IsApic(name))
            msr = name - ApicNames;
        else if (name is >= HvRegisterSint0 and <= HvRegisterSint15)
            msr = HvMsr.HV_X64_MSR_SINT0 + (name - HvRegisterSint0);
        else if (name is >= HvRegisterScontrol and <= HvRegisterEom)
            msr = HvMsr.HV_X64_MSR_SCONTROL + (name - HvRegisterScontrol);
        else if (name is >= HvRegisterStimer0Config and <= HvRegisterStimer3Count)
            msr = HvMsr.HV_X64_MSR_STIMER0_CONFIG + (name - HvRegisterStimer0Config);
        else if (name is >= HvRegisterGuestCrashP0 and <= HvRegisterGuestCrashCtl)
            msr = HvMsr.HV_X64_MSR_CRASH_P0 + (name - HvRegisterGuestCrashP0);
        else if (name is >= HvX64RegisterMtrrPhysBase0 and <= HvX64RegisterMtrrPhysBase7)
            msr = Msr.IA32_MTRR_PHYSBASE0 + 2 * (name - HvX64RegisterMtrrPhysBase0);
        else if (name is >= HvX64RegisterMtrrPhysMask0 and <= HvX64RegisterMtrrPhysMask7)
            msr = Msr.IA32_MTRR_PHYSBASE0 + 1 + 2 * (name - HvX64RegisterMtrrPhysMask0);
        else if (name is >= HvX64RegisterMtrrFix4kC0000 and <= HvX64RegisterMtrrFix4kF8000)
            msr = Msr.IA32_MTRR_FIX4K_C0000 + (name - HvX64RegisterMtrrFix4kC0000);
        else
            msr = Single(name);
        return msr != 0;
    }

    private static uint Single(uint name) => name switch
    {
        HvRegisterVpRuntime => HvMsr.HV_X64_MSR_VP_RUNTIME,
        HvX64RegisterHypercall => HvMsr.HV_X64_MSR_HYPERCALL,
        HvRegisterGuestOsId => HvMsr.HV_X64_MSR_GUEST_OS_ID,
        HvRegisterVpIndex => HvMsr.HV_X64_MSR_VP_INDEX,
        HvRegisterTimeRefCount => HvMsr.HV_X64_MSR_TIME_REF_COUNT,
        HvRegisterVpAssistPage => HvMsr.HV_X64_MSR_VP_ASSIST_PAGE,
        HvRegisterReferenceTsc => HvMsr.HV_X64_MSR_REFERENCE_TSC,
        HvX64RegisterApicBase => Msr.IA32_APIC_BASE,
        HvX64RegisterTsc => Msr.IA32_TIME_STAMP_COUNTER,
        HvX64RegisterTscAdjust => Msr.IA32_TSC_ADJUST,
        HvX64RegisterTscDeadline => Msr.IA32_TSC_DEADLINE,
        HvX64RegisterMtrrCap => Msr.IA32_MTRRCAP,
        HvX64RegisterMtrrDefType => Msr.IA32_MTRR_DEF_TYPE,
        HvX64RegisterMtrrFix64k00000 => Msr.IA32_MTRR_FIX64K_00000,
        HvX64RegisterMtrrFix16k80000 => Msr.IA32_MTRR_FIX16K_80000,
        HvX64RegisterMtrrFix16kA0000 => Msr.IA32_MTRR_FIX16K_A0000,
        _ => 0,
    };
}
