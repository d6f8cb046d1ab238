// Access rights of a segment in the VMCS. SDM 3C, "Guest Register State", table "Format of Access Rights".

using Lamina.Abi;

namespace Lamina.Hypervisor.Vmx;

/// <summary>A descriptor's bits 55:40 without the limit bits, and bit 16, which says that the register holds no usable segment.</summary>
public readonly struct SegmentAccessRights(uint value)
{
    private const uint Defined = 0xF0FF, UnusableBit = 1u << 16;
    public readonly uint Value = value;

    /// <summary>Bits 3:0.</summary>
    public byte Type => (byte)(Value & 0xF);

    /// <summary>Bit 4, S: code or data.</summary>
    public bool NonSystem => BitField.IsSet(Value, 4);

    /// <summary>Bits 6:5.</summary>
    public byte Dpl => (byte)(Value >> 5 & 3);
    public bool Present => BitField.IsSet(Value, 7);
    public bool Long => BitField.IsSet(Value, 13);
    public bool DefaultBig => BitField.IsSet(Value, 14);
    public bool Granularity => BitField.IsSet(Value, 15);
    public bool Unusable => BitField.IsSet(Value, 16);

    /// <summary>Bits 11:8 and 31:17.</summary>
    public bool ReservedBitsAreZero => (Value & ~(Defined | UnusableBit)) == 0;

    /// <summary>From the register's format on the wire, where "not present" is what an unusable segment is.</summary>
    public static SegmentAccessRights FromWire(HvX64SegmentAttributes attributes) =>
        new(attributes.Value & Defined | (attributes.Present ? 0 : UnusableBit));

    /// <summary>To the register's format on the wire. What an unusable register's other bits say is kept: SS.DPL is the CPL all the same.</summary>
    public HvX64SegmentAttributes ToWire() => new((ushort)(Unusable ? Value & Defined & ~0x80u : Value & Defined));

    /// <summary>With the accessed flag of a code or data segment set, as loading a register sets it, and a TSS busy, as LTR makes it.</summary>
    public SegmentAccessRights AsLoaded(bool isTask) =>
        isTask ? (Type is 1 or 9 ? new(Value | 2) : this) : NonSystem && !Unusable ? new(Value | 1) : this;

    /// <summary>With the granularity that a limit in bytes needs. False: no descriptor has such a limit.</summary>
    public bool TryWithLimit(uint limit, out SegmentAccessRights result)
    {
        bool needsPages = limit >> 20 != 0, needsBytes = (limit & 0xFFF) != 0xFFF;
        result = needsPages ? new(Value | 1u << 15) : needsBytes ? new(Value & ~(1u << 15)) : this;
        return !(needsPages && needsBytes) || Unusable;
    }
}
