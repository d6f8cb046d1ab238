// Attributes of a segment in the VMCB: a descriptor's bits 55:52 and 47:40 put together. APM 2, "VMCB Layout, State Save Area".

using Lamina.Abi;

namespace Lamina.Hypervisor.Svm;

/// <summary>12 bits: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11.</summary>
public readonly struct SegmentAttributes(ushort value)
{
    public readonly ushort Value = value;

    /// <summary>Bits 3:0.</summary>
    public byte Type => (byte)(Value & 0xF);

    /// <summary>Bit 4, S: code or data.</summary>
    public bool NonSystem => BitField.IsSet(Value, 4);

    /// <summary>Bits 6:5.</summary>
    public byte Dpl => (byte)(Value >> 5 & 3);
    public bool Present => BitField.IsSet(Value, 7);
    public bool Available => BitField.IsSet(Value, 8);
    public bool Long => BitField.IsSet(Value, 9);
    public bool DefaultBig => BitField.IsSet(Value, 10);
    public bool Granularity => BitField.IsSet(Value, 11);

    /// <summary>From a descriptor's bits 55:40, as HV_X64_SEGMENT_REGISTER and the VMCS have them (limit bits dropped).</summary>
    public static SegmentAttributes FromDescriptor(ushort attributes) => new((ushort)(attributes & 0xFF | attributes >> 4 & 0xF00));

    /// <summary>To a descriptor's bits 55:40, limit bits zero.</summary>
    public ushort ToDescriptor() => (ushort)(Value & 0xFF | (Value & 0xF00) << 4);

    /// <summary>From the register's format on the wire.</summary>
    public static SegmentAttributes FromWire(HvX64SegmentAttributes attributes) => FromDescriptor(attributes.Value);

    /// <summary>To the register's format on the wire.</summary>
    public HvX64SegmentAttributes ToWire() => new(ToDescriptor());

    /// <summary>The same with the selector, which both formats have in the 16 bits before.</summary>
    public static uint ToWire(uint selectorAndAttributes) => selectorAndAttributes & 0xFF_FFFF | (selectorAndAttributes & 0xF00_0000) << 4;
}
