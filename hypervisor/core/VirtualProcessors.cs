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
    /// <remarks>It belongs to the processor that has fewest of its kind; the root's to the first.</remarks>
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
        LogicalProcessor* processor = Choose(partition);
        created->Processor = (ulong)processor;
        HvStatus status;
        if (!CrossCalls<TBackend>.TryOn(processor, created, &InitializeHere, &status))
        {
            ReturnPages(created);
            return status;
        }
        Initialize(created);
        System.Threading.Volatile.Write(ref partition->Vps[index], (ulong)created);
        partition->VpCount++;
        vp = created;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool InitializeHere(VirtualProcessor* vp, void* status)
    {
        *(HvStatus*)status = TBackend.InitializeVp(vp);
        return ((HvStatus*)status)->IsSuccess;
    }

    /// <summary>Of those with equally few the last: the first has the root.</summary>
    private static LogicalProcessor* Choose(Partition* partition)
    {
        LogicalProcessor* best = LogicalProcessor.Current;
        if (LogicalProcessors.IsSingle || partition->IsRoot)
            return best;
        uint* counts = stackalloc uint[LogicalProcessors.Maximum];
        for (int i = 0; i < LogicalProcessors.Count; i++) counts[i] = 0;
        for (int slot = 0; slot < Partitions.Maximum; slot++)
        {
            Partition* other = Partitions.At(slot);
            for (uint i = 0; other != null && i < Partition.MaximumVps; i++)
                if (other->GetVp(i) != null) counts[((LogicalProcessor*)other->GetVp(i)->Processor)->Index]++;
        }
        for (int i = 0; i < LogicalProcessors.Count; i++)
            if (counts[i] <= counts[best->Index]) best = LogicalProcessors.At(i);
        return best;
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
        // Whatever was cached of one before it with the same number is not its own.
        FlushTranslations(vp);
        vp->SuspendReasons = SuspendReason.Explicit | (vp->Index == 0 ? 0 : SuspendReason.Startup);
    }

    /// <summary>Takes a virtual processor off the machine, together with its messages and the device interrupts that it gets. It must not be the caller's own.</summary>
    public static void Delete(VirtualProcessor* vp)
    {
        Partition* partition = vp->Partition;
        DeviceInterrupts.UnmapAll(vp);
        // It stops while its siblings still find it: a flush of theirs that passed it over would not wait for what it executes.
        CrossCalls<TBackend>.OnProcessorOf(vp, &SuspendHere, null);
        // Nobody finds it any more; whoever has is done with it after this.
        System.Threading.Volatile.Write(ref partition->Vps[vp->Index], 0UL);
        partition->VpCount--;
        Quiescence.LeaveAll();
        CrossCalls<TBackend>.OnProcessorOf(vp, &RemoveHere, null);
        // Its own notices may wait for a slot of the parent, and messages of ports for a slot of its own.
        Intercepts<TBackend>.Withdraw(vp);
        Intercepts<TBackend>.WithdrawEoi(vp);
        vp->SynicLock.Acquire(LockRank.Synic);
        vp->Synic.Reset();
        vp->SynicLock.Release(LockRank.Synic);
        StatsPages<TBackend>.Withdraw(vp);
        ReturnPages(vp);
    }

    /// <summary>For <see cref="CrossCalls{TBackend}"/>: explicitly suspended.</summary>
    public static bool SuspendHere(VirtualProcessor* vp, void* nothing)
    {
        Scheduler<TBackend>.Suspend(vp, SuspendReason.Explicit);
        return true;
    }

    /// <summary>False while it is on its way from one processor to another, or somebody's wish for it is.</summary>
    private static bool RemoveHere(VirtualProcessor* vp, void* nothing)
    {
        if (System.Threading.Volatile.Read(ref vp->Requests) != 0)
            return false;
        Scheduler<TBackend>.Remove(vp);
        TBackend.DestroyVp(vp);
        return true;
    }

    // Last the page that says where the others are. The account zeroes them: they hold a guest's registers.
    private static void ReturnPages(VirtualProcessor* vp)
    {
        Partition* partition = vp->Partition;
        ulong extendedState = PhysicalMap.ToPhysical(vp->ExtendedState),
            apicPage = PhysicalMap.ToPhysical(vp->Apic.RegisterPage), stats = PhysicalMap.ToPhysical(vp->Stats), self = PhysicalMap.ToPhysical(vp);
        partition->Account.Add(extendedState);
        partition->Account.Add(vp->MessageOverlay.Saved);
        partition->Account.Add(vp->EventOverlay.Saved);
        partition->Account.Add(apicPage);
        partition->Account.Add(stats);
        partition->Account.Add(self);
    }

    /// <summary>
    /// Has any virtual processor drop its translations before it runs on. The bit of the processor that may be executing it now, and has to be waited
    /// for; 0 when it is not, or is here.
    /// </summary>
    public static ulong RequestFlush(VirtualProcessor* vp)
    {
        if (vp->IsHere)
        {
            FlushTranslations(vp);
            return 0;
        }
        System.Threading.Interlocked.Exchange(ref vp->FlushRequested, 1u);
        LogicalProcessor* processor = (LogicalProcessor*)System.Threading.Volatile.Read(ref vp->Processor);
        return System.Threading.Volatile.Read(ref processor->Entered) == (ulong)vp ? 1UL << processor->Index : 0;
    }

    /// <summary>Has a virtual processor of the executing processor drop all its translations before it runs on.</summary>
    public static void FlushTranslations(VirtualProcessor* vp) => vp->SecondStageGeneration = vp->Partition->SecondStageGeneration - 1;
}
