// Parameters of the calls that flush translations and send interrupts to many processors at once. TLFS, "Virtual MMU and TLB",
// "HvCallSendSyntheticClusterIpi".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_FLUSH_FLAGS.</summary>
public static class HvFlushFlags
{
    public const ulong HV_FLUSH_ALL_PROCESSORS = 1UL << 0;
    public const ulong HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES = 1UL << 1;
    public const ulong HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY = 1UL << 2;
    public const ulong HV_FLUSH_USE_EXTENDED_RANGE_FORMAT = 1UL << 3;
}

/// <summary>Head of an HV_VP_SET; a bank of 64 bits for each one in ValidBankMask follows, as the call's variable header.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvVpSet
{
    /// <summary>HvGenericSetSparse4k or HvGenericSetAll.</summary>
    public ulong Format;

    /// <summary>Bit n: a bank for processors 64n .. 64n+63 is there.</summary>
    public ulong ValidBankMask;

    public const ulong HvGenericSetSparse4k = 0;
    public const ulong HvGenericSetAll = 1;
}

/// <summary>Input of HvCallFlushVirtualAddressSpace, fixed header of HvCallFlushVirtualAddressList (each rep an <see cref="HvGvaRange"/>). 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputFlushVirtualAddressSpace
{
    /// <summary>A value of CR3.</summary>
    public ulong AddressSpace;

    /// <summary>Bits of <see cref="HvFlushFlags"/>.</summary>
    public ulong Flags;
    public ulong ProcessorMask;
}

/// <summary>Header of HvCallFlushVirtualAddressSpaceEx and HvCallFlushVirtualAddressListEx, 32 bytes before the banks.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputFlushVirtualAddressSpaceEx
{
    /// <summary>A value of CR3.</summary>
    public ulong AddressSpace;

    /// <summary>Bits of <see cref="HvFlushFlags"/>.</summary>
    public ulong Flags;
    public HvVpSet ProcessorSet;
}

/// <summary>HV_GVA_RANGE, 64 bits.</summary>
public readonly struct HvGvaRange(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 11:0: pages beyond the first.</summary>
    public uint AdditionalPages => (uint)(Value & 0xFFF);

    /// <summary>Bits 63:12.</summary>
    public ulong GvaPageNumber => Value >> 12;
}

/// <summary>Input of HvCallSendSyntheticClusterIpi, 16 bytes; fast callers have it in RDX and R8.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputSendSyntheticClusterIpi
{
    /// <summary>0x10..0xFF.</summary>
    public uint Vector;
    public byte TargetVtl;
    public fixed byte Padding[3];
    public ulong ProcessorMask;
}

/// <summary>Header of HvCallSendSyntheticClusterIpiEx, 24 bytes before the banks.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputSendSyntheticClusterIpiEx
{
    /// <summary>0x10..0xFF.</summary>
    public uint Vector;
    public byte TargetVtl;
    public fixed byte Padding[3];
    public HvVpSet ProcessorSet;
}
