// What CPUID tells a child partition. TLFS, "Hypervisor Discovery" and "Hypervisor Feature Identification".
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class CpuidChecks
{
    private const uint Cr4Osxsave = 1 << 18;

    public static void Run()
    {
        Check.RunHv("cpuid.hypervisor-present"u8, &HypervisorPresent);
        Check.RunHv("cpuid.vendor-and-maximum"u8, &VendorAndMaximum);
        Check.RunHv("cpuid.interface"u8, &Interface);
        Check.RunHv("cpuid.version"u8, &Version);
        Check.RunHv("cpuid.required-privileges"u8, &RequiredPrivileges);
        Check.RunHv("cpuid.no-root-privileges"u8, &NoRootPrivileges);
        Check.RunHv("cpuid.features"u8, &Features);
        Check.RunHv("cpuid.limits"u8, &Limits);
        Check.RunHv("cpuid.beyond-maximum-is-zero"u8, &BeyondMaximum);
        Check.RunHv("cpuid.beyond-processor-maximum"u8, &BeyondProcessorMaximum);
        Check.RunHv("cpuid.virtualization-hidden"u8, &VirtualizationHidden);
        Check.RunHv("cpuid.apic-features-shown"u8, &ApicFeatures);
        Check.RunHv("cpuid.always-running-apic-timer"u8, &Arat);
        Check.RunHv("cpuid.apic-id-agrees"u8, &ApicIdAgrees);
        Check.Run("cpuid.osxsave-follows-cr4"u8, &OsxsaveFollowsCr4);
        Check.Run("cpuid.extended-state-sizes"u8, &ExtendedStateSizes);
        Check.Run("cpuid.upper-halves-are-zero"u8, &UpperHalves);
        Check.Run("cpuid.in-32-bit-code"u8, &In32BitCode);
    }

    private static CpuidLeafValue Leaf(uint leaf, uint subleaf = 0) => CpuidLeafValue.Read(leaf, subleaf);

    private static void HypervisorPresent() => Check.That((Leaf(1).Ecx & 1u << 31) != 0, "leaf 1 ECX[31] is clear"u8);

    private static void VendorAndMaximum()
    {
        CpuidLeafValue leaf = Leaf(CpuidLeaf.HvVendorAndMaxFunction);
        Check.Equal("EBX"u8, leaf.Ebx, CpuidLeaf.VendorEbx);
        Check.Equal("ECX"u8, leaf.Ecx, CpuidLeaf.VendorEcx);
        Check.Equal("EDX"u8, leaf.Edx, CpuidLeaf.VendorEdx);
        Check.That(leaf.Eax is >= CpuidLeaf.HvImplementationLimits and <= 0x4000FFFF, "the maximum leaf is not in 0x40000005..0x4000FFFF"u8);
    }

    private static void Interface() => Check.Equal("EAX of 0x40000001"u8, Leaf(CpuidLeaf.HvInterface).Eax, CpuidLeaf.InterfaceHv1);

    private static void Version()
    {
        CpuidLeafValue leaf = Leaf(CpuidLeaf.HvVersion);
        Check.That(leaf.Eax != 0, "the build number is 0"u8);
        Check.That((leaf.Eax & 1) == 0, "the build number is odd"u8);
    }

    // An Intel processor answers with its highest basic leaf, others with zeros: never with what the hypervisor hides in that leaf.
    private static void BeyondProcessorMaximum()
    {
        CpuidLeafValue vendor = Leaf(0);
        uint basic = vendor.Eax, extended = Leaf(0x80000000).Eax;
        CpuidLeafValue expected = vendor.Ebx == 0x756E6547 ? Leaf(basic) : default;
        // Leaves 6 and 0BH a guest may have beyond the maximum: the hypervisor supplies them.
        uint* leaves = stackalloc uint[] { basic + (basic + 1 is 6 or 0xB ? 2u : 1), 0x3FFFFFFF, extended + 1, 0x8FFFFFFF, 0xC0000000, uint.MaxValue };
        for (int i = 0; i < 6; i++)
        {
            CpuidLeafValue leaf = Leaf(leaves[i]);
            if (!Check.Equal("EAX"u8, leaf.Eax, expected.Eax) || !Check.Equal("EBX"u8, leaf.Ebx, expected.Ebx)
                || !Check.Equal("ECX"u8, leaf.Ecx, expected.Ecx) || !Check.Equal("EDX"u8, leaf.Edx, expected.Edx)) return;
        }
    }

    private static void RequiredPrivileges()
    {
        PartitionPrivileges required = PartitionPrivileges.AccessPartitionReferenceCounter | PartitionPrivileges.AccessSynicMsrs
            | PartitionPrivileges.AccessSyntheticTimerMsrs | PartitionPrivileges.AccessHypercallMsrs | PartitionPrivileges.AccessVpIndex
            | PartitionPrivileges.AccessPartitionReferenceTsc | PartitionPrivileges.AccessFrequencyMsrs
            | PartitionPrivileges.PostMessages | PartitionPrivileges.SignalEvents;
        Check.Equal("required privileges that are there"u8, HvCpuid.Privileges.Value & required.Value, required.Value);
    }

    // Linux 6.1 and 6.12 take CpuManagement alone as "I am the root"; 6.12 stops when AccessPartitionId lies.
    private static void NoRootPrivileges()
    {
        PartitionPrivileges rootOnly = PartitionPrivileges.CreatePartitions | PartitionPrivileges.AccessPartitionId | PartitionPrivileges.AccessMemoryPool
            | PartitionPrivileges.CpuManagement | PartitionPrivileges.EnableExtendedHypercalls | PartitionPrivileges.Isolation | PartitionPrivileges.Debugging;
        Check.Equal("privileges of a root"u8, HvCpuid.Privileges.Value & rootOnly.Value, 0);
    }

    private static void Features()
    {
        uint edx = Leaf(CpuidLeaf.HvFeatures).Edx;
        Check.That((edx & HvFeatureEdx.FrequencyRegsAvailable) != 0, "no frequency registers"u8);
        Check.That((edx & HvFeatureEdx.GuestCrashRegsAvailable) != 0, "no crash registers"u8);
        Check.That((edx & HvFeatureEdx.SintPollingModeAvailable) != 0, "no polling of SINTs"u8);
        Check.That((edx & HvFeatureEdx.UseDirectSyntheticTimers) != 0, "no direct synthetic timers"u8);
    }

    private static void Limits()
    {
        CpuidLeafValue leaf = Leaf(CpuidLeaf.HvImplementationLimits);
        Check.That(leaf.Eax != 0, "no virtual processors"u8);
    }

    private static void BeyondMaximum()
    {
        uint maximum = Leaf(CpuidLeaf.HvVendorAndMaxFunction).Eax;
        CpuidLeafValue leaf = Leaf(maximum + 0x10);
        Check.Equal("EAX"u8, leaf.Eax, 0);
        Check.Equal("EBX"u8, leaf.Ebx, 0);
        Check.Equal("ECX"u8, leaf.Ecx, 0);
        Check.Equal("EDX"u8, leaf.Edx, 0);
    }

    private static bool Shows(CpuidFeature feature)
    {
        CpuidLeafValue leaf = Leaf(feature.Leaf, feature.Subleaf);
        return feature.IsIn(leaf.Eax, leaf.Ebx, leaf.Ecx, leaf.Edx);
    }

    private static void VirtualizationHidden()
    {
        Check.That(!Shows(CpuidFeature.SVM), "SVM is shown"u8);
        Check.That(!Shows(CpuidFeature.VMX), "VMX is shown"u8);
        Check.That(!Shows(CpuidFeature.MONITOR), "MONITOR is shown"u8);
        Check.That(!Shows(CpuidFeature.SKINIT), "SKINIT is shown"u8);
    }

    private static void ApicFeatures()
    {
        Check.That(Shows(CpuidFeature.X2APIC), "no x2APIC"u8);
        Check.That(Shows(CpuidFeature.TSC_DEADLINE), "no TSC deadline"u8);
    }

    // Without it Linux does not trust the APIC timer and looks for a PIT.
    private static void Arat() => Check.That(Shows(CpuidFeature.ARAT), "leaf 6 EAX[2] is clear"u8);

    private static void ApicIdAgrees()
    {
        Check.Equal("initial APIC ID of leaf 1"u8, Leaf(1).Ebx >> 24, LocalApic.Id);
        if (Leaf(0).Eax >= 0xB) Check.Equal("x2APIC ID of leaf 0xB"u8, Leaf(0xB).Edx, LocalApic.Id);
    }

    private static void OsxsaveFollowsCr4()
    {
        if (!Shows(CpuidFeature.XSAVE)) { Check.Skip("no XSAVE"u8); return; }
        ulong cr4 = Instructions.ReadCr4();
        Instructions.WriteCr4(cr4 & ~(ulong)Cr4Osxsave);
        bool clear = Shows(CpuidFeature.OSXSAVE);
        Instructions.WriteCr4(cr4 | Cr4Osxsave);
        bool set = Shows(CpuidFeature.OSXSAVE);
        Instructions.WriteCr4(cr4);
        Check.That(!clear, "shown while CR4.OSXSAVE is 0"u8);
        Check.That(set, "not shown while CR4.OSXSAVE is 1"u8);
    }

    private static void ExtendedStateSizes()
    {
        if (!ExtendedState.TryEnable()) { Check.Skip("no XSAVE"u8); return; }
        CpuidLeafValue leaf = Leaf(0xD);
        Check.That((leaf.Eax & 3) == 3, "x87 and SSE are missing"u8);
        Check.That(leaf.Ebx >= 576, "the size in use is below 576 bytes"u8);
        Check.That(leaf.Ecx >= leaf.Ebx, "the most is less than what is in use"u8);
        Check.Equal("components that XCR0 has and the leaf has not"u8, Instructions.XGetBv(0) & ~(leaf.Eax | (ulong)leaf.Edx << 32), 0);
        ulong xcr0 = Instructions.XGetBv(0);
        Instructions.XSetBv(0, 1);
        Check.Equal("size in use with x87 alone"u8, Leaf(0xD).Ebx, 576);
        Instructions.XSetBv(0, xcr0);
        Check.Equal("size in use afterwards"u8, Leaf(0xD).Ebx, leaf.Ebx);
    }

    private static void UpperHalves()
    {
        RunState state = new() { Rax = ulong.MaxValue << 32, Rcx = ulong.MaxValue << 32, Rdx = ulong.MaxValue, Rbx = ulong.MaxValue };
        state.Run(Code.Cpuid);
        Check.Equal("upper halves"u8, (state.Rax | state.Rbx | state.Rcx | state.Rdx) >> 32, 0);
    }

    private static void In32BitCode()
    {
        CpuidLeafValue leaf = Leaf(0);
        RunState state = new();
        state.Run(Code.Cpuid32);
        if (!Check.Returned("CPUID and IN in 32-bit code"u8, state)) return;
        Check.Equal("EBX"u8, state.Rbx, leaf.Ebx);
        Check.Equal("ECX"u8, state.Rcx, leaf.Ecx);
        Check.Equal("EDX"u8, state.Rdx, leaf.Edx);
    }
}

/// <summary>XCR0 with all that the checks use.</summary>
public static class ExtendedState
{
    private const ulong Cr4Osxsave = 1 << 18, Avx = 4;

    public static bool HasAvx => (CpuidLeafValue.Read(0xD).Eax & Avx) != 0;

    /// <summary>x87, SSE and, where it exists, AVX. False: the processor has no XSAVE.</summary>
    public static bool TryEnable()
    {
        if ((CpuidLeafValue.Read(1).Ecx & 1 << 26) == 0) return false;
        Instructions.WriteCr4(Instructions.ReadCr4() | Cr4Osxsave);
        Instructions.XSetBv(0, HasAvx ? 7ul : 3ul);
        return true;
    }
}
