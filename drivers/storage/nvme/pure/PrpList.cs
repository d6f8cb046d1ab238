// A piece of a request's memory as the device wants it: its first page, and the second or a list of all others.
// NVM Express Base Specification 2.0, "Physical Region Page Entry and List".
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>Where in a request's segments the next piece begins.</summary>
public struct SegmentCursor
{
    public uint Segment;
    public uint Within;
}

public static unsafe class PrpList
{
    public const uint PageBytes = 4096;

    /// <summary>Entries in one slot's list, which must not cross a page: with the first page apart, 1 MiB from any address.</summary>
    public const uint Capacity = 256, Bytes = Capacity * sizeof(ulong);
    public const uint MaximumTransferBytes = 1 << 20;

    /// <summary>
    /// Describes the next <paramref name="bytes"/> bytes and moves the cursor behind them. False: the segments are not as
    /// <see cref="BlockLimits.NeedsPageSegments"/> says, or there are too few of them; the cursor is then of no use.
    /// </summary>
    public static bool TryBuild(BlockRequest* request, ref SegmentCursor cursor, uint bytes, ulong* list, ulong listPhysical, out ulong prp1, out ulong prp2)
    {
        prp1 = prp2 = 0;
        uint entries = 0;
        while (bytes != 0)
        {
            if (cursor.Segment >= request->SegmentCount) return false;
            BlockSegment segment = request->Segments[cursor.Segment];
            ulong address = segment.Physical + cursor.Within;
            uint toPageEnd = PageBytes - (uint)(address & PageBytes - 1);
            uint step = segment.Length - cursor.Within;
            if (step > toPageEnd) step = toPageEnd;
            if (step > bytes) step = bytes;
            bytes -= step;
            cursor.Within += step;
            if (cursor.Within == segment.Length) cursor = new SegmentCursor { Segment = cursor.Segment + 1 };
            if (step == 0) continue;
            if (entries == 0 ? (address & 3) != 0 : (address & PageBytes - 1) != 0 || entries > Capacity) return false;
            if (step != toPageEnd && bytes != 0) return false;
            if (entries == 0) prp1 = address;
            else list[entries - 1] = address;
            entries++;
        }
        if (entries > 1) prp2 = entries == 2 ? list[0] : listPhysical;
        return entries != 0;
    }
}
