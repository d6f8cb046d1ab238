// A logical processor's page of counters as the root sees it: read-only, at the page's own address, from the first time that it is asked for.
using Lamina.Abi;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>The page is the core's own: the root's map has a hole there, and the root can give it to nobody, since that takes a page that it may write.</summary>
public static unsafe class ProcessorStats<TBackend> where TBackend : struct, IBackend
{
    /// <summary>The page's number, with times as of now. HV_STATUS_INSUFFICIENT_MEMORY: the root's account has no page for a table.</summary>
    public static HvStatus Map(LogicalProcessor* processor, out ulong pageNumber)
    {
        ulong physical = PhysicalMap.ToPhysical(processor->Stats);
        pageNumber = physical >> PageGeometry.PageShift;
        if (!processor->IsStatsMapped && !TBackend.MapGpa(Partitions.Root, physical, physical, 1, PagePermissions.ReadOnly, PageSize.Page4K).Succeeded)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        processor->IsStatsMapped = true;
        CrossCalls<TBackend>.TryOn(processor, null, &UpdateHere, null);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool UpdateHere(VirtualProcessor* nobody, void* nothing)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        ulong now = Instructions.RdTsc();
        ((ulong*)processor->Stats)[HvStatsLpCounters.LpGlobalTime] = Clock.ToReferenceTicks(now);
        ((ulong*)processor->Stats)[HvStatsLpCounters.LpTotalRunTime] = Clock.ToReferenceTicks(now - processor->IdleTime);
        return true;
    }
}
