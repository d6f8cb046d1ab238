// Calls that make and unmake partitions. TLFS, "Partition Manager".
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

public static unsafe class PartitionCalls
{
    /// <summary>HvCallCreatePartition; the new identity goes to <paramref name="account"/>, the pages it takes come from <paramref name="creator"/>.</summary>
    public static HvStatus Create(PartitionAccount* creator, PartitionAccount* account, ulong flags)
    {
        HvStatus status;
        for (int deposits = 0; ; deposits++)
        {
            HvInputCreatePartition* input = HypercallClient.Prepare<HvInputCreatePartition>();
            input->Flags = flags;
            status = HypercallClient.CallQuietly(null, HypercallCode.HvCallCreatePartition);
            if (status != HvStatus.HV_STATUS_INSUFFICIENT_MEMORY || deposits == 32 || !DepositPool.TryDeposit(creator)) break;
        }
        if (status.IsSuccess) account->Id = ((HvOutputCreatePartition*)HypercallClient.Output)->NewPartitionId;
        else HypercallClient.Report(account, "HvCallCreatePartition"u8, status);
        return status;
    }

    /// <summary>HvCallInitializePartition: after it, processors and memory can be given.</summary>
    public static HvStatus Initialize(PartitionAccount* account)
    {
        HypercallClient.Prepare<HvInputInitializePartition>()->PartitionId = account->Id;
        return HypercallClient.Call(account, HypercallCode.HvCallInitializePartition, "HvCallInitializePartition"u8);
    }

    /// <summary>HvCallFinalizePartition: nothing of it runs any more; its memory can be withdrawn.</summary>
    public static HvStatus Finalize(PartitionAccount* account)
    {
        HypercallClient.Prepare<HvInputFinalizePartition>()->PartitionId = account->Id;
        return HypercallClient.Call(account, HypercallCode.HvCallFinalizePartition, "HvCallFinalizePartition"u8);
    }

    /// <summary>HvCallDeletePartition.</summary>
    public static HvStatus Delete(PartitionAccount* account)
    {
        HypercallClient.Prepare<HvInputDeletePartition>()->PartitionId = account->Id;
        return HypercallClient.Call(account, HypercallCode.HvCallDeletePartition, "HvCallDeletePartition"u8);
    }

    /// <summary>HvCallSetPartitionProperty; reports nothing, since cores may lack properties that are merely wished for.</summary>
    public static HvStatus SetProperty(PartitionAccount* account, uint propertyCode, ulong value)
    {
        HvInputSetPartitionProperty* input = HypercallClient.Prepare<HvInputSetPartitionProperty>();
        input->PartitionId = account->Id;
        input->PropertyCode = propertyCode;
        input->PropertyValue = value;
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallSetPartitionProperty);
    }

    /// <summary>HvCallGetPartitionProperty.</summary>
    public static HvStatus GetProperty(PartitionAccount* account, uint propertyCode, out ulong value)
    {
        HvInputGetPartitionProperty* input = HypercallClient.Prepare<HvInputGetPartitionProperty>();
        input->PartitionId = account->Id;
        input->PropertyCode = propertyCode;
        HvStatus status = HypercallClient.CallQuietly(account, HypercallCode.HvCallGetPartitionProperty);
        value = status.IsSuccess ? ((HvOutputGetPartitionProperty*)HypercallClient.Output)->PropertyValue : 0;
        return status;
    }

    /// <summary>HvCallInstallIntercept for the ports <paramref name="first"/>..<paramref name="last"/>, both directions.</summary>
    public static HvStatus InterceptPorts(PartitionAccount* account, ushort first, ushort last)
    {
        for (uint port = first; port <= last; port++)
        {
            HvInputInstallIntercept* input = HypercallClient.Prepare<HvInputInstallIntercept>();
            input->PartitionId = account->Id;
            input->AccessType = HvInterceptAccessMask.HV_INTERCEPT_ACCESS_MASK_READ | HvInterceptAccessMask.HV_INTERCEPT_ACCESS_MASK_WRITE;
            input->InterceptType = HvInterceptType.HvInterceptTypeX64IoPort;
            input->InterceptParameters = new HvInterceptParameters(port);
            HvStatus status = HypercallClient.Call(account, HypercallCode.HvCallInstallIntercept, "HvCallInstallIntercept"u8);
            if (!status.IsSuccess) return status;
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
