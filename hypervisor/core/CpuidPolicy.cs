// What a guest's CPUID says: the processor's word, less what guests do not get, plus the hypervisor's own leaves.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class CpuidPolicy
{
    // Leaf 1, ECX and EDX. SDM 2A, "CPUID".
    private const uint EcxMonitor = 1 << 3, EcxVmx = 1 << 5, EcxSmx = 1 << 6, EcxEst = 1 << 7, EcxTm2 = 1 << 8, EcxCx16 = 1 << 13, EcxPdcm = 1 << 15, EcxX2Apic = 1 << 21,
        EcxTscDeadline = 1 << 24, EcxXsave = 1 << 26, EcxOsxsave = 1 << 27, EcxHypervisor = 1u << 31;
    private const uint EdxHtt = 1 << 28, EdxAcpi = 1 << 22, EdxDs = 1 << 21, EdxTm = 1 << 29, EdxPbe = 1u << 31;
    // Leaf 7: what needs a switch of state that the core does not make, or controls that it keeps.
    private const uint Leaf7EbxTscAdjust = 1 << 1, Leaf7EbxSgx = 1 << 2, Leaf7EbxMpx = 1 << 14, Leaf7EbxRdtM = 1 << 12, Leaf7EbxRdtA = 1 << 15, Leaf7EbxPt = 1 << 25;
    private const uint Leaf7EcxOspke = 1 << 4, Leaf7EcxPku = 1 << 3, Leaf7EcxWaitpkg = 1 << 5, Leaf7EcxCetSs = 1 << 7, Leaf7EcxRdpid = 1 << 22, Leaf7EcxKeyLocker = 1 << 23;
    private const uint Leaf7EcxLa57 = 1 << 16, Leaf7EcxTme = 1 << 13, Leaf7EcxBusLockDetect = 1 << 24, Leaf7EcxEnqcmd = 1 << 29, Leaf7EcxSgxLc = 1 << 30, Leaf7EcxPks = 1u << 31;
    private const uint Leaf7EdxSpecCtrl = 1u << 26, Leaf7EdxStibp = 1u << 27, Leaf7EdxL1dFlush = 1u << 28, Leaf7EdxArchCapabilities = 1u << 29,
        Leaf7EdxCoreCapabilities = 1u << 30, Leaf7EdxSsbd = 1u << 31, Leaf7EdxCetIbt = 1 << 20, Leaf7EdxHybrid = 1 << 15, Leaf7EdxAmx = 1 << 22 | 1 << 24 | 1 << 25,
        Leaf7EdxUintr = 1 << 5, Leaf7EdxSrbdsControl = 1 << 9, Leaf7EdxRtmForceAbort = 1 << 13, Leaf7EdxArchLbr = 1 << 19, Leaf7EdxPconfig = 1 << 18;
    private const uint ExtEcxSvm = 1 << 2, ExtEcxExtApic = 1 << 3, ExtEcxOsvw = 1 << 9, ExtEcxIbs = 1 << 10, ExtEcxSkinit = 1 << 12, ExtEcxWdt = 1 << 13, ExtEcxLwp = 1 << 15,
        ExtEcxTopology = 1 << 22, ExtEcxPerfCore = 1 << 23, ExtEcxPerfNb = 1 << 24, ExtEcxDataBreakpoint = 1 << 26, ExtEcxPerfTsc = 1 << 27, ExtEcxPerfLlc = 1 << 28, ExtEcxMwaitx = 1 << 29;
    private const uint ExtEdxRdtscp = 1 << 27;
    private const uint Cr4Osxsave = 1 << 18, Cr4Pke = 1 << 22;

    /// <summary>XCR0 components that fit the one page of extended state: x87, SSE, AVX, AVX-512, PKRU.</summary>
    private const ulong SupportedXcr0 = 0x2E7;
    private const uint BuildNumber = 20348, MajorVersion = 10, MinorVersion = 0;
    public const uint MaximumLeaf = 0x40000006;

    private static ulong xcr0Mask;
    private static uint highestBasic, highestExtended;
    private static bool hasTscAux, hasInvariantTsc, hidesCx16, repeatsHighest;

    public static bool HasTscAux { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => hasTscAux; }

    /// <summary>Bits that the guest may set in CR4 through its parent; the processor checks what the guest itself writes.</summary>
    public static ulong GuestCr4Mask => 0x77_7FFFUL & ~(1UL << 13 | 1UL << 14); // VMXE, SMXE

    public static void Initialize()
    {
        uint* highest = stackalloc uint[4];
        Instructions.Cpuid(0x80000000, 0, highest);
        highestExtended = highest[0];
        Instructions.Cpuid(0, 0, highest);
        highestBasic = highest[0];
        repeatsHighest = highest[1] == 0x756E6547 && highest[3] == 0x49656E69 && highest[2] == 0x6C65746E; // "GenuineIntel"
        if (Preflight.HasLeafBit(1, 2, EcxXsave))
        {
            uint* registers = stackalloc uint[4];
            Instructions.Cpuid(0xD, 0, registers);
            xcr0Mask = SupportedXcr0 & ((ulong)registers[3] << 32 | registers[0]);
        }
        hasTscAux = Preflight.HasLeafBit(0x80000001, 3, ExtEdxRdtscp);
        hasInvariantTsc = Preflight.HasLeafBit(0x80000007, 3, 1 << 8);
        hidesCx16 = Preflight.IsEmulatedByTcg;
    }

    /// <summary>What is exchanged between virtual processors, and what a guest may set in XCR0; 0 without XSAVE.</summary>
    public static ulong ExtendedComponents => xcr0Mask;

    public static bool HasInvariantTsc => hasInvariantTsc;

    /// <summary>SDM 1, "XCR0": x87 always; AVX needs SSE; the three AVX-512 bits go together and need AVX.</summary>
    public static bool IsValidXcr0(ulong value)
    {
        ulong avx512 = value & 0xE0;
        return (value & 1) != 0 && (value & ~xcr0Mask) == 0 && ((value & 4) == 0 || (value & 2) != 0)
            && (avx512 == 0 || avx512 == 0xE0 && (value & 4) != 0);
    }

    /// <summary>
    /// Leaves that <see cref="Adjust{TBackend}"/> has nothing to say about, by bit: 0, 2 and 3; and 0x80000000, 0x80000002 to 0x80000006, which
    /// identify the processor and its caches.
    /// </summary>
    private const uint PlainBasic = 0xD, PlainExtended = 0x7D;

    /// <summary>Whether a guest gets a leaf as the processor says it, whoever the guest is and whatever state it is in. Not all such leaves: the frequent ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsAsProcessorSays(uint leaf) => leaf < 32 ? (PlainBasic >> (int)leaf & 1) != 0 : leaf - 0x80000000 < 32 && (PlainExtended >> (int)leaf & 1) != 0;

    /// <summary>Carries the instruction out on the guest's registers.</summary>
    public static void Execute<TBackend>(VirtualProcessor* vp) where TBackend : struct, IBackend
    {
        vp->Count(HvStatsVpCounters.VpCpuidInstructionsCount);
        uint* result = stackalloc uint[4];
        uint leaf = (uint)vp->Gpr[Gpr.Rax], subleaf = (uint)vp->Gpr[Gpr.Rcx];
        if (leaf >> 28 == 4)
            HypervisorLeaf<TBackend>(vp, leaf, result);
        else
            ProcessorLeaf<TBackend>(vp, leaf, subleaf, result);
        if (vp->Partition->CpuidInterceptCount != 0 && vp->Partition->InterceptsCpuid(leaf))
        {
            Intercepts<TBackend>.Cpuid(vp, result);
            return;
        }
        vp->Gpr[Gpr.Rax] = result[0];
        vp->Gpr[Gpr.Rbx] = result[1];
        vp->Gpr[Gpr.Rcx] = result[2];
        vp->Gpr[Gpr.Rdx] = result[3];
        TBackend.CompleteInstruction(vp);
    }

    /// <summary>
    /// A leaf that the processor does not have is answered as its maker's processors do: by Intel's with the highest basic leaf, which a guest must get as it
    /// gets that leaf itself; by others with zeros. Leaves 6 and 0BH are the core's own and need none of the processor's.
    /// </summary>
    // SDM 2A, "CPUID"; APM 3, "CPUID": reserved functions.
    private static void ProcessorLeaf<TBackend>(VirtualProcessor* vp, uint leaf, uint subleaf, uint* r) where TBackend : struct, IBackend
    {
        if (leaf > (leaf < 0x80000000 ? highestBasic : highestExtended) && leaf is not (6 or 0xB))
        {
            if (!repeatsHighest)
            {
                r[0] = r[1] = r[2] = r[3] = 0;
                return;
            }
            leaf = highestBasic;
        }
        Instructions.Cpuid(leaf, subleaf, r);
        Adjust<TBackend>(vp, leaf, subleaf, r);
    }

    private static void Adjust<TBackend>(VirtualProcessor* vp, uint leaf, uint subleaf, uint* r) where TBackend : struct, IBackend
    {
        switch (leaf)
        {
            case 1:
                r[1] = r[1] & 0x0000FFFF | vp->Index << 24 | vp->Partition->VpCount << 16;
                r[2] &= ~(EcxMonitor | EcxVmx | EcxSmx | EcxEst | EcxTm2 | EcxPdcm | EcxOsxsave);
                r[2] |= EcxX2Apic | EcxTscDeadline | EcxHypervisor;
                // TCG up to 7.2 leaves garbage in RFLAGS behind CMPXCHG16B; an exit saves it, and the guest goes on with IF or TF set.
                if (hidesCx16)
                    r[2] &= ~EcxCx16;
                if ((TBackend.GetCr4(vp) & Cr4Osxsave) != 0)
                    r[2] |= EcxOsxsave;
                r[3] &= ~(EdxHtt | EdxAcpi | EdxDs | EdxTm | EdxPbe);
                if (vp->Partition->VpCount > 1)
                    r[3] |= EdxHtt;
                break;
            case 4:
                r[0] &= 0x3FFF; // one thread a cache, one core a package, as the topology leaves say
                break;
            case 5:
            case 0xA:
            case 0xF: case 0x10: case 0x12: case 0x14: case 0x1C: case 0x23:
                r[0] = r[1] = r[2] = r[3] = 0;
                break;
            case 6:
                r[0] = 1 << 2; // ARAT: the APIC timer never stops
                r[1] = r[2] = r[3] = 0;
                break;
            case 7 when subleaf == 0:
                r[1] &= ~(Leaf7EbxSgx | Leaf7EbxMpx | Leaf7EbxRdtM | Leaf7EbxRdtA | Leaf7EbxPt);
                r[1] |= Leaf7EbxTscAdjust;
                r[2] &= ~(Leaf7EcxOspke | Leaf7EcxWaitpkg | Leaf7EcxCetSs | Leaf7EcxKeyLocker | Leaf7EcxLa57
                    | Leaf7EcxTme | Leaf7EcxBusLockDetect | Leaf7EcxEnqcmd | Leaf7EcxSgxLc | Leaf7EcxPks);
                if ((TBackend.GetCr4(vp) & Cr4Pke) != 0)
                    r[2] |= Leaf7EcxOspke;
                r[3] &= ~(Leaf7EdxSpecCtrl | Leaf7EdxStibp | Leaf7EdxL1dFlush | Leaf7EdxArchCapabilities | Leaf7EdxCoreCapabilities | Leaf7EdxSsbd
                    | Leaf7EdxCetIbt | Leaf7EdxHybrid | Leaf7EdxAmx | Leaf7EdxUintr | Leaf7EdxSrbdsControl | Leaf7EdxRtmForceAbort | Leaf7EdxArchLbr | Leaf7EdxPconfig);
                break;
            case 7:
                r[0] = r[1] = r[2] = r[3] = 0;
                break;
            case 0xB:
            case 0x1F:
                Topology(vp, subleaf, r);
                break;
            case 0xD:
                ExtendedState(subleaf, r);
                break;
            case 0x80000001:
                r[2] &= ~(ExtEcxSvm | ExtEcxExtApic | ExtEcxOsvw | ExtEcxDataBreakpoint | ExtEcxPerfTsc | ExtEcxIbs | ExtEcxSkinit | ExtEcxWdt | ExtEcxLwp | ExtEcxTopology | ExtEcxPerfCore | ExtEcxPerfNb | ExtEcxPerfLlc | ExtEcxMwaitx);
                break;
            case 0x80000007:
                r[0] = r[1] = r[2] = 0;
                r[3] &= 1 << 8; // invariant TSC
                break;
            case 0x80000008:
                // What needs no register and no permission: CLZERO, XSAVEERPTR, WBNOINVD, EferLmsleUnsupported. INVLPGB, MCOMMIT, RDPRU and
                // the prediction controls need either.
                r[1] &= 1u << 0 | 1u << 2 | 1u << 9 | 1u << 20;
                r[2] = vp->Partition->VpCount - 1;
                break;
            case 0x80000021:
                r[0] &= 1u << 0 | 1u << 2 | 1u << 6; // NoNestedDataBp, LfenceAlwaysSerializing, NullSelectorClearsBase; the others are EFER bits and MSRs
                r[1] = r[2] = r[3] = 0;
                break;
            case 0x8000000A:
            case 0x8000001B: case 0x8000001C: case 0x8000001D: case 0x8000001E: case 0x8000001F: case 0x80000020: case 0x80000022: case 0x80000023: case 0x80000025: case 0x80000026:
                r[0] = r[1] = r[2] = r[3] = 0;
                break;
        }
    }

    /// <summary>Every virtual processor is a core of its own in one package; x2APIC ID = VP index.</summary>
    private static void Topology(VirtualProcessor* vp, uint subleaf, uint* r)
    {
        uint shift = 0;
        while (1u << (int)shift < vp->Partition->VpCount) shift++;
        r[0] = subleaf == 0 ? 0 : subleaf == 1 ? shift : 0;
        r[1] = subleaf == 0 ? 1 : subleaf == 1 ? vp->Partition->VpCount : 0;
        r[2] = subleaf | (subleaf == 0 ? 1u << 8 : subleaf == 1 ? 2u << 8 : 0);
        r[3] = vp->Index;
    }

    private static void ExtendedState(uint subleaf, uint* r)
    {
        if (subleaf == 0)
        {
            r[0] &= (uint)xcr0Mask;
            r[3] &= (uint)(xcr0Mask >> 32);
            // Size for every component that the guest may enable; EBX already is for those it has enabled.
            r[2] = (xcr0Mask & 0x200) != 0 ? 2696 : (xcr0Mask & 0xE0) != 0 ? 2688u : (xcr0Mask & 4) != 0 ? 832u : 576u;
        }
        else if (subleaf == 1)
        {
            // XSAVEOPT, XSAVEC, XGETBV(1); supervisor states are not switched.
            r[0] &= 0b0111;
            r[1] = (r[0] & 0b0010) != 0 ? CompactedSize(Instructions.XGetBv(0)) : 0;
            r[2] = 0; r[3] = 0;
        }
        else if (subleaf >= 64 || (xcr0Mask >> (int)subleaf & 1) == 0)
            r[0] = r[1] = r[2] = r[3] = 0;
    }

    /// <summary>Size that XSAVEC needs for the components of an XCR0. Bochs says that of the standard format, and Linux compares. SDM 1, "Compacted Format for the Extended Region".</summary>
    private static uint CompactedSize(ulong components)
    {
        const uint legacyAndHeader = 576, alignsTo64 = 1 << 1;
        uint* registers = stackalloc uint[4];
        uint size = legacyAndHeader;
        for (int i = 2; i < 63; i++)
        {
            if ((components >> i & 1) == 0)
                continue;
            Instructions.Cpuid(0xD, (uint)i, registers);
            size = ((registers[2] & alignsTo64) != 0 ? (size + 63) & ~63u : size) + registers[0];
        }
        return size;
    }

    /// <summary>TLFS, "Hypervisor CPUID Leaf Range".</summary>
    private static void HypervisorLeaf<TBackend>(VirtualProcessor* vp, uint leaf, uint* r) where TBackend : struct, IBackend
    {
        r[0] = r[1] = r[2] = r[3] = 0;
        switch (leaf)
        {
            case 0x40000000:
                r[0] = MaximumLeaf;
                r[1] = 0x7263694D; r[2] = 0x666F736F; r[3] = 0x76482074; // "Microsoft Hv"
                break;
            case 0x40000001:
                r[0] = 0x31237648; // "Hv#1"
                break;
            case 0x40000002:
                r[0] = BuildNumber;
                r[1] = MajorVersion << 16 | MinorVersion;
                break;
            case 0x40000003:
                r[0] = vp->Partition->Privileges.Eax;
                r[1] = vp->Partition->Privileges.Ebx;
                r[3] = HypervisorFeatures.FrequencyRegsAvailable | HypervisorFeatures.GuestCrashRegsAvailable | HypervisorFeatures.SintPollingModeAvailable
                    | HypervisorFeatures.DirectSyntheticTimers;
                break;
            case 0x40000004:
                // One that is alone sends nothing to others, and waits for nobody.
                bool isAlone = vp->Partition->VpCount <= 1;
                r[0] = HypervisorHints.RelaxedTiming | (TBackend.PrefersExplicitEoi ? HypervisorHints.DeprecatingAeoiRecommended : 0)
                    | (isAlone ? 0 : HypervisorHints.RemoteTlbFlushRecommended | HypervisorHints.SyntheticClusterIpiRecommended | HypervisorHints.ExProcessorMasksRecommended);
                r[1] = isAlone ? HvEnlightenmentHints.NeverNotifyLongSpinWait : HypervisorHints.SpinWaitRetries;
                break;
            case 0x40000005:
                r[0] = Partition.MaximumVps;
                r[1] = LogicalProcessors.Maximum;
                break;
            case 0x40000006:
                r[0] = 1 << 3; // nested (second level) paging is in use
                break;
        }
    }
}

/// <summary>EDX of leaf 0x40000003. TLFS, "Feature Identification".</summary>
internal static class HypervisorFeatures
{
    internal const uint FrequencyRegsAvailable = 1 << 8, GuestCrashRegsAvailable = 1 << 10, SintPollingModeAvailable = 1 << 17, DirectSyntheticTimers = 1 << 19;
}

/// <summary>EAX of leaf 0x40000004. TLFS, "Implementation Recommendations".</summary>
internal static class HypervisorHints
{
    internal const uint RemoteTlbFlushRecommended = 1 << 2, RelaxedTiming = 1 << 5, DeprecatingAeoiRecommended = 1 << 9,
        SyntheticClusterIpiRecommended = 1 << 10, ExProcessorMasksRecommended = 1 << 11;

    /// <summary>EBX: how often a spinlock is tried before HvCallNotifyLongSpinWait.</summary>
    internal const uint SpinWaitRetries = 0xFFF;
}
