// Functions that one processor has another execute: whatever touches a virtual processor happens on the processor that it belongs to.
using System.Threading;

namespace Lamina.Hypervisor.Core;

/// <summary>One such call; lies on the caller's stack, which waits for it.</summary>
public unsafe struct CrossCall
{
    internal ulong Next;
    internal VirtualProcessor* Subject;
    internal delegate*<VirtualProcessor*, void*, bool> Function;
    internal void* Argument;
    internal bool Result;
    internal uint IsDone;
}

/// <summary>
/// Calls are served where no virtual processor's state is in the processor's registers, and by a processor that waits for nobody: only the root calls,
/// from its hypercalls, so that no two processors wait for each other.
/// </summary>
public static unsafe class CrossCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>
    /// Has the processor of <paramref name="vp"/> execute a function, and waits. The function returns false when it must be tried again later. With a
    /// single processor, and for a virtual processor that is here, this is a plain call.
    /// </summary>
    public static void OnProcessorOf(VirtualProcessor* vp, delegate*<VirtualProcessor*, void*, bool> function, void* argument)
    {
        while (true)
        {
            LogicalProcessor* processor = (LogicalProcessor*)Volatile.Read(ref vp->Processor);
            if (processor->IsCurrent)
            {
                if (vp->IsHere && function(vp, argument))
                    return;
                Visits<TBackend>.Receive(processor);
            }
            else if (TryOn(processor, vp, function, argument))
                return;
        }
    }

    /// <summary>
    /// Has one certain processor execute a function, for nobody (null) or for a virtual processor that belongs to it or is about to. False: that has moved
    /// on, or the function returned so.
    /// </summary>
    public static bool TryOn(LogicalProcessor* processor, VirtualProcessor* vp, delegate*<VirtualProcessor*, void*, bool> function, void* argument)
    {
        if (processor->IsCurrent)
            return function(vp, argument);
        Ranks.RequireNone();
        CrossCall call;
        call.Subject = vp;
        call.Function = function;
        call.Argument = argument;
        call.Result = false;
        call.IsDone = 0;
        ulong first;
        do
            call.Next = first = Volatile.Read(ref processor->Calls);
        while (Interlocked.CompareExchange(ref processor->Calls, (ulong)&call, first) != first);
        PhysicalApic.Kick(processor);
        LogicalProcessor* self = LogicalProcessor.Current;
        for (uint spins = 1; Volatile.Read(ref call.IsDone) == 0; spins++)
            Quiescence.WaitFor(self, processor, spins);
        return call.Result;
    }

    /// <summary>Executes what others wait for.</summary>
    public static void Serve(LogicalProcessor* processor)
    {
        CrossCall* call = (CrossCall*)Interlocked.Exchange(ref processor->Calls, 0UL);
        while (call != null)
        {
            CrossCall* next = (CrossCall*)call->Next;
            call->Result = (call->Subject == null || call->Subject->IsHere) && call->Function(call->Subject, call->Argument);
            // The caller's stack: gone with this.
            Volatile.Write(ref call->IsDone, 1u);
            call = next;
        }
    }
}
