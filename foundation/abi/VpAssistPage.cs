// The page that a virtual processor shares with the hypervisor. TLFS, "Virtual Processor Assist Page" (HV_VP_ASSIST_PAGE).

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_VP_ASSIST_PAGE.</summary>
[StructLayout(LayoutKind.Sequential, Size = 4096)]
public unsafe struct VpAssistPage
{
    /// <summary>Bit 0, <see cref="NoEoiRequired"/>: the guest clears it and skips the EOI. TLFS, "EOI Assist".</summary>
    public uint ApicAssist;
    public uint ReservedZ0;
    public uint VtlEntryReason;
    public uint VtlReserved;
    public ulong VtlReturnX64Rax;
    public ulong VtlReturnX64Rcx;
    public ulong NestedEnlightenmentsControl;
    public byte EnlightenVmEntry;
    public fixed byte ReservedZ1[7];
    public ulong CurrentNestedVmcs;
    public byte SyntheticTimeUnhaltedTimerExpired;
    public fixed byte ReservedZ2[7];
    public fixed byte VirtualizationFaultInformation[40];
    public ulong ReservedZ3;
    public fixed byte InterceptMessage[256];
    public fixed byte VtlReturnActions[256];

    public const uint NoEoiRequired = 1;
}
