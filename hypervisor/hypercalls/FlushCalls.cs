// Calls that act on many of the caller's processors at once: translations flushed, interrupts sent. TLFS, "Virtual MMU and TLB", "HvCallSendSyntheticClusterIpi".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HvFlushFlags;

namespace Lamina.Hypervisor.Hypercalls;

/// <summary>Processors by bit: as many as a partition can have.</summary>
internal static unsafe class FlushCalls<TBackend> where TBackend : struct, IBackend
{
    private const ulong KnownFlags = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES | HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY | HV_FLUSH_USE_EXTENDED_RANGE_FORMAT;
    private const uint FirstVector = 16, LastVector = 255;

    /// <summary>HvCallFlushVirtualAddressSpace.</summary>
    internal static HvStatus FlushVirtualAddressSpace(HypercallCall* call)
    {
        HvInputFlushVirtualAddressSpace* input = call->Input<HvInputFlushVirtualAddressSpace>();
        return Flush(call, input->Flags, input->ProcessorMask);
    }

    /// <summary>HvCallFlushVirtualAddressList: more than the list may be flushed, and is.</summary>
    internal static HvStatus FlushVirtualAddressList(HypercallCall* call)
    {
        HvStatus status = FlushVirtualAddressSpace(call);
        return Finish(call, status);
    }

    /// <summary>HvCallFlushVirtualAddressSpaceEx.</summary>
    internal static HvStatus FlushVirtualAddressSpaceEx(HypercallCall* call)
    {
        HvInputFlushVirtualAddressSpaceEx* input = call->Input<HvInputFlushVirtualAddressSpaceEx>();
        return TryGetSet(call, input->ProcessorSet, out ulong processors) ? Flush(call, input->Flags, processors) : HvStatus.HV_STATUS_INVALID_PARAMETER;
    }

    /// <summary>HvCallFlushVirtualAddressListEx.</summary>
    internal static HvStatus FlushVirtualAddressListEx(HypercallCall* call)
    {
        HvStatus status = FlushVirtualAddressSpaceEx(call);
        return Finish(call, status);
    }

    private static HvStatus Finish(HypercallCall* call, HvStatus status)
    {
        if (status.IsSuccess)
            call->Rep = call->RepCount;
        return status;
    }

    /// <summary>Who runs elsewhere leaves its guest, and all flush before they run on.</summary>
    private static HvStatus Flush(HypercallCall* call, ulong flags, ulong processors)
    {
        if ((flags & ~KnownFlags) != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        bool all = (flags & HV_FLUSH_ALL_PROCESSORS) != 0;
        ulong executing = 0;
        for (uint i = 0; i < Partition.MaximumVps; i++)
        {
            VirtualProcessor* vp = call->Partition->GetVp(i);
            if (vp != null && (all || (processors >> (int)i & 1) != 0))
                executing |= VirtualProcessors<TBackend>.RequestFlush(vp);
        }
        Quiescence.Await(executing);
        // Who waited has acknowledged others meanwhile, and has to look at what they want before it runs on.
        if (System.Threading.Volatile.Read(ref call->Caller->FlushRequested) != 0)
            call->Caller->Work |= EntryWork.Visitors;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallSendSyntheticClusterIpi.</summary>
    internal static HvStatus SendSyntheticClusterIpi(HypercallCall* call)
    {
        HvInputSendSyntheticClusterIpi* input = call->Input<HvInputSendSyntheticClusterIpi>();
        return Send(call, input->Vector, input->TargetVtl, input->ProcessorMask);
    }

    /// <summary>HvCallSendSyntheticClusterIpiEx.</summary>
    internal static HvStatus SendSyntheticClusterIpiEx(HypercallCall* call)
    {
        HvInputSendSyntheticClusterIpiEx* input = call->Input<HvInputSendSyntheticClusterIpiEx>();
        return TryGetSet(call, input->ProcessorSet, out ulong processors)
            ? Send(call, input->Vector, input->TargetVtl, processors) : HvStatus.HV_STATUS_INVALID_PARAMETER;
    }

    private static HvStatus Send(HypercallCall* call, uint vector, byte vtl, ulong processors)
    {
        if (vector is < FirstVector or > LastVector || vtl != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        for (uint i = 0; i < Partition.MaximumVps; i++)
        {
            VirtualProcessor* vp = call->Partition->GetVp(i);
            if (vp != null && (processors >> (int)i & 1) != 0)
                Interrupts<TBackend>.Assert(vp, (byte)vector, false);
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>The processors of a set; those beyond the first bank do not exist. False: another format, or fewer banks than the mask says.</summary>
    private static bool TryGetSet(HypercallCall* call, HvVpSet set, out ulong processors)
    {
        processors = ulong.MaxValue;
        if (set.Format == HvVpSet.HvGenericSetAll)
            return true;
        processors = (set.ValidBankMask & 1) != 0 && call->VariableCount != 0 ? call->Variable[0] : 0;
        return set.Format == HvVpSet.HvGenericSetSparse4k && (uint)System.Numerics.BitOperations.PopCount(set.ValidBankMask) == call->VariableCount;
    }
}
