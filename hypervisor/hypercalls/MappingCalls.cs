// Calls about a child's memory map. TLFS, "Guest Physical Address Space".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Paging;
using static Lamina.Abi.HvMapGpaFlags;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class MappingCalls<TBackend> where TBackend : struct, IBackend
{
    private const ulong PageBytes = 4096, PagesPerLarge = 512, MaximumPageNumber = 1UL << 36;
    private const uint KnownFlags = HV_MAP_GPA_PERMISSIONS_MASK | HV_MAP_GPA_ADJUSTABLE | HV_MAP_GPA_NOT_CACHED | HV_MAP_GPA_LARGE_PAGE;

    /// <summary>HvCallMapGpaPages: pages of the caller appear in the child as well. The caller keeps them mapped.</summary>
    internal static HvStatus MapGpaPages(HypercallCall* call)
    {
        HvInputMapGpaPages* input = call->Input<HvInputMapGpaPages>();
        HvStatus status = TryResolveActive(call, input->TargetPartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        if (!TryDecode(input->MapFlags, out PagePermissions permissions))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        ulong step = (input->MapFlags & HV_MAP_GPA_LARGE_PAGE) != 0 ? PagesPerLarge : 1;
        if (input->TargetGpaBase >= MaximumPageNumber || input->TargetGpaBase % step != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        uint before = call->Rep;
        while (call->Rep < call->RepLimit && status.IsSuccess)
        {
            status = Map(call->Partition, target, input->TargetGpaBase + call->Rep * step, call->Element64, step, permissions);
            if (status.IsSuccess)
                call->Rep++;
        }
        if (call->Rep != before)
            Overlays<TBackend>.Resolve(target);
        return status;
    }

    private static HvStatus Map(Partition* owner, Partition* target, ulong targetPage, ulong ownPage, ulong pages, PagePermissions permissions)
    {
        if (ownPage >= MaximumPageNumber || ownPage % pages != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (!TryFindRun(owner, ownPage * PageBytes, pages * PageBytes, out ulong physical))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        PageTableResult result = TBackend.MapGpa(target, targetPage * PageBytes, physical, pages, permissions, pages == 1 ? PageSize.Page4K : PageSize.Page2M);
        return result.Status switch
        {
            PageTableStatus.Success => HvStatus.HV_STATUS_SUCCESS,
            PageTableStatus.InsufficientMemory => HvStatus.HV_STATUS_INSUFFICIENT_MEMORY,
            _ => HvStatus.HV_STATUS_INVALID_PARAMETER,
        };
    }

    /// <summary>Whether a range of the owner's is its own RAM, physically contiguous, and may be given on. What it may only read is the core's: a page of counters.</summary>
    private static bool TryFindRun(Partition* owner, ulong gpa, ulong length, out ulong physical)
    {
        physical = 0;
        for (ulong done = 0; done < length;)
        {
            if (!TBackend.TryTranslateGpa(owner, gpa + done, out ulong part, out PagePermissions permissions, out PageSize size) || !permissions.Write)
                return false;
            if (done == 0)
                physical = part;
            else if (part != physical + done)
                return false;
            ulong bytes = PageGeometry.BytesOf((int)size);
            done += bytes - (part & (bytes - 1));
        }
        return GuestPages<TBackend>.IsOwnableRam(physical, length);
    }

    private static bool TryDecode(uint flags, out PagePermissions permissions)
    {
        uint execute = flags & HV_MAP_GPA_EXECUTABLE;
        permissions = new PagePermissions((flags & HV_MAP_GPA_READABLE) != 0, (flags & HV_MAP_GPA_WRITABLE) != 0, execute != 0,
            type: (flags & HV_MAP_GPA_NOT_CACHED) != 0 ? MemoryType.Uncacheable : MemoryType.WriteBack);
        // Pages without any access are not mapped at all; kernel and user execution are not told apart.
        return (flags & ~KnownFlags) == 0 && permissions.Read && execute is 0 or HV_MAP_GPA_EXECUTABLE;
    }

    /// <summary>HvCallUnmapGpaPages. Holes are fine.</summary>
    internal static HvStatus UnmapGpaPages(HypercallCall* call)
    {
        HvInputUnmapGpaPages* input = call->Input<HvInputUnmapGpaPages>();
        HvStatus status = TryResolveActive(call, input->TargetPartitionId, out Partition* target);
        if (!status.IsSuccess)
            return status;
        ulong step = (input->UnmapFlags & HV_UNMAP_GPA_LARGE_PAGE) != 0 ? PagesPerLarge : 1;
        if ((input->UnmapFlags & ~HV_UNMAP_GPA_LARGE_PAGE) != 0 || input->TargetGpaBase >= MaximumPageNumber || input->TargetGpaBase % step != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        ulong first = input->TargetGpaBase + call->Rep * step;
        PageTableResult result = TBackend.UnmapGpa(target, first * PageBytes, (call->RepLimit - call->Rep) * step);
        call->Rep += (uint)(result.PagesDone / step);
        Overlays<TBackend>.Resolve(target);
        return result.Status switch
        {
            PageTableStatus.Success => HvStatus.HV_STATUS_SUCCESS,
            PageTableStatus.InsufficientMemory => HvStatus.HV_STATUS_INSUFFICIENT_MEMORY,
            _ => HvStatus.HV_STATUS_INVALID_PARAMETER,
        };
    }

    private static HvStatus TryResolveActive(HypercallCall* call, PartitionId id, out Partition* target)
    {
        HvStatus status = Targets.TryResolveChild(call, id, out target);
        return status.IsSuccess && target->State != PartitionState.Active ? HvStatus.HV_STATUS_INVALID_PARTITION_STATE : status;
    }
}
