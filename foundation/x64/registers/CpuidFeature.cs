// Processor features: which bit of which CPUID register says that one is there.
// SDM 2A, "CPUID—CPU Identification"; APM 3, appendix "Obtaining Processor Information Via the CPUID Instruction".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>The four registers that CPUID returns.</summary>
public enum CpuidRegister : byte
{
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// <summary>One bit that CPUID returns. Whoever executes CPUID first asks whether the leaf exists (leaves 0, 8000_0000).</summary>
public readonly struct CpuidFeature(uint leaf, uint subleaf, CpuidRegister register, byte bit)
{
    /// <summary>EAX on input.</summary>
    public readonly uint Leaf = leaf;

    /// <summary>ECX on input, where the leaf has subleaves.</summary>
    public readonly uint Subleaf = subleaf;
    public readonly CpuidRegister Register = register;
    public readonly byte Bit = bit;

    /// <summary>The bit's value in what CPUID returned.</summary>
    public bool IsIn(uint eax, uint ebx, uint ecx, uint edx) => BitField.IsSet(Register switch
    {
        CpuidRegister.Eax => eax,
        CpuidRegister.Ebx => ebx,
        CpuidRegister.Ecx => ecx,
        _ => edx,
    }, Bit);

    /// <summary>A value of <see cref="Register"/> in which only this bit is one.</summary>
    public uint Mask => 1u << Bit;

    // CPUID.01H:EDX

    public static CpuidFeature FPU => new(1, 0, CpuidRegister.Edx, 0);
    public static CpuidFeature PSE => new(1, 0, CpuidRegister.Edx, 3);
    public static CpuidFeature TSC => new(1, 0, CpuidRegister.Edx, 4);
    public static CpuidFeature MSR => new(1, 0, CpuidRegister.Edx, 5);
    public static CpuidFeature PAE => new(1, 0, CpuidRegister.Edx, 6);
    public static CpuidFeature MCE => new(1, 0, CpuidRegister.Edx, 7);
    public static CpuidFeature CX8 => new(1, 0, CpuidRegister.Edx, 8);
    public static CpuidFeature APIC => new(1, 0, CpuidRegister.Edx, 9);
    public static CpuidFeature SEP => new(1, 0, CpuidRegister.Edx, 11);
    public static CpuidFeature MTRR => new(1, 0, CpuidRegister.Edx, 12);
    public static CpuidFeature PGE => new(1, 0, CpuidRegister.Edx, 13);
    public static CpuidFeature MCA => new(1, 0, CpuidRegister.Edx, 14);
    public static CpuidFeature CMOV => new(1, 0, CpuidRegister.Edx, 15);
    public static CpuidFeature PAT => new(1, 0, CpuidRegister.Edx, 16);
    public static CpuidFeature PSE36 => new(1, 0, CpuidRegister.Edx, 17);
    public static CpuidFeature CLFSH => new(1, 0, CpuidRegister.Edx, 19);
    public static CpuidFeature ACPI => new(1, 0, CpuidRegister.Edx, 22);
    public static CpuidFeature MMX => new(1, 0, CpuidRegister.Edx, 23);
    public static CpuidFeature FXSR => new(1, 0, CpuidRegister.Edx, 24);
    public static CpuidFeature SSE => new(1, 0, CpuidRegister.Edx, 25);
    public static CpuidFeature SSE2 => new(1, 0, CpuidRegister.Edx, 26);
    public static CpuidFeature HTT => new(1, 0, CpuidRegister.Edx, 28);

    // CPUID.01H:ECX

    public static CpuidFeature SSE3 => new(1, 0, CpuidRegister.Ecx, 0);
    public static CpuidFeature PCLMULQDQ => new(1, 0, CpuidRegister.Ecx, 1);
    public static CpuidFeature MONITOR => new(1, 0, CpuidRegister.Ecx, 3);
    public static CpuidFeature VMX => new(1, 0, CpuidRegister.Ecx, 5);
    public static CpuidFeature SMX => new(1, 0, CpuidRegister.Ecx, 6);
    public static CpuidFeature SSSE3 => new(1, 0, CpuidRegister.Ecx, 9);
    public static CpuidFeature FMA => new(1, 0, CpuidRegister.Ecx, 12);
    public static CpuidFeature CMPXCHG16B => new(1, 0, CpuidRegister.Ecx, 13);
    public static CpuidFeature PDCM => new(1, 0, CpuidRegister.Ecx, 15);
    public static CpuidFeature PCID => new(1, 0, CpuidRegister.Ecx, 17);
    public static CpuidFeature SSE4_1 => new(1, 0, CpuidRegister.Ecx, 19);
    public static CpuidFeature SSE4_2 => new(1, 0, CpuidRegister.Ecx, 20);
    public static CpuidFeature X2APIC => new(1, 0, CpuidRegister.Ecx, 21);
    public static CpuidFeature MOVBE => new(1, 0, CpuidRegister.Ecx, 22);
    public static CpuidFeature POPCNT => new(1, 0, CpuidRegister.Ecx, 23);
    public static CpuidFeature TSC_DEADLINE => new(1, 0, CpuidRegister.Ecx, 24);
    public static CpuidFeature AES => new(1, 0, CpuidRegister.Ecx, 25);
    public static CpuidFeature XSAVE => new(1, 0, CpuidRegister.Ecx, 26);
    public static CpuidFeature OSXSAVE => new(1, 0, CpuidRegister.Ecx, 27);
    public static CpuidFeature AVX => new(1, 0, CpuidRegister.Ecx, 28);
    public static CpuidFeature F16C => new(1, 0, CpuidRegister.Ecx, 29);
    public static CpuidFeature RDRAND => new(1, 0, CpuidRegister.Ecx, 30);
    public static CpuidFeature HypervisorPresent => new(1, 0, CpuidRegister.Ecx, 31);

    // CPUID.06H:EAX

    public static CpuidFeature ARAT => new(6, 0, CpuidRegister.Eax, 2);

    // CPUID.07H.0:EBX

    public static CpuidFeature FSGSBASE => new(7, 0, CpuidRegister.Ebx, 0);
    public static CpuidFeature TSC_ADJUST => new(7, 0, CpuidRegister.Ebx, 1);
    public static CpuidFeature SGX => new(7, 0, CpuidRegister.Ebx, 2);
    public static CpuidFeature BMI1 => new(7, 0, CpuidRegister.Ebx, 3);
    public static CpuidFeature HLE => new(7, 0, CpuidRegister.Ebx, 4);
    public static CpuidFeature AVX2 => new(7, 0, CpuidRegister.Ebx, 5);
    public static CpuidFeature SMEP => new(7, 0, CpuidRegister.Ebx, 7);
    public static CpuidFeature BMI2 => new(7, 0, CpuidRegister.Ebx, 8);
    public static CpuidFeature ERMS => new(7, 0, CpuidRegister.Ebx, 9);
    public static CpuidFeature INVPCID => new(7, 0, CpuidRegister.Ebx, 10);
    public static CpuidFeature RTM => new(7, 0, CpuidRegister.Ebx, 11);
    public static CpuidFeature MPX => new(7, 0, CpuidRegister.Ebx, 14);
    public static CpuidFeature AVX512F => new(7, 0, CpuidRegister.Ebx, 16);
    public static CpuidFeature RDSEED => new(7, 0, CpuidRegister.Ebx, 18);
    public static CpuidFeature ADX => new(7, 0, CpuidRegister.Ebx, 19);
    public static CpuidFeature SMAP => new(7, 0, CpuidRegister.Ebx, 20);
    public static CpuidFeature CLFLUSHOPT => new(7, 0, CpuidRegister.Ebx, 23);
    public static CpuidFeature CLWB => new(7, 0, CpuidRegister.Ebx, 24);
    public static CpuidFeature IntelProcessorTrace => new(7, 0, CpuidRegister.Ebx, 25);
    public static CpuidFeature SHA => new(7, 0, CpuidRegister.Ebx, 29);

    // CPUID.07H.0:ECX

    public static CpuidFeature UMIP => new(7, 0, CpuidRegister.Ecx, 2);
    public static CpuidFeature PKU => new(7, 0, CpuidRegister.Ecx, 3);
    public static CpuidFeature OSPKE => new(7, 0, CpuidRegister.Ecx, 4);
    public static CpuidFeature WAITPKG => new(7, 0, CpuidRegister.Ecx, 5);
    public static CpuidFeature CET_SS => new(7, 0, CpuidRegister.Ecx, 7);
    public static CpuidFeature GFNI => new(7, 0, CpuidRegister.Ecx, 8);
    public static CpuidFeature LA57 => new(7, 0, CpuidRegister.Ecx, 16);
    public static CpuidFeature RDPID => new(7, 0, CpuidRegister.Ecx, 22);
    public static CpuidFeature BUS_LOCK_DETECT => new(7, 0, CpuidRegister.Ecx, 24);

    // CPUID.07H.0:EDX

    public static CpuidFeature FSRM => new(7, 0, CpuidRegister.Edx, 4);
    public static CpuidFeature MD_CLEAR => new(7, 0, CpuidRegister.Edx, 10);
    public static CpuidFeature CET_IBT => new(7, 0, CpuidRegister.Edx, 20);
    public static CpuidFeature AMX_BF16 => new(7, 0, CpuidRegister.Edx, 22);
    public static CpuidFeature AMX_TILE => new(7, 0, CpuidRegister.Edx, 24);
    public static CpuidFeature AMX_INT8 => new(7, 0, CpuidRegister.Edx, 25);
    public static CpuidFeature IBRS_IBPB => new(7, 0, CpuidRegister.Edx, 26);
    public static CpuidFeature STIBP => new(7, 0, CpuidRegister.Edx, 27);
    public static CpuidFeature L1D_FLUSH => new(7, 0, CpuidRegister.Edx, 28);
    public static CpuidFeature ARCH_CAPABILITIES => new(7, 0, CpuidRegister.Edx, 29);
    public static CpuidFeature CORE_CAPABILITIES => new(7, 0, CpuidRegister.Edx, 30);
    public static CpuidFeature SSBD => new(7, 0, CpuidRegister.Edx, 31);

    // CPUID.0DH.1:EAX

    public static CpuidFeature XSAVEOPT => new(0xD, 1, CpuidRegister.Eax, 0);
    public static CpuidFeature XSAVEC => new(0xD, 1, CpuidRegister.Eax, 1);
    public static CpuidFeature XGETBV_ECX1 => new(0xD, 1, CpuidRegister.Eax, 2);
    public static CpuidFeature XSAVES => new(0xD, 1, CpuidRegister.Eax, 3);

    // CPUID 8000_0001 ECX

    public static CpuidFeature LahfSahf => new(0x80000001, 0, CpuidRegister.Ecx, 0);
    public static CpuidFeature CmpLegacy => new(0x80000001, 0, CpuidRegister.Ecx, 1);
    public static CpuidFeature SVM => new(0x80000001, 0, CpuidRegister.Ecx, 2);
    public static CpuidFeature ExtApicSpace => new(0x80000001, 0, CpuidRegister.Ecx, 3);
    public static CpuidFeature AltMovCr8 => new(0x80000001, 0, CpuidRegister.Ecx, 4);
    public static CpuidFeature ABM => new(0x80000001, 0, CpuidRegister.Ecx, 5);
    public static CpuidFeature SSE4A => new(0x80000001, 0, CpuidRegister.Ecx, 6);
    public static CpuidFeature OSVW => new(0x80000001, 0, CpuidRegister.Ecx, 9);
    public static CpuidFeature IBS => new(0x80000001, 0, CpuidRegister.Ecx, 10);
    public static CpuidFeature SKINIT => new(0x80000001, 0, CpuidRegister.Ecx, 12);
    public static CpuidFeature WDT => new(0x80000001, 0, CpuidRegister.Ecx, 13);
    public static CpuidFeature TopologyExtensions => new(0x80000001, 0, CpuidRegister.Ecx, 22);
    public static CpuidFeature PerfCtrExtCore => new(0x80000001, 0, CpuidRegister.Ecx, 23);
    public static CpuidFeature MONITORX => new(0x80000001, 0, CpuidRegister.Ecx, 29);

    // CPUID 8000_0001 EDX

    public static CpuidFeature SysCallSysRet => new(0x80000001, 0, CpuidRegister.Edx, 11);
    public static CpuidFeature NX => new(0x80000001, 0, CpuidRegister.Edx, 20);
    public static CpuidFeature MmxExt => new(0x80000001, 0, CpuidRegister.Edx, 22);
    public static CpuidFeature FFXSR => new(0x80000001, 0, CpuidRegister.Edx, 25);
    public static CpuidFeature Page1GB => new(0x80000001, 0, CpuidRegister.Edx, 26);
    public static CpuidFeature RDTSCP => new(0x80000001, 0, CpuidRegister.Edx, 27);
    public static CpuidFeature LM => new(0x80000001, 0, CpuidRegister.Edx, 29);

    // CPUID 8000_0007 EDX

    public static CpuidFeature TscInvariant => new(0x80000007, 0, CpuidRegister.Edx, 8);
    public static CpuidFeature EffFreqRO => new(0x80000007, 0, CpuidRegister.Edx, 10);

    // CPUID 8000_0008 EBX

    public static CpuidFeature CLZERO => new(0x80000008, 0, CpuidRegister.Ebx, 0);
    public static CpuidFeature RDPRU => new(0x80000008, 0, CpuidRegister.Ebx, 4);
    public static CpuidFeature WBNOINVD => new(0x80000008, 0, CpuidRegister.Ebx, 9);
    public static CpuidFeature AmdIBPB => new(0x80000008, 0, CpuidRegister.Ebx, 12);
    public static CpuidFeature AmdIBRS => new(0x80000008, 0, CpuidRegister.Ebx, 14);
    public static CpuidFeature AmdSTIBP => new(0x80000008, 0, CpuidRegister.Ebx, 15);
    public static CpuidFeature AmdSSBD => new(0x80000008, 0, CpuidRegister.Ebx, 24);
    public static CpuidFeature VirtSSBD => new(0x80000008, 0, CpuidRegister.Ebx, 25);
}
