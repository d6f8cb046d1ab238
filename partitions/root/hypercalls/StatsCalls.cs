// Calls that show the counters of a virtual processor. Definitions: Linux's mshv drivers share them with the hypervisor.
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

public static unsafe class StatsCalls
{
    /// <summary>
    /// HvCallMapStatsPage of a virtual processor: its counters, for <see cref="VpStats.Add"/>, can be read at physical address
    /// <paramref name="page"/> times 4096 until it is unmapped as often as it was mapped, or deleted: a read after that ends the root.
    /// A table that this may take is paid by <paramref name="root"/>. A page of the root's own processor lies in the core's memory,
    /// which AddressSpace.TryMapFirmware has to make accessible first.
    /// </summary>
    public static HvStatus MapVp(PartitionAccount* root, PartitionAccount* account, VpIndex vp, out ulong page)
    {
        HvInputMapStatsPage* input = HypercallClient.Prepare<HvInputMapStatsPage>();
        input->Type = HvStatsObjectType.HvStatsObjectVp;
        input->Identity = IdentityOf(account, vp);
        HvStatus status = HypercallClient.CallQuietly(root, HypercallCode.HvCallMapStatsPage);
        page = status.IsSuccess ? ((HvOutputMapStatsPage*)HypercallClient.Output)->MapLocation : 0;
        if (!status.IsSuccess) HypercallClient.Report(account, "HvCallMapStatsPage"u8, status);
        return status;
    }

    /// <summary>
    /// HvCallMapStatsPage of a logical processor, whose times are those of this call. The page lies in the core's memory, as one of the root's own
    /// virtual processor. False: there is no such processor, or no memory to show it.
    /// </summary>
    public static bool TryMapProcessor(PartitionAccount* root, uint index, out ulong page)
    {
        HvInputMapStatsPage* input = HypercallClient.Prepare<HvInputMapStatsPage>();
        input->Type = HvStatsObjectType.HvStatsObjectLogicalProcessor;
        input->Identity = new() { LpIndex = index, StatsAreaType = HvStatsAreaType.HvStatsAreaSelf };
        bool isMapped = HypercallClient.CallQuietly(root, HypercallCode.HvCallMapStatsPage).IsSuccess;
        page = isMapped ? ((HvOutputMapStatsPage*)HypercallClient.Output)->MapLocation : 0;
        return isMapped;
    }

    /// <summary>HvCallUnmapStatsPage.</summary>
    public static HvStatus UnmapVp(PartitionAccount* account, VpIndex vp)
    {
        HvInputUnmapStatsPage* input = HypercallClient.Prepare<HvInputUnmapStatsPage>();
        input->Type = HvStatsObjectType.HvStatsObjectVp;
        input->Identity = IdentityOf(account, vp);
        return HypercallClient.Call(account, HypercallCode.HvCallUnmapStatsPage, "HvCallUnmapStatsPage"u8);
    }

    private static HvStatsObjectIdentity IdentityOf(PartitionAccount* account, VpIndex vp) => new()
    {
        PartitionId = account->Id,
        VpIndex = vp,
        StatsAreaType = HvStatsAreaType.HvStatsAreaSelf,
    };
}
