// Field values of the local APIC's registers as closed sets. The registers themselves are in foundation/x64/registers.
namespace Lamina.Hypervisor.Apic;

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
