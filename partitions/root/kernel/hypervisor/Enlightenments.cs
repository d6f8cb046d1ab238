// Meeting the core as every guest does: who it is, who we are, and the pages that it shares with us. TLFS, "Hypervisor Discovery".
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class Enlightenments
{
    // TLFS, "Reporting the Guest OS Identity": open source (bit 63), type 0x4C ('L'), which the specification leaves free.
    private const ulong GuestIdentity = 1UL << 63 | 0x4CUL << 56 | 1UL << 16;
    private static uint hints;

    /// <summary>The SINT bit that makes the core give the EOI itself, unless it advises against it.</summary>
    public static bool PrefersAutoEoi => (hints & HvEnlightenmentHints.DeprecateAutoEoi) == 0;

    /// <summary>Establishes the hypercall page; without a core under it the root has no reason to run.</summary>
    public static void Initialize()
    {
        uint* registers = stackalloc uint[4];
        Instructions.Cpuid(CpuidLeaf.HvInterface, 0, registers);
        if (registers[0] != CpuidLeaf.InterfaceHv1) RootPanic.Stop("no hypervisor with the Hv#1 interface under the root"u8);
        Instructions.Cpuid(CpuidLeaf.HvEnlightenmentInformation, 0, registers);
        hints = registers[0];

        Instructions.WrMsr(HvMsr.HV_X64_MSR_GUEST_OS_ID, GuestIdentity);
        ulong page = AddressSpace.PhysicalOf(RootImage.Layout->HypercallPage) >> PageCount.PageShift;
        HypercallMsr hypercall = new HypercallMsr(Instructions.RdMsr(HvMsr.HV_X64_MSR_HYPERCALL)).WithHypercallGpfn(page).WithEnable(true);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_HYPERCALL, hypercall.Value);
    }

    /// <summary>Lets the core tell us when an EOI is needless.</summary>
    public static void ShareAssistPage()
    {
        VpAssistPage* page = (VpAssistPage*)PhysicalMemory.RequirePages(1);
        VpAssistPageMsr register = new VpAssistPageMsr(0).WithGpfn((ulong)page >> PageCount.PageShift).WithEnable(true);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_VP_ASSIST_PAGE, register.Value);
        Interrupts.UseEoiAssist(page);
    }
}
