// The local APIC's registers: offsets in the xAPIC page, and their formats. SDM 3A, "Local APIC Register Address Map".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>Offsets from the page's base. In x2APIC mode the MSR is <see cref="Msr.X2ApicFirst"/> + offset / 16.</summary>
public static class ApicRegisters
{
    public const uint LocalApicId = 0x020;
    public const uint LocalApicVersion = 0x030;
    public const uint TaskPriority = 0x080;
    public const uint ArbitrationPriority = 0x090;
    public const uint ProcessorPriority = 0x0A0;
    public const uint EOI = 0x0B0;
    public const uint RemoteRead = 0x0C0;
    public const uint LogicalDestination = 0x0D0;

    /// <summary>Not in x2APIC mode.</summary>
    public const uint DestinationFormat = 0x0E0;
    public const uint SpuriousInterruptVector = 0x0F0;

    /// <summary>Eight registers of 32 bits, 16 bytes apart, as are the next two.</summary>
    public const uint InService = 0x100;
    public const uint TriggerMode = 0x180;
    public const uint InterruptRequest = 0x200;
    public const uint ErrorStatus = 0x280;
    public const uint LvtCmci = 0x2F0;

    /// <summary>Bits 31:0; in x2APIC mode all 64.</summary>
    public const uint InterruptCommandLow = 0x300;

    /// <summary>Bits 63:32; not in x2APIC mode.</summary>
    public const uint InterruptCommandHigh = 0x310;
    public const uint LvtTimer = 0x320;
    public const uint LvtThermalSensor = 0x330;
    public const uint LvtPerformanceMonitoring = 0x340;
    public const uint LvtLint0 = 0x350;
    public const uint LvtLint1 = 0x360;
    public const uint LvtError = 0x370;
    public const uint InitialCount = 0x380;
    public const uint CurrentCount = 0x390;
    public const uint DivideConfiguration = 0x3E0;

    /// <summary>In x2APIC mode only.</summary>
    public const uint SelfIpi = 0x3F0;

    /// <summary>The register's MSR in x2APIC mode.</summary>
    public static uint ToMsr(uint offset) => Msr.X2ApicFirst + (offset >> 4);
}

/// <summary>Delivery modes, in the interrupt command, local vector table and redirection entries alike.</summary>
public static class DeliveryMode
{
    public const byte Fixed = 0;
    public const byte LowestPriority = 1;
    public const byte SMI = 2;
    public const byte NMI = 4;
    public const byte INIT = 5;
    public const byte StartUp = 6;
    public const byte ExtINT = 7;
}

/// <summary>A local vector table entry. SDM 3A, "Local Vector Table".</summary>
public readonly struct LocalVectorTableEntry(uint value)
{
    public readonly uint Value = value;

    /// <summary>Bits 7:0.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bits 10:8, a constant of <see cref="X64.DeliveryMode"/>; not in the timer's.</summary>
    public byte DeliveryMode => (byte)(Value >> 8 & 7);

    /// <summary>Bit 12: sent, not yet accepted.</summary>
    public bool DeliveryStatus => BitField.IsSet(Value, 12);

    /// <summary>Bit 15, of LINT0 and LINT1.</summary>
    public bool LevelTriggered => BitField.IsSet(Value, 15);

    /// <summary>Bit 16.</summary>
    public bool Masked => BitField.IsSet(Value, 16);

    /// <summary>Bits 18:17, of the timer: one of the constants below.</summary>
    public byte TimerMode => (byte)(Value >> 17 & 3);

    public const byte OneShot = 0;
    public const byte Periodic = 1;
    public const byte TscDeadline = 2;

    public LocalVectorTableEntry WithVector(byte vector) => new((uint)BitField.Insert(Value, 7, 0, vector));
    public LocalVectorTableEntry WithDeliveryMode(byte mode) => new((uint)BitField.Insert(Value, 10, 8, mode));
    public LocalVectorTableEntry WithMasked(bool on) => new((uint)BitField.WithBit(Value, 16, on));
    public LocalVectorTableEntry WithTimerMode(byte mode) => new((uint)BitField.Insert(Value, 18, 17, mode));
}

/// <summary>The spurious interrupt vector register.</summary>
public readonly struct SpuriousInterruptVector(uint value)
{
    public readonly uint Value = value;

    /// <summary>Bits 7:0.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bit 8: the APIC is enabled by software.</summary>
    public bool ApicSoftwareEnable => BitField.IsSet(Value, 8);

    /// <summary>Bit 12: EOIs of level-triggered interrupts are not broadcast.</summary>
    public bool EoiBroadcastSuppression => BitField.IsSet(Value, 12);

    public SpuriousInterruptVector WithVector(byte vector) => new((uint)BitField.Insert(Value, 7, 0, vector));
    public SpuriousInterruptVector WithApicSoftwareEnable(bool on) => new((uint)BitField.WithBit(Value, 8, on));
}

/// <summary>The interrupt command register. SDM 3A, "Interrupt Command Register (ICR)".</summary>
public readonly struct InterruptCommand(ulong value)
{
    public const byte NoShorthand = 0;
    public const byte Self = 1;
    public const byte AllIncludingSelf = 2;
    public const byte AllExcludingSelf = 3;

    public readonly ulong Value = value;

    /// <summary>Bits 7:0; for a startup IPI the page number of the entry point.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bits 10:8, a constant of <see cref="X64.DeliveryMode"/>.</summary>
    public byte DeliveryMode => (byte)(Value >> 8 & 7);

    /// <summary>Bit 11.</summary>
    public bool LogicalDestination => BitField.IsSet(Value, 11);

    /// <summary>Bit 12, xAPIC mode: sent, not yet accepted.</summary>
    public bool DeliveryStatus => BitField.IsSet(Value, 12);

    /// <summary>Bit 14: zero only for INIT level de-assert.</summary>
    public bool Assert => BitField.IsSet(Value, 14);

    /// <summary>Bit 15.</summary>
    public bool LevelTriggered => BitField.IsSet(Value, 15);

    /// <summary>Bits 19:18, one of the constants above.</summary>
    public byte DestinationShorthand => (byte)(Value >> 18 & 3);

    /// <summary>Bits 63:32, x2APIC mode.</summary>
    public uint X2ApicDestination => (uint)(Value >> 32);

    /// <summary>Bits 63:56, xAPIC mode.</summary>
    public byte XApicDestination => (byte)(Value >> 56);

    /// <summary>An edge-triggered IPI to one processor; the destination is not placed yet.</summary>
    public static InterruptCommand Of(byte deliveryMode, byte vector) => new(vector | (ulong)(deliveryMode & 7) << 8 | 1UL << 14);

    public InterruptCommand WithLogicalDestination(bool on) => new(BitField.WithBit(Value, 11, on));
    public InterruptCommand WithDestinationShorthand(byte shorthand) => new(BitField.Insert(Value, 19, 18, shorthand));
    public InterruptCommand WithX2ApicDestination(uint apicId) => new(BitField.Insert(Value, 63, 32, apicId));
    public InterruptCommand WithXApicDestination(byte apicId) => new(BitField.Insert(Value, 63, 32, (ulong)apicId << 24));
}
