// The root's timers: a list of deadlines over one synthetic timer in direct mode. Nothing ticks when nothing is due.
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class Timers
{
    private static DeadlineList list;
    private static ulong programmed = ulong.MaxValue; // what the synthetic timer is set to
    private static ulong expirations, taken;

    public static void Initialize()
    {
        Interrupts.Connect(Interrupts.TimerVector, &OnInterrupt, null);
        StimerConfigMsr config = new StimerConfigMsr(0).WithAutoEnable(true).WithDirectMode(true).WithApicVector(Interrupts.TimerVector);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_STIMER0_CONFIG, config.Value);
    }

    /// <summary>Interrupts that the synthetic timer has made so far.</summary>
    public static ulong Expirations => expirations;

    /// <summary>Whether the synthetic timer has fired since the last call.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TakeExpired()
    {
        ulong count = Volatile.Read(ref expirations);
        bool fired = count != taken;
        taken = count;
        return fired;
    }

    /// <summary>Sets a timer to a point of the reference clock, earlier or later than it was; its handler runs in the executor.</summary>
    public static void Arm(DeadlineTimer* timer, ulong deadline) => list.Arm(timer, deadline);

    public static void Cancel(DeadlineTimer* timer) => list.Cancel(timer);

    /// <summary>Runs what is due.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void RunDue(ulong now)
    {
        if (list.Next <= now) RunAllDue(now);
    }

    private static void RunAllDue(ulong now)
    {
        while (list.TryTakeDue(now, out DeadlineTimer* timer)) timer->Handler(timer->Context);
    }

    /// <summary>
    /// Sets the synthetic timer to the earliest deadline, the caller's included. A later deadline than the one set is left alone: an
    /// interrupt too many costs less than a register write each time.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Program(ulong otherDeadline)
    {
        ulong next = list.Next;
        if (next > otherDeadline) next = otherDeadline;
        if (next < programmed) Set(next);
    }

    private static void Set(ulong next)
    {
        programmed = next;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_STIMER0_COUNT, next == 0 ? 1 : next);
    }

    private static void OnInterrupt(void* context)
    {
        programmed = ulong.MaxValue;
        expirations++;
    }
}
