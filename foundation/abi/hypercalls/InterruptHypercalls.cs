// Parameters of the calls about interrupts: those asserted in a guest, and those of devices. TLFS, "Virtual Interrupt Control".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_INTERRUPT_TYPE.</summary>
public static class HvInterruptType
{
    public const uint HvX64InterruptTypeFixed = 0x0000;
    public const uint HvX64InterruptTypeLowestPriority = 0x0001;
    public const uint HvX64InterruptTypeSmi = 0x0002;
    public const uint HvX64InterruptTypeRemoteRead = 0x0003;
    public const uint HvX64InterruptTypeNmi = 0x0004;
    public const uint HvX64InterruptTypeInit = 0x0005;
    public const uint HvX64InterruptTypeSipi = 0x0006;
    public const uint HvX64InterruptTypeExtInt = 0x0007;
    public const uint HvX64InterruptTypeLocalInt0 = 0x0008;
    public const uint HvX64InterruptTypeLocalInt1 = 0x0009;
}

/// <summary>HV_INTERRUPT_CONTROL, 64 bits.</summary>
public readonly struct HvInterruptControl(ulong value)
{
    public readonly ulong Value = value;

    public HvInterruptControl(uint type, bool levelTriggered, bool logicalDestinationMode)
        : this(type | (levelTriggered ? 1UL << 32 : 0) | (logicalDestinationMode ? 1UL << 33 : 0)) { }

    /// <summary>Bits 31:0, a constant of <see cref="HvInterruptType"/>.</summary>
    public uint InterruptType => (uint)Value;

    /// <summary>Bit 32.</summary>
    public bool LevelTriggered => BitField.IsSet(Value, 32);

    /// <summary>Bit 33.</summary>
    public bool LogicalDestinationMode => BitField.IsSet(Value, 33);
}

/// <summary>Input of HvCallAssertVirtualInterrupt, 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputAssertVirtualInterrupt
{
    public PartitionId TargetPartition;
    public HvInterruptControl InterruptControl;

    /// <summary>An APIC id, or a logical destination.</summary>
    public ulong DestinationAddress;
    public uint RequestedVector;
    public byte TargetVtl;
    public byte ReservedZ0;
    public ushort ReservedZ1;
}

/// <summary>Input of HvCallClearVirtualInterrupt: withdraws an ExtInt or local interrupt that was asserted.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputClearVirtualInterrupt
{
    public PartitionId TargetPartition;
}

/// <summary>HV_INTERRUPT_SOURCE.</summary>
public static class HvInterruptSource
{
    /// <summary>MSI or MSI-X.</summary>
    public const uint HvInterruptSourceMsi = 1;
    public const uint HvInterruptSourceIoApic = 2;
}

/// <summary>HV_INTERRUPT_ENTRY, 16 bytes: what a device or an IOAPIC holds.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct HvInterruptEntry
{
    /// <summary>A constant of <see cref="HvInterruptSource"/>.</summary>
    [FieldOffset(0)] public uint InterruptSource;
    [FieldOffset(4)] public uint Reserved;

    // HvInterruptSourceMsi
    [FieldOffset(8)] public uint MsiAddress;
    [FieldOffset(12)] public uint MsiData;

    /// <summary>HvInterruptSourceIoApic: the redirection entry.</summary>
    [FieldOffset(8)] public ulong IoApicRte;
}

/// <summary>HV_DEVICE_ID, 64 bits: bits 63:62 are the kind, the rest depends on it.</summary>
public readonly struct HvDeviceId(ulong value)
{
    public const byte HvDeviceTypeLogical = 0;
    public const byte HvDeviceTypePci = 1;
    public const byte HvDeviceTypeIoApic = 2;
    public const byte HvDeviceTypeAcpi = 3;

    public readonly ulong Value = value;

    public byte DeviceType => (byte)(Value >> 62);

    /// <summary>Of a logical device: bits 61:0.</summary>
    public ulong LogicalId => BitField.Extract(Value, 61, 0);

    /// <summary>Of a PCI device: bus in 15:8, device in 7:3, function in 2:0.</summary>
    public ushort PciBdf => (ushort)Value;

    /// <summary>Of a PCI device: segment group.</summary>
    public ushort PciSegment => (ushort)(Value >> 16);

    /// <summary>Of an IOAPIC: its APIC id.</summary>
    public byte IoApicId => (byte)Value;

    public static HvDeviceId Pci(ushort segment, ushort bdf) => new((ulong)HvDeviceTypePci << 62 | (ulong)segment << 16 | bdf);
    public static HvDeviceId IoApic(byte id) => new((ulong)HvDeviceTypeIoApic << 62 | id);
    public static HvDeviceId Logical(ulong id) => new(BitField.Extract(id, 61, 0));
}

/// <summary>
/// HV_DEVICE_INTERRUPT_TARGET, 16 bytes. With the ProcessorSet flag the last member is the format of an HV_VP_SET, whose other
/// words (valid banks mask, banks) are the call's variable header.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvDeviceInterruptTarget
{
    /// <summary>The vector that the target processors shall see.</summary>
    public uint Vector;

    /// <summary>Bits of the constants below.</summary>
    public uint Flags;

    /// <summary>A bit for each of the processors 0..63, or the format of a set.</summary>
    public ulong VpMaskOrFormat;

    public const uint HV_DEVICE_INTERRUPT_TARGET_MULTICAST = 1;
    public const uint HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET = 2;
}

/// <summary>HV_DEVICE_INTERRUPT_DESCRIPTOR, 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvDeviceInterruptDescriptor
{
    /// <summary>A constant of <see cref="HvInterruptType"/>.</summary>
    public uint InterruptType;

    /// <summary>0 edge, 1 level.</summary>
    public uint TriggerMode;

    /// <summary>How many consecutive vectors (MSI), else 1.</summary>
    public uint VectorCount;
    public uint Reserved;
    public HvDeviceInterruptTarget Target;
}

/// <summary>Input of HvCallMapDeviceInterrupt, 72 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputMapDeviceInterrupt
{
    public PartitionId PartitionId;
    public HvDeviceId DeviceId;
    public uint Flags;
    public uint BaseIrtIdx;

    /// <summary>What the caller would have written to the device.</summary>
    public HvInterruptEntry LogicalInterruptEntry;
    public HvDeviceInterruptDescriptor InterruptDescriptor;
}

/// <summary>Output of HvCallMapDeviceInterrupt, 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvOutputMapDeviceInterrupt
{
    /// <summary>What the caller has to write to the device instead.</summary>
    public HvInterruptEntry InterruptEntry;
    public fixed ulong ExtStatusDeprecated[5];
}

/// <summary>Input of HvCallUnmapDeviceInterrupt, 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputUnmapDeviceInterrupt
{
    public PartitionId PartitionId;
    public HvDeviceId DeviceId;

    /// <summary>As HvCallMapDeviceInterrupt returned it.</summary>
    public HvInterruptEntry InterruptEntry;
}

/// <summary>Input of HvCallRetargetDeviceInterrupt, 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputRetargetDeviceInterrupt
{
    public PartitionId PartitionId;
    public HvDeviceId DeviceId;
    public HvInterruptEntry InterruptEntry;
    public ulong Reserved;
    public HvDeviceInterruptTarget InterruptTarget;
}
