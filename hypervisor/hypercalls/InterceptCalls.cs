// HvCallInstallIntercept: what of a child's doings its parent wants to see. TLFS, "Intercepts".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HvInterceptAccessMask;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class InterceptCalls<TBackend> where TBackend : struct, IBackend
{
    private const uint ReadWrite = HV_INTERCEPT_ACCESS_MASK_READ | HV_INTERCEPT_ACCESS_MASK_WRITE;
    private const uint NonMaskableInterrupt = 2, MachineCheck = 18, ExceptionCount = 32;
    private const int PortsPerPage = 0x8000;

    /// <summary>Access HV_INTERCEPT_ACCESS_MASK_NONE removes; else what is asked for must be what the type has: the core does not tell reads from writes.</summary>
    internal static HvStatus InstallIntercept(HypercallCall* call)
    {
        HvInputInstallIntercept* input = call->Input<HvInputInstallIntercept>();
        HvStatus status = Targets.TryResolveChild(call, input->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        if (target->State == PartitionState.Finalized)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        bool install = input->AccessType != HV_INTERCEPT_ACCESS_MASK_NONE;
        HvInterceptParameters parameters = input->InterceptParameters;
        switch (input->InterceptType)
        {
            case HvInterceptType.HvInterceptTypeX64IoPort when IsAccess(input, ReadWrite):
                return SetPorts(target, parameters.IoPort, parameters.IoPort, install);
            case HvInterceptType.HvInterceptTypeX64IoPortRange when IsAccess(input, ReadWrite) && parameters.IoPort <= parameters.LastIoPort:
                return SetPorts(target, parameters.IoPort, parameters.LastIoPort, install);
            case HvInterceptType.HvInterceptTypeException when IsAccess(input, HV_INTERCEPT_ACCESS_MASK_EXECUTE):
                return SetException(target, parameters.ExceptionVector, install);
            case HvInterceptType.HvInterceptTypeX64Cpuid when IsAccess(input, HV_INTERCEPT_ACCESS_MASK_EXECUTE):
                return SetCpuid(target, parameters.CpuidIndex, install);
            case HvInterceptType.HvInterceptTypeX64Msr when IsAccess(input, ReadWrite):
                target->MsrInterceptInstalled = install;
                return HvStatus.HV_STATUS_SUCCESS;
            default: return HvStatus.HV_STATUS_INVALID_PARAMETER;
        }
    }

    private static bool IsAccess(HvInputInstallIntercept* input, uint access) => input->AccessType is HV_INTERCEPT_ACCESS_MASK_NONE || input->AccessType == access;

    private static HvStatus SetPorts(Partition* target, uint first, uint last, bool install)
    {
        // All pages first: nothing is half installed.
        for (uint half = first / PortsPerPage; install && half <= last / PortsPerPage; half++)
            if (target->PortIntercepts[half] == 0 && !target->Account.TryTake(out target->PortIntercepts[half]))
                return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        for (uint port = first; port <= last; port++)
        {
            ulong page = target->PortIntercepts[port / PortsPerPage];
            if (page == 0)
                continue;
            byte* bits = PhysicalMap.ToPointer(page) + port % PortsPerPage / 8;
            byte bit = (byte)(1 << (int)(port % 8));
            *bits = (byte)(install ? *bits | bit : *bits & ~bit);
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus SetException(Partition* target, uint vector, bool install)
    {
        if (vector is >= ExceptionCount or NonMaskableInterrupt or MachineCheck)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        uint bit = 1u << (int)vector;
        target->ExceptionIntercepts = install ? target->ExceptionIntercepts | bit : target->ExceptionIntercepts & ~bit;
        for (uint i = 0; i < Partition.MaximumVps; i++)
            if (target->GetVp(i) != null) CrossCalls<TBackend>.OnProcessorOf(target->GetVp(i), &UpdateHere, null);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool UpdateHere(VirtualProcessor* vp, void* nothing)
    {
        TBackend.UpdateExceptionIntercepts(vp);
        return true;
    }

    private static HvStatus SetCpuid(Partition* target, uint leaf, bool install)
    {
        int index = 0;
        while (index < target->CpuidInterceptCount && target->CpuidIntercepts[index] != leaf) index++;
        bool installed = index < target->CpuidInterceptCount;
        if (install && !installed)
        {
            if (index == Partition.MaximumCpuidIntercepts)
                return HvStatus.HV_STATUS_NO_RESOURCES;
            target->CpuidIntercepts[target->CpuidInterceptCount++] = leaf;
        }
        else if (!install && installed)
            target->CpuidIntercepts[index] = target->CpuidIntercepts[--target->CpuidInterceptCount];
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
