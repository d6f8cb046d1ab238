// Physical interrupts and exceptions of the core itself: the C# end of entry.asm's stubs.
using System.Runtime;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;

namespace Lamina.Hypervisor.Core;

public static unsafe class HostInterrupts<TBackend> where TBackend : struct, IBackend
{
    private const ulong DebugException = 1;

    public static void Handle(InterruptFrame* frame)
    {
        ulong vector = frame->Vector;
        if (vector < 32)
        {
            // Bochs takes the single-step trap of a guest that has just exited in the core instead; the guest gets its own when its instruction is completed.
            if (vector != DebugException || !AcpiTables.IsMachineBochs)
                Panic.Stop(frame);
            return;
        }
        if (vector == PhysicalApic.SpuriousVector)
            return;
        PhysicalApic.EndOfInterrupt();
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (vector == PhysicalApic.TimerVector)
        {
            processor->Count(HvStatsLpCounters.LpTimerInterrupts);
            Timers<TBackend>.Expire(processor);
        }
        else if (vector == PhysicalApic.KickVector)
        {
            processor->Count(HvStatsLpCounters.LpInterProcessorInterrupts);
            processor->Acknowledgements.Give();
            VirtualProcessor* running = processor->Running;
            if (running == null)
                return;
            if (running->NmiPending)
                running->Work |= EntryWork.Nmi;
            if (!LogicalProcessors.IsSingle)
                running->Work |= EntryWork.Visitors;
        }
        else
        {
            processor->Count(HvStatsLpCounters.LpHardwareInterrupts);
            if (DeviceInterrupts.TryAccept((int)vector, out VirtualProcessor* target, out byte guestVector, out bool level))
                Interrupts<TBackend>.Assert(target, guestVector, level);
        }
    }
}
