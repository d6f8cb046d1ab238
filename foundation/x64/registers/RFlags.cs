// The flags register. SDM 1, "EFLAGS Register"; APM 2, "RFLAGS Register".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>RFLAGS.</summary>
public readonly struct RFlags(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>What the register holds after reset: bit 1, which is always one.</summary>
    public static RFlags Reset => new(2);

    /// <summary>Bit 0.</summary>
    public bool CF => BitField.IsSet(Value, 0);

    /// <summary>Bit 2.</summary>
    public bool PF => BitField.IsSet(Value, 2);

    /// <summary>Bit 4.</summary>
    public bool AF => BitField.IsSet(Value, 4);

    /// <summary>Bit 6.</summary>
    public bool ZF => BitField.IsSet(Value, 6);

    /// <summary>Bit 7.</summary>
    public bool SF => BitField.IsSet(Value, 7);

    /// <summary>Bit 8: single step.</summary>
    public bool TF => BitField.IsSet(Value, 8);

    /// <summary>Bit 9: interrupts enabled.</summary>
    public bool IF => BitField.IsSet(Value, 9);

    /// <summary>Bit 10.</summary>
    public bool DF => BitField.IsSet(Value, 10);

    /// <summary>Bit 11.</summary>
    public bool OF => BitField.IsSet(Value, 11);

    /// <summary>Bit 14.</summary>
    public bool NT => BitField.IsSet(Value, 14);

    /// <summary>Bit 16: no instruction breakpoint on this instruction.</summary>
    public bool RF => BitField.IsSet(Value, 16);

    /// <summary>Bit 17: virtual-8086 mode.</summary>
    public bool VM => BitField.IsSet(Value, 17);

    /// <summary>Bit 18.</summary>
    public bool AC => BitField.IsSet(Value, 18);

    /// <summary>Bit 19.</summary>
    public bool VIF => BitField.IsSet(Value, 19);

    /// <summary>Bit 20.</summary>
    public bool VIP => BitField.IsSet(Value, 20);

    /// <summary>Bit 21.</summary>
    public bool ID => BitField.IsSet(Value, 21);

    /// <summary>Bits 13:12.</summary>
    public byte IOPL => (byte)BitField.Extract(Value, 13, 12);

    public RFlags WithCF(bool on) => new(BitField.WithBit(Value, 0, on));
    public RFlags WithPF(bool on) => new(BitField.WithBit(Value, 2, on));
    public RFlags WithAF(bool on) => new(BitField.WithBit(Value, 4, on));
    public RFlags WithZF(bool on) => new(BitField.WithBit(Value, 6, on));
    public RFlags WithSF(bool on) => new(BitField.WithBit(Value, 7, on));
    public RFlags WithTF(bool on) => new(BitField.WithBit(Value, 8, on));
    public RFlags WithIF(bool on) => new(BitField.WithBit(Value, 9, on));
    public RFlags WithDF(bool on) => new(BitField.WithBit(Value, 10, on));
    public RFlags WithOF(bool on) => new(BitField.WithBit(Value, 11, on));
    public RFlags WithNT(bool on) => new(BitField.WithBit(Value, 14, on));
    public RFlags WithRF(bool on) => new(BitField.WithBit(Value, 16, on));
    public RFlags WithVM(bool on) => new(BitField.WithBit(Value, 17, on));
    public RFlags WithAC(bool on) => new(BitField.WithBit(Value, 18, on));
    public RFlags WithVIF(bool on) => new(BitField.WithBit(Value, 19, on));
    public RFlags WithVIP(bool on) => new(BitField.WithBit(Value, 20, on));
    public RFlags WithID(bool on) => new(BitField.WithBit(Value, 21, on));
    public RFlags WithIOPL(byte value) => new(BitField.Insert(Value, 13, 12, value));
}
