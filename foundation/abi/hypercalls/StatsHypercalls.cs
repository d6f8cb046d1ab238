// Parameters of the calls that show a statistics page, and the page itself. Linux shares them with the hypervisor (hv_input_map_stats_page).

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_STATS_OBJECT_TYPE: what is counted about.</summary>
public static class HvStatsObjectType
{
    public const uint HvStatsObjectHypervisor = 0x00000001;
    public const uint HvStatsObjectLogicalProcessor = 0x00000002;
    public const uint HvStatsObjectPartition = 0x00010001;
    public const uint HvStatsObjectVp = 0x00010002;
}

/// <summary>HV_STATS_AREA_TYPE: who counted.</summary>
public static class HvStatsAreaType
{
    public const byte HvStatsAreaSelf = 0;
    public const byte HvStatsAreaParent = 1;
    public const byte HvStatsAreaInternal = 2;
}

/// <summary>HV_STATS_OBJECT_IDENTITY, 16 bytes: fields by the type of the object, those that a type lacks are zero.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct HvStatsObjectIdentity
{
    /// <summary>Of a partition or virtual processor.</summary>
    [FieldOffset(0)] public PartitionId PartitionId;

    /// <summary>Of a logical processor.</summary>
    [FieldOffset(0)] public uint LpIndex;

    /// <summary>Of a virtual processor, as the next.</summary>
    [FieldOffset(8)] public VpIndex VpIndex;
    [FieldOffset(12)] public ushort Flags;
    [FieldOffset(14)] public byte Reserved;

    /// <summary>A constant of <see cref="HvStatsAreaType"/>.</summary>
    [FieldOffset(15)] public byte StatsAreaType;
}

/// <summary>Input of HvCallMapStatsPage, 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputMapStatsPage
{
    /// <summary>A constant of <see cref="HvStatsObjectType"/>.</summary>
    public uint Type;
    public uint Padding;
    public HvStatsObjectIdentity Identity;
}

/// <summary>Output of HvCallMapStatsPage: the number of the page in which the caller sees the counters.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOutputMapStatsPage
{
    public ulong MapLocation;
}

/// <summary>The page: counters by number, a constant of <see cref="HvStatsVpCounters"/> where the object is a virtual processor.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvStatsPage
{
    public const uint CounterCount = 512;
    public fixed ulong Counters[(int)CounterCount];
}

/// <summary>Input of HvCallUnmapStatsPage, 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputUnmapStatsPage
{
    public uint Type;
    public uint Padding;
    public HvStatsObjectIdentity Identity;
}
