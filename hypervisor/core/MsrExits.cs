// RDMSR and WRMSR: which register is whose. Unknown ones are #GP, so that a guest's own probing works.
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>MSRs of the core itself.</summary>
public static class HostMsr
{
    public const uint TSC_AUX = 0xC0000103, EFER = 0xC0000080, PAT = 0x277;
}

public static class MsrPolicy
{
    /// <summary>SDM 3A, "IA32_PAT MSR": each byte a memory type; 2 and 3 are reserved.</summary>
    public static bool IsValidPat(ulong value)
    {
        for (int i = 0; i < 8; i++, value >>= 8)
            if ((value & 0xFF) is 2 or 3 or > 7) return false;
        return true;
    }

    /// <summary>A memory type that an MTRR may hold.</summary>
    public static bool IsValidMtrrType(byte type) => type is 0 or 1 or 4 or 5 or 6;
}

public static unsafe class MsrExits<TBackend> where TBackend : struct, IBackend
{
    private const byte GeneralProtection = 13;
    private const ulong EferSyscall = 1, EferLme = 1 << 8, EferLma = 1 << 10, EferNxe = 1 << 11, EferFfxsr = 1 << 14, EferTce = 1 << 15;
    private const ulong Cr0Pg = 1UL << 31;

    public static void Read(VirtualProcessor* vp)
    {
        vp->Count(HvStatsVpCounters.VpMsrAccessesCount);
        // The frequent one, of whoever has nothing to do: sleeps until an interrupt comes, whatever IF says. TLFS, "Guest Idle State".
        if ((uint)vp->Gpr[Gpr.Rcx] == HvMsr.HV_X64_MSR_GUEST_IDLE && Has(vp, PartitionPrivileges.AccessGuestIdleMsr))
        {
            vp->Gpr[Gpr.Rax] = vp->Gpr[Gpr.Rdx] = 0;
            TBackend.CompleteInstruction(vp);
            Scheduler<TBackend>.Idle(vp);
            return;
        }
        if (!TryRead(vp, (uint)vp->Gpr[Gpr.Rcx], out ulong value))
        {
            if (vp->Partition->MsrInterceptInstalled)
            {
                Intercepts<TBackend>.Msr(vp, (uint)vp->Gpr[Gpr.Rcx], HvInterceptAccessType.HvInterceptAccessRead);
                return;
            }
            TBackend.InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        vp->Gpr[Gpr.Rax] = (uint)value;
        vp->Gpr[Gpr.Rdx] = value >> 32;
        TBackend.CompleteInstruction(vp);
    }

    public static void Write(VirtualProcessor* vp)
    {
        uint msr = (uint)vp->Gpr[Gpr.Rcx];
        ulong value = (uint)vp->Gpr[Gpr.Rax] | vp->Gpr[Gpr.Rdx] << 32;
        vp->Count(ApicCounters.OfMsrWrite(msr));
        // These two are told to the parent, which completes the instruction.
        if (!vp->Partition->IsRoot && IsReported(vp, msr, value))
        {
            Intercepts<TBackend>.Msr(vp, msr, HvInterceptAccessType.HvInterceptAccessWrite);
            return;
        }
        if (!TryWrite(vp, msr, value))
        {
            if (vp->Partition->MsrInterceptInstalled)
            {
                Intercepts<TBackend>.Msr(vp, msr, HvInterceptAccessType.HvInterceptAccessWrite);
                return;
            }
            TBackend.InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        TBackend.CompleteInstruction(vp);
    }

    private static bool IsReported(VirtualProcessor* vp, uint msr, ulong value) => msr switch
    {
        HvMsr.HV_X64_MSR_CRASH_CTL => new CrashCtlMsr(value).CrashNotify,
        HvMsr.HV_X64_MSR_RESET => Has(vp, PartitionPrivileges.AccessResetMsr) && (value & 1) != 0,
        _ => false,
    };

    private static ulong GuestTsc(VirtualProcessor* vp) => Instructions.RdTsc() + vp->TscOffset;

    private static bool Has(VirtualProcessor* vp, PartitionPrivileges privilege) => vp->Partition->Privileges.Includes(privilege);

    public static bool TryRead(VirtualProcessor* vp, uint msr, out ulong value)
    {
        value = 0;
        if (msr >> 8 == 0x8 || msr is Msr.IA32_APIC_BASE or Msr.IA32_TSC_DEADLINE)
        {
            Interrupts<TBackend>.Synchronize(vp);
            return vp->Apic.TryReadMsr(msr, GuestTsc(vp), out value);
        }
        if (msr >> 12 == 0x40000)
            return SyntheticMsrs<TBackend>.TryRead(vp, msr, out value);
        switch (msr)
        {
            case Msr.IA32_TIME_STAMP_COUNTER: value = GuestTsc(vp); return true;
            case Msr.IA32_TSC_ADJUST: value = vp->TscAdjust; return true;
            case Msr.IA32_PAT: value = vp->Pat; return true;
            case HostMsr.EFER: value = TBackend.GetEfer(vp); return true;
            case HostMsr.TSC_AUX: value = vp->TscAux; return CpuidPolicy.HasTscAux;
            case Msr.IA32_MISC_ENABLE: value = vp->MiscEnable; return true;
            case Msr.IA32_MTRRCAP: value = 1 << 10 | 1 << 8 | 8; return true; // write-combining, fixed ranges, 8 variable
            case Msr.IA32_MTRR_DEF_TYPE: value = vp->MtrrDefType; return true;
            case >= Msr.IA32_MTRR_PHYSBASE0 and < Msr.IA32_MTRR_PHYSBASE0 + 16: value = vp->MtrrVariable[msr - Msr.IA32_MTRR_PHYSBASE0]; return true;
            // Machine checks are the machine's: a guest has no banks.
            case Msr.IA32_MCG_CAP: case Msr.IA32_MCG_STATUS: return true;
            case Msr.IA32_BIOS_SIGN_ID: case Msr.IA32_PLATFORM_ID: case Msr.IA32_DEBUGCTL: return true;
            // AMD: system and hardware configuration as a plain processor has them after reset. APM 2, "SYSCFG", "HWCR".
            case 0xC0010010: case 0xC0010015: case 0xC001001F: case 0xC0010020: case 0xC0010055: case 0xC0010064: return true;
            case 0xC0011020: case 0xC0011022: case 0xC0011029: value = msr == 0xC0011029 ? 2UL : 0; return true; // DE_CFG: LFENCE serialises
        }
        int fixedIndex = FixedMtrr(msr);
        if (fixedIndex >= 0)
            value = vp->MtrrFixed[fixedIndex];
        return fixedIndex >= 0;
    }

    public static bool TryWrite(VirtualProcessor* vp, uint msr, ulong value)
    {
        if (msr >> 8 == 0x8 || msr is Msr.IA32_APIC_BASE or Msr.IA32_TSC_DEADLINE)
        {
            Interrupts<TBackend>.Synchronize(vp);
            if (!vp->Apic.TryWriteMsr(msr, value, GuestTsc(vp), out ApicEffect effect))
                return false;
            Interrupts<TBackend>.Apply(vp, effect);
            return true;
        }
        if (msr >> 12 == 0x40000)
            return SyntheticMsrs<TBackend>.TryWrite(vp, msr, value);
        switch (msr)
        {
            case Msr.IA32_TIME_STAMP_COUNTER: SetTsc(vp, value - GuestTsc(vp)); return true;
            case Msr.IA32_TSC_ADJUST:
                SetTsc(vp, value - vp->TscAdjust);
                return true;
            case Msr.IA32_PAT:
                if (!MsrPolicy.IsValidPat(value))
                    return false;
                return SetRegister(vp, HvRegisterName.HvX64RegisterPat, value);
            case HostMsr.EFER: return TryWriteEfer(vp, value);
            case HostMsr.TSC_AUX:
                if (value >> 32 != 0 || !CpuidPolicy.HasTscAux)
                    return false;
                vp->TscAux = value;
                LogicalProcessor.Current->LoadTscAux((uint)value);
                return true;
            case Msr.IA32_MISC_ENABLE: vp->MiscEnable = value; return true;
            case Msr.IA32_MTRR_DEF_TYPE:
                if ((value & ~0xC0FUL) != 0 || !MsrPolicy.IsValidMtrrType((byte)(value & 0xF)))
                    return false;
                vp->MtrrDefType = value;
                return true;
            case >= Msr.IA32_MTRR_PHYSBASE0 and < Msr.IA32_MTRR_PHYSBASE0 + 16: vp->MtrrVariable[msr - Msr.IA32_MTRR_PHYSBASE0] = value; return true;
            case Msr.IA32_MCG_STATUS: return value == 0;
            case Msr.IA32_BIOS_SIGN_ID: case Msr.IA32_BIOS_UPDT_TRIG: case Msr.IA32_DEBUGCTL: return true;
            case 0xC0010015: case 0xC001001F: case 0xC0011020: case 0xC0011022: case 0xC0011029: return true;
        }
        int fixedIndex = FixedMtrr(msr);
        if (fixedIndex >= 0)
            vp->MtrrFixed[fixedIndex] = value;
        return fixedIndex >= 0;
    }

    private static int FixedMtrr(uint msr) => msr switch
    {
        Msr.IA32_MTRR_FIX64K_00000 => 0,
        Msr.IA32_MTRR_FIX16K_80000 => 1,
        Msr.IA32_MTRR_FIX16K_A0000 => 2,
        >= Msr.IA32_MTRR_FIX4K_C0000 and <= Msr.IA32_MTRR_FIX4K_F8000 => (int)(3 + msr - Msr.IA32_MTRR_FIX4K_C0000),
        _ => -1,
    };

    private static bool SetRegister(VirtualProcessor* vp, uint name, ulong value)
    {
        HvRegisterValue register;
        register.High64 = 0;
        register.Reg64 = value;
        return TBackend.SetRegister(vp, name, &register).IsSuccess;
    }

    /// <summary>Moves the guest's TSC by <paramref name="delta"/>; its TSC deadlines stay absolute, its counts and reference time go on.</summary>
    private static void SetTsc(VirtualProcessor* vp, ulong delta)
    {
        Partition* partition = vp->Partition;
        ulong before = GuestTsc(vp);
        vp->TscOffset += delta;
        vp->TscAdjust += delta;
        TBackend.SetTscOffset(vp, vp->TscOffset);
        vp->Apic.ShiftTimeBase((long)delta);
        // The reference page is computed from the guest's own counter.
        if (partition->VpCount == 1)
        {
            partition->Time.Rebase(before, before + delta);
            partition->TscOffset = vp->TscOffset;
        }
        else
            partition->TscDisagrees = true;
        Overlays<TBackend>.PublishReferenceTsc(partition);
        Timers<TBackend>.Update(vp);
    }

    // SDM 3A, "Extended Feature Enable Register": LME does not change while paging is on; LMA is the processor's.
    private static bool TryWriteEfer(VirtualProcessor* vp, ulong value)
    {
        ulong current = TBackend.GetEfer(vp);
        if ((value & ~(EferSyscall | EferLme | EferLma | EferNxe | EferFfxsr | EferTce)) != 0)
            return false;
        if ((TBackend.GetCr0(vp) & Cr0Pg) != 0 && ((value ^ current) & EferLme) != 0)
            return false;
        return SetRegister(vp, HvRegisterName.HvX64RegisterEfer, value & ~EferLma | current & EferLma);
    }
}
