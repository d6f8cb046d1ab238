// Calls that read and write properties of partitions and of the machine. TLFS, "Partition Properties".
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HvPartitionPropertyCode;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class PropertyCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>HvCallGetPartitionProperty.</summary>
    internal static HvStatus GetPartitionProperty(HypercallCall* call)
    {
        HvInputGetPartitionProperty* input = call->Input<HvInputGetPartitionProperty>();
        HvStatus status = Targets.TryResolve(call, input->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        ulong value;
        switch (input->PropertyCode)
        {
            case HvPartitionPropertyPrivilegeFlags: value = target->Privileges.Value; break;
            case HvPartitionPropertyCpuWeight: value = target->CpuWeight; break;
            case HvPartitionPropertyCpuCap: value = target->CpuCap; break;
            case HvPartitionPropertyCpuReserve: value = Math.Min(target->CpuReserve, SchedulerEntity.WholeProcessor); break;
            case HvPartitionPropertyApicFrequency: value = Clock.VirtualApicHz; break;
            case HvPartitionPropertyProcessorClockFrequency: value = Clock.TscHz; break;
            case HvPartitionPropertyReferenceTime: value = PartitionTime<TBackend>.Now(target); break;
            case HvPartitionPropertyTimeFreeze: value = target->FrozenSince != 0 ? 1UL : 0; break;
            case HvPartitionPropertyGuestOsId: value = target->GuestOsId; break;
            default: return HvStatus.HV_STATUS_UNKNOWN_PROPERTY;
        }
        call->Result<HvOutputGetPartitionProperty>()->PropertyValue = value;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallSetPartitionProperty.</summary>
    internal static HvStatus SetPartitionProperty(HypercallCall* call)
    {
        HvInputSetPartitionProperty* input = call->Input<HvInputSetPartitionProperty>();
        HvStatus status = Targets.TryResolveChild(call, input->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        if (target->State == PartitionState.Finalized)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        ulong value = input->PropertyValue;
        switch (input->PropertyCode)
        {
            case HvPartitionPropertyPrivilegeFlags:
                if (!DefaultPrivileges.ChildMaximum.Includes(new PartitionPrivileges(value)))
                    return HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
                target->Privileges = new PartitionPrivileges(value);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvPartitionPropertyCpuWeight:
                if (value is 0 or > SchedulerEntity.MaximumWeight)
                    return HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
                target->CpuWeight = (uint)value;
                SetShares(target);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvPartitionPropertyCpuCap:
                if (value > SchedulerEntity.WholeProcessor)
                    return HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
                target->CpuCap = (uint)value;
                SetShares(target);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvPartitionPropertyCpuReserve:
                if (value > SchedulerEntity.WholeProcessor)
                    return HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
                target->CpuReserve = (uint)value;
                SetShares(target);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvPartitionPropertySuspend:
                if (value > 1)
                    return HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
                SetSuspended(target, value == 1);
                return HvStatus.HV_STATUS_SUCCESS;
            case HvPartitionPropertyTimeFreeze:
                if (value > 1)
                    return HvStatus.HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
                return PartitionTime<TBackend>.TrySetFrozen(target, value == 1) ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
            default: return HvStatus.HV_STATUS_UNKNOWN_PROPERTY;
        }
    }

    private static void SetShares(Partition* target)
    {
        for (uint i = 0; i < Partition.MaximumVps; i++)
            if (target->GetVp(i) != null) CrossCalls<TBackend>.OnProcessorOf(target->GetVp(i), &SetSharesHere, null);
    }

    private static bool SetSharesHere(VirtualProcessor* vp, void* nothing)
    {
        Scheduler<TBackend>.SetShares(vp);
        return true;
    }

    private static void SetSuspended(Partition* target, bool suspended)
    {
        for (uint i = 0; i < Partition.MaximumVps; i++)
        {
            if (target->GetVp(i) != null)
                CrossCalls<TBackend>.OnProcessorOf(target->GetVp(i), suspended ? &VirtualProcessors<TBackend>.SuspendHere : &ResumeHere, null);
        }
    }

    private static bool ResumeHere(VirtualProcessor* vp, void* nothing)
    {
        Scheduler<TBackend>.Resume(vp, SuspendReason.Explicit);
        return true;
    }

    /// <summary>HvCallGetSystemProperty.</summary>
    internal static HvStatus GetSystemProperty(HypercallCall* call)
    {
        if (call->Input<HvInputGetSystemProperty>()->PropertyId != HvSystemProperty.HvSystemPropertySchedulerType)
            return HvStatus.HV_STATUS_UNKNOWN_PROPERTY;
        *call->Result<ulong>() = HvSystemProperty.HvSchedulerTypeLp;
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
