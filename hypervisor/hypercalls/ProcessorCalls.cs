// Calls about virtual processors as a whole. TLFS, "Virtual Processors".
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class ProcessorCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>HvCallCreateVp.</summary>
    internal static HvStatus CreateVp(HypercallCall* call)
    {
        HvInputCreateVp* input = call->Input<HvInputCreateVp>();
        HvStatus status = Targets.TryResolveChild(call, input->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        if (target->State != PartitionState.Active)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        return VirtualProcessors<TBackend>.Create(target, input->VpIndex.Value, out _);
    }

    /// <summary>HvCallDeleteVp.</summary>
    internal static HvStatus DeleteVp(HypercallCall* call)
    {
        HvInputDeleteVp* input = call->Input<HvInputDeleteVp>();
        HvStatus status = Targets.TryResolveChild(call, input->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        VirtualProcessor* vp = target->GetVp(input->VpIndex.Value);
        if (vp == null)
            return HvStatus.HV_STATUS_INVALID_VP_INDEX;
        VirtualProcessors<TBackend>.Delete(vp);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallGetVpIndexFromApicId: both are the same number here, for processors that exist.</summary>
    internal static HvStatus GetVpIndexFromApicId(HypercallCall* call)
    {
        HvInputGetVpIndexFromApicId* input = call->Input<HvInputGetVpIndexFromApicId>();
        HvStatus status = Targets.TryResolve(call, input->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        for (; call->Rep < call->RepLimit; call->Rep++)
        {
            VirtualProcessor* vp = target->GetVp(call->Element32);
            if (vp == null)
                return HvStatus.HV_STATUS_INVALID_PARAMETER;
            ((uint*)call->Output)[call->Rep] = vp->Index;
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallNotifyLongSpinWait: the caller waits for another processor, which may be waiting for this one to yield.</summary>
    internal static HvStatus NotifyLongSpinWait(HypercallCall* call)
    {
        call->Caller->Count(HvStatsVpCounters.VpLongSpinWaitHypercalls);
        Scheduler<TBackend>.Yield(call->Caller);
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
