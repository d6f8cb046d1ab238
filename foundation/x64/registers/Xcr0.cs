// Extended control register 0: state components that XSAVE manages. SDM 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>XCR0.</summary>
public readonly struct Xcr0(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: always one.</summary>
    public bool X87 => BitField.IsSet(Value, 0);

    /// <summary>Bit 1.</summary>
    public bool SSE => BitField.IsSet(Value, 1);

    /// <summary>Bit 2.</summary>
    public bool AVX => BitField.IsSet(Value, 2);

    /// <summary>Bit 3.</summary>
    public bool BNDREGS => BitField.IsSet(Value, 3);

    /// <summary>Bit 4.</summary>
    public bool BNDCSR => BitField.IsSet(Value, 4);

    /// <summary>Bit 5.</summary>
    public bool OPMASK => BitField.IsSet(Value, 5);

    /// <summary>Bit 6.</summary>
    public bool ZMM_Hi256 => BitField.IsSet(Value, 6);

    /// <summary>Bit 7.</summary>
    public bool Hi16_ZMM => BitField.IsSet(Value, 7);

    /// <summary>Bit 9.</summary>
    public bool PKRU => BitField.IsSet(Value, 9);

    /// <summary>Bit 17.</summary>
    public bool TILECFG => BitField.IsSet(Value, 17);

    /// <summary>Bit 18.</summary>
    public bool TILEDATA => BitField.IsSet(Value, 18);

    public Xcr0 WithX87(bool on) => new(BitField.WithBit(Value, 0, on));
    public Xcr0 WithSSE(bool on) => new(BitField.WithBit(Value, 1, on));
    public Xcr0 WithAVX(bool on) => new(BitField.WithBit(Value, 2, on));
    public Xcr0 WithBNDREGS(bool on) => new(BitField.WithBit(Value, 3, on));
    public Xcr0 WithBNDCSR(bool on) => new(BitField.WithBit(Value, 4, on));
    public Xcr0 WithOPMASK(bool on) => new(BitField.WithBit(Value, 5, on));
    public Xcr0 WithZMM_Hi256(bool on) => new(BitField.WithBit(Value, 6, on));
    public Xcr0 WithHi16_ZMM(bool on) => new(BitField.WithBit(Value, 7, on));
    public Xcr0 WithPKRU(bool on) => new(BitField.WithBit(Value, 9, on));
    public Xcr0 WithTILECFG(bool on) => new(BitField.WithBit(Value, 17, on));
    public Xcr0 WithTILEDATA(bool on) => new(BitField.WithBit(Value, 18, on));

    /// <summary>
    /// Whether XSETBV accepts the value where the processor supports the components in <paramref name="supported"/>
    /// (CPUID 0Dh.0 EDX:EAX): x87 always, and what depends on another together with it.
    /// </summary>
    public bool IsAcceptable(ulong supported)
    {
        const ulong Avx512 = 7UL << 5, Amx = 3UL << 17, Mpx = 3UL << 3;
        return (Value & ~supported) == 0 && X87
            && (!AVX || SSE)
            && AllOrNone(Mpx) && AllOrNone(Avx512) && AllOrNone(Amx)
            && (!OPMASK || AVX);
    }

    private bool AllOrNone(ulong group) => (Value & group) == 0 || (Value & group) == group;
}
