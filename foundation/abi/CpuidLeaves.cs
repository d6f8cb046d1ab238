// The hypervisor's CPUID leaves and the bits of those that are not privileges. TLFS, "Hypervisor Discovery",
// "Hypervisor Feature Identification", "Implementation Recommendations".

namespace Lamina.Abi;

/// <summary>Leaf numbers (EAX on input) and signatures.</summary>
public static class CpuidLeaf
{
    public const uint HvVendorAndMaxFunction = 0x40000000;
    public const uint HvInterface = 0x40000001;
    public const uint HvVersion = 0x40000002;
    public const uint HvFeatures = 0x40000003;
    public const uint HvEnlightenmentInformation = 0x40000004;
    public const uint HvImplementationLimits = 0x40000005;
    public const uint HvHardwareFeatures = 0x40000006;
    public const uint HvCpuManagementFeatures = 0x40000007;
    public const uint HvNestedVirtualizationFeatures = 0x4000000A;

    public const uint VirtualizationStackVendor = 0x40000080;
    public const uint VirtualizationStackInterface = 0x40000081;
    public const uint VirtualizationStackProperties = 0x40000082;

    /// <summary>"Microsoft Hv" in EBX, ECX, EDX of 0x40000000.</summary>
    public const uint VendorEbx = 0x7263694D;
    public const uint VendorEcx = 0x666F736F;
    public const uint VendorEdx = 0x76482074;

    /// <summary>"Hv#1" in EAX of 0x40000001: this interface.</summary>
    public const uint InterfaceHv1 = 0x31237648;

    /// <summary>"VS#1" in EAX of 0x40000081.</summary>
    public const uint VirtualizationStackInterfaceVs1 = 0x31235356;

    /// <summary>EAX of 0x40000082, bit 2: redirection entries carry destination bits 14:8 in bits 55:49.</summary>
    public const uint ExtendedIoApicRte = 1u << 2;
}

/// <summary>EDX of leaf 0x40000003: miscellaneous features. EAX and EBX are <see cref="PartitionPrivileges"/>.</summary>
public static class HvFeatureEdx
{
    public const uint GuestDebuggingAvailable = 1u << 1;
    public const uint PerformanceMonitorsAvailable = 1u << 2;
    public const uint PhysicalCpuDynamicPartitioningAvailable = 1u << 3;
    public const uint XmmRegistersForFastHypercallAvailable = 1u << 4;
    public const uint GuestIdleAvailable = 1u << 5;
    public const uint HypervisorSleepStateSupportAvailable = 1u << 6;
    public const uint NumaDistanceQueryAvailable = 1u << 7;
    public const uint FrequencyRegsAvailable = 1u << 8;
    public const uint SyntheticMachineCheckAvailable = 1u << 9;
    public const uint GuestCrashRegsAvailable = 1u << 10;
    public const uint DebugRegsAvailable = 1u << 11;
    public const uint Npiep1Available = 1u << 12;
    public const uint DisableHypervisorAvailable = 1u << 13;
    public const uint ExtendedGvaRangesForFlushVirtualAddressListAvailable = 1u << 14;
    public const uint FastHypercallOutputAvailable = 1u << 15;
    public const uint SintPollingModeAvailable = 1u << 17;
    public const uint HypercallMsrLockAvailable = 1u << 18;
    public const uint UseDirectSyntheticTimers = 1u << 19;
    public const uint RegisterPatAvailable = 1u << 20;
    public const uint SyntheticTimeUnhaltedTimerAvailable = 1u << 23;
}

/// <summary>EAX of leaf 0x40000004: what the hypervisor recommends to its guest.</summary>
public static class HvEnlightenmentHints
{
    public const uint UseHypercallForAddressSpaceSwitch = 1u << 0;
    public const uint UseHypercallForLocalFlush = 1u << 1;
    public const uint UseHypercallForRemoteFlush = 1u << 2;
    public const uint UseApicMsrs = 1u << 3;
    public const uint UseHvRegisterForReset = 1u << 4;
    public const uint UseRelaxedTiming = 1u << 5;
    public const uint UseDmaRemapping = 1u << 6;
    public const uint UseInterruptRemapping = 1u << 7;
    public const uint UseX2ApicMsrs = 1u << 8;
    public const uint DeprecateAutoEoi = 1u << 9;
    public const uint UseSyntheticClusterIpi = 1u << 10;
    public const uint UseExProcessorMasks = 1u << 11;
    public const uint Nested = 1u << 12;
    public const uint UseIntForMbecSystemCalls = 1u << 13;
    public const uint UseVmcsEnlightenments = 1u << 14;
    public const uint UseHypercallForMmioAccess = 1u << 21;

    /// <summary>EBX: spins before HvCallNotifyLongSpinWait; this value means never.</summary>
    public const uint NeverNotifyLongSpinWait = 0xFFFFFFFF;
}

/// <summary>EAX of leaf 0x40000006: hardware features that the hypervisor uses.</summary>
public static class HvHardwareFeatureBits
{
    public const uint ApicOverlayAssistInUse = 1u << 0;
    public const uint MsrBitmapsInUse = 1u << 1;
    public const uint ArchitecturalPerformanceCountersInUse = 1u << 2;
    public const uint SecondLevelAddressTranslationInUse = 1u << 3;
    public const uint DmaRemappingInUse = 1u << 4;
    public const uint InterruptRemappingInUse = 1u << 5;
}

/// <summary>EAX of leaf 0x40000007: what the root may do with processors.</summary>
public static class HvCpuManagementBits
{
    public const uint StartLogicalProcessor = 1u << 0;
    public const uint CreateRootVirtualProcessor = 1u << 1;
    public const uint PerformanceCounterSync = 1u << 2;
    public const uint ReservedIdentityBit = 1u << 31;
}
