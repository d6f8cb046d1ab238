// Which physical addresses are RAM that the core may touch through its window: the boot memory map, copied.
using Lamina.Abi;

namespace Lamina.Hypervisor.Core;

public static unsafe class PhysicalMemoryRanges
{
    private const int Maximum = 256;

    private struct Table { public fixed ulong Base[Maximum]; public fixed ulong End[Maximum]; }
    private static class Storage { internal static Table Ranges; }
    private static class Counter { internal static int Count; }

    /// <summary>End of the highest range of RAM.</summary>
    public static ulong HighestAddress
    {
        get
        {
            ulong highest = 0;
            for (int i = 0; i < Counter.Count; i++)
                if (Storage.Ranges.End[i] > highest) highest = Storage.Ranges.End[i];
            return highest;
        }
    }

    /// <summary>Remembers all RAM of the map; neighbours are merged. Ranges beyond the table's size are left out: their memory is not used.</summary>
    public static void Initialize(MemoryRange* map, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            if (!IsRam(map[i].Type))
                continue;
            int last = Counter.Count - 1;
            if (last >= 0 && Storage.Ranges.End[last] == map[i].Base)
                Storage.Ranges.End[last] += map[i].Length;
            else if (Counter.Count < Maximum)
            {
                Storage.Ranges.Base[Counter.Count] = map[i].Base;
                Storage.Ranges.End[Counter.Count++] = map[i].Base + map[i].Length;
            }
        }
    }

    private static bool IsRam(uint type) => type is MemoryRangeType.Usable or MemoryRangeType.AcpiReclaimable or MemoryRangeType.AcpiNvs
        or MemoryRangeType.Hypervisor or MemoryRangeType.RootImage or MemoryRangeType.BootData;

    /// <summary>Whether a whole range is RAM.</summary>
    public static bool Contains(ulong physical, ulong length)
    {
        ulong end = physical + length;
        if (end < physical)
            return false;
        for (int i = 0; i < Counter.Count; i++)
            if (physical >= Storage.Ranges.Base[i] && end <= Storage.Ranges.End[i])
                return true;
        return false;
    }

    public static int Count => Counter.Count;
    public static void Get(int index, out ulong start, out ulong end) { start = Storage.Ranges.Base[index]; end = Storage.Ranges.End[index]; }
}
