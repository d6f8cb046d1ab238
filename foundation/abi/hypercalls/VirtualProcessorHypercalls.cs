// Parameters of the calls that make, inspect and start virtual processors. TLFS, "Virtual Processors".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>Input of HvCallCreateVp, 40 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputCreateVp
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public fixed byte Padding[3];
    public byte SubnodeType;
    public ulong SubnodeId;
    public HvProximityDomainInfo ProximityDomainInfo;
    public ulong Flags;
}

/// <summary>Input of HvCallDeleteVp, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputDeleteVp
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public uint Reserved;
}

/// <summary>Fixed header of HvCallGetVpRegisters; each rep is a 32-bit name, each output element an <see cref="HvRegisterValue"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputGetVpRegisters
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;

    /// <summary>HV_INPUT_VTL: bits 3:0 VTL, bit 4 "use it". Zero here.</summary>
    public byte InputVtl;
    public byte RsvdZ8;
    public ushort RsvdZ16;
}

/// <summary>Fixed header of HvCallSetVpRegisters; each rep is an <see cref="HvRegisterAssoc"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputSetVpRegisters
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;

    /// <summary>HV_INPUT_VTL: bits 3:0 VTL, bit 4 "use it". Zero here.</summary>
    public byte InputVtl;

    /// <summary>RsvdZ8 of TLFS. Bit 0 is Lamina's own: see <see cref="ThenIdle"/>.</summary>
    public byte Extension;
    public ushort RsvdZ16;

    /// <summary>
    /// The caller idles then, as if it read HV_X64_MSR_GUEST_IDLE: what completes an intercept and waits for the next one is one call
    /// (docs/decisions/0014). A hint: without it, and after a failure, the call just returns.
    /// </summary>
    public const byte ThenIdle = 1;
}

/// <summary>Input of HvCallStartVirtualProcessor, 240 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputStartVirtualProcessor
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public byte TargetVtl;
    public byte ReservedZ0;
    public ushort ReservedZ1;
    public HvInitialVpContext VpContext;
}

/// <summary>Fixed header of HvCallGetVpIndexFromApicId; each rep is a 32-bit APIC id, each output element a 32-bit index.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputGetVpIndexFromApicId
{
    public PartitionId PartitionId;
    public byte TargetVtl;
    public fixed byte Padding[7];
}

/// <summary>Input of HvCallNotifyLongSpinWait, by register.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputNotifyLongSpinWait
{
    /// <summary>How often the caller has tried; 32 bits wide, 0xFFFFFFFF means that it does not count.</summary>
    public ulong SpinwaitInfo;
}

/// <summary>Fixed header of HvCallGetVpCpuidValues, 24 bytes; each rep is an <see cref="HvCpuidLeafInfo"/>, each output element four 32-bit registers.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputGetVpCpuidValues
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;

    /// <summary>Bit 0 UseVpXfemXss, bit 1 ApplyRegisteredValues.</summary>
    public uint Flags;
    public uint Reserved;
    public uint Padding;
}

/// <summary>HV_CPUID_LEAF_INFO, 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvCpuidLeafInfo
{
    public uint Eax;
    public uint Ecx;
    public ulong Xfem;
    public ulong Xss;
}

/// <summary>One output element of HvCallGetVpCpuidValues.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvCpuidResult
{
    public uint Eax;
    public uint Ebx;
    public uint Ecx;
    public uint Edx;
}

/// <summary>Input of HvCallMapVpStatePage and HvCallUnmapVpStatePage, 16 bytes; the output of the first is a 64-bit page number.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputMapVpStatePage
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;

    /// <summary>0 registers, 1 intercept message.</summary>
    public uint Type;
}

/// <summary>Fixed header of HvCallGetVpState and HvCallSetVpState, 40 bytes; page numbers or bytes follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputVpState
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public byte InputVtl;
    public byte Rsvd0;
    public ushort Rsvd1;

    /// <summary>0 LAPIC, 1 XSAVE, 2 SIM page, 3 SIEF page, with bit 31: passed by page numbers; 4: <see cref="HvSyntheticTimersState"/>, in the page itself.</summary>
    public uint StateType;
    public uint Rsvd2;
    public ulong XsaveFlags;
    public ulong XsaveStates;
}

/// <summary>HV_STIMER_STATE, 40 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvStimerState
{
    /// <summary>Bit 0: a message could not be delivered yet.</summary>
    public uint UndeliveredMessagePending;
    public uint Reserved;
    public ulong Config;
    public ulong Count;
    public ulong Adjustment;
    public ulong UndeliveredExpirationTime;
}

/// <summary>HV_SYNTHETIC_TIMERS_STATE, 200 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvSyntheticTimersState
{
    public HvStimerState Timer0;
    public HvStimerState Timer1;
    public HvStimerState Timer2;
    public HvStimerState Timer3;
    public fixed ulong Reserved[5];
}
