// Memory of a machine that no firmware manages any more: its map, what is taken of it, and what can still be had.
using Lamina.Abi;

namespace Lamina.Boot;

/// <summary>
/// Keeps two lists in memory that the caller supplies: the machine's own map and the blocks taken. A block taken as Usable is
/// withheld while the loader runs and becomes what the machine's map says afterwards.
/// </summary>
public unsafe struct FreeMemory
{
    private readonly MemoryRange* ranges;
    private readonly MemoryRange* sorted;
    private readonly int capacity;
    private int machine;
    private int taken;

    /// <param name="storage">Room for four times <paramref name="capacity"/> ranges.</param>
    /// <param name="capacity">Most ranges of the machine and blocks together; one is the loader's own.</param>
    public FreeMemory(MemoryRange* storage, int capacity)
    {
        ranges = storage;
        sorted = storage + 2 * capacity; // the builder's claims come between
        this.capacity = capacity;
        machine = 0;
        taken = 0;
    }

    /// <summary>Most ranges that the finished map can have.</summary>
    public readonly int MostRanges => 2 * (machine + taken + 1);

    /// <summary>Adds a range of the machine's map; all of them come before the first block. False: no room, or too late.</summary>
    public bool TryAddRange(MemoryRange range)
    {
        if (taken != 0 || machine + 1 >= capacity)
        {
            return false;
        }
        range.Length = range.Base + range.Length < range.Base ? ulong.MaxValue - range.Base : range.Length;
        ranges[machine++] = range;
        return true;
    }

    /// <summary>Takes a block that somebody has already put there. False: no room for another block.</summary>
    public bool TryTake(ulong start, ulong length, uint type)
    {
        if (machine + taken + 1 >= capacity)
        {
            return false;
        }
        ranges[machine + taken++] = new MemoryRange { Base = start, Length = length, Type = type };
        return true;
    }

    /// <summary>Takes the highest free block, aligned to <paramref name="alignment"/> (a power of two), that ends at or below <paramref name="limit"/>.</summary>
    public bool TryAllocate(ulong bytes, ulong alignment, ulong limit, uint type, out ulong address)
    {
        address = 0;
        bytes = BootPages.RoundUp(bytes, BootPages.PageBytes);
        int count = Build(sorted, MostRanges, withhold: true);
        for (int i = 0; i < count; i++)
        {
            ulong end = sorted[i].Base + sorted[i].Length;
            end = end < limit ? end : limit;
            if (sorted[i].Type != MemoryRangeType.Usable || bytes == 0 || end < bytes)
            {
                continue;
            }
            ulong candidate = (end - bytes) & ~(alignment - 1);
            if (candidate >= sorted[i].Base && candidate > address)
            {
                address = candidate;
            }
        }
        return address != 0 && TryTake(address, bytes, type);
    }

    /// <summary>Writes the map for the handover; -1: more than <paramref name="room"/> ranges, which <see cref="MostRanges"/> excludes.</summary>
    public readonly int Build(MemoryRange* output, int room) => Build(output, room, withhold: false);

    /// <summary>First address above all RAM; 0: there is none.</summary>
    public readonly ulong TopOfRam()
    {
        ulong top = 0;
        for (int i = 0; i < machine; i++)
        {
            ulong end = ranges[i].Base + ranges[i].Length;
            if (end > top && ranges[i].Type is MemoryRangeType.Usable or MemoryRangeType.AcpiReclaimable or MemoryRangeType.AcpiNvs)
            {
                top = end;
            }
        }
        return top;
    }

    /// <summary>Bytes of usable memory, before anything is taken of it.</summary>
    public readonly ulong UsableBytes()
    {
        ulong sum = 0;
        for (int i = 0; i < machine; i++)
        {
            sum += ranges[i].Type == MemoryRangeType.Usable ? ranges[i].Length : 0;
        }
        return sum;
    }

    private readonly int Build(MemoryRange* output, int room, bool withhold)
    {
        MemoryMapBuilder builder = new(ranges + capacity, capacity);
        builder.TryAdd(0, BootPages.PageBytes, MemoryRangeType.Reserved); // nobody is given what a null pointer reaches
        for (int i = 0; i < machine + taken; i++)
        {
            bool temporary = i >= machine && ranges[i].Type == MemoryRangeType.Usable;
            if (!temporary || withhold)
            {
                builder.TryAdd(ranges[i].Base, ranges[i].Length, temporary ? MemoryRangeType.BootData : ranges[i].Type);
            }
        }
        return builder.Build(output, room);
    }
}
