// Waits until other processors have left what they were doing in a guest or for it.
using System.Threading;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>Acknowledgements: others ask, the processor itself gives. It gives in the core only, between two exits, or while it waits itself.</summary>
public struct AcknowledgementCounter
{
    private int asked;
    private int given;

    public int Ask() => Interlocked.Increment(ref asked);
    public void Give() => Volatile.Write(ref given, Volatile.Read(ref asked));
    public readonly bool IsGiven(int ticket) => Volatile.Read(in given) - ticket >= 0;
}

/// <summary>
/// Whoever takes something out of a partition's reach (a page of its map, a translation, a port, a virtual processor) changes the word that leads there
/// and then waits here. A processor that has acknowledged executes no instruction of the guest before it has looked at the second-stage generation and at
/// <see cref="VirtualProcessor.FlushRequested"/>, and its handlers hold no pointer from before.
/// </summary>
public static unsafe class Quiescence
{
    private const uint SpinsPerKick = 20_000;

    /// <summary>No other processor executes for the partition, with what it knew before.</summary>
    public static void Leave(Partition* partition)
    {
        if (LogicalProcessors.IsSingle)
            return;
        Interlocked.MemoryBarrier();
        ulong processors = 0;
        for (int i = 0; i < LogicalProcessors.Count; i++)
        {
            VirtualProcessor* entered = (VirtualProcessor*)Volatile.Read(ref LogicalProcessors.At(i)->Entered);
            if (entered != null && entered->Partition == partition)
                processors |= 1UL << i;
        }
        Await(processors);
    }

    /// <summary>No other processor executes for anybody, with what it knew before.</summary>
    public static void LeaveAll()
    {
        if (LogicalProcessors.IsSingle)
            return;
        Interlocked.MemoryBarrier();
        ulong processors = 0;
        for (int i = 0; i < LogicalProcessors.Count; i++)
            if (Volatile.Read(ref LogicalProcessors.At(i)->Entered) != 0)
                processors |= 1UL << i;
        Await(processors);
    }

    /// <summary>Asks processors, by bit, to leave, and waits until each has. The executing one is passed over.</summary>
    public static void Await(ulong processors)
    {
        LogicalProcessor* self = LogicalProcessor.Current;
        processors &= ~(1UL << self->Index);
        if (processors == 0)
            return;
        Ranks.RequireNone();
        int* tickets = stackalloc int[LogicalProcessors.Maximum];
        for (ulong left = processors; left != 0; left &= left - 1)
        {
            int i = System.Numerics.BitOperations.TrailingZeroCount(left);
            tickets[i] = LogicalProcessors.At(i)->Acknowledgements.Ask();
            PhysicalApic.Kick(LogicalProcessors.At(i));
        }
        for (ulong left = processors; left != 0; left &= left - 1)
        {
            int i = System.Numerics.BitOperations.TrailingZeroCount(left);
            LogicalProcessor* other = LogicalProcessors.At(i);
            for (uint spins = 1; !other->Acknowledgements.IsGiven(tickets[i]); spins++)
                WaitFor(self, other, spins);
        }
    }

    /// <summary>One moment of waiting for another processor: who waits for us meanwhile must get on.</summary>
    internal static void WaitFor(LogicalProcessor* self, LogicalProcessor* other, uint spins)
    {
        self->Acknowledgements.Give();
        Instructions.Pause();
        // An emulator may lose the request (docs/decisions/0005); on a real processor it is an interrupt too many.
        if (spins % SpinsPerKick == 0)
            PhysicalApic.Kick(other);
    }
}
