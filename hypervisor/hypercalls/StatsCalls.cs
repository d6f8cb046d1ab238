// Calls that show the counters of a virtual processor to the root. Definitions: Linux's mshv drivers share them with the hypervisor.
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class StatsCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>HvCallMapStatsPage: where the caller sees the page; as often as it is mapped it has to be unmapped.</summary>
    internal static HvStatus MapStatsPage(HypercallCall* call)
    {
        HvInputMapStatsPage* input = call->Input<HvInputMapStatsPage>();
        HvStatus status;
        ulong pageNumber;
        if (TryResolveProcessor(input->Type, input->Padding, &input->Identity, out LogicalProcessor* processor))
            status = ProcessorStats<TBackend>.Map(processor, out pageNumber);
        else
        {
            status = TryResolve(call, input->Type, input->Padding, &input->Identity, out VirtualProcessor* vp);
            if (!status.IsSuccess)
                return status;
            status = StatsPages<TBackend>.Map(vp, out pageNumber);
        }
        if (status.IsSuccess)
            call->Result<HvOutputMapStatsPage>()->MapLocation = pageNumber;
        return status;
    }

    /// <summary>HvCallUnmapStatsPage.</summary>
    internal static HvStatus UnmapStatsPage(HypercallCall* call)
    {
        HvInputUnmapStatsPage* input = call->Input<HvInputUnmapStatsPage>();
        // A logical processor's page stays: it is nobody's deposit.
        if (TryResolveProcessor(input->Type, input->Padding, &input->Identity, out LogicalProcessor* processor))
            return processor->IsStatsMapped ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_PARAMETER;
        HvStatus status = TryResolve(call, input->Type, input->Padding, &input->Identity, out VirtualProcessor* vp);
        return status.IsSuccess ? StatsPages<TBackend>.Unmap(vp) : status;
    }

    private static bool TryResolveProcessor(uint type, uint padding, HvStatsObjectIdentity* identity, out LogicalProcessor* processor)
    {
        processor = null;
        if (type != HvStatsObjectType.HvStatsObjectLogicalProcessor || padding != 0 || identity->LpIndex >= (uint)LogicalProcessors.Count
            || identity->VpIndex.Value != 0 || identity->Flags != 0 || identity->Reserved != 0 || identity->StatsAreaType != HvStatsAreaType.HvStatsAreaSelf)
            return false;
        processor = LogicalProcessors.At((int)identity->LpIndex);
        return true;
    }

    /// <summary>Only processors have counters, and only those of their own: HV_STATUS_INVALID_PARAMETER is how callers learn that an area does not exist.</summary>
    private static HvStatus TryResolve(HypercallCall* call, uint type, uint padding, HvStatsObjectIdentity* identity, out VirtualProcessor* vp)
    {
        vp = null;
        if (type != HvStatsObjectType.HvStatsObjectVp || padding != 0 || identity->Flags != 0 || identity->Reserved != 0
            || identity->StatsAreaType != HvStatsAreaType.HvStatsAreaSelf)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        return Targets.TryResolveVp(call, identity->PartitionId, identity->VpIndex, out vp);
    }
}
