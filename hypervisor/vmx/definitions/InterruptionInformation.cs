// An event on its way into a guest: VM-entry interruption information, IDT-vectoring information, VM-exit interruption information.
// SDM 3C, "VM-Entry Controls for Event Injection", "Information for VM Exits That Occur During Event Delivery".

using Lamina.Abi;

namespace Lamina.Hypervisor.Vmx;

/// <summary>The 32-bit field in the lower half; in the upper half its error code, which the VMCS keeps in a field of its own.</summary>
public readonly struct InterruptionInformation(ulong value)
{
    public const byte ExternalInterrupt = 0;
    public const byte Nmi = 2;
    public const byte HardwareException = 3;
    public const byte SoftwareInterrupt = 4;
    public const byte PrivilegedSoftwareException = 5;
    public const byte SoftwareException = 6;
    public const byte OtherEvent = 7;

    public readonly ulong Value = value;

    public InterruptionInformation(uint information, uint errorCode) : this((ulong)errorCode << 32 | information) { }

    /// <summary>The field itself.</summary>
    public uint Information => (uint)Value;

    /// <summary>Bits 7:0.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bits 10:8, one of the constants above.</summary>
    public byte Type => (byte)(Value >> 8 & 7);

    /// <summary>Bit 11: an error code is pushed (entry), is valid (exit).</summary>
    public bool DeliverErrorCode => BitField.IsSet(Value, 11);

    /// <summary>Bit 12 of VM-exit interruption information: the exit came while IRET had just unblocked NMIs.</summary>
    public bool NmiUnblockingDueToIret => BitField.IsSet(Value, 12);

    /// <summary>Bit 31.</summary>
    public bool Valid => BitField.IsSet(Value, 31);

    public uint ErrorCode => (uint)(Value >> 32);

    /// <summary>Whether an entry can inject it, in some mode: type, vector and error code agree.</summary>
    // SDM 3C, "VM-Entry Controls for Event Injection".
    public bool IsInjectable => Type switch
    {
        ExternalInterrupt or SoftwareInterrupt or PrivilegedSoftwareException or SoftwareException => !DeliverErrorCode,
        Nmi => Vector == 2 && !DeliverErrorCode,
        // Whether there is an error code follows from vector and mode.
        HardwareException => Vector <= 31 && Vector != 2,
        _ => false,
    };

    /// <summary>Caused by an instruction and injected with its length: INT n, INT1, INT3, INTO.</summary>
    public bool IsOfInstruction => Type is SoftwareInterrupt or PrivilegedSoftwareException or SoftwareException;

    public static InterruptionInformation None => new(0);
    public static InterruptionInformation ForInterrupt(byte vector) => new(1UL << 31 | (ulong)ExternalInterrupt << 8 | vector);
    public static InterruptionInformation ForNmi() => new(1UL << 31 | (ulong)Nmi << 8 | 2);
    public static InterruptionInformation ForException(byte vector) => new(1UL << 31 | (ulong)HardwareException << 8 | vector);
    public static InterruptionInformation ForException(byte vector, uint errorCode) =>
        new((ulong)errorCode << 32 | 1UL << 31 | 1UL << 11 | (ulong)HardwareException << 8 | vector);

    /// <summary>
    /// What of an event that an exit cut off is injected again. Only defined bits are kept: the processor leaves bit 12 undefined, an entry wants
    /// it zero.
    /// </summary>
    // SDM 3C, "IDT-Vectoring Information".
    public InterruptionInformation ToInject() => !Valid ? None : new(Value & 0xFFFF_FFFF_8000_0FFF);

    /// <summary>
    /// As an entry accepts it: in real mode no exception pushes an error code, in protected mode those and only those that have one do, and its
    /// upper half is zero.
    /// </summary>
    // SDM 3C, "VM-Entry Controls for Event Injection".
    public InterruptionInformation ForMode(bool protectedMode)
    {
        const ulong withoutErrorCode = 0x8000_07FF, errorCodeBits = 0x7FFFUL << 32;
        bool pushes = protectedMode && Type == HardwareException && Vector is 8 or (>= 10 and <= 14) or 17;
        return new(pushes ? Value & (withoutErrorCode | errorCodeBits) | 1UL << 11 : Value & withoutErrorCode);
    }
}

/// <summary>SDM 3C, "Guest Non-Register State", interruptibility state.</summary>
public static class InterruptibilityState
{
    public const uint BlockingBySti = 1u << 0;
    public const uint BlockingByMovSs = 1u << 1;
    public const uint BlockingBySmi = 1u << 2;
    public const uint BlockingByNmi = 1u << 3;

    /// <summary>Both kinds of shadow, which end with the instruction in them.</summary>
    public const uint Shadow = BlockingBySti | BlockingByMovSs;

    /// <summary>As an entry accepts it: STI leaves no shadow where IF is clear, MOV SS does.</summary>
    // SDM 3C, "Checks on Guest Non-Register State".
    public static ulong ForFlags(ulong state, bool interruptFlag) =>
        interruptFlag || (state & BlockingBySti) == 0 ? state : state & ~(ulong)BlockingBySti | BlockingByMovSs;
}

/// <summary>SDM 3C, "Guest Non-Register State", pending debug exceptions.</summary>
public static class PendingDebugExceptions
{
    public const ulong EnabledBreakpoint = 1UL << 12;
    public const ulong BS = 1UL << 14;
    public const ulong RTM = 1UL << 16;
}
