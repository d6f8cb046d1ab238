// The extended feature enable register. SDM 3A, "Extended Feature Enable Register"; APM 2, same title.

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>IA32_EFER.</summary>
public readonly struct Efer(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: SYSCALL.</summary>
    public bool SCE => BitField.IsSet(Value, 0);

    /// <summary>Bit 8: long mode enable.</summary>
    public bool LME => BitField.IsSet(Value, 8);

    /// <summary>Bit 10: long mode active; set by the processor.</summary>
    public bool LMA => BitField.IsSet(Value, 10);

    /// <summary>Bit 11: no-execute pages.</summary>
    public bool NXE => BitField.IsSet(Value, 11);

    /// <summary>Bit 12: SVM; AMD.</summary>
    public bool SVME => BitField.IsSet(Value, 12);

    /// <summary>Bit 13: AMD.</summary>
    public bool LMSLE => BitField.IsSet(Value, 13);

    /// <summary>Bit 14: AMD.</summary>
    public bool FFXSR => BitField.IsSet(Value, 14);

    /// <summary>Bit 15: AMD.</summary>
    public bool TCE => BitField.IsSet(Value, 15);

    /// <summary>Bit 17: AMD.</summary>
    public bool MCOMMIT => BitField.IsSet(Value, 17);

    /// <summary>Bit 18: AMD.</summary>
    public bool INTWB => BitField.IsSet(Value, 18);

    /// <summary>Bit 20: AMD.</summary>
    public bool UAIE => BitField.IsSet(Value, 20);

    /// <summary>Bit 21: AMD.</summary>
    public bool AIBRSE => BitField.IsSet(Value, 21);

    public Efer WithSCE(bool on) => new(BitField.WithBit(Value, 0, on));
    public Efer WithLME(bool on) => new(BitField.WithBit(Value, 8, on));
    public Efer WithLMA(bool on) => new(BitField.WithBit(Value, 10, on));
    public Efer WithNXE(bool on) => new(BitField.WithBit(Value, 11, on));
    public Efer WithSVME(bool on) => new(BitField.WithBit(Value, 12, on));
    public Efer WithLMSLE(bool on) => new(BitField.WithBit(Value, 13, on));
    public Efer WithFFXSR(bool on) => new(BitField.WithBit(Value, 14, on));
    public Efer WithTCE(bool on) => new(BitField.WithBit(Value, 15, on));
    public Efer WithMCOMMIT(bool on) => new(BitField.WithBit(Value, 17, on));
    public Efer WithINTWB(bool on) => new(BitField.WithBit(Value, 18, on));
    public Efer WithUAIE(bool on) => new(BitField.WithBit(Value, 20, on));
    public Efer WithAIBRSE(bool on) => new(BitField.WithBit(Value, 21, on));
}
