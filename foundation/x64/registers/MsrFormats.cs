// Formats of the model-specific registers that switch virtualisation on. SDM 3C, "Enabling and Entering VMX Operation"; APM 2, "Enabling SVM".

using Lamina.Abi;

namespace Lamina.X64;

/// <summary>IA32_FEATURE_CONTROL.</summary>
public readonly struct FeatureControl(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: writes raise #GP until reset.</summary>
    public bool Lock => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: VMXON in SMX operation.</summary>
    public bool VmxInsideSmx => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: VMXON outside SMX operation.</summary>
    public bool VmxOutsideSmx => BitField.IsSet(Value, 2);

    public FeatureControl WithLock(bool on) => new(BitField.WithBit(Value, 0, on));
    public FeatureControl WithVmxOutsideSmx(bool on) => new(BitField.WithBit(Value, 2, on));
}

/// <summary>VM_CR. APM 2, "VM_CR MSR".</summary>
public readonly struct VmCr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: external debug port disabled.</summary>
    public bool DPD => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: INIT is redirected as #SX.</summary>
    public bool R_INIT => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: A20 masking disabled.</summary>
    public bool DIS_A20M => BitField.IsSet(Value, 2);

    /// <summary>Bit 3: LOCK and SVMDIS are read only.</summary>
    public bool LOCK => BitField.IsSet(Value, 3);

    /// <summary>Bit 4: EFER.SVME must be zero.</summary>
    public bool SVMDIS => BitField.IsSet(Value, 4);

    public VmCr WithR_INIT(bool on) => new(BitField.WithBit(Value, 1, on));
}

/// <summary>IA32_PAT: eight memory types. SDM 3A, "Page Attribute Table (PAT)".</summary>
public readonly struct PageAttributeTable(ulong value)
{
    public const byte UC = 0;
    public const byte WC = 1;
    public const byte WT = 4;
    public const byte WP = 5;
    public const byte WB = 6;

    /// <summary>UC-: MTRRs may make it WC.</summary>
    public const byte UncachedMinus = 7;

    public readonly ulong Value = value;

    /// <summary>What the register holds after reset: WB WT UC- UC, twice.</summary>
    public static PageAttributeTable Reset => new(0x0007_0406_0007_0406);

    /// <summary>Type of entry <paramref name="index"/>, 0..7.</summary>
    public byte TypeOf(int index) => (byte)(Value >> 8 * index & 7);

    public PageAttributeTable WithType(int index, byte type) => new(BitField.Insert(Value, 8 * index + 7, 8 * index, type));

    /// <summary>Whether WRMSR accepts the value: no entry is 2, 3 or above 7.</summary>
    public bool IsAcceptable
    {
        get
        {
            for (int index = 0; index < 8; index++)
            {
                byte type = (byte)(Value >> 8 * index);
                if (type is 2 or 3 or > 7)
                    return false;
            }
            return true;
        }
    }
}
