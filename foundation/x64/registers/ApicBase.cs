// IA32_APIC_BASE: where and in which mode the local APIC is. SDM 3A, "Relocating the Local APIC Registers".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>IA32_APIC_BASE.</summary>
public readonly struct ApicBase(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 8: the bootstrap processor.</summary>
    public bool BSP => BitField.IsSet(Value, 8);

    /// <summary>Bit 10: x2APIC mode.</summary>
    public bool EXTD => BitField.IsSet(Value, 10);

    /// <summary>Bit 11: enabled.</summary>
    public bool EN => BitField.IsSet(Value, 11);

    public ApicBase WithBSP(bool on) => new(BitField.WithBit(Value, 8, on));
    public ApicBase WithEXTD(bool on) => new(BitField.WithBit(Value, 10, on));
    public ApicBase WithEN(bool on) => new(BitField.WithBit(Value, 11, on));

    /// <summary>Bits 51:12: physical address of the register page.</summary>
    public ulong Address => Value & 0x000F_FFFF_FFFF_F000;

    /// <summary>Where the page lies after reset.</summary>
    public const ulong DefaultAddress = 0xFEE00000;
}
