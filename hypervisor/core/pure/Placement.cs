// Which of several logical processors an entity runs on: where it wakes, and from whom an idle processor takes one.
using System;

namespace Lamina.Hypervisor.Core;

/// <summary>What a processor publishes of itself. Others read it without its lock: a stale value makes a worse choice, never a wrong one.</summary>
public struct ProcessorLoad
{
    /// <summary>How many wait in its queue.</summary>
    public uint Waiting;
    /// <summary>Nobody runs on it.</summary>
    public bool IsIdle;
}

/// <summary>
/// No processor is idle while somebody waits: who wakes goes to an idle one if there is any, and who becomes idle takes from the longest queue.
/// Queues stay about equally long: who wakes, and who is put back at the end of a turn (not in the middle), goes to one that is clearly shorter. None of this looks at more
/// than a word of each of the other processors.
/// </summary>
public static class Placement
{
    /// <summary>Where an entity is queued: where it ran last (its caches are there) if that one is idle; else on an idle one, on the shortest if that is clearly shorter.</summary>
    public static int ToQueueOn(ReadOnlySpan<ProcessorLoad> loads, int last)
    {
        if (loads[last].IsIdle)
            return last;
        int best = last;
        for (int i = 0; i < loads.Length; i++)
        {
            if (loads[i].IsIdle)
                return i;
            // One fewer may be chance; the way there and back costs more than waiting for one turn.
            if (loads[i].Waiting + 1 < loads[best].Waiting)
                best = i;
        }
        return best;
    }

    /// <summary>The processor that an idle one takes from: the one with the longest queue; -1 when nobody waits anywhere.</summary>
    public static int ToTakeFrom(ReadOnlySpan<ProcessorLoad> loads)
    {
        int best = -1;
        for (int i = 0; i < loads.Length; i++)
            if (loads[i].Waiting != 0 && (best < 0 || loads[i].Waiting > loads[best].Waiting))
                best = i;
        return best;
    }
}
