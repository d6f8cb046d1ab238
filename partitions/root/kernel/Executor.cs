// The root's one thread of execution: waits for something to do, does it, waits again.
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.Root.Worker;
using Lamina.X64;

namespace Lamina.Root.Kernel;

/// <summary>
/// Cooperative: everything outside interrupt handlers runs here, one piece after the other, and must return soon. Sources of work
/// are the children's intercepts, what interrupt handlers queued, and timers. With nothing to do the processor halts, without a tick.
/// </summary>
public static unsafe class Executor
{
    /// <summary>Intercepts taken in a row before the others get their turn.</summary>
    private const int MessagesPerTurn = 64;

    /// <summary>Likewise for work items.</summary>
    private const int ItemsPerTurn = 64;

    private static WorkQueue queue;
    private static bool awake;
    private static ulong now; // as of the last look at the clock

    /// <summary>Makes the executor look at its sources once more before it halts. For interrupt handlers and for work that leaves work.</summary>
    public static void Wake() => Volatile.Write(ref awake, true);

    /// <summary>Has the item run soon; from anywhere, interrupt handlers included.</summary>
    public static void Queue(WorkItem* item)
    {
        bool enabled = Interrupts.Disable();
        queue.Add(item);
        Wake();
        Interrupts.Restore(enabled);
    }

    /// <summary>Takes an item back, since its memory is about to go.</summary>
    public static void Cancel(WorkItem* item)
    {
        bool enabled = Interrupts.Disable();
        queue.Remove(item);
        Interrupts.Restore(enabled);
    }

    [RuntimeImport("*", "root_idle"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void Idle();

    /// <summary>Never returns.</summary>
    public static void Run()
    {
        while (true)
        {
            // Between the look at the flag and the sleep no interrupt can slip in: STI takes effect after it has begun.
            Instructions.Cli();
            if (Volatile.Read(ref awake)) Instructions.Sti();
            else Idle();
            Volatile.Write(ref awake, false);
            Turn();
        }
    }

    private static void Turn()
    {
        HvMessage* intercept;
        for (int i = 0; (intercept = Synic.Peek(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX)) != null; i++)
        {
            VmWorker.OnMessage(intercept);
            Synic.Free(intercept);
            if (VmWorker.IsReplyPending) SendReply();
            if (i < MessagesPerTurn) continue;
            Wake();
            break;
        }
        if (Synic.TakeBusInterrupt()) TakeBus();
        bool worked = false;
        for (int i = 0; !queue.IsEmpty && TryTake(out WorkItem* item); i++)
        {
            item->Handler(item->Context);
            worked = true;
            // Items may queue themselves again.
            if (i < ItemsPerTurn) continue;
            Wake();
            break;
        }
        // Intercepts alone do not let timers fall due: the clock is read when its interrupt came, or when time was spent otherwise.
        if (worked || Timers.TakeExpired()) now = ReferenceClock.Now;
        Timers.RunDue(now);
        Timers.Program(now < VmWorker.Due ? VmWorker.Due : VmWorker.OnTimer(now));
    }

    // Who answers the last intercept and has nothing else to do sleeps in the same call. Interrupts are closed until it is over: what is requested
    // ends the sleep all the same.
    private static void SendReply()
    {
        Instructions.Cli();
        ulong due = VmWorker.Due;
        Timers.Program(due);
        VmWorker.SendReply(thenIdle: now < due && !Volatile.Read(ref awake) && queue.IsEmpty
            && !Synic.HasMessage(SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX));
        Instructions.Sti();
    }

    // Messages first: an OPEN before the first signal of its channel.
    [SkipLocalsInit] // the message is written before it is read, each time
    private static void TakeBus()
    {
        HvMessage message;
        while (Synic.TryTakeMessage(BusNumbers.RootSint, &message)) VmWorker.OnBusMessage(&message);
        for (uint word = 0; word < Synic.EventWords; word++)
        {
            ulong flags = Synic.TakeEvents(BusNumbers.RootSint, word);
            if (flags != 0) VmWorker.OnBusEvents(word, flags);
        }
    }

    private static bool TryTake(out WorkItem* item)
    {
        bool enabled = Interrupts.Disable();
        bool taken = queue.TryTake(out item);
        Interrupts.Restore(enabled);
        return taken;
    }
}
