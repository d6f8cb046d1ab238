// Parameters of the calls that give, take and map memory. TLFS, "Hypervisor Memory", "Guest Physical Address Space".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>Fixed header of HvCallDepositMemory; each rep is the 64-bit page number of a page of the caller.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputDepositMemory
{
    /// <summary>Whose account the pages go to.</summary>
    public PartitionId PartitionId;
}

/// <summary>Input of HvCallWithdrawMemory; the rep count says how many, each rep of the output is a 64-bit page number.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputWithdrawMemory
{
    public PartitionId PartitionId;
    public HvProximityDomainInfo ProximityDomainInfo;
}

/// <summary>Input of HvCallGetMemoryBalance.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputGetMemoryBalance
{
    public PartitionId PartitionId;
    public HvProximityDomainInfo ProximityDomainInfo;
}

/// <summary>Output of HvCallGetMemoryBalance.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputGetMemoryBalance
{
    public PageCount PagesAvailable;
    public PageCount PagesInUse;
}

/// <summary>Flags of HvCallMapGpaPages (HV_MAP_GPA_FLAGS).</summary>
public static class HvMapGpaFlags
{
    public const uint HV_MAP_GPA_PERMISSIONS_NONE = 0x0;
    public const uint HV_MAP_GPA_READABLE = 0x1;
    public const uint HV_MAP_GPA_WRITABLE = 0x2;
    public const uint HV_MAP_GPA_KERNEL_EXECUTABLE = 0x4;
    public const uint HV_MAP_GPA_USER_EXECUTABLE = 0x8;
    public const uint HV_MAP_GPA_EXECUTABLE = 0xC;
    public const uint HV_MAP_GPA_PERMISSIONS_MASK = 0xF;
    public const uint HV_MAP_GPA_ADJUSTABLE = 0x8000;

    /// <summary>Mapped, but every access is an intercept; no source page.</summary>
    public const uint HV_MAP_GPA_NO_ACCESS = 0x10000;

    /// <summary>Memory type UC.</summary>
    public const uint HV_MAP_GPA_NOT_CACHED = 0x200000;

    /// <summary>Each rep is a 2 MiB page; its page numbers are multiples of 512.</summary>
    public const uint HV_MAP_GPA_LARGE_PAGE = 0x80000000;

    /// <summary>Flag of HvCallUnmapGpaPages: each rep is a 2 MiB page.</summary>
    public const uint HV_UNMAP_GPA_LARGE_PAGE = 0x2;
}

/// <summary>Fixed header of HvCallMapGpaPages, 24 bytes; each rep is the 64-bit page number of a page of the caller.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputMapGpaPages
{
    public PartitionId TargetPartitionId;

    /// <summary>Page number in the target, of rep 0.</summary>
    public ulong TargetGpaBase;

    /// <summary>Bits of <see cref="HvMapGpaFlags"/>.</summary>
    public uint MapFlags;
    public uint Padding;
}

/// <summary>Input of HvCallUnmapGpaPages, 24 bytes; the rep count is the number of pages.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputUnmapGpaPages
{
    public PartitionId TargetPartitionId;

    /// <summary>Page number in the target, of rep 0.</summary>
    public ulong TargetGpaBase;
    public uint UnmapFlags;
    public uint Padding;
}

/// <summary>Input of HvCallTranslateVirtualAddress, 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputTranslateVirtualAddress
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public uint Padding;

    /// <summary>Bits of <see cref="HvTranslateGvaControlFlags"/>.</summary>
    public ulong ControlFlags;

    /// <summary>Virtual page number.</summary>
    public ulong GvaPage;
}

/// <summary>HV_TRANSLATE_GVA_CONTROL_FLAGS.</summary>
public static class HvTranslateGvaControlFlags
{
    public const ulong HV_TRANSLATE_GVA_VALIDATE_READ = 0x0001;
    public const ulong HV_TRANSLATE_GVA_VALIDATE_WRITE = 0x0002;
    public const ulong HV_TRANSLATE_GVA_VALIDATE_EXECUTE = 0x0004;

    /// <summary>Ignore supervisor/user protection.</summary>
    public const ulong HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT = 0x0008;

    /// <summary>Set accessed and dirty bits.</summary>
    public const ulong HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS = 0x0010;
    public const ulong HV_TRANSLATE_GVA_TLB_FLUSH_INHIBIT = 0x0020;
    public const ulong HV_TRANSLATE_GVA_SUPERVISOR_ACCESS = 0x0040;
    public const ulong HV_TRANSLATE_GVA_USER_ACCESS = 0x0080;
}

/// <summary>HV_TRANSLATE_GVA_RESULT_CODE.</summary>
public static class HvTranslateGvaResultCode
{
    public const uint HvTranslateGvaSuccess = 0;
    public const uint HvTranslateGvaPageNotPresent = 1;
    public const uint HvTranslateGvaPrivilegeViolation = 2;
    public const uint HvTranslateGvaInvalidPageTableFlags = 3;
    public const uint HvTranslateGvaGpaUnmapped = 4;
    public const uint HvTranslateGvaGpaNoReadAccess = 5;
    public const uint HvTranslateGvaGpaNoWriteAccess = 6;
    public const uint HvTranslateGvaGpaIllegalOverlayAccess = 7;
    public const uint HvTranslateGvaIntercept = 8;
}

/// <summary>Output of HvCallTranslateVirtualAddress, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputTranslateVirtualAddress
{
    /// <summary>A constant of <see cref="HvTranslateGvaResultCode"/>.</summary>
    public uint ResultCode;

    /// <summary>Bits 7:0 cache type, bit 8 OverlayPage.</summary>
    public uint Attributes;

    /// <summary>Guest page number.</summary>
    public ulong GpaPage;
}

/// <summary>Input of HvCallMemoryMappedIoRead, 16 bytes; the output is up to 64 bytes of data.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputMemoryMappedIoRead
{
    public GuestPhysicalAddress Gpa;
    public uint AccessWidth;
    public uint ReservedZ0;
}

/// <summary>Input of HvCallMemoryMappedIoWrite, 80 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputMemoryMappedIoWrite
{
    public GuestPhysicalAddress Gpa;
    public uint AccessWidth;
    public uint ReservedZ0;
    public fixed byte Data[64];
}
