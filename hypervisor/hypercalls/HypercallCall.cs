// One hypercall on its way to its handler, and whom it may name.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Hypercalls;

/// <summary>Parameters of one call. Handlers check everything, then act; what they report is the status.</summary>
public unsafe struct HypercallCall
{
    public VirtualProcessor* Caller;
    /// <summary>The fixed and the variable header: the core's own copy.</summary>
    public byte* Header;
    /// <summary>The variable header's length in units of 8 bytes, and where it starts.</summary>
    public uint VariableCount;
    public ulong* Variable;
    /// <summary>Elements of a rep call, in the caller's memory unless the call is fast: each is to be read once.</summary>
    public byte* Elements;
    /// <summary>The output block, in the caller's memory: only ever written. Null when the call has none.</summary>
    public byte* Output;
    /// <summary>The next rep; a handler counts it on as reps are done.</summary>
    public uint Rep;
    /// <summary>Where to stop for now. A handler that did not fail has come this far.</summary>
    public uint RepLimit;
    /// <summary>Where the call ends.</summary>
    public uint RepCount;

    public readonly Partition* Partition => Caller->Partition;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly T* Input<T>() where T : unmanaged => (T*)Header;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly T* Result<T>() where T : unmanaged => (T*)Output;

    /// <summary>The current element of a list of 64-bit numbers.</summary>
    // SAFETY: caller's memory, aligned, inside the checked block. Read once, as a whole.
    public readonly ulong Element64 => System.Threading.Volatile.Read(ref ((ulong*)Elements)[Rep]);

    /// <summary>The current element of a list of 32-bit numbers.</summary>
    public readonly uint Element32 => System.Threading.Volatile.Read(ref ((uint*)Elements)[Rep]);
}

/// <summary>Finds the partition or virtual processor that a parameter names, if the caller may name it: itself, or a child of its own.</summary>
public static unsafe class Targets
{
    public static HvStatus TryResolve(HypercallCall* call, PartitionId id, out Partition* target)
    {
        Partition* caller = call->Partition;
        target = caller;
        if (id.IsSelf || id.Value == caller->Id)
            return HvStatus.HV_STATUS_SUCCESS;
        return TryResolveChild(call, id, out target);
    }

    /// <summary>As <see cref="TryResolve"/>, for what nobody can do to himself.</summary>
    public static HvStatus TryResolveChild(HypercallCall* call, PartitionId id, out Partition* target)
    {
        Partition* caller = call->Partition;
        target = null;
        if (!caller->Privileges.Includes(PartitionPrivileges.CreatePartitions) || id.IsSelf || id.Value == caller->Id)
            return HvStatus.HV_STATUS_ACCESS_DENIED;
        return Partitions.TryFind(id.Value, out target) && target->ParentId == caller->Id
            ? HvStatus.HV_STATUS_SUCCESS : HvStatus.HV_STATUS_INVALID_PARTITION_ID;
    }

    /// <summary>A virtual processor of a partition that the caller may name. HV_VP_INDEX_SELF is the caller's own.</summary>
    public static HvStatus TryResolveVp(HypercallCall* call, PartitionId id, VpIndex index, out VirtualProcessor* vp)
    {
        vp = null;
        HvStatus status = TryResolve(call, id, out Partition* target);
        if (!status.IsSuccess)
            return status;
        if (index.IsSelf && target == call->Partition)
            vp = call->Caller;
        else
            vp = target->GetVp(index.Value);
        return vp == null ? HvStatus.HV_STATUS_INVALID_VP_INDEX : HvStatus.HV_STATUS_SUCCESS;
    }
}

/// <summary>Calls that are carried out where the virtual processor is that they name.</summary>
internal static unsafe class RemoteCalls<TBackend> where TBackend : struct, IBackend
{
    private struct Job
    {
        internal HypercallCall* Call;
        internal delegate*<VirtualProcessor*, HypercallCall*, HvStatus> Handler;
        internal HvStatus Status;
    }

    internal static HvStatus Run(VirtualProcessor* vp, HypercallCall* call, delegate*<VirtualProcessor*, HypercallCall*, HvStatus> handler)
    {
        if (vp->IsHere)
            return handler(vp, call);
        Job job;
        job.Call = call;
        job.Handler = handler;
        job.Status = HvStatus.HV_STATUS_SUCCESS;
        CrossCalls<TBackend>.OnProcessorOf(vp, &Perform, &job);
        return job.Status;
    }

    private static bool Perform(VirtualProcessor* vp, void* argument)
    {
        Job* job = (Job*)argument;
        job->Status = job->Handler(vp, job->Call);
        return true;
    }
}
