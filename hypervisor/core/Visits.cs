// What others want of a virtual processor, brought to the processor that it belongs to: interrupts, start-up, its arrival from elsewhere.
using System.Threading;
using Lamina.Hypervisor.Apic;

namespace Lamina.Hypervisor.Core;

/// <summary>Bits of <see cref="VirtualProcessor.Requests"/>.</summary>
public static class VisitRequest
{
    /// <summary>Vectors are in <see cref="VirtualProcessor.Posted"/>.</summary>
    public const uint Interrupt = 1;
    public const uint NonMaskable = 2;
    public const uint Init = 4;
    /// <summary>The vector is in <see cref="VirtualProcessor.StartupVector"/>.</summary>
    public const uint StartUp = 8;
    /// <summary>It was handed over, and belongs here from now on.</summary>
    public const uint Arrival = 16;
    /// <summary>A message lies in the slot of a SINT that it polls.</summary>
    public const uint Message = 32;
}

/// <summary>
/// A virtual processor stands in one list at most: whoever sets the first of its bits puts it into that of its processor, whoever takes it out of the
/// list takes all bits. When it has moved meanwhile it is passed on.
/// </summary>
public static unsafe class Visits<TBackend> where TBackend : struct, IBackend
{
    /// <summary>Asks for something; returns at once. Its processor looks as soon as it is in the core.</summary>
    public static void Request(VirtualProcessor* vp, uint request)
    {
        if (Interlocked.Or(ref vp->Requests, request) == 0)
            Push(vp);
    }

    private static void Push(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = (LogicalProcessor*)Volatile.Read(ref vp->Processor);
        ulong first;
        do
            vp->NextVisitor = first = Volatile.Read(ref processor->Visitors);
        while (Interlocked.CompareExchange(ref processor->Visitors, (ulong)vp, first) != first);
        // Itself, too: it may have looked already.
        PhysicalApic.Kick(processor);
    }

    /// <summary>Carries out what is wanted of all that are in the list now. Who comes meanwhile interrupts, and is for the next time: a storm of them ends nothing else.</summary>
    public static void Receive(LogicalProcessor* processor)
    {
        processor->Acknowledgements.Give();
        processor->IsParkWanted = false;
        if (Volatile.Read(ref processor->Visitors) == 0)
            return;
        VirtualProcessor* vp = (VirtualProcessor*)Interlocked.Exchange(ref processor->Visitors, 0UL);
        while (vp != null)
        {
            VirtualProcessor* next = (VirtualProcessor*)vp->NextVisitor;
            if (vp->Processor != (ulong)processor)
                Push(vp);
            else
                Receive(processor, vp, Interlocked.Exchange(ref vp->Requests, 0u));
            vp = next;
        }
    }

    /// <summary>Gives a virtual processor to another processor, to arrive there. Until then it is nobody's.</summary>
    public static void Send(VirtualProcessor* vp, LogicalProcessor* to)
    {
        // In this order: whoever sees it there sees that it has not arrived.
        bool isFirst = Interlocked.Or(ref vp->Requests, VisitRequest.Arrival) == 0;
        Volatile.Write(ref vp->Processor, (ulong)to);
        if (isFirst)
            Push(vp);
    }

    private static void Receive(LogicalProcessor* processor, VirtualProcessor* vp, uint requests)
    {
        if ((requests & VisitRequest.Arrival) != 0)
            Scheduler<TBackend>.Arrive(processor, vp);
        if ((requests & VisitRequest.Init) != 0 && processor->Loaded == vp)
        {
            // What is in registers would be written over what a reset makes: first it has to be in memory.
            processor->IsParkWanted = true;
            Request(vp, requests & ~VisitRequest.Arrival);
            return;
        }
        if ((requests & VisitRequest.Init) != 0)
            Interrupts<TBackend>.Init(vp);
        if ((requests & VisitRequest.StartUp) != 0)
            Interrupts<TBackend>.StartUp(vp, vp->StartupVector);
        if ((requests & VisitRequest.NonMaskable) != 0)
            Interrupts<TBackend>.RequestNmi(vp);
        if ((requests & VisitRequest.Interrupt) != 0)
            Interrupts<TBackend>.TakePosted(vp);
        if ((requests & VisitRequest.Message) != 0)
            Messages<TBackend>.WakePoller(vp);
    }
}
