// Debug status and control. SDM 3B, "Debug Registers"; APM 2, "Debug Registers".


using Lamina.Abi;

namespace Lamina.X64;

/// <summary>DR6: what a debug exception was.</summary>
public readonly struct Dr6(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>What the register holds after reset.</summary>
    public static Dr6 Reset => new(0xFFFF0FF0);

    /// <summary>Bit 0.</summary>
    public bool B0 => BitField.IsSet(Value, 0);

    /// <summary>Bit 1.</summary>
    public bool B1 => BitField.IsSet(Value, 1);

    /// <summary>Bit 2.</summary>
    public bool B2 => BitField.IsSet(Value, 2);

    /// <summary>Bit 3.</summary>
    public bool B3 => BitField.IsSet(Value, 3);

    /// <summary>Bit 11: zero: bus lock.</summary>
    public bool BLD => BitField.IsSet(Value, 11);

    /// <summary>Bit 13: access to a debug register.</summary>
    public bool BD => BitField.IsSet(Value, 13);

    /// <summary>Bit 14: single step.</summary>
    public bool BS => BitField.IsSet(Value, 14);

    /// <summary>Bit 15: task switch.</summary>
    public bool BT => BitField.IsSet(Value, 15);

    /// <summary>Bit 16: zero: inside a transaction.</summary>
    public bool RTM => BitField.IsSet(Value, 16);

    public Dr6 WithB0(bool on) => new(BitField.WithBit(Value, 0, on));
    public Dr6 WithB1(bool on) => new(BitField.WithBit(Value, 1, on));
    public Dr6 WithB2(bool on) => new(BitField.WithBit(Value, 2, on));
    public Dr6 WithB3(bool on) => new(BitField.WithBit(Value, 3, on));
    public Dr6 WithBLD(bool on) => new(BitField.WithBit(Value, 11, on));
    public Dr6 WithBD(bool on) => new(BitField.WithBit(Value, 13, on));
    public Dr6 WithBS(bool on) => new(BitField.WithBit(Value, 14, on));
    public Dr6 WithBT(bool on) => new(BitField.WithBit(Value, 15, on));
    public Dr6 WithRTM(bool on) => new(BitField.WithBit(Value, 16, on));
}

/// <summary>DR7: which breakpoints are on.</summary>
public readonly struct Dr7(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>What the register holds after reset: bit 10, which is always one.</summary>
    public static Dr7 Reset => new(0x400);

    /// <summary>Bit 0.</summary>
    public bool L0 => BitField.IsSet(Value, 0);

    /// <summary>Bit 1.</summary>
    public bool G0 => BitField.IsSet(Value, 1);

    /// <summary>Bit 2.</summary>
    public bool L1 => BitField.IsSet(Value, 2);

    /// <summary>Bit 3.</summary>
    public bool G1 => BitField.IsSet(Value, 3);

    /// <summary>Bit 4.</summary>
    public bool L2 => BitField.IsSet(Value, 4);

    /// <summary>Bit 5.</summary>
    public bool G2 => BitField.IsSet(Value, 5);

    /// <summary>Bit 6.</summary>
    public bool L3 => BitField.IsSet(Value, 6);

    /// <summary>Bit 7.</summary>
    public bool G3 => BitField.IsSet(Value, 7);

    /// <summary>Bit 8.</summary>
    public bool LE => BitField.IsSet(Value, 8);

    /// <summary>Bit 9.</summary>
    public bool GE => BitField.IsSet(Value, 9);

    /// <summary>Bit 11.</summary>
    public bool RTM => BitField.IsSet(Value, 11);

    /// <summary>Bit 13: accesses to debug registers raise #DB.</summary>
    public bool GD => BitField.IsSet(Value, 13);

    public Dr7 WithL0(bool on) => new(BitField.WithBit(Value, 0, on));
    public Dr7 WithG0(bool on) => new(BitField.WithBit(Value, 1, on));
    public Dr7 WithL1(bool on) => new(BitField.WithBit(Value, 2, on));
    public Dr7 WithG1(bool on) => new(BitField.WithBit(Value, 3, on));
    public Dr7 WithL2(bool on) => new(BitField.WithBit(Value, 4, on));
    public Dr7 WithG2(bool on) => new(BitField.WithBit(Value, 5, on));
    public Dr7 WithL3(bool on) => new(BitField.WithBit(Value, 6, on));
    public Dr7 WithG3(bool on) => new(BitField.WithBit(Value, 7, on));
    public Dr7 WithLE(bool on) => new(BitField.WithBit(Value, 8, on));
    public Dr7 WithGE(bool on) => new(BitField.WithBit(Value, 9, on));
    public Dr7 WithRTM(bool on) => new(BitField.WithBit(Value, 11, on));
    public Dr7 WithGD(bool on) => new(BitField.WithBit(Value, 13, on));
}
