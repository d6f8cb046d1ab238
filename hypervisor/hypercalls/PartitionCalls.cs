// Calls that make, unmake and list partitions. TLFS, "Partition Manager".
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class PartitionCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Flags that ask for what every partition here is.</summary>
    private const ulong KnownFlags = HvPartitionCreationFlags.ExoPartition | HvPartitionCreationFlags.LapicEnabled | HvPartitionCreationFlags.X2ApicCapable;

    /// <summary>HvCallCreatePartition. Processor features that the caller wants disabled are its own affair: it may intercept CPUID.</summary>
    internal static HvStatus CreatePartition(HypercallCall* call)
    {
        HvInputCreatePartition* input = call->Input<HvInputCreatePartition>();
        if ((input->Flags & ~KnownFlags) != 0 || input->IsolationProperties != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        HvStatus status = PartitionLifecycle<TBackend>.Create(call->Partition, out Partition* child);
        if (status.IsSuccess)
            call->Result<HvOutputCreatePartition>()->NewPartitionId = new PartitionId(child->Id);
        return status;
    }

    /// <summary>HvCallInitializePartition.</summary>
    internal static HvStatus InitializePartition(HypercallCall* call)
    {
        HvStatus status = Targets.TryResolveChild(call, call->Input<HvInputInitializePartition>()->PartitionId, out Partition* target);
        return status.IsSuccess ? PartitionLifecycle<TBackend>.Initialize(target) : status;
    }

    /// <summary>HvCallFinalizePartition.</summary>
    internal static HvStatus FinalizePartition(HypercallCall* call)
    {
        HvStatus status = Targets.TryResolveChild(call, call->Input<HvInputFinalizePartition>()->PartitionId, out Partition* target);
        return status.IsSuccess ? PartitionLifecycle<TBackend>.Finalize(target) : status;
    }

    /// <summary>HvCallDeletePartition.</summary>
    internal static HvStatus DeletePartition(HypercallCall* call)
    {
        HvStatus status = Targets.TryResolveChild(call, call->Input<HvInputDeletePartition>()->PartitionId, out Partition* target);
        return status.IsSuccess ? PartitionLifecycle<TBackend>.Delete(target) : status;
    }

    /// <summary>HvCallGetPartitionId.</summary>
    internal static HvStatus GetPartitionId(HypercallCall* call)
    {
        call->Result<HvOutputGetPartitionId>()->PartitionId = new PartitionId(call->Partition->Id);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallGetNextChildPartition: children in the order of their identities.</summary>
    internal static HvStatus GetNextChildPartition(HypercallCall* call)
    {
        HvInputGetNextChildPartition* input = call->Input<HvInputGetNextChildPartition>();
        HvStatus status = Targets.TryResolve(call, input->ParentId, out Partition* parent);
        if (!status.IsSuccess)
            return status;
        ulong next = ulong.MaxValue;
        for (int slot = 0; slot < Partitions.Maximum; slot++)
        {
            Partition* candidate = Partitions.At(slot);
            if (candidate != null && candidate->ParentId == parent->Id && candidate->Id > input->PreviousChildId.Value && candidate->Id < next)
                next = candidate->Id;
        }
        call->Result<HvOutputGetNextChildPartition>()->NextChildId = next == ulong.MaxValue ? PartitionId.Invalid : new PartitionId(next);
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
