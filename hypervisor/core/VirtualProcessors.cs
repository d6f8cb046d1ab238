// Makes and unmakes virtual processors. Every page of one comes from its partition's account and goes back there.
using Lamina.Abi;
using Lamina.Hypervisor.Apic;

namespace Lamina.Hypervisor.Core;

public static unsafe class VirtualProcessors<TBackend> where TBackend : struct, IBackend
{
    /// <summary>MTRRs enabled, everything write-back: what firmware would have left. SDM 3A, "IA32_MTRR_DEF_TYPE MSR".</summary>
    private const ulong MtrrDefType = 0xC06;
    /// <summary>Fast strings. SDM 4, "IA32_MISC_ENABLE".</summary>
    private const ulong MiscEnable = 1;
    // Itself, the APIC page, extended state, counters, what SIMP and SIEFP cover, and the backend's.
    private static ulong PagesPerVp => 6 + TBackend.PagesPerVp;

    /// <summary>
    /// Creates a virtual processor, explicitly suspended; all but the first also wait for a start-up IPI.
    /// HV_STATUS_INSUFFICIENT_MEMORY leaves the account as it was.
    /// </summary>
    public static HvStatus Create(Partition* partition, uint index, out VirtualProcessor* vp)
    {
        vp = null;
        if (index >= Partition.MaximumVps)
            return HvStatus.HV_STATUS_INVALID_VP_INDEX;
        if (partition->GetVp(index) != null)
            return HvStatus.HV_STATUS_OBJECT_IN_USE;
        // Counted before any is taken: what follows cannot run out half way.
        if (partition->Account.Count < PagesPerVp)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        ulong self = Take(partition), apicPage = Take(partition), extendedState = Take(partition), stats = Take(partition);

        VirtualProcessor* created = (VirtualProcessor*)PhysicalMap.ToPointer(self);
        created->Partition = partition;
        created->Index = index;
        created->ExtendedState = PhysicalMap.ToPointer(extendedState);
        created->Stats = (HvStatsPage*)PhysicalMap.ToPointer(stats);
        created->MessageOverlay.Saved = Take(partition);
        created->EventOverlay.Saved = Take(partition);
        created->TscOffset = partition->TscOffset;
        created->Apic.Initialize(PhysicalMap.ToPointer(apicPage), index, index == 0);
        HvStatus status = TBackend.InitializeVp(created);
        if (!status.IsSuccess)
        {
            ReturnPages(created);
            return status;
        }
        Initialize(created);
        partition->Vps[index] = (ulong)created;
        partition->VpCount++;
        vp = created;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static ulong Take(Partition* partition)
    {
        partition->Account.TryTake(out ulong page);
        return page;
    }

    private static void Initialize(VirtualProcessor* vp)
    {
        vp->Apic.SetTickRatio(LocalApic.ComputeTickRatio(Clock.TscHz, Clock.VirtualApicHz));
        vp->Synic.Initialize();
        vp->SyntheticTimers.Reset();
        vp->Scheduling.Owner = vp;
        vp->Scheduling.Group = vp->Partition;
        vp->Scheduling.Weight = vp->Partition->CpuWeight;
        vp->Scheduling.Cap = vp->Partition->CpuCap;
        vp->Scheduling.Reserve = vp->Partition->CpuReserve;
        vp->Timer.Owner = vp;
        vp->CapTimer.Owner = vp;
        vp->MiscEnable = MiscEnable;
        vp->MtrrDefType = MtrrDefType;
        vp->Intercept.Initialize(&vp->InterceptMessage);
        vp->EoiNotice.Initialize(&vp->EoiMessage);
        vp->SecondStageGeneration = vp->Partition->SecondStageGeneration;
        vp->SuspendReasons = SuspendReason.Explicit | (vp->Index == 0 ? 0 : SuspendReason.Startup);
    }

    /// <summary>Takes a virtual processor off the machine, together with its messages and the device interrupts that it gets. It must not be the caller's own.</summary>
    public static void Delete(VirtualProcessor* vp)
    {
        Partition* partition = vp->Partition;
        Scheduler<TBackend>.Remove(vp);
        DeviceInterrupts.UnmapAll(vp);
        // Its own notices may wait for a slot of the parent, and messages of ports for a slot of its own.
        VirtualProcessor* parent = Partitions.Root->GetVp(0);
        Intercepts<TBackend>.Withdraw(vp);
        if (vp->EoiNotice.IsQueued)
            parent->Synic.Withdraw(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX, &vp->EoiNotice);
        vp->Synic.Reset();
        StatsPages<TBackend>.Withdraw(vp);
        partition->Vps[vp->Index] = 0;
        partition->VpCount--;
        ReturnPages(vp);
    }

    // Last the page that says where the others are. The account zeroes them: they hold a guest's registers.
    private static void ReturnPages(VirtualProcessor* vp)
    {
        Partition* partition = vp->Partition;
        TBackend.DestroyVp(vp);
        ulong extendedState = PhysicalMap.ToPhysical(vp->ExtendedState),
            apicPage = PhysicalMap.ToPhysical(vp->Apic.RegisterPage), stats = PhysicalMap.ToPhysical(vp->Stats), self = PhysicalMap.ToPhysical(vp);
        partition->Account.Add(extendedState);
        partition->Account.Add(vp->MessageOverlay.Saved);
        partition->Account.Add(vp->EventOverlay.Saved);
        partition->Account.Add(apicPage);
        partition->Account.Add(stats);
        partition->Account.Add(self);
    }

    /// <summary>Has a virtual processor drop all its translations before it runs on.</summary>
    public static void FlushTranslations(VirtualProcessor* vp) => vp->SecondStageGeneration = vp->Partition->SecondStageGeneration - 1;
}
