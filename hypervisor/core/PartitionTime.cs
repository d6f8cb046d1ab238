// A partition's time stands still while its parent says so: its counters go on from where they were. TLFS, "HvPartitionPropertyTimeFreeze".
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class PartitionTime<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Reference time, in 100 ns.</summary>
    public static ulong Now(Partition* partition) =>
        partition->FrozenSince == 0 ? Clock.ReferenceTime(partition) : partition->Time.FromTsc(partition->FrozenSince + partition->TscOffset);

    /// <summary>False: one of its processors may run.</summary>
    public static bool TrySetFrozen(Partition* partition, bool frozen)
    {
        for (uint i = 0; i < Partition.MaximumVps; i++)
            if (partition->GetVp(i) != null && (System.Threading.Volatile.Read(ref partition->GetVp(i)->SuspendReasons) & SuspendReason.Explicit) == 0)
                return false;
        if (frozen == (partition->FrozenSince != 0))
            return true;
        ulong now = Instructions.RdTsc(), missed = now - partition->FrozenSince;
        partition->FrozenSince = frozen ? now : 0;
        if (!frozen)
            partition->TscOffset -= missed;
        for (uint i = 0; i < Partition.MaximumVps; i++)
            if (partition->GetVp(i) != null) CrossCalls<TBackend>.OnProcessorOf(partition->GetVp(i), frozen ? &FreezeHere : &GoOnHere, &missed);
        return true;
    }

    private static bool FreezeHere(VirtualProcessor* vp, void* nothing)
    {
        Timers<TBackend>.Stop(vp);
        return true;
    }

    // Everything that a guest set is by its own counter, which has missed nothing.
    private static bool GoOnHere(VirtualProcessor* vp, void* missed)
    {
        vp->TscOffset -= *(ulong*)missed;
        TBackend.SetTscOffset(vp, vp->TscOffset);
        Timers<TBackend>.Update(vp);
        return true;
    }
}
