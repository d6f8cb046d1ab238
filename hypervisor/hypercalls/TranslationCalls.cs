// HvCallTranslateVirtualAddress: a guest's page tables walked on behalf of its parent. TLFS, "Virtual MMU and TLB".
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Paging;
using static Lamina.Abi.HvTranslateGvaControlFlags;
using static Lamina.Abi.HvTranslateGvaResultCode;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class TranslationCalls<TBackend> where TBackend : struct, IBackend
{
    private const ulong KnownFlags = HV_TRANSLATE_GVA_VALIDATE_READ | HV_TRANSLATE_GVA_VALIDATE_WRITE | HV_TRANSLATE_GVA_VALIDATE_EXECUTE
        | HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT | HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS | HV_TRANSLATE_GVA_TLB_FLUSH_INHIBIT
        | HV_TRANSLATE_GVA_SUPERVISOR_ACCESS | HV_TRANSLATE_GVA_USER_ACCESS;
    private const ulong Accessed = 1 << 5, Dirty = 1 << 6;
    private const int PageShift = 12;

    internal static HvStatus TranslateVirtualAddress(HypercallCall* call)
    {
        HvInputTranslateVirtualAddress* input = call->Input<HvInputTranslateVirtualAddress>();
        HvStatus status = Targets.TryResolveVp(call, input->PartitionId, input->VpIndex, out VirtualProcessor* vp);
        if (!status.IsSuccess)
            return status;
        return (input->ControlFlags & ~KnownFlags) != 0 ? HvStatus.HV_STATUS_INVALID_PARAMETER : RemoteCalls<TBackend>.Run(vp, call, &TranslateHere);
    }

    private static HvStatus TranslateHere(VirtualProcessor* vp, HypercallCall* call)
    {
        HvInputTranslateVirtualAddress* input = call->Input<HvInputTranslateVirtualAddress>();
        ulong flags = input->ControlFlags;
        GuestAccess access = new()
        {
            Write = (flags & HV_TRANSLATE_GVA_VALIDATE_WRITE) != 0,
            Execute = (flags & HV_TRANSLATE_GVA_VALIDATE_EXECUTE) != 0,
            User = IsUser(vp, flags),
        };
        GuestWalkTrace trace;
        trace.Count = 0;
        GuestWalkResult walk = GuestPages<TBackend>.Walk(vp, input->GvaPage << PageShift, access, &trace);
        uint result = Judge(vp, ref walk, access, flags);
        if (result == HvTranslateGvaSuccess && (flags & HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS) != 0)
            SetFlags(vp, &trace, access.Write);
        HvOutputTranslateVirtualAddress* output = call->Result<HvOutputTranslateVirtualAddress>();
        output->ResultCode = result;
        output->Attributes = HvCacheType.HvCacheTypeWriteBack;
        output->GpaPage = walk.GuestPhysical >> PageShift;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool IsUser(VirtualProcessor* vp, ulong flags)
    {
        if ((flags & (HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT | HV_TRANSLATE_GVA_SUPERVISOR_ACCESS)) != 0)
            return false;
        return (flags & HV_TRANSLATE_GVA_USER_ACCESS) != 0 || TBackend.GetCpl(vp) == 3;
    }

    private static uint Judge(VirtualProcessor* vp, ref GuestWalkResult walk, GuestAccess access, ulong flags)
    {
        switch (walk.Status)
        {
            case GuestWalkStatus.NotCanonical: return HvTranslateGvaPageNotPresent;
            case GuestWalkStatus.TableUnreadable: return HvTranslateGvaGpaUnmapped;
            case GuestWalkStatus.PageFault:
                if ((walk.ErrorCode & GuestPageWalker<GuestTableReader>.ErrorPresent) == 0)
                    return HvTranslateGvaPageNotPresent;
                return (walk.ErrorCode & GuestPageWalker<GuestTableReader>.ErrorReserved) != 0
                    ? HvTranslateGvaInvalidPageTableFlags : HvTranslateGvaPrivilegeViolation;
        }
        if (!TBackend.TryTranslateGpa(vp->Partition, walk.GuestPhysical, out _, out PagePermissions permissions))
            return HvTranslateGvaGpaUnmapped;
        if ((flags & HV_TRANSLATE_GVA_VALIDATE_READ) != 0 && !permissions.Read)
            return HvTranslateGvaGpaNoReadAccess;
        return access.Write && !permissions.Write ? HvTranslateGvaGpaNoWriteAccess : HvTranslateGvaSuccess;
    }

    /// <summary>Sets the flags that the access itself would have set: accessed on the way, dirty on the page. SDM 3A, "Accessed and Dirty Flags".</summary>
    private static void SetFlags(VirtualProcessor* vp, GuestWalkTrace* trace, bool write)
    {
        GuestPagingMode mode = GuestPages<TBackend>.StateOf(vp).Mode;
        // The four top entries of PAE have no such flags.
        for (int i = mode == GuestPagingMode.Pae ? 1 : 0; i < trace->Count; i++)
        {
            if (!GuestPages<TBackend>.TryGetPointer(vp->Partition, trace->Slots[i], true, out byte* page))
                return;
            uint bits = (uint)(write && i == trace->Count - 1 ? Accessed | Dirty : Accessed);
            // SAFETY: an aligned word of guest memory, changed as a processor would: by a locked OR of the low half.
            Interlocked.Or(ref *(uint*)(page + (trace->Slots[i] & 0xFFF)), bits);
        }
    }
}
