// What IN, OUT, INS and OUTS do to registers, and where the string forms find their next element.
// SDM 2, "INS/INSB/INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD", "REP/REPE/REPZ"; SDM 1, "Address-Size".
using System;
using Lamina.Abi;

namespace Lamina.Root.Worker;

/// <summary>The segment that a string instruction names by prefix.</summary>
public enum SegmentOverride : byte { None, Es, Cs, Ss, Ds, Fs, Gs }

/// <summary>The prefixes of an instruction that bear on port instructions.</summary>
public readonly struct PortPrefixes(SegmentOverride segment, bool addressSize)
{
    public readonly SegmentOverride Segment = segment;

    /// <summary>0x67.</summary>
    public readonly bool AddressSize = addressSize;

    /// <summary>Reads prefixes up to the first byte that is none.</summary>
    public static PortPrefixes Read(ReadOnlySpan<byte> instruction)
    {
        var segment = SegmentOverride.None;
        bool addressSize = false;
        for (int i = 0; i < instruction.Length; i++)
        {
            switch (instruction[i])
            {
                case 0x26: segment = SegmentOverride.Es; break;
                case 0x2E: segment = SegmentOverride.Cs; break;
                case 0x36: segment = SegmentOverride.Ss; break;
                case 0x3E: segment = SegmentOverride.Ds; break;
                case 0x64: segment = SegmentOverride.Fs; break;
                case 0x65: segment = SegmentOverride.Gs; break;
                case 0x67: addressSize = true; break;
                case 0x66 or 0xF2 or 0xF3 or 0xF0 or (>= 0x40 and <= 0x4F): break;
                default: return new PortPrefixes(segment, addressSize);
            }
        }
        return new PortPrefixes(segment, addressSize);
    }
}

public static class PortInstruction
{
    /// <summary>RAX after an input of <paramref name="size"/> bytes: narrow ones leave the rest, 32 bits clear it.</summary>
    public static ulong MergeInput(ulong rax, int size, uint value) => size switch
    {
        1 => rax & ~0xFFUL | value & 0xFF,
        2 => rax & ~0xFFFFUL | value & 0xFFFF,
        _ => value,
    };

    /// <summary>What an output of <paramref name="size"/> bytes puts on the bus.</summary>
    public static uint OutputValue(ulong rax, int size) => (uint)rax & AllOnes(size);

    /// <summary>What a read of <paramref name="size"/> bytes returns where no device answers.</summary>
    public static uint AllOnes(int size) => size switch { 1 => 0xFF, 2 => 0xFFFF, _ => 0xFFFFFFFF };
}

/// <summary>The elements of INS or OUTS in the order in which they move.</summary>
public struct StringPortWalk
{
    private const ulong DirectionFlag = 1 << 10;

    private readonly ulong _mask;
    private readonly ulong _segmentBase;
    private readonly bool _is64;
    private readonly bool _down;
    private readonly bool _repeated;
    private ulong _index;
    private ulong _count;

    /// <summary>Bytes in an element.</summary>
    public readonly byte Size;

    /// <param name="index">RSI for OUTS, RDI for INS.</param>
    /// <param name="segmentBase">Base of the segment it is relative to; without effect for CS, DS, ES and SS in 64-bit mode (they are 0 there).</param>
    public StringPortWalk(HvX64IoPortAccessInfo access, HvX64InterceptMessageHeader header, PortPrefixes prefixes, ulong index, ulong rcx, ulong segmentBase)
    {
        int bits = AddressBits(header, prefixes.AddressSize);
        _mask = bits == 64 ? ulong.MaxValue : (1UL << bits) - 1;
        _is64 = header.ExecutionState.EferLma && header.CsSegment.Attributes.Long;
        _segmentBase = _is64 && prefixes.Segment is not (SegmentOverride.Fs or SegmentOverride.Gs) ? 0 : segmentBase;
        _down = (header.Rflags & DirectionFlag) != 0;
        _repeated = access.RepPrefix;
        Size = access.AccessSize;
        _index = index;
        _count = rcx;
    }

    /// <summary>Whether all elements have moved.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Whether a repeat count is exhausted: nothing (more) moves.</summary>
    public readonly bool IsCountZero => _repeated && (_count & _mask) == 0;

    /// <summary>RSI or RDI as it is now.</summary>
    public readonly ulong Index => _index;

    /// <summary>RCX as it is now.</summary>
    public readonly ulong Count => _count;

    /// <summary>Linear address of the current element's byte <paramref name="offset"/>.</summary>
    public readonly ulong Linear(int offset)
    {
        ulong linear = _segmentBase + (_index & _mask) + (uint)offset;
        return _is64 ? linear : (uint)linear;
    }

    /// <summary>How many bytes of the current element lie in the page of its first byte.</summary>
    public readonly int BytesInFirstPage => (int)Math.Min(Size, PageCount.PageSize - (Linear(0) & PageCount.PageSize - 1));

    /// <summary>The current element has moved.</summary>
    public void Advance()
    {
        _index = Replace(_index, _down ? _index - Size : _index + Size);
        if (!_repeated) { IsDone = true; return; }
        _count = Replace(_count, _count - 1);
        IsDone = IsCountZero;
    }

    // A 16-bit register leaves the bits above it, a 32-bit one clears them.
    private readonly ulong Replace(ulong old, ulong value) => _mask == 0xFFFF ? old & ~_mask | value & _mask : value & _mask;

    private static int AddressBits(in HvX64InterceptMessageHeader header, bool overridden)
    {
        if (header.ExecutionState.EferLma && header.CsSegment.Attributes.Long) return overridden ? 32 : 64;
        bool wide = header.ExecutionState.Cr0Pe && header.CsSegment.Attributes.Default;
        return wide != overridden ? 32 : 16;
    }
}
