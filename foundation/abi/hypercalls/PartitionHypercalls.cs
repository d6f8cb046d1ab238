// Parameters of the calls that make and unmake partitions. TLFS, "Partition Manager"; for calls that it no longer prints,
// the definitions that Linux's drivers/hv shares with the hypervisor.

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_PROXIMITY_DOMAIN_INFO: where memory should come from. Zero: anywhere.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvProximityDomainInfo
{
    public uint DomainId;

    /// <summary>Bit 0 ProximityPreferred, bit 31 ProximityInfoValid.</summary>
    public uint Flags;
}

/// <summary>Flags of HvCallCreatePartition.</summary>
public static class HvPartitionCreationFlags
{
    /// <summary>Memory is given by the creator, whose own partition keeps it mapped.</summary>
    public const ulong ExoPartition = 1UL << 8;
    public const ulong LapicEnabled = 1UL << 13;
    public const ulong InterceptMessagePageEnabled = 1UL << 19;
    public const ulong X2ApicCapable = 1UL << 22;
}

/// <summary>Input of HvCallCreatePartition, 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputCreatePartition
{
    /// <summary>Bits of <see cref="HvPartitionCreationFlags"/>.</summary>
    public ulong Flags;
    public HvProximityDomainInfo ProximityDomainInfo;

    /// <summary>Major version in bits 15:8, minor in 7:0.</summary>
    public uint CompatibilityVersion;
    public uint Padding;

    /// <summary>HV_PARTITION_PROCESSOR_FEATURES, two banks, inverted: one means disabled.</summary>
    public fixed ulong DisabledProcessorFeatures[2];

    /// <summary>HV_PARTITION_PROCESSOR_XSAVE_FEATURES, inverted.</summary>
    public ulong DisabledProcessorXsaveFeatures;
    public ulong IsolationProperties;
}

/// <summary>Output of HvCallCreatePartition.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputCreatePartition
{
    public PartitionId NewPartitionId;
}

/// <summary>Input of HvCallInitializePartition.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputInitializePartition
{
    public PartitionId PartitionId;
}

/// <summary>Input of HvCallFinalizePartition.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputFinalizePartition
{
    public PartitionId PartitionId;
}

/// <summary>Input of HvCallDeletePartition.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputDeletePartition
{
    public PartitionId PartitionId;
}

/// <summary>Output of HvCallGetPartitionId.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputGetPartitionId
{
    public PartitionId PartitionId;
}

/// <summary>Input of HvCallGetNextChildPartition.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputGetNextChildPartition
{
    public PartitionId ParentId;

    /// <summary>HV_PARTITION_ID_INVALID to begin.</summary>
    public PartitionId PreviousChildId;
}

/// <summary>Output of HvCallGetNextChildPartition.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputGetNextChildPartition
{
    /// <summary>HV_PARTITION_ID_INVALID at the end.</summary>
    public PartitionId NextChildId;
}

/// <summary>Input of HvCallGetPartitionProperty.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputGetPartitionProperty
{
    public PartitionId PartitionId;

    /// <summary>A constant of <see cref="HvPartitionPropertyCode"/>.</summary>
    public uint PropertyCode;
    public uint Padding;
}

/// <summary>Output of HvCallGetPartitionProperty.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputGetPartitionProperty
{
    public ulong PropertyValue;
}

/// <summary>Input of HvCallSetPartitionProperty.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputSetPartitionProperty
{
    public PartitionId PartitionId;

    /// <summary>A constant of <see cref="HvPartitionPropertyCode"/>.</summary>
    public uint PropertyCode;
    public uint Padding;
    public ulong PropertyValue;
}
