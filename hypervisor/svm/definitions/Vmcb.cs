// The virtual machine control block, as the processor reads and writes it. APM 2, appendix "VMCB Layout".

using System.Runtime.InteropServices;

namespace Lamina.Hypervisor.Svm;

/// <summary>A VMCB: one page.</summary>
[StructLayout(LayoutKind.Explicit, Size = 4096)]
public struct Vmcb
{
    [FieldOffset(0x000)] public VmcbControlArea Control;
    [FieldOffset(0x400)] public VmcbStateSaveArea Save;
}

/// <summary>APM 2, "VMCB Layout, Control Area".</summary>
[StructLayout(LayoutKind.Explicit, Size = 0x400)]
public unsafe struct VmcbControlArea
{
    /// <summary>Bit n: intercept reads of CRn.</summary>
    [FieldOffset(0x000)] public ushort InterceptCrRead;

    /// <summary>Bit n: intercept writes of CRn.</summary>
    [FieldOffset(0x002)] public ushort InterceptCrWrite;

    /// <summary>Bit n: intercept reads of DRn.</summary>
    [FieldOffset(0x004)] public ushort InterceptDrRead;

    /// <summary>Bit n: intercept writes of DRn.</summary>
    [FieldOffset(0x006)] public ushort InterceptDrWrite;

    /// <summary>Bit n: intercept exception vector n.</summary>
    [FieldOffset(0x008)] public uint InterceptExceptions;

    /// <summary>Bits of <see cref="VmcbIntercept1"/>.</summary>
    [FieldOffset(0x00C)] public uint Intercept1;

    /// <summary>Bits of <see cref="VmcbIntercept2"/>.</summary>
    [FieldOffset(0x010)] public uint Intercept2;

    /// <summary>Bits of <see cref="VmcbIntercept3"/>.</summary>
    [FieldOffset(0x014)] public uint Intercept3;

    [FieldOffset(0x03C)] public ushort PauseFilterThreshold;
    [FieldOffset(0x03E)] public ushort PauseFilterCount;

    /// <summary>Physical address of the I/O permission map, bits 11:0 ignored.</summary>
    [FieldOffset(0x040)] public ulong IOPM_BASE_PA;

    /// <summary>Physical address of the MSR permission map, bits 11:0 ignored.</summary>
    [FieldOffset(0x048)] public ulong MSRPM_BASE_PA;

    /// <summary>Added to the TSC that the guest reads.</summary>
    [FieldOffset(0x050)] public ulong TSC_OFFSET;

    /// <summary>Must not be 0; below NASID.</summary>
    [FieldOffset(0x058)] public uint GuestAsid;

    /// <summary>A constant of <see cref="TlbControl"/>; taken at the next VMRUN, not cleared by it.</summary>
    [FieldOffset(0x05C)] public byte TLB_CONTROL;

    /// <summary>V_TPR, V_IRQ and their neighbours.</summary>
    [FieldOffset(0x060)] public VirtualInterruptControl V_INTR;

    /// <summary>Bits of <see cref="InterruptState"/>.</summary>
    [FieldOffset(0x068)] public ulong InterruptShadow;

    /// <summary>A constant of <see cref="SvmExitCode"/>.</summary>
    [FieldOffset(0x070)] public ulong EXITCODE;
    [FieldOffset(0x078)] public ulong EXITINFO1;
    [FieldOffset(0x080)] public ulong EXITINFO2;

    /// <summary>The event that was being delivered when the exit came; to be injected again.</summary>
    [FieldOffset(0x088)] public EventInjection EXITINTINFO;

    /// <summary>Bits of <see cref="NestedPagingControl"/>.</summary>
    [FieldOffset(0x090)] public ulong NP_ENABLE;
    [FieldOffset(0x098)] public ulong AVIC_APIC_BAR;
    [FieldOffset(0x0A0)] public ulong GhcbGpa;
    [FieldOffset(0x0A8)] public EventInjection EVENTINJ;

    /// <summary>Root of the nested page tables.</summary>
    [FieldOffset(0x0B0)] public ulong N_CR3;

    /// <summary>Bits of <see cref="VirtualizationEnable"/>.</summary>
    [FieldOffset(0x0B8)] public ulong LBR_VIRTUALIZATION_ENABLE;

    /// <summary>Bits of <see cref="VmcbClean"/>: what did not change since the last VMRUN of this VMCB on this processor.</summary>
    [FieldOffset(0x0C0)] public uint VmcbCleanBits;

    /// <summary>Address of the instruction after the one intercepted; feature NRIPS.</summary>
    [FieldOffset(0x0C8)] public ulong NRIP;

    /// <summary>How many of the bytes that follow are valid; feature DecodeAssists, on #PF and #NPF.</summary>
    [FieldOffset(0x0D0)] public byte NumberOfBytesFetched;
    [FieldOffset(0x0D1)] public fixed byte GuestInstructionBytes[15];
    [FieldOffset(0x0E0)] public ulong AVIC_APIC_BACKING_PAGE;
    [FieldOffset(0x0F0)] public ulong AVIC_LOGICAL_TABLE;

    /// <summary>Physical address, with the highest index in bits 11:0.</summary>
    [FieldOffset(0x0F8)] public ulong AVIC_PHYSICAL_TABLE;
    [FieldOffset(0x108)] public ulong VMSA_PTR;
    [FieldOffset(0x120)] public ushort BusLockThresholdCounter;

    /// <summary>32 bytes that the processor leaves to software.</summary>
    [FieldOffset(0x3E0)] public fixed ulong ReservedForHostUsage[4];
}

/// <summary>A segment register in the state save area.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct VmcbSegment
{
    [FieldOffset(0)] public ushort Selector;
    [FieldOffset(2)] public SegmentAttributes Attrib;

    /// <summary>In bytes, granularity already applied.</summary>
    [FieldOffset(4)] public uint Limit;
    [FieldOffset(8)] public ulong Base;
}

/// <summary>APM 2, "VMCB Layout, State Save Area". Marked fields are moved by VMSAVE and VMLOAD, not by VMRUN.</summary>
[StructLayout(LayoutKind.Explicit, Size = 0xC00)]
public struct VmcbStateSaveArea
{
    [FieldOffset(0x000)] public VmcbSegment ES;
    [FieldOffset(0x010)] public VmcbSegment CS;
    [FieldOffset(0x020)] public VmcbSegment SS;
    [FieldOffset(0x030)] public VmcbSegment DS;

    /// <summary>VMSAVE, VMLOAD.</summary>
    [FieldOffset(0x040)] public VmcbSegment FS;

    /// <summary>VMSAVE, VMLOAD.</summary>
    [FieldOffset(0x050)] public VmcbSegment GS;

    /// <summary>Base and limit only.</summary>
    [FieldOffset(0x060)] public VmcbSegment GDTR;

    /// <summary>VMSAVE, VMLOAD.</summary>
    [FieldOffset(0x070)] public VmcbSegment LDTR;

    /// <summary>Base and limit only.</summary>
    [FieldOffset(0x080)] public VmcbSegment IDTR;

    /// <summary>VMSAVE, VMLOAD.</summary>
    [FieldOffset(0x090)] public VmcbSegment TR;

    /// <summary>Forced to 0 in real mode and to 3 in virtual-8086 mode.</summary>
    [FieldOffset(0x0CB)] public byte CPL;

    /// <summary>SVME must be set, or VMRUN fails.</summary>
    [FieldOffset(0x0D0)] public ulong EFER;
    [FieldOffset(0x148)] public ulong CR4;
    [FieldOffset(0x150)] public ulong CR3;
    [FieldOffset(0x158)] public ulong CR0;
    [FieldOffset(0x160)] public ulong DR7;
    [FieldOffset(0x168)] public ulong DR6;
    [FieldOffset(0x170)] public ulong RFLAGS;
    [FieldOffset(0x178)] public ulong RIP;
    [FieldOffset(0x1D8)] public ulong RSP;
    [FieldOffset(0x1E0)] public ulong S_CET;
    [FieldOffset(0x1E8)] public ulong SSP;
    [FieldOffset(0x1F0)] public ulong ISST_ADDR;
    [FieldOffset(0x1F8)] public ulong RAX;

    /// <summary>VMSAVE, VMLOAD; so are those up to SYSENTER_EIP.</summary>
    [FieldOffset(0x200)] public ulong STAR;
    [FieldOffset(0x208)] public ulong LSTAR;
    [FieldOffset(0x210)] public ulong CSTAR;
    [FieldOffset(0x218)] public ulong SFMASK;
    [FieldOffset(0x220)] public ulong KernelGsBase;
    [FieldOffset(0x228)] public ulong SYSENTER_CS;
    [FieldOffset(0x230)] public ulong SYSENTER_ESP;
    [FieldOffset(0x238)] public ulong SYSENTER_EIP;
    [FieldOffset(0x240)] public ulong CR2;

    /// <summary>The guest's PAT, with nested paging only.</summary>
    [FieldOffset(0x268)] public ulong G_PAT;

    /// <summary>With LBR virtualization only; so are those up to LASTEXCPTO.</summary>
    [FieldOffset(0x270)] public ulong DBGCTL;
    [FieldOffset(0x278)] public ulong BR_FROM;
    [FieldOffset(0x280)] public ulong BR_TO;
    [FieldOffset(0x288)] public ulong LASTEXCPFROM;
    [FieldOffset(0x290)] public ulong LASTEXCPTO;

    /// <summary>With feature SpecCtrl only.</summary>
    [FieldOffset(0x2E0)] public ulong SPEC_CTRL;
}
