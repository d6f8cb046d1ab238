// Control register 0. SDM 3A, "Control Registers"; APM 2, "CR0 Register".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>CR0.</summary>
public readonly struct Cr0(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: protected mode.</summary>
    public bool PE => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: monitor coprocessor.</summary>
    public bool MP => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: emulate x87.</summary>
    public bool EM => BitField.IsSet(Value, 2);

    /// <summary>Bit 3: task switched.</summary>
    public bool TS => BitField.IsSet(Value, 3);

    /// <summary>Bit 4: always one.</summary>
    public bool ET => BitField.IsSet(Value, 4);

    /// <summary>Bit 5: x87 errors raise #MF.</summary>
    public bool NE => BitField.IsSet(Value, 5);

    /// <summary>Bit 16: supervisor writes honour read-only pages.</summary>
    public bool WP => BitField.IsSet(Value, 16);

    /// <summary>Bit 18: RFLAGS.AC counts.</summary>
    public bool AM => BitField.IsSet(Value, 18);

    /// <summary>Bit 29: not write-through.</summary>
    public bool NW => BitField.IsSet(Value, 29);

    /// <summary>Bit 30: cache disable.</summary>
    public bool CD => BitField.IsSet(Value, 30);

    /// <summary>Bit 31: paging.</summary>
    public bool PG => BitField.IsSet(Value, 31);

    public Cr0 WithPE(bool on) => new(BitField.WithBit(Value, 0, on));
    public Cr0 WithMP(bool on) => new(BitField.WithBit(Value, 1, on));
    public Cr0 WithEM(bool on) => new(BitField.WithBit(Value, 2, on));
    public Cr0 WithTS(bool on) => new(BitField.WithBit(Value, 3, on));
    public Cr0 WithET(bool on) => new(BitField.WithBit(Value, 4, on));
    public Cr0 WithNE(bool on) => new(BitField.WithBit(Value, 5, on));
    public Cr0 WithWP(bool on) => new(BitField.WithBit(Value, 16, on));
    public Cr0 WithAM(bool on) => new(BitField.WithBit(Value, 18, on));
    public Cr0 WithNW(bool on) => new(BitField.WithBit(Value, 29, on));
    public Cr0 WithCD(bool on) => new(BitField.WithBit(Value, 30, on));
    public Cr0 WithPG(bool on) => new(BitField.WithBit(Value, 31, on));
}
