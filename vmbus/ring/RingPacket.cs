// A packet that has been copied out of a ring and checked as a whole; and the list of ranges for one to be sent.

using System;

namespace Lamina.VMBus;

/// <summary>Lies in the buffer given to <c>TryRead</c>: valid until that is used again.</summary>
public unsafe struct RingPacket
{
    private byte* bytes;
    private uint rangesOffset, payloadOffset, length;

    public ushort Type { get; private set; }
    public bool CompletionRequested { get; private set; }
    public ulong TransactionId { get; private set; }

    /// <summary>Ranges of a GPA-direct or transfer-page packet; each of them has been checked.</summary>
    public uint RangeCount { get; private set; }

    /// <summary>Of transfer-page packets.</summary>
    public ushort PageSetId { get; private set; }

    /// <summary>Padded to 8 bytes: how much of it counts, the device's protocol knows.</summary>
    public readonly ReadOnlySpan<byte> Payload => new(bytes + payloadOffset, (int)(length - payloadOffset));

    internal static RingStatus TryParse(byte* bytes, uint length, out RingPacket packet)
    {
        packet = default;
        var descriptor = (PacketDescriptor*)bytes;
        uint dataOffset = descriptor->DataOffset8 * 8u;
        if (dataOffset < (uint)sizeof(PacketDescriptor) || dataOffset > length) return RingStatus.BadLength;
        if ((descriptor->Flags & ~PacketDescriptor.CompletionRequested) != 0) return RingStatus.BadFlags;
        packet.bytes = bytes;
        packet.length = length;
        packet.payloadOffset = dataOffset;
        packet.Type = descriptor->Type;
        packet.CompletionRequested = descriptor->Flags != 0;
        packet.TransactionId = descriptor->TransactionId;
        switch (packet.Type)
        {
            case PacketType.InBand or PacketType.Completion: return RingStatus.Ok;
            case PacketType.GpaDirect or PacketType.TransferPages: return packet.TryParseRanges();
            default: return RingStatus.BadType;
        }
    }

    private RingStatus TryParseRanges()
    {
        rangesOffset = (uint)sizeof(PacketDescriptor) + 8;
        if (payloadOffset < rangesOffset) return RingStatus.BadLength;
        var header = (TransferPageHeader*)(bytes + sizeof(PacketDescriptor));
        uint room = payloadOffset - rangesOffset;
        if (header->RangeCount == 0 || header->RangeCount > room / 8) return RingStatus.BadRanges;
        RangeCount = header->RangeCount;
        if (Type == PacketType.TransferPages)
        {
            PageSetId = header->PageSetId;
            return RingStatus.Ok;
        }
        uint at = 0;
        for (uint i = 0; i < RangeCount; i++)
        {
            if (room - at < (uint)sizeof(GpaRange)) return RingStatus.BadRanges;
            var range = (GpaRange*)(bytes + rangesOffset + at);
            at += (uint)sizeof(GpaRange);
            if (range->ByteOffset >= ChannelLimits.PageSize || range->ByteCount == 0) return RingStatus.BadRanges;
            ulong pages = GpaRange.PagesOf(range->ByteOffset, range->ByteCount);
            if (pages > (room - at) / 8) return RingStatus.BadRanges;
            at += (uint)pages * 8;
        }
        return RingStatus.Ok;
    }

    /// <summary>The ranges of a GPA-direct packet, from the first on.</summary>
    public readonly GpaRangeReader Ranges => Type == PacketType.GpaDirect ? new(bytes + rangesOffset, RangeCount) : default;

    /// <summary>The ranges of a transfer-page packet. Where they point to, the owner of the page set checks.</summary>
    public readonly ReadOnlySpan<TransferPageRange> TransferRanges =>
        Type == PacketType.TransferPages ? new(bytes + rangesOffset, (int)RangeCount) : default;
}

/// <summary>Walks over checked ranges.</summary>
public unsafe struct GpaRangeReader
{
    private byte* at;
    private uint left;

    internal GpaRangeReader(byte* first, uint count)
    {
        at = first;
        left = count;
    }

    /// <summary>The next range with the numbers of the pages it touches; false after the last.</summary>
    public bool TryNext(out GpaRange range, out ReadOnlySpan<ulong> pages)
    {
        range = default;
        pages = default;
        if (left == 0) return false;
        left--;
        range = *(GpaRange*)at;
        uint count = (uint)GpaRange.PagesOf(range.ByteOffset, range.ByteCount);
        pages = new ReadOnlySpan<ulong>(at + sizeof(GpaRange), (int)count);
        at += (uint)sizeof(GpaRange) + count * 8;
        return true;
    }
}

/// <summary>Collects ranges for a GPA-direct packet in memory of the caller.</summary>
public unsafe struct GpaRangeList
{
    private readonly byte* buffer;
    private readonly uint capacity;
    private uint used;

    public uint Count { get; private set; }

    public GpaRangeList(byte* buffer, uint capacity)
    {
        this.buffer = buffer;
        this.capacity = capacity;
        used = 0;
        Count = 0;
    }

    internal readonly ReadOnlySpan<byte> Bytes => new(buffer, (int)used);

    /// <summary>False: no room, or the pages are not those that the range touches.</summary>
    public bool TryAdd(uint byteOffset, uint byteCount, ReadOnlySpan<ulong> pages)
    {
        if (byteOffset >= ChannelLimits.PageSize || byteCount == 0 || GpaRange.PagesOf(byteOffset, byteCount) != (uint)pages.Length) return false;
        ulong size = (uint)sizeof(GpaRange) + (ulong)(uint)pages.Length * 8;
        if (size > capacity - used) return false;
        var range = (GpaRange*)(buffer + used);
        range->ByteCount = byteCount;
        range->ByteOffset = byteOffset;
        var numbers = (ulong*)(range + 1);
        for (int i = 0; i < pages.Length; i++) numbers[i] = pages[i];
        used += (uint)size;
        Count++;
        return true;
    }
}
