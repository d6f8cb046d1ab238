// What port instructions do to registers, and where the string forms find their next element.
// SDM 2, "INS/INSB/INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD", "REP/REPE/REPZ".
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Root.Worker;

public static class PortInstruction
{
    /// <summary>RAX after an input of <paramref name="size"/> bytes: narrow ones leave the rest, 32 bits clear it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
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
    private readonly ulong _mask;
    private readonly ulong _segmentBase;
    private readonly bool _wraps;
    private readonly bool _down;
    private readonly bool _repeated;

    /// <summary>Bytes in an element.</summary>
    public readonly byte Size;

    /// <param name="size">Bytes in an element: 1, 2 or 4.</param>
    /// <param name="addressSize">Bytes of rSI, rDI and rCX that count: 2, 4 or 8.</param>
    /// <param name="wraps">Linear addresses have 32 bits: everywhere but in 64-bit mode.</param>
    /// <param name="down">RFLAGS.DF.</param>
    /// <param name="index">RSI for OUTS, RDI for INS.</param>
    /// <param name="segmentBase">Base of the segment it is relative to.</param>
    public StringPortWalk(byte size, bool repeated, int addressSize, bool wraps, bool down, ulong index, ulong rcx, ulong segmentBase)
    {
        _mask = addressSize == 8 ? ulong.MaxValue : (1UL << 8 * addressSize) - 1;
        _segmentBase = segmentBase;
        _wraps = wraps;
        _down = down;
        _repeated = repeated;
        Size = size;
        Index = index;
        Count = rcx;
    }

    /// <summary>Whether all elements have moved.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Whether a repeat count is exhausted: nothing (more) moves.</summary>
    public readonly bool IsCountZero => _repeated && (Count & _mask) == 0;

    /// <summary>RSI or RDI as it is now.</summary>
    public ulong Index { get; private set; }

    /// <summary>RCX as it is now.</summary>
    public ulong Count { get; private set; }

    /// <summary>Linear address of the current element.</summary>
    public readonly ulong Linear
    {
        get
        {
            ulong linear = _segmentBase + (Index & _mask);
            return _wraps ? (uint)linear : linear;
        }
    }

    /// <summary>The current element has moved.</summary>
    public void Advance()
    {
        Index = Replace(Index, _down ? Index - Size : Index + Size);
        if (_repeated) Count = Replace(Count, Count - 1);
        IsDone = !_repeated || IsCountZero;
    }

    // A 16-bit register leaves the bits above it, a 32-bit one clears them.
    private readonly ulong Replace(ulong old, ulong value) => _mask == 0xFFFF ? old & ~_mask | value & _mask : value & _mask;
}

/// <summary>How a piece of guest-virtual memory falls into pages.</summary>
public static class PageSplit
{
    /// <summary>How many of <paramref name="length"/> bytes at <paramref name="linear"/> lie in the page of the first.</summary>
    public static int BytesInPage(ulong linear, int length) =>
        (int)Math.Min((ulong)length, PageCount.PageSize - (linear & PageCount.PageSize - 1));
}
