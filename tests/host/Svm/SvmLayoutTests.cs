// The VMCB against APM 2, appendix "VMCB Layout".

using System.Linq;
using Lamina.Tests.Host.Abi;
using Xunit;

namespace Lamina.Tests.Host.Svm;

public sealed class SvmLayoutTests
{
    private const string Space = "Lamina.Hypervisor.Svm";

    private const string Table = """
        Vmcb 0x1000: Control 0, Save 0x400
        VmcbControlArea 0x400: InterceptCrRead 0x000, InterceptCrWrite 0x002, InterceptDrRead 0x004, InterceptDrWrite 0x006, InterceptExceptions 0x008,
          Intercept1 0x00C, Intercept2 0x010, Intercept3 0x014, PauseFilterThreshold 0x03C, PauseFilterCount 0x03E, IOPM_BASE_PA 0x040,
          MSRPM_BASE_PA 0x048, TSC_OFFSET 0x050, GuestAsid 0x058, TLB_CONTROL 0x05C, V_INTR 0x060, InterruptShadow 0x068, EXITCODE 0x070,
          EXITINFO1 0x078, EXITINFO2 0x080, EXITINTINFO 0x088, NP_ENABLE 0x090, AVIC_APIC_BAR 0x098, GhcbGpa 0x0A0, EVENTINJ 0x0A8, N_CR3 0x0B0,
          LBR_VIRTUALIZATION_ENABLE 0x0B8, VmcbCleanBits 0x0C0, NRIP 0x0C8, NumberOfBytesFetched 0x0D0, GuestInstructionBytes 0x0D1,
          AVIC_APIC_BACKING_PAGE 0x0E0, AVIC_LOGICAL_TABLE 0x0F0, AVIC_PHYSICAL_TABLE 0x0F8, VMSA_PTR 0x108, BusLockThresholdCounter 0x120,
          ReservedForHostUsage 0x3E0
        VmcbSegment 16: Selector 0, Attrib 2, Limit 4, Base 8
        VmcbStateSaveArea 0xC00: ES 0x000, CS 0x010, SS 0x020, DS 0x030, FS 0x040, GS 0x050, GDTR 0x060, LDTR 0x070, IDTR 0x080, TR 0x090, CPL 0x0CB,
          EFER 0x0D0, CR4 0x148, CR3 0x150, CR0 0x158, DR7 0x160, DR6 0x168, RFLAGS 0x170, RIP 0x178, RSP 0x1D8, S_CET 0x1E0, SSP 0x1E8,
          ISST_ADDR 0x1F0, RAX 0x1F8, STAR 0x200, LSTAR 0x208, CSTAR 0x210, SFMASK 0x218, KernelGsBase 0x220, SYSENTER_CS 0x228, SYSENTER_ESP 0x230,
          SYSENTER_EIP 0x238, CR2 0x240, G_PAT 0x268, DBGCTL 0x270, BR_FROM 0x278, BR_TO 0x280, LASTEXCPFROM 0x288, LASTEXCPTO 0x290, SPEC_CTRL 0x2E0
        """;

    private static readonly LayoutRow[] Rows = LayoutTable.Parse(Table);

    public static TheoryData<string> Structures => new(Rows.Select(row => row.Structure));

    [Theory]
    [MemberData(nameof(Structures))]
    public void Structure_is_laid_out_as_the_manual_prints_it(string structure) =>
        Assert.Empty(LayoutTable.Differences(Rows.Single(row => row.Structure == structure), Space));
}
