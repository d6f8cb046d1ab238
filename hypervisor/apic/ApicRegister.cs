// Offsets, MSR numbers and field values of the local APIC, as the manuals print them. Definitions only.
namespace Lamina.Hypervisor.Apic;

/// <summary>Offset of a register in the 4 KiB xAPIC page; the x2APIC MSR of the same register is 0x800 + offset / 16.</summary>
// SDM 3A, "Local APIC Register Address Map"; APM 2, "APIC Registers".
public static class ApicRegister
{
    public const uint LocalApicId = 0x020;
    public const uint LocalApicVersion = 0x030;
    public const uint TaskPriority = 0x080;
    public const uint ArbitrationPriority = 0x090;
    public const uint ProcessorPriority = 0x0A0;
    public const uint EndOfInterrupt = 0x0B0;
    public const uint RemoteRead = 0x0C0;
    public const uint LogicalDestination = 0x0D0;
    public const uint DestinationFormat = 0x0E0;
    public const uint SpuriousInterruptVector = 0x0F0;
    public const uint InService = 0x100;
    public const uint TriggerMode = 0x180;
    public const uint InterruptRequest = 0x200;
    public const uint ErrorStatus = 0x280;
    public const uint LvtCmci = 0x2F0;
    public const uint InterruptCommandLow = 0x300;
    public const uint InterruptCommandHigh = 0x310;
    public const uint LvtTimer = 0x320;
    public const uint LvtThermalSensor = 0x330;
    public const uint LvtPerformanceCounter = 0x340;
    public const uint LvtLint0 = 0x350;
    public const uint LvtLint1 = 0x360;
    public const uint LvtError = 0x370;
    public const uint InitialCount = 0x380;
    public const uint CurrentCount = 0x390;
    public const uint DivideConfiguration = 0x3E0;
    public const uint SelfIpi = 0x3F0;
}

/// <summary>Architectural MSRs that <see cref="LocalApic"/> answers; TLFS's are in <see cref="Lamina.Abi.HvMsr"/>.</summary>
public static class ApicMsr
{
    public const uint IA32_APIC_BASE = 0x01B;
    public const uint IA32_TSC_DEADLINE = 0x6E0;
    public const uint X2ApicFirst = 0x800;
    public const uint X2ApicLast = 0x8FF;
    public const uint IA32_X2APIC_EOI = 0x80B;
    public const uint IA32_X2APIC_ICR = 0x830;
    public const uint IA32_X2APIC_SELF_IPI = 0x83F;
}

/// <summary>Delivery mode of an interrupt command, a local vector table entry or a message-signalled interrupt.</summary>
// SDM 3A, "Interrupt Command Register (ICR)".
public enum ApicDeliveryMode : byte
{
    Fixed = 0,
    LowestPriority = 1,
    SystemManagement = 2,
    Reserved = 3,
    NonMaskable = 4,
    Init = 5,
    StartUp = 6,
    External = 7,
}

/// <summary>Destination shorthand of an interrupt command.</summary>
public enum ApicShorthand : byte
{
    None = 0,
    Self = 1,
    AllIncludingSelf = 2,
    AllExcludingSelf = 3,
}

/// <summary>Mode of the APIC timer, bits 18:17 of its LVT entry.</summary>
// SDM 3A, "Local Vector Table".
public enum ApicTimerMode : byte
{
    OneShot = 0,
    Periodic = 1,
    TscDeadline = 2,
    Reserved = 3,
}

/// <summary>Errors that the error status register collects.</summary>
// SDM 3A, "Error Handling".
public static class ApicError
{
    public const uint SendIllegalVector = 1u << 5;
    public const uint ReceiveIllegalVector = 1u << 6;
    public const uint IllegalRegisterAddress = 1u << 7;
}

/// <summary>One entry of the local vector table.</summary>
public readonly struct LvtEntry
{
    public const uint MaskBit = 1u << 16;
    private readonly uint _value;
    public LvtEntry(uint value) => _value = value;
    public byte Vector => (byte)_value;
    public ApicDeliveryMode DeliveryMode => (ApicDeliveryMode)((_value >> 8) & 7);
    public bool IsLevelTriggered => (_value & (1u << 15)) != 0;
    public bool IsMasked => (_value & MaskBit) != 0;
    public ApicTimerMode TimerMode => (ApicTimerMode)((_value >> 17) & 3);
}
