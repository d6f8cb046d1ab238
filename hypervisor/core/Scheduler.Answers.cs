// A turn that an intercept does not end: the parent, which waited for one, answers in between, and neither of the two goes through the queue.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <remarks>
/// The parent has precedence: it would be next in any case, and its time is nobody's virtual time. So the turn of the one that asks stands still, and goes on
/// when the answer is there and the parent sleeps again. Whatever else happens meanwhile (somebody wakes, shares change, the parent sleeps without having
/// answered) first makes of it what it would have been in the queue: <see cref="Settle"/>.
/// </remarks>
public static unsafe partial class Scheduler<TBackend> where TBackend : struct, IBackend
{
    /// <summary>
    /// Whether a virtual processor that has just become runnable is asked by the running one, or has been answered by it: then it needs no queue. Else nothing has
    /// been done.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsOfTurn(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        VirtualProcessor* running = processor->Running;
        if (vp != processor->Asking)
        {
            if (running == null || running->SuspendReasons != SuspendReason.Intercept || !vp->Scheduling.HasPrecedence
                || ((ulong)processor->Answering | (ulong)processor->Asking) != 0)
                return false;
            processor->Answering = vp;
        }
        running->Work |= EntryWork.Reschedule;
        return true;
    }

    /// <summary>From one that asks to the one that answers, or back. Null: it is for the queue to say who is next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static VirtualProcessor* PassTurn(LogicalProcessor* processor, VirtualProcessor* vp)
    {
        VirtualProcessor* next = processor->Answering;
        ulong now;
        if (next != null)
        {
            processor->Answering = null;
            processor->Asking = vp;
            now = Instructions.RdTsc();
            processor->AskedAt = now;
            next->DispatchTsc = now;
            // Others see that nobody's virtual time goes on.
            processor->Load.At = long.MaxValue;
        }
        else
        {
            next = processor->Asking;
            if (next == null || !IsEndOfAnswer(processor, vp, next))
                return null;
            processor->Asking = null;
            now = Instructions.RdTsc();
            vp->Scheduling.RunTime += now - vp->DispatchTsc;
            next->DispatchTsc += now - processor->AskedAt;
            processor->Load.At = next->DispatchTsc;
        }
        processor->Running = next;
        System.Threading.Volatile.Write(ref processor->Entered, (ulong)next);
        processor->Count(HvStatsLpCounters.LpContextSwitches);
        ((ulong*)next->Stats)[HvStatsVpCounters.VpLogicalProcessorDispatches] = ++next->Scheduling.Dispatches;
        return next;
    }

    /// <summary>Whether the turn goes back at once: who asked has its answer, the parent sleeps, and while others wait they have not preempted it and the timer that ends the turn runs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsEndOfAnswer(LogicalProcessor* processor, VirtualProcessor* parent, VirtualProcessor* vp) =>
        vp->IsRunnable && !parent->IsRunnable && !vp->Scheduling.IsCapped
        && (processor->Queue.IsEmpty || processor->SliceTimer.IsArmed && !processor->IsPreempted);

    /// <summary>Nothing is between the turns and the queue any more: who was about to answer is queued, and so is who has its answer. The turn of who asks ended when it asked.</summary>
    private static void Settle(LogicalProcessor* processor)
    {
        if (((ulong)processor->Asking | (ulong)processor->Answering) != 0)
            SettleTurn(processor);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void SettleTurn(LogicalProcessor* processor)
    {
        VirtualProcessor* answering = processor->Answering, asking = processor->Asking;
        processor->Answering = processor->Asking = null;
        if (answering != null)
            Admit(processor, answering);
        if (asking == null)
            return;
        Charge(processor, asking, processor->AskedAt);
        if (asking->IsRunnable)
            Admit(processor, asking);
    }
}
