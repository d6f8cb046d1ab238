// Calls about a partition's memory map. TLFS, "Guest Physical Address Space".
using System;
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

public static unsafe class MemoryCalls
{
    private const ulong SmallPagesPerLarge = 512;
    private const uint Memory = HvMapGpaFlags.HV_MAP_GPA_READABLE | HvMapGpaFlags.HV_MAP_GPA_WRITABLE | HvMapGpaFlags.HV_MAP_GPA_EXECUTABLE;

    /// <summary>Elements that fit behind the header of an input page.</summary>
    private static uint MaximumReps => (uint)(PageCount.PageSize - (ulong)sizeof(HvInputMapGpaPages)) / sizeof(ulong);

    /// <summary>
    /// HvCallMapGpaPages of <paramref name="count"/> contiguous pages, readable, writable, executable; by 2 MiB pages where both
    /// sides are aligned to them. All numbers are 4 KiB page numbers.
    /// </summary>
    public static HvStatus Map(PartitionAccount* account, ulong guestPage, ulong ownPage, ulong count)
    {
        while (count != 0)
        {
            bool large = (guestPage | ownPage) % SmallPagesPerLarge == 0 && count >= SmallPagesPerLarge;
            ulong step = large ? SmallPagesPerLarge : 1;
            ulong reps = Math.Min(MaximumReps, large ? count / SmallPagesPerLarge : SmallPagesBeforeLarge(guestPage, ownPage, count));
            HvInputMapGpaPages* input = HypercallClient.Prepare<HvInputMapGpaPages>();
            input->TargetPartitionId = account->Id;
            input->TargetGpaBase = guestPage;
            input->MapFlags = large ? Memory | HvMapGpaFlags.HV_MAP_GPA_LARGE_PAGE : Memory;
            ulong* pages = (ulong*)(input + 1);
            for (ulong i = 0; i < reps; i++) pages[i] = ownPage + i * step;
            HvStatus status = HypercallClient.CallReps(account, HypercallCode.HvCallMapGpaPages, (uint)reps, HypercallClient.Input, "HvCallMapGpaPages"u8);
            if (!status.IsSuccess) return status;
            guestPage += reps * step;
            ownPage += reps * step;
            count -= reps * step;
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallUnmapGpaPages.</summary>
    public static HvStatus Unmap(PartitionAccount* account, ulong guestPage, ulong count)
    {
        while (count != 0)
        {
            uint reps = (uint)Math.Min(HypercallInput.MaximumRepCount, count);
            HvInputUnmapGpaPages* input = HypercallClient.Prepare<HvInputUnmapGpaPages>();
            input->TargetPartitionId = account->Id;
            input->TargetGpaBase = guestPage;
            HvStatus status = HypercallClient.CallReps(account, HypercallCode.HvCallUnmapGpaPages, reps, HypercallClient.Input, "HvCallUnmapGpaPages"u8);
            if (!status.IsSuccess) return status;
            guestPage += reps;
            count -= reps;
        }
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>
    /// HvCallTranslateVirtualAddress of a guest's address. False: it does not translate to accessible memory; <paramref name="resultCode"/>
    /// is a constant of <see cref="HvTranslateGvaResultCode"/>, <paramref name="physical"/> where the guest's tables point, if they do.
    /// </summary>
    public static bool TryTranslate(PartitionAccount* account, VpIndex vp, ulong address, ulong controlFlags, out ulong physical, out uint resultCode)
    {
        HvInputTranslateVirtualAddress* input = HypercallClient.Prepare<HvInputTranslateVirtualAddress>();
        input->PartitionId = account->Id;
        input->VpIndex = vp;
        input->ControlFlags = controlFlags;
        input->GvaPage = address >> PageCount.PageShift;
        physical = 0;
        resultCode = HvTranslateGvaResultCode.HvTranslateGvaPageNotPresent;
        if (!HypercallClient.Call(account, HypercallCode.HvCallTranslateVirtualAddress, "HvCallTranslateVirtualAddress"u8).IsSuccess) return false;
        var output = (HvOutputTranslateVirtualAddress*)HypercallClient.Output;
        resultCode = output->ResultCode;
        physical = (output->GpaPage << PageCount.PageShift) + (address & PageCount.PageSize - 1);
        return resultCode == HvTranslateGvaResultCode.HvTranslateGvaSuccess;
    }

    /// <summary>How many small pages come before the next place where a large one could stand.</summary>
    private static ulong SmallPagesBeforeLarge(ulong guestPage, ulong ownPage, ulong count)
    {
        if (guestPage % SmallPagesPerLarge != ownPage % SmallPagesPerLarge) return count;
        ulong before = SmallPagesPerLarge - guestPage % SmallPagesPerLarge;
        return Math.Min(before, count);
    }
}
