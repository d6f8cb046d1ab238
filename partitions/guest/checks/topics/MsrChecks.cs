// Which MSRs a child may touch. What its privileges do not name is #GP. TLFS, "Hypervisor Synthetic MSRs".
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class MsrChecks
{
    public static void Run()
    {
        Check.RunHv("msr.synthetic-range-by-privilege"u8, &SyntheticRange);
        Check.RunHv("msr.denied-writes"u8, &DeniedWrites);
        Check.RunHv("msr.read-only"u8, &ReadOnly);
        Check.RunHv("msr.synic-version"u8, &SynicVersion);
        Check.RunHv("msr.vp-index"u8, &VpIndexIsZero);
        Check.RunHv("msr.crash-capabilities"u8, &CrashCapabilities);
        Check.RunHv("msr.crash-parameters-kept"u8, &CrashParametersKept);
        Check.RunHv("msr.vp-assist-page"u8, &VpAssistPageAccepted);
        Check.RunHv("msr.sint-vector-below-16"u8, &SintVectorBelow16);
        Check.RunHv("msr.stimer-vector-below-16"u8, &StimerVectorBelow16);
        Check.RunHv("msr.stimer-reserved-bits"u8, &StimerReservedBits);
        Check.RunHv("msr.unknown"u8, &Unknown);
        Check.RunHv("msr.machine-registers-hidden"u8, &MachineRegistersHidden);
        Check.Run("msr.efer-reserved-bits"u8, &EferReservedBits);
        Check.Run("msr.efer-lme-while-paging"u8, &EferLme);
        Check.Run("msr.pat"u8, &Pat);
        Check.Run("msr.mtrr"u8, &Mtrr);
        Check.Run("msr.fs-gs-base"u8, &FsGsBase);
        Check.Run("msr.syscall-registers-kept"u8, &SyscallRegistersKept);
        Check.Run("msr.tsc-write"u8, &TscWrite);
        Check.Run("msr.tsc-aux"u8, &TscAux);
        Check.Run("msr.xsetbv-invalid"u8, &XsetbvInvalid);
        Check.RunHv("msr.virtualization-instructions"u8, &VirtualizationInstructions);
    }

    /// <summary>What the privileges that CPUID shows say of a register. Open: the manual leaves it open, or reading has effects.</summary>
    private enum Access : byte { Denied, Readable, Open }

    private static Access AccessTo(uint msr)
    {
        PartitionPrivileges privilege;
        switch (msr)
        {
            case HvMsr.HV_X64_MSR_GUEST_OS_ID or HvMsr.HV_X64_MSR_HYPERCALL: privilege = PartitionPrivileges.AccessHypercallMsrs; break;
            case HvMsr.HV_X64_MSR_VP_INDEX: privilege = PartitionPrivileges.AccessVpIndex; break;
            case HvMsr.HV_X64_MSR_RESET: privilege = PartitionPrivileges.AccessResetMsr; break;
            case HvMsr.HV_X64_MSR_VP_RUNTIME: privilege = PartitionPrivileges.AccessVpRunTimeMsr; break;
            case HvMsr.HV_X64_MSR_TIME_REF_COUNT: privilege = PartitionPrivileges.AccessPartitionReferenceCounter; break;
            case HvMsr.HV_X64_MSR_REFERENCE_TSC: privilege = PartitionPrivileges.AccessPartitionReferenceTsc; break;
            case HvMsr.HV_X64_MSR_TSC_FREQUENCY or HvMsr.HV_X64_MSR_APIC_FREQUENCY: privilege = PartitionPrivileges.AccessFrequencyMsrs; break;
            case HvMsr.HV_X64_MSR_ICR or HvMsr.HV_X64_MSR_TPR: privilege = PartitionPrivileges.AccessIntrCtrlMsrs; break;
            case HvMsr.HV_X64_MSR_VP_ASSIST_PAGE: return Access.Readable; // Linux writes it whatever its privileges are
            case HvMsr.HV_X64_MSR_EOI or HvMsr.HV_X64_MSR_EOM or HvMsr.HV_X64_MSR_SIRBP or HvMsr.HV_X64_MSR_GUEST_IDLE: return Access.Open;
            case >= HvMsr.HV_X64_MSR_SCONTROL and <= HvMsr.HV_X64_MSR_SIMP: privilege = PartitionPrivileges.AccessSynicMsrs; break;
            case >= HvMsr.HV_X64_MSR_SINT0 and <= HvMsr.HV_X64_MSR_SINT15: privilege = PartitionPrivileges.AccessSynicMsrs; break;
            case >= HvMsr.HV_X64_MSR_STIMER0_CONFIG and <= HvMsr.HV_X64_MSR_STIMER3_COUNT: privilege = PartitionPrivileges.AccessSyntheticTimerMsrs; break;
            case >= HvMsr.HV_X64_MSR_STATS_PARTITION_RETAIL_PAGE and <= HvMsr.HV_X64_MSR_STATS_VP_INTERNAL_PAGE: privilege = PartitionPrivileges.AccessStatsMsr; break;
            case >= HvMsr.HV_X64_MSR_SYNTH_DEBUG_CONTROL and <= HvMsr.HV_X64_MSR_DEBUG_OPTIONS: privilege = PartitionPrivileges.AccessDebugMsrs; break;
            case >= HvMsr.HV_X64_MSR_CRASH_P0 and <= HvMsr.HV_X64_MSR_CRASH_CTL: return HvCpuid.HasFeature(HvFeatureEdx.GuestCrashRegsAvailable) ? Access.Readable : Access.Denied;
            case >= HvMsr.HV_X64_MSR_REENLIGHTENMENT_CONTROL and <= HvMsr.HV_X64_MSR_TSC_EMULATION_STATUS: privilege = PartitionPrivileges.AccessReenlightenmentControls; break;
            case HvMsr.HV_X64_MSR_TSC_INVARIANT_CONTROL: privilege = PartitionPrivileges.AccessTscInvariantControls; break;
            default: return Access.Denied;
        }
        return HvCpuid.Has(privilege) ? Access.Readable : Access.Denied;
    }

    private static void SyntheticRange()
    {
        for (uint msr = 0x40000000; msr < 0x40001000; msr++)
        {
            Access access = AccessTo(msr);
            if (access == Access.Open) continue;
            bool read = Msrs.TryRead(msr, out _);
            if (read && access == Access.Denied) Check.Fail("readable without privilege: "u8, msr);
            if (!read && access == Access.Readable) Check.Fail("#GP in spite of the privilege: "u8, msr);
        }
    }

    private static void DeniedWrites()
    {
        for (uint msr = 0x40000000; msr < 0x40000200; msr++)
            if (AccessTo(msr) == Access.Denied && !Msrs.WriteFaults(msr, 0)) Check.Fail("writable without privilege: "u8, msr);
    }

    private static void ReadOnly()
    {
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_VP_INDEX, 0), "VP_INDEX is writable"u8);
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_TIME_REF_COUNT, 0), "TIME_REF_COUNT is writable"u8);
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_TSC_FREQUENCY, 1), "TSC_FREQUENCY is writable"u8);
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_APIC_FREQUENCY, 1), "APIC_FREQUENCY is writable"u8);
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_SVERSION, 1), "SVERSION is writable"u8);
    }

    private static void SynicVersion() => Check.Equal("SVERSION"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_SVERSION), SynicLimits.HV_SYNIC_VERSION_1);

    private static void VpIndexIsZero() => Check.Equal("VP_INDEX"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_VP_INDEX), 0);

    private static void CrashCapabilities()
    {
        ulong control = Instructions.RdMsr(HvMsr.HV_X64_MSR_CRASH_CTL);
        Check.That(new CrashCtlMsr(control).CrashNotify, "no notification"u8);
        Check.That(new CrashCtlMsr(control).CrashMessage, "no message text"u8);
    }

    private static void CrashParametersKept()
    {
        for (uint i = 0; i < 5; i++) Instructions.WrMsr(HvMsr.HV_X64_MSR_CRASH_P0 + i, 0x1122334455667700ul + i);
        for (uint i = 0; i < 5; i++) Check.Equal("a crash parameter"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_CRASH_P0 + i), 0x1122334455667700ul + i);
    }

    private static void VpAssistPageAccepted()
    {
        ulong value = GuestPages.VpAssist | 1;
        Check.That(Msrs.TryWrite(HvMsr.HV_X64_MSR_VP_ASSIST_PAGE, value), "the write is #GP"u8);
        Check.Equal("VP_ASSIST_PAGE"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_VP_ASSIST_PAGE), value);
        Check.That(Msrs.TryWrite(HvMsr.HV_X64_MSR_VP_ASSIST_PAGE, 0), "disabling is #GP"u8);
    }

    private static void SintVectorBelow16()
    {
        for (uint sint = 0; sint < 16; sint++)
        {
            Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_SINT0 + sint, 15), "an unmasked vector 15 is accepted"u8);
            Check.That(Msrs.TryWrite(HvMsr.HV_X64_MSR_SINT0 + sint, SintMsr.Reset.WithVector(15).Value), "a masked vector 15 is #GP"u8);
            Check.That(Msrs.TryWrite(HvMsr.HV_X64_MSR_SINT0 + sint, 16), "vector 16 is #GP"u8);
            Check.Equal("SINT after a write"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_SINT0 + sint), 16);
        }
    }

    private static StimerConfigMsr Direct(byte vector) => new StimerConfigMsr(0).WithDirectMode(true).WithApicVector(vector).WithAutoEnable(true);

    private static void StimerVectorBelow16()
    {
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_STIMER0_CONFIG, Direct(15).WithEnable(true).Value), "direct mode with vector 15 is accepted"u8);
        Check.That(Msrs.TryWrite(HvMsr.HV_X64_MSR_STIMER0_CONFIG, Direct(16).Value), "direct mode with vector 16 is #GP"u8);
    }

    private static void StimerReservedBits()
    {
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_STIMER0_CONFIG, 1UL << 20), "bit 20 is accepted"u8);
        Check.That(Msrs.WriteFaults(HvMsr.HV_X64_MSR_STIMER0_CONFIG, 1UL << 63), "bit 63 is accepted"u8);
    }

    private static void Unknown()
    {
        Check.That(Msrs.ReadFaults(0x3FFFFFFF) && Msrs.ReadFaults(0x40010000) && Msrs.ReadFaults(0x12345678) && Msrs.ReadFaults(0xFFFFFFFF), "an unknown register is readable"u8);
        Check.That(Msrs.WriteFaults(0x3FFFFFFF, 0) && Msrs.WriteFaults(0x40010000, 0) && Msrs.WriteFaults(0x12345678, 1), "an unknown register is writable"u8);
    }

    // Registers of the machine's own virtualization and microcode must not show through.
    private static void MachineRegistersHidden()
    {
        const uint vmCr = 0xC0010114, vmHsavePa = 0xC0010117, vmxBasic = 0x480;
        Check.That(Msrs.ReadFaults(vmHsavePa), "VM_HSAVE_PA is readable"u8);
        Check.That(Msrs.WriteFaults(vmHsavePa, 0x1000), "VM_HSAVE_PA is writable"u8);
        Check.That(Msrs.ReadFaults(vmxBasic), "IA32_VMX_BASIC is readable"u8);
        // Reading VM_CR is allowed by some hypervisors; it must then say that SVM is locked off.
        if (Msrs.TryRead(vmCr, out ulong value)) Check.That((value & 0x18) == 0x18 || value == 0, "VM_CR shows SVM as usable"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_EFER, Instructions.RdMsr(Msr.IA32_EFER) | 1 << 12), "EFER.SVME can be set"u8);
    }

    private static void EferReservedBits()
    {
        ulong efer = Instructions.RdMsr(Msr.IA32_EFER);
        // QEMU's own processor ignores reserved bits.
        if (!HvCpuid.IsPresent) { Check.Skip("the bare emulator ignores them"u8); return; }
        Check.That(Msrs.WriteFaults(Msr.IA32_EFER, efer | 1 << 1), "bit 1 is accepted"u8);
        Check.That(Msrs.WriteFaults(Msr.IA32_EFER, efer | 1UL << 40), "bit 40 is accepted"u8);
        Check.Equal("EFER"u8, Instructions.RdMsr(Msr.IA32_EFER), efer);
    }

    private static void EferLme()
    {
        const ulong lme = 1 << 8, sce = 1;
        if (!HvCpuid.IsPresent) { Check.Skip("the bare emulator ignores it"u8); return; }
        ulong efer = Instructions.RdMsr(Msr.IA32_EFER);
        Check.Equal("LMA and LME"u8, efer & 0x500, 0x500);
        Check.That(Msrs.WriteFaults(Msr.IA32_EFER, efer & ~lme), "LME can be cleared while paging is on"u8);
        Check.That(Msrs.TryWrite(Msr.IA32_EFER, efer ^ sce), "SCE cannot be changed"u8);
        Check.Equal("EFER"u8, Instructions.RdMsr(Msr.IA32_EFER), efer ^ sce);
        Instructions.WrMsr(Msr.IA32_EFER, efer);
    }

    private static void Pat()
    {
        const ulong reset = 0x0007040600070406, other = 0x0107040600070406, invalid = 0x0207040600070406;
        ulong old = Instructions.RdMsr(Msr.IA32_PAT);
        Check.Equal("PAT at start"u8, old, reset);
        Check.That(Msrs.TryWrite(Msr.IA32_PAT, other), "a valid value is #GP"u8);
        Check.Equal("PAT after a write"u8, Instructions.RdMsr(Msr.IA32_PAT), other);
        if (HvCpuid.IsPresent) Check.That(Msrs.WriteFaults(Msr.IA32_PAT, invalid), "the reserved type 2 is accepted"u8);
        Instructions.WrMsr(Msr.IA32_PAT, old);
    }

    private static void Mtrr()
    {
        if (!Check.That(Msrs.TryRead(Msr.IA32_MTRRCAP, out ulong capabilities), "MTRRCAP is #GP"u8)) return;
        Check.That(Msrs.TryRead(Msr.IA32_MTRR_DEF_TYPE, out _), "MTRR_DEF_TYPE is #GP"u8);
        for (uint i = 0; i < (capabilities & 0xFF) * 2; i++) Check.That(Msrs.TryRead(Msr.IA32_MTRR_PHYSBASE0 + i, out _), "a variable range is #GP"u8);
        if ((capabilities & 1 << 8) == 0) return;
        Check.That(Msrs.TryRead(Msr.IA32_MTRR_FIX64K_00000, out _) && Msrs.TryRead(Msr.IA32_MTRR_FIX16K_A0000, out _) && Msrs.TryRead(Msr.IA32_MTRR_FIX4K_F8000, out _),
            "a fixed range is #GP"u8);
    }

    private static void FsGsBase()
    {
        const uint fsBase = 0xC0000100, kernelGsBase = 0xC0000102;
        for (uint msr = fsBase; msr <= kernelGsBase; msr++)
        {
            Check.That(Msrs.TryWrite(msr, 0x0000123456789AB0ul + msr), "a canonical base is #GP"u8);
            Check.Equal("a base"u8, Instructions.RdMsr(msr), 0x0000123456789AB0ul + msr);
            // An exit between write and read: the base must be the processor's, not a copy.
            CpuidLeafValue.Read(1);
            Check.Equal("a base after an exit"u8, Instructions.RdMsr(msr), 0x0000123456789AB0ul + msr);
            Instructions.WrMsr(msr, 0);
        }
    }

    private static void SyscallRegistersKept()
    {
        const uint star = 0xC0000081, lstar = 0xC0000082, cstar = 0xC0000083, mask = 0xC0000084, sysenterCs = 0x174, sysenterEsp = 0x175, sysenterEip = 0x176;
        Keeps(star, 0x0023001000000000);
        Keeps(lstar, 0x0000000012345000);
        Keeps(cstar, 0x0000000012346000);
        Keeps(mask, 0x47700);
        Keeps(sysenterCs, 0x10);
        Keeps(sysenterEsp, 0x0000000012347000);
        Keeps(sysenterEip, 0x0000000012348000);
    }

    private static void Keeps(uint msr, ulong value)
    {
        if (!Msrs.TryRead(msr, out ulong old)) { Check.Fail("#GP at register "u8, msr); return; }
        Instructions.WrMsr(msr, value);
        CpuidLeafValue.Read(1);
        if (Instructions.RdMsr(msr) != value) Check.Fail("a value was not kept by register "u8, msr);
        Instructions.WrMsr(msr, old);
    }

    private static void TscWrite()
    {
        const uint timeStampCounter = Msr.IA32_TIME_STAMP_COUNTER;
        ulong old = Instructions.RdTsc();
        ulong ahead = old + 1_000_000_000_000;
        if (!Check.That(Msrs.TryWrite(timeStampCounter, ahead), "the write is #GP"u8)) return;
        ulong now = Instructions.RdTsc();
        ulong read = Instructions.RdMsr(timeStampCounter);
        Instructions.WrMsr(timeStampCounter, old + (Instructions.RdTsc() - ahead));
        // The bare emulator ignores the write.
        if (!HvCpuid.IsPresent && now < ahead) { Check.Skip("the bare emulator ignores it"u8); return; }
        Check.That(now >= ahead && now - ahead < Clock.Ticks(2000), "RDTSC does not follow"u8);
        Check.That(read >= now && read - now < Clock.Ticks(2000), "RDMSR does not agree with RDTSC"u8);
    }

    private static void TscAux()
    {
        const uint tscAux = 0xC0000103;
        if ((CpuidLeafValue.Read(0x80000001).Edx & 1 << 27) == 0)
        {
            Check.Skip("no RDTSCP"u8);
            return;
        }
        ulong old = Instructions.RdMsr(tscAux);
        Instructions.WrMsr(tscAux, 0x5A5A);
        CpuidLeafValue.Read(1);
        Check.Equal("TSC_AUX"u8, Instructions.RdMsr(tscAux), 0x5A5A);
        Instructions.WrMsr(tscAux, old);
    }

    private static void XsetbvInvalid()
    {
        if (!ExtendedState.TryEnable()) { Check.Skip("no XSAVE"u8); return; }
        XsetbvFaults("x87 off"u8, 0, 0);
        XsetbvFaults("AVX without SSE"u8, 0, 5);
        XsetbvFaults("bit 62"u8, 0, 1UL << 62 | 3);
        XsetbvFaults("register 1"u8, 1, 3);
        Check.Equal("XCR0"u8, Instructions.XGetBv(0), ExtendedState.HasAvx ? 7ul : 3ul);
    }

    private static void XsetbvFaults(System.ReadOnlySpan<byte> what, uint register, ulong value)
    {
        RunState state = new() { Rcx = register, Rax = (uint)value, Rdx = value >> 32 };
        state.Run(Code.XSetBv);
        Check.Faulted(what, state, ExceptionVector.GP);
    }

    private static void VirtualizationInstructions()
    {
        for (Code code = Code.VmRun; code <= Code.Mwait; code++)
        {
            RunState state = new() { Rax = GuestPages.Buffer };
            state.Run(code);
            if (state.Vector != ExceptionVector.UD) Check.Fail("no #UD from piece "u8, (ulong)code);
        }
        RunState vmxOn = new() { Rsi = GuestPages.Buffer };
        vmxOn.Run(Code.VmxOn);
        Check.Faulted("VMXON"u8, vmxOn, ExceptionVector.UD);
    }
}
