// The scheduler among several logical processors: parking, who is given away and who arrives. Which processor it should be is Placement's (docs/decisions/0013).
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe partial class Scheduler<TBackend> where TBackend : struct, IBackend
{
    /// <summary>
    /// No virtual processor's state is in the processor: here it does what others ask of it, gives away who waits too long, and sleeps. Returns
    /// whom to enter.
    /// </summary>
    public static VirtualProcessor* Park()
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        processor->InRegisters = null;
        while (true)
        {
            Visits<TBackend>.Receive(processor);
            CrossCalls<TBackend>.Serve(processor);
            GiveAway(processor);
            VirtualProcessor* vp = processor->Running;
            if (vp == null && (vp = Dispatch(processor, Instructions.RdTsc())) == null)
            {
                Sleep(processor);
                continue;
            }
            if ((vp = PrepareEntry(vp)) != null)
                return vp;
        }
    }

    /// <summary>
    /// Others see from here on that this processor may execute for <paramref name="vp"/>, and wait for it when they take something away; what they took before,
    /// and what they want flushed, is seen here. One of the two sees the other: each writes its own word first.
    /// </summary>
    private static void Announce(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        System.Threading.Volatile.Write(ref processor->Entered, (ulong)vp);
        System.Threading.Interlocked.MemoryBarrier();
        if (System.Threading.Volatile.Read(ref vp->FlushRequested) == 0)
            return;
        System.Threading.Interlocked.Exchange(ref vp->FlushRequested, 0u);
        VirtualProcessors<TBackend>.FlushTranslations(vp);
    }

    /// <summary>The state in registers is on its way to memory: what the world switch does not exchange goes first.</summary>
    private static VirtualProcessor* Unload(LogicalProcessor* processor)
    {
        if (processor->Loaded != null)
            TBackend.Leave(processor->Loaded);
        processor->Loaded = null;
        System.Threading.Volatile.Write(ref processor->Entered, 0UL);
        return null;
    }

    /// <summary>One sleep of a parked processor. Before it, whoever has somebody waiting is asked for one.</summary>
    private static void Sleep(LogicalProcessor* processor)
    {
        if (processor->Timers.Disarm(&processor->SliceTimer))
            Timers<TBackend>.Program(processor);
        int from = Placement.ToTakeFrom(LogicalProcessors.AllLoads);
        if (from >= 0 && from != processor->Index)
        {
            LogicalProcessor* other = LogicalProcessors.At(from);
            if ((System.Threading.Interlocked.Or(ref other->Seekers, 1UL << processor->Index) >> processor->Index & 1) == 0)
                PhysicalApic.Kick(other);
        }
        Halt(processor);
    }

    /// <summary>Gives those who wait here to processors that are idle, whether they have asked or not, or that carry less.</summary>
    private static void GiveAway(LogicalProcessor* processor)
    {
        if (System.Threading.Volatile.Read(ref processor->Seekers) != 0)
            System.Threading.Interlocked.Exchange(ref processor->Seekers, 0UL);
        while (ProcessorBalance.TryFind(processor, processor->InRegisters, out VirtualProcessor* vp, out LogicalProcessor* to))
            HandOver(processor, vp, to);
    }

    /// <summary>
    /// A virtual processor that waits here belongs to another processor from now on, and takes along what it is owed.
    /// </summary>
    private static void HandOver(LogicalProcessor* processor, VirtualProcessor* vp, LogicalProcessor* to)
    {
        Forget(processor, vp);
        TBackend.Depart(vp);
        Placement.Send(&vp->Scheduling, &processor->Queue, &to->Load, Instructions.RdTsc());
        Visits<TBackend>.Send(vp, to);
    }

    /// <summary>Somebody who was handed over is here.</summary>
    public static void Arrive(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        Settle(processor);
        TBackend.Arrive(vp);
        VirtualProcessors<TBackend>.FlushTranslations(vp);
        vp->Work |= EntryWork.Timers | EntryWork.Interrupts;
        processor->Queue.Settle(&vp->Scheduling, processor->Running == null && processor->Queue.IsEmpty);
        if (!vp->IsRunnable)
            return;
        ulong now = Instructions.RdTsc();
        VirtualProcessor* running = processor->Running;
        if (running != null)
            Charge(processor, running, now);
        if (!processor->Queue.TryEnqueue(&vp->Scheduling, now))
            WaitForCap(processor, vp);
        else if (running != null)
        {
            if (!running->IsRunnable || processor->Queue.ShouldPreempt(&running->Scheduling, now))
                running->Work |= EntryWork.Reschedule;
            else
                ArmDecision(processor, now);
        }
        ProcessorBalance.Publish(processor);
    }
}
