// A ring's half over pages that need not be contiguous: control words, and copies that wrap.

using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Lamina.VMBus;

/// <summary>The pages of a ring's GPADL, as the owner of the ring has mapped them.</summary>
public unsafe interface IRingMemory
{
    uint PageCount { get; }

    /// <summary>Page <paramref name="index"/>, which is below <see cref="PageCount"/>: 4096 readable and writable bytes.</summary>
    byte* Page(uint index);
}

/// <summary>What became of an operation on a ring.</summary>
public enum RingStatus
{
    Ok = 0,
    /// <summary>Nothing to read.</summary>
    Empty,
    /// <summary>No room now.</summary>
    Full,
    /// <summary>The packet can never fit into the ring.</summary>
    TooLong,
    /// <summary>The peer's packet does not fit into the caller's buffer.</summary>
    BufferTooSmall,
    /// <summary>The half has less than two pages, or more than the GPADL.</summary>
    BadGeometry,
    /// <summary>The peer's index is outside the ring or not aligned.</summary>
    BadIndex,
    /// <summary>A descriptor's length or offset contradicts what is in the ring.</summary>
    BadLength,
    BadFlags,
    BadType,
    /// <summary>The ranges do not fit into the packet's header, or one of them is malformed.</summary>
    BadRanges,
}

public static class RingStatusText
{
    /// <summary>Whether the peer broke the rules: the channel is at its end.</summary>
    public static bool IsBroken(this RingStatus status) => status >= RingStatus.BufferTooSmall;

    public static ReadOnlySpan<byte> Text(this RingStatus status) => status switch
    {
        RingStatus.Ok => "ok"u8,
        RingStatus.Empty => "ring empty"u8,
        RingStatus.Full => "ring full"u8,
        RingStatus.TooLong => "packet longer than the ring"u8,
        RingStatus.BufferTooSmall => "packet longer than the device accepts"u8,
        RingStatus.BadGeometry => "ring of impossible size"u8,
        RingStatus.BadIndex => "ring index out of range"u8,
        RingStatus.BadLength => "packet length out of range"u8,
        RingStatus.BadFlags => "unknown packet flags"u8,
        RingStatus.BadType => "unknown packet type"u8,
        _ => "malformed ranges in packet"u8,
    };
}

/// <summary>One half: a control page and at least one page of data.</summary>
// SAFETY: all accesses go through here. Offsets are reduced to below DataSize before they reach a page.
public unsafe struct RingMemory<TPages> where TPages : struct, IRingMemory
{
    private const uint PageSize = ChannelLimits.PageSize;
    private const uint MaximumPages = 0x8000;

    private TPages pages;
    private uint firstPage;

    /// <summary>Bytes of data: a multiple of the page size.</summary>
    public uint DataSize { get; private set; }

    public static RingStatus TryCreate(TPages pages, uint firstPage, uint pageCount, out RingMemory<TPages> memory)
    {
        memory = default;
        if (pageCount is < 2 or > MaximumPages || firstPage > pages.PageCount || pages.PageCount - firstPage < pageCount) return RingStatus.BadGeometry;
        memory.pages = pages;
        memory.firstPage = firstPage;
        memory.DataSize = (pageCount - 1) * PageSize;
        return RingStatus.Ok;
    }

    private RingControlPage* Control => (RingControlPage*)pages.Page(firstPage);

    public ref uint WriteIndex => ref Control->WriteIndex;
    public ref uint ReadIndex => ref Control->ReadIndex;
    public ref uint InterruptMask => ref Control->InterruptMask;
    public ref uint PendingSendSize => ref Control->PendingSendSize;
    public ref uint FeatureBits => ref Control->FeatureBits;

    /// <summary>Reads a word of the control page once; false if it is not an index into the data.</summary>
    public readonly bool TryReadIndex(ref uint word, out uint index)
    {
        index = Volatile.Read(ref word);
        return index < DataSize && index % 8 == 0;
    }

    /// <summary>What a writer at <paramref name="write"/> may still write; the last 8 bytes stay free, as a full ring would look empty.</summary>
    public readonly uint Free(uint write, uint read) => (read > write ? read - write : DataSize - (write - read)) - 8;

    public readonly uint Used(uint write, uint read) => write >= read ? write - read : DataSize - (read - write);

    /// <summary><paramref name="index"/> moved on by <paramref name="count"/> (both at most <see cref="DataSize"/>), around the end if need be.</summary>
    public readonly uint Advance(uint index, uint count)
    {
        ulong next = (ulong)index + count;
        return (uint)(next >= DataSize ? next - DataSize : next);
    }

    public void CopyOut(uint offset, byte* destination, uint count)
    {
        while (count != 0)
        {
            byte* source = Piece(ref offset, count, out uint piece);
            new ReadOnlySpan<byte>(source, (int)piece).CopyTo(new Span<byte>(destination, (int)piece));
            destination += piece;
            offset += piece;
            count -= piece;
        }
    }

    public void CopyIn(uint offset, byte* source, uint count)
    {
        while (count != 0)
        {
            byte* destination = Piece(ref offset, count, out uint piece);
            new ReadOnlySpan<byte>(source, (int)piece).CopyTo(new Span<byte>(destination, (int)piece));
            source += piece;
            offset += piece;
            count -= piece;
        }
    }

    public void Zero(uint offset, uint count)
    {
        while (count != 0)
        {
            new Span<byte>(Piece(ref offset, count, out uint piece), (int)piece).Clear();
            offset += piece;
            count -= piece;
        }
    }

    // The longest run at offset within one page; an offset at or past the end comes round.
    private byte* Piece(ref uint offset, uint count, out uint piece)
    {
        if (offset >= DataSize) offset %= DataSize;
        uint within = offset % PageSize;
        piece = Math.Min(count, PageSize - within);
        return pages.Page(firstPage + 1 + offset / PageSize) + within;
    }
}
