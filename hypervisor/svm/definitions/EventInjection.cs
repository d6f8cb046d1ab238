// EVENTINJ and EXITINTINFO: an event to be delivered at the next VMRUN, or one that an exit interrupted.
// APM 2, "Event Injection".

using Lamina.Abi;

namespace Lamina.Hypervisor.Svm;

/// <summary>EVENTINJ, 64 bits; EXITINTINFO has the same format.</summary>
public readonly struct EventInjection(ulong value)
{
    public const byte ExternalInterrupt = 0;
    public const byte Nmi = 2;
    public const byte Exception = 3;
    public const byte SoftwareInterrupt = 4;

    public readonly ulong Value = value;

    /// <summary>Bits 7:0.</summary>
    public byte VECTOR => (byte)Value;

    /// <summary>Bits 10:8, one of the constants above.</summary>
    public byte TYPE => (byte)(Value >> 8 & 7);

    /// <summary>Bit 11, EV: push the error code.</summary>
    public bool ErrorValid => BitField.IsSet(Value, 11);

    /// <summary>Bit 31, V.</summary>
    public bool Valid => BitField.IsSet(Value, 31);

    /// <summary>Bits 63:32.</summary>
    public uint ERRORCODE => (uint)(Value >> 32);

    public static EventInjection None => new(0);

    /// <summary>An external or virtual interrupt.</summary>
    public static EventInjection ForInterrupt(byte vector) => new(1UL << 31 | (ulong)ExternalInterrupt << 8 | vector);

    /// <summary>An NMI; its vector is given by its type, but 2 is what is written.</summary>
    public static EventInjection ForNmi() => new(1UL << 31 | (ulong)Nmi << 8 | 2);

    /// <summary>An exception without error code. Vectors 2 and above 31 make VMRUN fail.</summary>
    public static EventInjection ForException(byte vector) => new(1UL << 31 | (ulong)Exception << 8 | vector);

    /// <summary>An exception with error code.</summary>
    public static EventInjection ForException(byte vector, uint errorCode) =>
        new((ulong)errorCode << 32 | 1UL << 31 | 1UL << 11 | (ulong)Exception << 8 | vector);

    /// <summary>INTn; RIP must already be that of the next instruction unless NRIPS is there.</summary>
    public static EventInjection ForSoftwareInterrupt(byte vector) => new(1UL << 31 | (ulong)SoftwareInterrupt << 8 | vector);
}
