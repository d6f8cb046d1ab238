// All partitions of the machine, and a partition's life: created, initialized, finalized, deleted. TLFS, "Partition Manager".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Hypercalls;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>Partitions by identity. An identity is never given out twice; its slot is the identity modulo the table's size.</summary>
public static unsafe class Partitions
{
    public const int Maximum = 256;

    private struct Table { public fixed ulong Entries[Maximum]; }
    private static class Storage { internal static Table Table; }
    private static class Sequence { internal static ulong Last; }

    /// <summary>The root; null before it was installed.</summary>
    public static Partition* Root
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Partition*)Storage.Table.Entries[Partition.RootId];
    }

    /// <summary>The partition in a slot, or null.</summary>
    public static Partition* At(int slot) => (Partition*)Storage.Table.Entries[slot];

    /// <summary>Finds a partition that has not been deleted.</summary>
    public static bool TryFind(ulong id, out Partition* partition)
    {
        partition = InSlotOf(id);
        return partition != null && partition->Id == id;
    }

    /// <summary>The only partition that can have this identity, or null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Partition* InSlotOf(ulong id) => (Partition*)Storage.Table.Entries[id % Maximum];

    /// <summary>Makes a zeroed page the partition <paramref name="id"/>, in state Created with the usual privileges. The slot must be free.</summary>
    public static Partition* Install(ulong physicalPage, ulong id)
    {
        Partition* partition = (Partition*)PhysicalMap.ToPointer(physicalPage);
        partition->Id = id;
        partition->SelfPhysical = physicalPage;
        partition->State = PartitionState.Created;
        partition->CpuWeight = SchedulerEntity.DefaultWeight;
        partition->Privileges = id == Partition.RootId ? DefaultPrivileges.Root : DefaultPrivileges.Child;
        Storage.Table.Entries[(int)(id % Maximum)] = (ulong)partition;
        if (id > Sequence.Last)
            Sequence.Last = id;
        return partition;
    }

    /// <summary>The next identity whose slot is free. False: the table is full.</summary>
    public static bool TryChooseId(out ulong id)
    {
        id = Sequence.Last;
        for (int i = 0; i < Maximum; i++)
            if (Storage.Table.Entries[(int)(++id % Maximum)] == 0)
                return true;
        return false;
    }

    internal static void Forget(Partition* partition) => Storage.Table.Entries[(int)(partition->Id % Maximum)] = 0;
}

/// <summary>What partitions may do unless their parent says otherwise. TLFS, "Partition Privilege Flags".</summary>
public static class DefaultPrivileges
{
    private static PartitionPrivileges Msrs =>
        PartitionPrivileges.AccessVpRunTimeMsr | PartitionPrivileges.AccessPartitionReferenceCounter | PartitionPrivileges.AccessSynicMsrs
        | PartitionPrivileges.AccessSyntheticTimerMsrs | PartitionPrivileges.AccessIntrCtrlMsrs | PartitionPrivileges.AccessHypercallMsrs
        | PartitionPrivileges.AccessVpIndex | PartitionPrivileges.AccessResetMsr | PartitionPrivileges.AccessPartitionReferenceTsc
        | PartitionPrivileges.AccessGuestIdleMsr | PartitionPrivileges.AccessFrequencyMsrs
        | (CpuidPolicy.HasInvariantTsc ? PartitionPrivileges.AccessTscInvariantControls : PartitionPrivileges.None);

    public static PartitionPrivileges Child => Msrs | PartitionPrivileges.PostMessages | PartitionPrivileges.SignalEvents;

    public static PartitionPrivileges Root => Child | PartitionPrivileges.CreatePartitions | PartitionPrivileges.AccessPartitionId
        | PartitionPrivileges.AccessMemoryPool | PartitionPrivileges.CreatePort | PartitionPrivileges.ConnectPort
        | PartitionPrivileges.CpuManagement | PartitionPrivileges.AccessVpRegisters | PartitionPrivileges.AccessStats;

    /// <summary>
    /// What a parent may give to a child: nothing that reaches beyond the child itself, since intercepts of grandchildren would have nobody to go to; and
    /// none of the calls that change a partition's account and ports, or wait for another processor, which only the root makes (docs/decisions/0013).
    /// </summary>
    public static PartitionPrivileges ChildMaximum => Child | PartitionPrivileges.AccessPartitionId;
}

/// <summary>The state machine. Callers have checked who asks.</summary>
public static unsafe class PartitionLifecycle<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Creates a child; its own page is paid by the parent. Time starts at 0.</summary>
    public static HvStatus Create(Partition* parent, out Partition* child)
    {
        child = null;
        if (!Partitions.TryChooseId(out ulong id))
            return HvStatus.HV_STATUS_NO_RESOURCES;
        if (!parent->Account.TryTake(out ulong page))
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        child = Partitions.Install(page, id);
        child->ParentId = parent->Id;
        // Its TSC is the machine's: host and guest times can be compared, and nothing is lost by it.
        child->Time.TryInitialize(Clock.TscHz, Clock.Now);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static HvStatus Initialize(Partition* partition)
    {
        if (partition->State != PartitionState.Created)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        if (partition->Account.Count < 3)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        HvStatus status = TBackend.InitializeSecondStage(partition);
        if (!status.IsSuccess)
            return status;
        partition->Account.TryTake(out partition->HypercallOverlay.Saved);
        partition->Account.TryTake(out partition->TscOverlay.Saved);
        partition->State = PartitionState.Active;
        return status;
    }

    /// <summary>Nothing of the partition runs or is mapped any more; all its pages are in its account.</summary>
    public static HvStatus Finalize(Partition* partition)
    {
        if (partition->State != PartitionState.Active || partition->IsRoot)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        partition->State = PartitionState.Finalized;
        for (uint i = 0; i < Partition.MaximumVps; i++)
        {
            VirtualProcessor* vp = partition->GetVp(i);
            if (vp != null)
                VirtualProcessors<TBackend>.Delete(vp);
        }
        Ports.DeleteAll(partition);
        for (int i = 0; i < 2; i++)
        {
            // Add refuses 0, the page that was never taken.
            partition->Account.Add(partition->PortIntercepts[i]);
            partition->PortIntercepts[i] = 0;
        }
        partition->Account.Add(partition->HypercallOverlay.Saved);
        partition->Account.Add(partition->TscOverlay.Saved);
        partition->HypercallOverlay = default;
        partition->TscOverlay = default;
        TBackend.DestroySecondStage(partition);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>The partition is gone, and its page is its parent's again. All deposits must have been withdrawn.</summary>
    public static HvStatus Delete(Partition* partition)
    {
        if (partition->IsRoot || partition->State == PartitionState.Active || partition->Account.Count != 0)
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        if (!Partitions.TryFind(partition->ParentId, out Partition* parent))
            return HvStatus.HV_STATUS_INVALID_PARTITION_STATE;
        Partitions.Forget(partition);
        Quiescence.LeaveAll();
        parent->Account.Add(partition->SelfPhysical);
        return HvStatus.HV_STATUS_SUCCESS;
    }
}
