// Makes the handover's memory map of overlapping, unsorted claims: sorted, merged, page-aligned, the strictest claim wins.
using Lamina.Abi;

namespace Lamina.Boot;

/// <summary>
/// Collects claims in memory supplied by the caller, then sweeps them. Claims of the loader (core, root, boot data) win over
/// the firmware's, and among those what is withheld wins over what is usable: firmware maps with overlaps exist.
/// </summary>
public unsafe struct MemoryMapBuilder
{
    private const ulong PageMask = 4095;

    private readonly MemoryRange* claims;
    private readonly int capacity;
    private int count;

    public MemoryMapBuilder(MemoryRange* claims, int capacity)
    {
        this.claims = claims;
        this.capacity = capacity;
        count = 0;
    }

    /// <summary>Adds a claim. Usable memory shrinks to whole pages, everything else grows to them. False: no room for another claim.</summary>
    public bool TryAdd(ulong start, ulong length, uint type)
    {
        ulong end = start + length < start ? ulong.MaxValue : start + length;
        if (type == MemoryRangeType.Usable)
        {
            start = start + PageMask < start ? ulong.MaxValue & ~PageMask : (start + PageMask) & ~PageMask;
            end &= ~PageMask;
        }
        else
        {
            start &= ~PageMask;
            end = end + PageMask < end ? ulong.MaxValue & ~PageMask : (end + PageMask) & ~PageMask;
        }
        if (end <= start)
        {
            return true;
        }
        if (count == capacity)
        {
            return false;
        }
        claims[count++] = new MemoryRange { Base = start, Length = end - start, Type = type };
        return true;
    }

    /// <summary>Writes the finished map; the number of ranges, or -1 when <paramref name="room"/> is too small (2 x claims always suffices).</summary>
    public readonly int Build(MemoryRange* output, int room)
    {
        int written = 0;
        ulong position = 0;
        while (true)
        {
            uint type = Survey(position, out ulong boundary);
            if (type != 0)
            {
                if (written != 0 && output[written - 1].Type == type && output[written - 1].Base + output[written - 1].Length == position)
                {
                    output[written - 1].Length += boundary - position;
                }
                else if (written == room)
                {
                    return -1;
                }
                else
                {
                    output[written++] = new MemoryRange { Base = position, Length = boundary - position, Type = type };
                }
            }
            if (boundary == ulong.MaxValue)
            {
                return written;
            }
            position = boundary;
        }
    }

    /// <summary>The type that wins at a position (0: nobody claims it) and the next position where a claim begins or ends.</summary>
    private readonly uint Survey(ulong position, out ulong boundary)
    {
        uint winner = 0;
        boundary = ulong.MaxValue;
        for (int i = 0; i < count; i++)
        {
            ulong start = claims[i].Base;
            ulong end = start + claims[i].Length;
            if (start > position)
            {
                boundary = start < boundary ? start : boundary;
            }
            else if (end > position)
            {
                boundary = end < boundary ? end : boundary;
                winner = RankOf(claims[i].Type) > RankOf(winner) ? claims[i].Type : winner;
            }
        }
        return winner;
    }

    private static int RankOf(uint type) => type switch
    {
        0 => 0,
        MemoryRangeType.Usable => 1,
        MemoryRangeType.AcpiReclaimable => 2,
        MemoryRangeType.AcpiNvs => 3,
        MemoryRangeType.Mmio => 4,
        MemoryRangeType.Reserved => 5,
        MemoryRangeType.Bad => 6,
        MemoryRangeType.BootData => 7,
        MemoryRangeType.RootImage => 8,
        _ => 9,
    };
}
