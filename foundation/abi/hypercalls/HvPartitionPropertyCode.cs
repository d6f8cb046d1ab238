// Properties of a partition that its parent reads and writes. TLFS, "Partition Properties" (HV_PARTITION_PROPERTY_CODE).

namespace Lamina.Abi;

/// <summary>HV_PARTITION_PROPERTY_CODE.</summary>
public static class HvPartitionPropertyCode
{
    // Privilege properties

    /// <summary><see cref="PartitionPrivileges"/>.</summary>
    public const uint HvPartitionPropertyPrivilegeFlags = 0x00010000;
    public const uint HvPartitionPropertySyntheticProcFeatures = 0x00010001;

    // Scheduling properties

    /// <summary>1 stops all of the partition's processors, 0 lets them run.</summary>
    public const uint HvPartitionPropertySuspend = 0x00020000;

    /// <summary>Guaranteed share of a logical processor for each VP: 0..0x10000 (65536 is all of it).</summary>
    public const uint HvPartitionPropertyCpuReserve = 0x00020001;

    /// <summary>Largest share of a logical processor for each VP: 0..0x10000; 0 means no cap.</summary>
    public const uint HvPartitionPropertyCpuCap = 0x00020002;

    /// <summary>Relative weight, 1..10000; 100 is usual.</summary>
    public const uint HvPartitionPropertyCpuWeight = 0x00020003;
    public const uint HvPartitionPropertyCpuGroupId = 0x00020004;

    // Time properties
    public const uint HvPartitionPropertyTimeFreeze = 0x00030003;

    /// <summary>In Hz.</summary>
    public const uint HvPartitionPropertyApicFrequency = 0x00030004;

    /// <summary>In 100 ns.</summary>
    public const uint HvPartitionPropertyReferenceTime = 0x00030005;

    // Debugging properties
    public const uint HvPartitionPropertyDebugChannelId = 0x00040000;

    // Resource properties
    public const uint HvPartitionPropertyVirtualTlbPageCount = 0x00050000;
    public const uint HvPartitionPropertyZeroMemoryOnReset = 0x00050002;
    public const uint HvPartitionPropertyProcessorsPerSocket = 0x00050003;
    public const uint HvPartitionPropertyGpaPageAccessTracking = 0x00050005;

    /// <summary>0: #GP and an intercept message; 1: read zero, ignore writes.</summary>
    public const uint HvPartitionPropertyUnimplementedMsrAction = 0x00050017;
    public const uint HvPartitionPropertyReferenceTscPageActive = 0x00050019;
    public const uint HvPartitionPropertyAutoEoiEnabled = 0x0005001A;

    // Compatibility properties
    public const uint HvPartitionPropertyProcessorVendor = 0x00060000;
    public const uint HvPartitionPropertyProcessorXsaveFeatures = 0x00060002;
    public const uint HvPartitionPropertyProcessorCLFlushSize = 0x00060003;
    public const uint HvPartitionPropertyEnlightenmentModifications = 0x00060004;
    public const uint HvPartitionPropertyCompatibilityVersion = 0x00060005;
    public const uint HvPartitionPropertyPhysicalAddressWidth = 0x00060006;
    public const uint HvPartitionPropertyXsaveStates = 0x00060007;

    /// <summary>In bytes.</summary>
    public const uint HvPartitionPropertyMaxXsaveDataSize = 0x00060008;

    /// <summary>In Hz.</summary>
    public const uint HvPartitionPropertyProcessorClockFrequency = 0x00060009;
    public const uint HvPartitionPropertyProcessorFeatures0 = 0x0006000A;
    public const uint HvPartitionPropertyProcessorFeatures1 = 0x0006000B;

    // Guest software properties

    /// <summary>Read only: what the guest wrote to HV_X64_MSR_GUEST_OS_ID.</summary>
    public const uint HvPartitionPropertyGuestOsId = 0x00070000;

    // Nested virtualization properties
    public const uint HvPartitionPropertyProcessorVirtualizationFeatures = 0x00080000;

    // Extended properties
    public const uint HvPartitionPropertyVmmCapabilities = 0x00090007;
}

/// <summary>HV_SYSTEM_PROPERTY, for HvCallGetSystemProperty.</summary>
public static class HvSystemProperty
{
    public const uint HvSystemPropertySleepState = 3;
    public const uint HvSystemPropertySchedulerType = 15;

    /// <summary>Values of the scheduler type. The hypervisor schedules in all but the last.</summary>
    public const uint HvSchedulerTypeLp = 1;
    public const uint HvSchedulerTypeLpSmt = 2;
    public const uint HvSchedulerTypeCoreSmt = 3;
    public const uint HvSchedulerTypeRoot = 4;
}

/// <summary>Input of HvCallGetSystemProperty, 16 bytes; the output is 8 bytes.</summary>
[System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Sequential)]
public struct HvInputGetSystemProperty
{
    /// <summary>A constant of <see cref="HvSystemProperty"/>.</summary>
    public uint PropertyId;
    public uint Reserved;
    public ulong Parameter;
}
