// Calls about the accounts that partitions' bookkeeping is paid from. TLFS, "Hypervisor Memory".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Memory;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class MemoryCalls<TBackend> where TBackend : struct, IBackend
{
    private const ulong PageBytes = 4096, LargePageBytes = 512 * PageBytes, MaximumPageNumber = 1UL << 36;

    /// <summary>HvCallDepositMemory: pages leave the caller's map and join the target's account, zeroed.</summary>
    internal static HvStatus DepositMemory(HypercallCall* call)
    {
        HvStatus status = Targets.TryResolve(call, call->Input<HvInputDepositMemory>()->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        if (target->State == PartitionState.Finalized)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        ulong listPage = PhysicalMap.ToPhysical(call->Elements) & ~(PageBytes - 1);
        uint before = call->Rep;
        while (call->Rep < call->RepLimit && status.IsSuccess)
        {
            status = Deposit(call->Partition, target, call->Element64, listPage);
            if (status.IsSuccess)
                call->Rep++;
        }
        // A page that the caller shares with the core may have been among them.
        if (call->Rep != before)
            Overlays<TBackend>.Resolve(call->Partition);
        return status;
    }

    private static HvStatus Deposit(Partition* giver, Partition* target, ulong pageNumber, ulong listPage)
    {
        if (pageNumber >= MaximumPageNumber)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        ulong gpa = pageNumber * PageBytes;
        // What is deposited is mapped nowhere any more, so that the same page cannot be found a second time.
        if (!TBackend.TryTranslateGpa(giver, gpa, out ulong physical, out PagePermissions permissions) || !permissions.Write
            || !GuestPages<TBackend>.IsOwnableRam(physical, PageBytes) || physical == listPage)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (!TBackend.UnmapGpa(giver, gpa, 1).Succeeded)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        target->Account.Add(physical);
        target->DepositedPages++;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>
    /// HvCallWithdrawMemory: free pages of the target's account are the caller's again, where they were. With fewer pages than
    /// asked for, HV_STATUS_NO_RESOURCES after the last.
    /// </summary>
    internal static HvStatus WithdrawMemory(HypercallCall* call)
    {
        HvStatus status = Targets.TryResolve(call, call->Input<HvInputWithdrawMemory>()->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        // The root's account began with pages of the core's own, which must not get out.
        PagePool<PhysicalMap> kept = default;
        ulong region = ulong.MaxValue;
        while (call->Rep < call->RepLimit && status.IsSuccess)
        {
            if (!target->Account.TryTake(out ulong page))
            {
                status = HvStatus.HV_STATUS_NO_RESOURCES;
                break;
            }
            if (CoreMemory.Overlaps(page, PageBytes))
            {
                kept.AddZeroed(page);
                continue;
            }
            if (!TBackend.MapGpa(call->Partition, page, page, 1, PagePermissions.ReadWriteExecute, PageSize.Page4K).Succeeded)
            {
                kept.AddZeroed(page);
                status = HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
                break;
            }
            ((ulong*)call->Output)[call->Rep++] = page / PageBytes;
            target->DepositedPages--;
            if (page / LargePageBytes != region && region != ulong.MaxValue)
                Merge(call->Partition, region * LargePageBytes);
            region = page / LargePageBytes;
        }
        if (region != ulong.MaxValue)
            Merge(call->Partition, region * LargePageBytes);
        kept.MoveAllTo(ref target->Account);
        return status;
    }

    /// <summary>Where deposits had split a large page of the caller's, it becomes one again once they are all back, and the table's page is free.</summary>
    private static void Merge(Partition* partition, ulong start)
    {
        if (!GuestPages<TBackend>.IsOwnableRam(start, LargePageBytes))
            return;
        for (ulong gpa = start; gpa < start + LargePageBytes; gpa += PageBytes)
        {
            if (!TBackend.TryTranslateGpa(partition, gpa, out ulong physical, out PagePermissions permissions, out PageSize size)
                || size != PageSize.Page4K || physical != gpa || !IsPlain(permissions))
                return;
        }
        // The caller does not run meanwhile; neither step takes memory.
        TBackend.UnmapGpa(partition, start, LargePageBytes / PageBytes);
        TBackend.MapGpa(partition, start, start, LargePageBytes / PageBytes, PagePermissions.ReadWriteExecute, PageSize.Page2M);
    }

    private static bool IsPlain(PagePermissions permissions) =>
        permissions.Read && permissions.Write && permissions.Execute && permissions.Type == MemoryType.WriteBack;

    /// <summary>HvCallGetMemoryBalance.</summary>
    internal static HvStatus GetMemoryBalance(HypercallCall* call)
    {
        HvStatus status = Targets.TryResolve(call, call->Input<HvInputGetMemoryBalance>()->PartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        HvOutputGetMemoryBalance* output = call->Result<HvOutputGetMemoryBalance>();
        output->PagesAvailable = new PageCount(target->Account.Count);
        output->PagesInUse = new PageCount(target->DepositedPages - target->Account.Count);
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
