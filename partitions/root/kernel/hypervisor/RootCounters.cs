// The core's counters of the root's own processor: what devices and children cost on this side.
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Root.Worker;

namespace Lamina.Root.Kernel;

public static unsafe class RootCounters
{
    private static HvStatsPage* page;

    /// <summary>Adds what the counters say now; false (reported once): the core does not show them.</summary>
    public static bool TryAdd(ref VpStats stats)
    {
        if (page == null && !TryMap()) return false;
        stats.Add(page);
        return true;
    }

    // The page lies in the core's memory, which the boot map keeps out of the root's tables.
    private static bool TryMap()
    {
        if (!StatsCalls.MapVp(VmWorker.Root, VmWorker.Root, new VpIndex(0), out ulong number).IsSuccess) return false;
        if (!AddressSpace.TryMapFirmware(number << PageCount.PageShift, PageCount.PageSize)) return false;
        page = (HvStatsPage*)(number << PageCount.PageShift);
        return true;
    }
}
