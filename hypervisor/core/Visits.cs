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

    /// <summary>
    /// Hands a virtual processor of the executing processor over. The arrival is asked for before anybody takes it for the other's: what is asked for
    /// meanwhile cannot be carried out there without it, and who would delete it sees that it is on its way.
    /// </summary>
    public static void HandOver(VirtualProcessor* vp, LogicalProcessor* to)
    {
        uint others = Interlocked.Or(ref vp->Requests, VisitRequest.Arrival);
        Volatile.Write(ref vp->Processor, (ulong)to);
        // With other requests it is in the list of this processor or that one already, and is passed on from here.
        if (others == 0)
            Push(vp);
    }

    private static void Push(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = (LogicalProcessor*)Volatile.Read(ref vp->Processor);
        ulong first;
        do
            vp->NextVisitor = first = Volatile.Read(ref processor->Visitors);
        while (Interlocked.CompareExchange(ref processor->Visitors, (ulong)vp, first) != first);
        if (!processor->IsCurrent)
            PhysicalApic.Kick(processor);
    }

    /// <summary>Carries out what is wanted of all that are in the list.</summary>
    public static void Receive(LogicalProcessor* processor)
    {
        processor->Acknowledgements.Give();
        while (Volatile.Read(ref processor->Visitors) != 0)
        {
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
    }

    private static void Receive(LogicalProcessor* processor, VirtualProcessor* vp, uint requests)
    {
        if ((requests & VisitRequest.Arrival) != 0)
            Scheduler<TBackend>.Arrive(processor, vp);
        if ((requests & VisitRequest.Init) != 0)
            Interrupts<TBackend>.Init(vp);
        if ((requests & VisitRequest.StartUp) != 0)
            Interrupts<TBackend>.StartUp(vp, vp->StartupVector);
        if ((requests & VisitRequest.NonMaskable) != 0)
            Interrupts<TBackend>.RequestNmi(vp);
        if ((requests & VisitRequest.Interrupt) != 0)
            Interrupts<TBackend>.TakePosted(vp);
    }
}
