// Cuts a request's segments into parts that the device takes: so many descriptors, so many bytes in each, whole blocks.
using System;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Virtio;

internal static unsafe class VirtioBlockParts
{
    /// <summary>
    /// How many descriptors and bytes the next part of the slot's request has. 0 descriptors: no whole block fits, or the segments hold
    /// less than the request's length.
    /// </summary>
    public static uint Measure(VirtioBlockSlot* slot, in VirtioBlockBounds bounds, uint blockBytes, out ulong bytes)
    {
        ulong wanted = slot->Request->Length - slot->Done;
        uint count = Count(slot, bounds, wanted, out bytes);
        if (bytes == wanted) return count;
        wanted = bytes / blockBytes * blockBytes;
        return Count(slot, bounds, wanted, out bytes);
    }

    /// <summary>The next piece of at most <paramref name="most"/> bytes, none of it longer than a descriptor may be; the slot moves on. There must be one.</summary>
    public static BlockSegment TakePiece(VirtioBlockSlot* slot, uint segmentBytes, ulong most)
    {
        BlockSegment* segment = slot->Request->Segments + slot->Segment;
        while (segment->Length == slot->SegmentOffset)
        {
            segment++;
            slot->Segment++;
            slot->SegmentOffset = 0;
        }
        BlockSegment piece = new()
        {
            Physical = segment->Physical + slot->SegmentOffset,
            Length = (uint)Math.Min(Math.Min(segment->Length - slot->SegmentOffset, segmentBytes), most),
        };
        slot->SegmentOffset += piece.Length;
        return piece;
    }

    private static uint Count(VirtioBlockSlot* slot, in VirtioBlockBounds bounds, ulong wanted, out ulong bytes)
    {
        uint count = 0, offset = slot->SegmentOffset;
        bytes = 0;
        for (uint i = slot->Segment; i < slot->Request->SegmentCount && bytes < wanted; i++, offset = 0)
        {
            // An empty segment gives no descriptor: devices do not take any without bytes.
            ulong left = Math.Min(slot->Request->Segments[i].Length - offset, wanted - bytes);
            while (left != 0)
            {
                if (count == bounds.Segments) return count;
                ulong piece = Math.Min(left, bounds.SegmentBytes);
                count++;
                bytes += piece;
                left -= piece;
            }
        }
        return count;
    }
}
