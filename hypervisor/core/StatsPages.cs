// A virtual processor's page of counters as the root sees it: read-only, at the page's own address.
using Lamina.Abi;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// The page is the partition's deposit, so the root's map has a hole there, and the root can neither deposit it again nor give it to a
/// child, since both want a page that it may write. It leaves the map before it goes back to the account.
/// </summary>
public static unsafe class StatsPages<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Maps the page once more. HV_STATUS_INSUFFICIENT_MEMORY: the root's own account has no page for a table.</summary>
    public static HvStatus Map(VirtualProcessor* vp, out ulong pageNumber)
    {
        ulong physical = PhysicalMap.ToPhysical(vp->Stats);
        pageNumber = physical >> PageGeometry.PageShift;
        // Nobody but the root has AccessStats.
        if (vp->StatsMappings == 0 && !TBackend.MapGpa(Partitions.Root, physical, physical, 1, PagePermissions.ReadOnly, PageSize.Page4K).Succeeded)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        vp->StatsMappings++;
        CrossCalls<TBackend>.OnProcessorOf(vp, &UpdateHere, null);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool UpdateHere(VirtualProcessor* vp, void* nothing)
    {
        Scheduler<TBackend>.UpdateCounters(vp);
        return true;
    }

    /// <summary>Takes one mapping back; with the last the page is gone. HV_STATUS_INVALID_VP_STATE: there was none.</summary>
    public static HvStatus Unmap(VirtualProcessor* vp)
    {
        if (vp->StatsMappings == 0)
            return HvStatus.HV_STATUS_INVALID_VP_STATE;
        if (--vp->StatsMappings == 0)
            Hide(vp);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>The virtual processor goes away: so does what the root sees of it.</summary>
    public static void Withdraw(VirtualProcessor* vp)
    {
        if (vp->StatsMappings != 0)
            Hide(vp);
        vp->StatsMappings = 0;
    }

    // A single small page: nothing is split, so this takes no memory and cannot fail. The root flushes before it runs on.
    private static void Hide(VirtualProcessor* vp) => TBackend.UnmapGpa(Partitions.Root, PhysicalMap.ToPhysical(vp->Stats), 1);
}
