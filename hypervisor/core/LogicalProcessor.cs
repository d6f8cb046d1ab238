// What one logical processor of the machine keeps for itself.
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// State that only its own processor touches: no locks on the exit path. What others ask of it comes by <see cref="Visitors"/>,
/// <see cref="Calls"/>, <see cref="Seekers"/> and <see cref="Acknowledgements"/> (docs/decisions/0013).
/// </summary>
public unsafe struct LogicalProcessor
{
    /// <summary>What it says of itself to others. The first, so that the table of all processors is one of these.</summary>
    public ProcessorLoad Load;
    public VirtualProcessor* Running;
    /// <summary>Whose vector, segment and debug registers the processor holds: the last one entered.</summary>
    public VirtualProcessor* Loaded;
    /// <summary>Who exited last: the world switch keeps its state in registers until somebody else is entered.</summary>
    public VirtualProcessor* InRegisters;
    /// <summary>A parent that the running one's intercept has woken: it is next (<see cref="Scheduler{TBackend}"/>, Scheduler.Answers.cs).</summary>
    public VirtualProcessor* Answering;
    /// <summary>Whose turn stands still while <see cref="Running"/>, its parent, answers: in no queue, and not charged since its <see cref="VirtualProcessor.DispatchTsc"/>. Runnable: it has its answer.</summary>
    public VirtualProcessor* Asking;
    /// <summary>TSC of the intercept.</summary>
    public ulong AskedAt;
    /// <summary>Somebody who waits takes the processor from the running one, before it is entered again.</summary>
    public bool IsPreempted;
    public RunQueue Queue;
    public TimerQueue Timers;
    /// <summary>The scheduler's own deadline: when its policy decides anew without an event, or earlier; the end of a grace.</summary>
    public TimerEntry SliceTimer;
    /// <summary>Somebody who was woken by a signal waits for the end of its sender's grace (<see cref="Scheduler{TBackend}.GrantGrace"/>).</summary>
    public bool InGrace;
    /// <summary>Something that is wanted of it can be done only when no virtual processor's state is in its registers.</summary>
    public bool IsParkWanted;
    /// <summary>Deadline that the physical timer is set to.</summary>
    public ulong ArmedDeadline;

    /// <summary>DR0 to DR3 hold somebody's addresses, be it the firmware's.</summary>
    public bool HoldsDebugAddresses;
    /// <summary>TSC_AUX in the processor; more than 32 bits while nobody knows.</summary>
    internal ulong tscAux;

    /// <summary>Its place among the machine's processors; the one that started the machine is 0.</summary>
    public int Index;
    public uint ApicId;
    /// <summary>What the backend keeps for the processor.</summary>
    public BackendProcessor Backend;
    public HostTables Tables;
    public ProcessorMeeting Meeting;
    /// <summary>Its counters, a page of the core's own that the root may look at (<see cref="ProcessorStats{TBackend}"/>).</summary>
    public HvStatsPage* Stats;
    public bool IsStatsMapped;
    /// <summary>TSC ticks that it has slept.</summary>
    public ulong IdleTime;
    /// <summary>Locks held, by <see cref="LockRank"/>; counted in checked builds only.</summary>
    public uint HeldRanks;

    // ---- What others see and ask ----

    /// <summary>VirtualProcessor* whose instructions or exit it may be executing; 0 while it is parked.</summary>
    public ulong Entered;
    /// <summary>Virtual processors of its own that others want something of: the first of a list, VirtualProcessor*.</summary>
    public ulong Visitors;
    /// <summary>Functions that others wait for it to execute: the first of a list, ProcessorCall*.</summary>
    public ulong Calls;
    /// <summary>Processors, by bit, that have nothing to do and would take somebody who waits here.</summary>
    public ulong Seekers;
    /// <summary>For <see cref="Quiescence"/>.</summary>
    public AcknowledgementCounter Acknowledgements;

    /// <summary>A processor's own memory begins at a multiple of this, its stack is behind this structure: the stack pointer says which processor executes.</summary>
    public const ulong AreaBytes = 0x10000;

    /// <summary>The processor that executes this.</summary>
#if FREESTANDING
    public static LogicalProcessor* Current
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining), SkipLocalsInit]
        get
        {
            byte here;
            return (LogicalProcessor*)((ulong)&here & ~(AreaBytes - 1));
        }
    }
#else
    public static LogicalProcessor* Current => HostStack.Current;
#endif

    /// <summary>Counts one more, as a constant of <see cref="HvStatsLpCounters"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Count(uint counter)
    {
        ulong* counters = (ulong*)Stats;
        counters[counter] = counters[counter] + 1;
    }

    /// <summary>Gives the processor a guest's TSC_AUX; only what it does not hold already.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void LoadTscAux(uint value)
    {
        if (tscAux == value)
            return;
        tscAux = value;
        Instructions.WrMsr(HostMsr.TSC_AUX, value);
    }

    public readonly bool IsCurrent => Index == Current->Index;
}

/// <summary>Numbers of the vendor's own: address space identifiers, the structure that the processor works with now.</summary>
public struct BackendProcessor
{
    public uint NextTag, TagGeneration;
    /// <summary>Physical address of a page that the processor itself wants while guests are entered.</summary>
    public ulong Page;
    /// <summary>Physical address; 0 for none.</summary>
    public ulong CurrentState;
}

/// <summary>All processors that run. More of them only come while the machine starts.</summary>
public static unsafe class LogicalProcessors
{
    /// <summary>As many as a mask has bits.</summary>
    public const int Maximum = 64;

    private struct Table { public fixed ulong Entries[Maximum]; }
    private static class Storage { internal static Table Table; }
    private static class Counter { internal static int Count; }

    public static int Count => Counter.Count;
    /// <summary>Whether nobody else can want anything.</summary>
    public static bool IsSingle { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => Counter.Count <= 1; }

    public static LogicalProcessor* At(int index) => (LogicalProcessor*)Storage.Table.Entries[index];

    /// <summary>What each says of itself, for <see cref="Placement"/>.</summary>
    public static ProcessorLoads AllLoads => new((ProcessorLoad**)System.Runtime.CompilerServices.Unsafe.AsPointer(ref Storage.Table.Entries[0]), Counter.Count);

    /// <summary>A processor's pages outside its area: counters, and one for the backend.</summary>
    public static bool TryGivePages(LogicalProcessor* processor)
    {
        if (!CoreMemory.TryTakePage(out ulong stats) || !CoreMemory.TryTakePage(out processor->Backend.Page))
            return false;
        processor->Stats = (HvStatsPage*)PhysicalMap.ToPointer(stats);
        processor->tscAux = ulong.MaxValue;
        processor->HoldsDebugAddresses = true;
        return true;
    }

    /// <summary>The processor is ready to be asked.</summary>
    public static void Add(LogicalProcessor* processor)
    {
        processor->Index = Counter.Count;
        Storage.Table.Entries[processor->Index] = (ulong)processor;
        Volatile.Write(ref Counter.Count, processor->Index + 1);
    }

#if !FREESTANDING
    /// <summary>Tests go back to a machine whose only processor is known to nobody.</summary>
    internal static void Clear() => Counter.Count = 0;
#endif
}

#if !FREESTANDING
/// <summary>Tests choose who executes.</summary>
public static unsafe class HostStack
{
    private static readonly LogicalProcessor* first = Create(0);
    [System.ThreadStatic] private static LogicalProcessor* current;

    public static LogicalProcessor* Create(int index)
    {
        LogicalProcessor* processor = (LogicalProcessor*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)sizeof(LogicalProcessor));
        processor->Stats = (HvStatsPage*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)sizeof(HvStatsPage));
        processor->Index = index;
        return processor;
    }

    public static LogicalProcessor* Current { get => current == null ? first : current; set => current = value; }
}
#endif
