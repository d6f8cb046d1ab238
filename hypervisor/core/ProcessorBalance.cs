// What a logical processor tells the others of its load, and whom of those who wait it had better give away: Placement's answers for the machine's own processors.
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>For every vendor the same code.</summary>
internal static unsafe class ProcessorBalance
{
    /// <summary>Tells the others how much waits here. Whoever runs has been charged.</summary>
    internal static void Publish(LogicalProcessor* processor)
    {
        if (LogicalProcessors.IsSingle)
            return;
        VirtualProcessor* running = processor->Running;
        SchedulerEntity* entity = null;
        if (running != null)
        {
            entity = &running->Scheduling;
            processor->Load.At = running->DispatchTsc;
        }
        Placement.Publish(&processor->Queue, entity, LogicalProcessors.AllLoads, processor->Index);
        // Before the others' are looked at: of one who goes to sleep and one who has somebody waiting, one sees the other.
        System.Threading.Interlocked.MemoryBarrier();
    }

    /// <summary>
    /// Somebody has begun to wait, or goes on waiting: where that is uneven he is given away, before the next entry. Not at once: whoever woke him may be at work on him still.
    /// </summary>
    internal static void NoteWaiting(LogicalProcessor* processor)
    {
        Publish(processor);
        if (processor->Running != null && IsUneven(processor))
            processor->Running->Work |= EntryWork.Visitors;
    }

    /// <summary>Whether somebody who waits here would be better off elsewhere, if his state were in memory.</summary>
    internal static bool IsUneven(LogicalProcessor* processor) => TryFind(processor, null, out _, out _);

    /// <summary>Whom to give away, and to whom. <paramref name="kept"/>: he cannot leave, since his state is in registers.</summary>
    internal static bool TryFind(LogicalProcessor* processor, VirtualProcessor* kept, out VirtualProcessor* vp, out LogicalProcessor* to)
    {
        vp = null;
        to = null;
        // With nobody running here the first who waits is about to.
        VirtualProcessor* running = processor->Running;
        if (processor->Queue.Count < (running == null ? 2 : 1))
            return false;
        // Before it is decided who runs, nobody is moved for the sake of shares: whoever is owed most may be about to run here. Where processors stand still in turns they
        // would give him to each other for ever.
        if ((running == null || (running->Work & EntryWork.Reschedule) != 0) && Placement.FindIdle(LogicalProcessors.AllLoads, processor->Index) < 0)
            return false;
        int index;
        SchedulerEntity* entity = Placement.Find(&processor->Queue, LogicalProcessors.AllLoads, processor->Index, kept, Instructions.RdTsc(), &index);
        if (entity == null)
            return false;
        vp = (VirtualProcessor*)entity->Owner;
        to = LogicalProcessors.At(index);
        return true;
    }
}
