// V_INTR: virtual interrupts and the virtual TPR. APM 2, "Interrupt and Local APIC Support", and "VMCB Layout, Control Area", offset 060h.

using Lamina.Abi;

namespace Lamina.Hypervisor.Svm;

/// <summary>The quadword at 060h.</summary>
public readonly struct VirtualInterruptControl(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 7:0; only 3:0 are used: CR8 of the guest.</summary>
    public byte V_TPR => (byte)Value;

    /// <summary>Bit 8: a virtual interrupt is pending. Cleared by the processor on delivery.</summary>
    public bool V_IRQ => BitField.IsSet(Value, 8);

    /// <summary>Bit 9: the guest's global interrupt flag, with <see cref="VgifEnable"/>.</summary>
    public bool VGIF => BitField.IsSet(Value, 9);

    /// <summary>Bit 11: a virtual NMI is pending.</summary>
    public bool V_NMI => BitField.IsSet(Value, 11);

    /// <summary>Bit 12: virtual NMIs are masked.</summary>
    public bool V_NMI_MASK => BitField.IsSet(Value, 12);

    /// <summary>Bits 19:16.</summary>
    public byte V_INTR_PRIO => (byte)(Value >> 16 & 0xF);

    /// <summary>Bit 20: the virtual interrupt ignores V_TPR.</summary>
    public bool V_IGN_TPR => BitField.IsSet(Value, 20);

    /// <summary>Bit 24: the guest's IF masks virtual interrupts only; physical ones are masked by the host's.</summary>
    public bool V_INTR_MASKING => BitField.IsSet(Value, 24);

    /// <summary>Bit 25; feature VGIF.</summary>
    public bool VgifEnable => BitField.IsSet(Value, 25);

    /// <summary>Bit 26; feature VNMI.</summary>
    public bool V_NMI_ENABLE => BitField.IsSet(Value, 26);

    /// <summary>Bit 30; feature x2AVIC.</summary>
    public bool X2AvicEnable => BitField.IsSet(Value, 30);

    /// <summary>Bit 31; feature AVIC.</summary>
    public bool AvicEnable => BitField.IsSet(Value, 31);

    /// <summary>Bits 39:32.</summary>
    public byte V_INTR_VECTOR => (byte)(Value >> 32);

    public VirtualInterruptControl WithV_TPR(byte priority) => new(BitField.Insert(Value, 7, 0, priority));
    public VirtualInterruptControl WithV_IRQ(bool on) => new(BitField.WithBit(Value, 8, on));
    public VirtualInterruptControl WithVGIF(bool on) => new(BitField.WithBit(Value, 9, on));
    public VirtualInterruptControl WithV_NMI(bool on) => new(BitField.WithBit(Value, 11, on));
    public VirtualInterruptControl WithV_NMI_MASK(bool on) => new(BitField.WithBit(Value, 12, on));
    public VirtualInterruptControl WithV_INTR_PRIO(byte priority) => new(BitField.Insert(Value, 19, 16, priority));
    public VirtualInterruptControl WithV_IGN_TPR(bool on) => new(BitField.WithBit(Value, 20, on));
    public VirtualInterruptControl WithV_INTR_MASKING(bool on) => new(BitField.WithBit(Value, 24, on));
    public VirtualInterruptControl WithVgifEnable(bool on) => new(BitField.WithBit(Value, 25, on));
    public VirtualInterruptControl WithV_NMI_ENABLE(bool on) => new(BitField.WithBit(Value, 26, on));
    public VirtualInterruptControl WithX2AvicEnable(bool on) => new(BitField.WithBit(Value, 30, on));
    public VirtualInterruptControl WithAvicEnable(bool on) => new(BitField.WithBit(Value, 31, on));
    public VirtualInterruptControl WithV_INTR_VECTOR(byte vector) => new(BitField.Insert(Value, 39, 32, vector));

    /// <summary>V_IRQ, V_INTR_PRIO and V_INTR_VECTOR for a vector; the priority is its class.</summary>
    public VirtualInterruptControl WithRequest(byte vector, bool on) =>
        new(Value & ~0xFF_000F_0100UL | (ulong)vector << 32 | (ulong)(vector >> 4) << 16 | (on ? 1UL << 8 : 0));

    /// <summary>The request by which a hypervisor learns that the guest can take interrupts again: V_IRQ at the highest priority, V_TPR ignored.</summary>
    public VirtualInterruptControl WithInterruptWindow() => WithV_IRQ(true).WithV_IGN_TPR(true).WithV_INTR_PRIO(0xF);
}
