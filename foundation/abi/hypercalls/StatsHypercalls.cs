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

/// <summary>The page: counters by number, a constant of <see cref="HvStatsVpCounters"/> where the object is a virtual processor, of <see cref="HvStatsLpCounters"/> where it is a logical one.</summary>
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

/// <summary>HV_STATS_LP_COUNTERS: what is counted of a logical processor. Those that Lamina keeps; times in 100 ns.</summary>
public static class HvStatsLpCounters
{
    /// <summary>Time that has passed.</summary>
    public const uint LpGlobalTime = 1;
    /// <summary>Time that it was not halted.</summary>
    public const uint LpTotalRunTime = 2;
    /// <summary>Interrupts of devices.</summary>
    public const uint LpHardwareInterrupts = 4;
    /// <summary>How often it went from one virtual processor to another.</summary>
    public const uint LpContextSwitches = 5;
    /// <summary>Interrupts that other processors sent.</summary>
    public const uint LpInterProcessorInterrupts = 6;
    public const uint LpTimerInterrupts = 8;
    /// <summary>Interrupts that it sent to other processors.</summary>
    public const uint LpInterProcessorInterruptsSent = 9;
    public const uint LpProcessorHalts = 10;
}
