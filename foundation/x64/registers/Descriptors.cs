// Segment and gate descriptors, and the 64-bit task state segment. SDM 3A, "Segment Descriptors", "64-Bit Mode IDT", "Task Management in 64-bit Mode".

using System.Runtime.InteropServices;
using Lamina.Abi;

namespace Lamina.X64;

/// <summary>An 8-byte segment descriptor.</summary>
public readonly struct SegmentDescriptor(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>From base, limit (20 bits, in units of the granularity) and attributes: bits 55:40 of the descriptor, limit bits ignored.</summary>
    public SegmentDescriptor(uint @base, uint limit, ushort attributes)
        : this(limit & 0xFFFF | (ulong)(@base & 0xFFFFFF) << 16 | (ulong)(attributes & 0xF0FF) << 40
            | (ulong)(limit >> 16 & 0xF) << 48 | (ulong)(@base >> 24) << 56) { }

    public uint Base => (uint)(BitField.Extract(Value, 39, 16) | Value >> 56 << 24);

    /// <summary>20 bits, in units of the granularity.</summary>
    public uint RawLimit => (uint)(Value & 0xFFFF | BitField.Extract(Value, 51, 48) << 16);

    /// <summary>In bytes: the highest offset.</summary>
    public uint Limit => Granularity ? RawLimit << 12 | 0xFFF : RawLimit;

    /// <summary>Bits 55:40 with the limit's bits zero: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15.</summary>
    public ushort Attributes => (ushort)(Value >> 40 & 0xF0FF);

    /// <summary>Bits 43:40.</summary>
    public byte Type => (byte)BitField.Extract(Value, 43, 40);

    /// <summary>Bit 44, S: code or data.</summary>
    public bool NonSystem => BitField.IsSet(Value, 44);

    /// <summary>Bits 46:45.</summary>
    public byte DPL => (byte)BitField.Extract(Value, 46, 45);
    public bool Present => BitField.IsSet(Value, 47);
    public bool Long => BitField.IsSet(Value, 53);
    public bool DefaultBig => BitField.IsSet(Value, 54);
    public bool Granularity => BitField.IsSet(Value, 55);

    public static SegmentDescriptor Null => new(0);

    /// <summary>64-bit code, CPL 0, accessed.</summary>
    public static SegmentDescriptor KernelCode64 => new(0, 0xFFFFF, 0xA09B);

    /// <summary>Flat data, CPL 0, writable, accessed.</summary>
    public static SegmentDescriptor KernelData => new(0, 0xFFFFF, 0xC093);

    /// <summary>Type of an available 64-bit TSS; LTR makes it busy.</summary>
    public const byte AvailableTss64 = 9;

    /// <summary>Type of a busy 64-bit TSS: what a guest in long mode must have in TR.</summary>
    public const byte BusyTss64 = 11;

    public const byte Ldt = 2;
}

/// <summary>A 16-byte system descriptor of 64-bit mode: TSS or LDT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SystemDescriptor64
{
    public SegmentDescriptor Low;
    public uint BaseHigh;
    public uint Reserved;

    /// <summary>An available 64-bit TSS, present, DPL 0; the limit is in bytes.</summary>
    public static SystemDescriptor64 ForTss(ulong @base, uint limit) => new()
    {
        Low = new((uint)@base, limit, 0x80 | SegmentDescriptor.AvailableTss64),
        BaseHigh = (uint)(@base >> 32),
    };

    public readonly ulong Base => Low.Base | (ulong)BaseHigh << 32;
}

/// <summary>A 16-byte gate of the 64-bit IDT.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GateDescriptor64
{
    public ushort OffsetLow;
    public ushort Selector;

    /// <summary>Bits 2:0: a stack of the TSS, 1..7; 0: stay on the current one.</summary>
    public byte InterruptStackTable;

    /// <summary>Type 3:0, DPL 6:5, P 7.</summary>
    public byte Attributes;
    public ushort OffsetMiddle;
    public uint OffsetHigh;
    public uint Reserved;

    public const byte InterruptGate = 0xE;
    public const byte TrapGate = 0xF;

    /// <summary>A present gate.</summary>
    public GateDescriptor64(ulong offset, ushort selector, byte type, byte dpl, byte interruptStackTable)
    {
        OffsetLow = (ushort)offset;
        Selector = selector;
        InterruptStackTable = interruptStackTable;
        Attributes = (byte)(0x80 | (dpl & 3) << 5 | type & 0xF);
        OffsetMiddle = (ushort)(offset >> 16);
        OffsetHigh = (uint)(offset >> 32);
        Reserved = 0;
    }

    public readonly ulong Offset => OffsetLow | (ulong)OffsetMiddle << 16 | (ulong)OffsetHigh << 32;
}

/// <summary>The 64-bit TSS, 104 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct TaskStateSegment64
{
    public uint Reserved0;
    public ulong RSP0;
    public ulong RSP1;
    public ulong RSP2;
    public ulong Reserved1;
    public ulong IST1;
    public ulong IST2;
    public ulong IST3;
    public ulong IST4;
    public ulong IST5;
    public ulong IST6;
    public ulong IST7;
    public ulong Reserved2;
    public ushort Reserved3;

    /// <summary>From the TSS's start; at or beyond the limit: no I/O permission map.</summary>
    public ushort IoMapBaseAddress;
}

/// <summary>Operand of LGDT, LIDT, SGDT and SIDT in 64-bit mode, 10 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 2)]
public struct DescriptorTableRegister
{
    public ushort Limit;
    public ulong Base;
}
