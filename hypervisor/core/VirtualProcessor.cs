// A virtual processor: what the core keeps of it, whatever the vendor. One page, taken from its partition's account.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Core;

/// <summary>Why a virtual processor does not run; it is runnable when none is set.</summary>
public static class SuspendReason
{
    /// <summary>The parent's HvRegisterExplicitSuspend.</summary>
    public const uint Explicit = 1;
    /// <summary>An intercept waits for the parent; HvRegisterInterceptSuspend.</summary>
    public const uint Intercept = 2;
    /// <summary>HLT, until an interrupt comes.</summary>
    public const uint Halt = 4;
    /// <summary>Waits for INIT-SIPI.</summary>
    public const uint Startup = 8;
    /// <summary>Has used up its cap; its CapTimer ends this.</summary>
    public const uint Cap = 16;
}

/// <summary>What is to be done before the next entry; the exit path tests the whole word once.</summary>
public static class EntryWork
{
    /// <summary>Interrupt state changed: choose anew what to offer.</summary>
    public const uint Interrupts = 1;
    /// <summary>A non-maskable interrupt waits.</summary>
    public const uint Nmi = 2;
    /// <summary>The virtual processor must not run on (suspended, halted, or another should run).</summary>
    public const uint Reschedule = 4;
    /// <summary>Its deadlines were put off while it did not run.</summary>
    public const uint Timers = 8;
    /// <summary>Other processors want something of this one.</summary>
    public const uint Visitors = 16;
}

/// <summary>Indices into <see cref="VirtualProcessor.Gpr"/>: the encoding of instructions.</summary>
public static class Gpr
{
    public const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3, Rsp = 4, Rbp = 5, Rsi = 6, Rdi = 7, R8 = 8, R9 = 9, R10 = 10, R11 = 11, R12 = 12, R13 = 13, R14 = 14, R15 = 15;
}

[StructLayout(LayoutKind.Sequential)]
public unsafe struct VirtualProcessor
{
    // ---- The world switch's part: world-switch.inc knows these offsets (StructureTests checks them) ----

    /// <summary>General registers in instruction encoding order. RSP's place is unused where the backend's own state holds it.</summary>
    public fixed ulong Gpr[16];
    /// <summary>xmm0 to xmm5: those that compiled code may overwrite. xmm6 to xmm15 stay in the processor.</summary>
    public fixed ulong Xmm[12];
    /// <summary>Physical address of the structure that the processor loads and saves guest state from.</summary>
    public ulong BackendStatePhysical;
    public byte* BackendState;
    /// <summary>XSAVE area (one page).</summary>
    public byte* ExtendedState;
    /// <summary>Guest XCR0.</summary>
    public ulong Xcr0;

    // ---- The core's part ----

    public Partition* Partition;
    /// <summary>LogicalProcessor* that it belongs to: only that one touches what follows, but for what is marked. Only that one changes this.</summary>
    public ulong Processor;
    public uint Index;
    public uint SuspendReasons;
    public uint Work;
    /// <summary>Vector offered to the guest and not yet known to be taken; 0 when none.</summary>
    public byte OfferedVector;
    public bool NmiPending;
    /// <summary>The backend runs a single instruction of the guest, why, and whether the guest itself had its trap flag set.</summary>
    public byte Stepping;
    public bool SteppedTrapFlag;
    /// <summary>Halted by reading HV_X64_MSR_GUEST_IDLE: any request wakes, even with interrupts off.</summary>
    public bool IdleWait;
    /// <summary>It has written one of DR0 to DR3 (<see cref="DebugAddresses"/>).</summary>
    public bool UsesDebugAddresses;

    /// <summary>Second-stage generation that this virtual processor's translations are of.</summary>
    public uint SecondStageGeneration;

    public LocalApic Apic;
    public SynicState Synic;
    public SyntheticTimers SyntheticTimers;
    public OverlayPage MessageOverlay;
    public OverlayPage EventOverlay;
    public SchedulerEntity Scheduling;
    public TimerEntry Timer;
    /// <summary>When it may run again after it has used up its cap.</summary>
    public TimerEntry CapTimer;

    /// <summary>TSC when it was last put on a processor.</summary>
    public ulong DispatchTsc;
    /// <summary>Address space tag (ASID, VPID) and the generation it was given in; 0 = none yet.</summary>
    public uint AddressSpaceTag;
    public uint AddressSpaceGeneration;
    public ulong TscOffset;
    public ulong TscAux;
    public ulong Pat;
    public ulong VpAssistPageMsr;
    public ulong MiscEnable;
    public ulong TscAdjust;
    /// <summary>MTRRs as the guest wrote them: they have no effect, second-stage tables decide the memory type.</summary>
    public ulong MtrrDefType;
    public fixed ulong MtrrFixed[11];
    public fixed ulong MtrrVariable[16];

    /// <summary>The intercept that waits for the parent. Linked into the parent's queue; never allocated, so that posting cannot fail.</summary>
    public PendingMessage Intercept;
    public HvMessage InterceptMessage;

    /// <summary>DR0 to DR3 while another virtual processor runs; the processor's own structures hold DR6 and DR7.</summary>
    public fixed ulong DebugAddress[4];

    /// <summary>EOI of a level-triggered vector that the parent is still to be told: bit per vector.</summary>
    public fixed ulong PendingEoi[4];
    public PendingMessage EoiNotice;
    public HvMessage EoiMessage;

    /// <summary>Where its last hypercall's input page is, as of a generation of its partition's map: callers use the same page again and again.</summary>
    /// The page's last byte: 0 is none.
    public ulong ParameterEnd;
    public byte* ParameterPage;
    public uint ParameterGeneration;

    /// <summary>Instructions that reached for the APIC's page (<see cref="InstructionCache{TBackend}"/>).</summary>
    public CachedInstructions MmioInstructions;

    /// <summary>Its counters, in a page of their own: the root may look at it (<see cref="StatsPages{TBackend}"/>).</summary>
    public HvStatsPage* Stats;
    /// <summary>How many times the root has mapped that page.</summary>
    public ulong StatsMappings;

    // ---- What other processors write: atomically, and the owner takes it ----

    /// <summary>Bits of <see cref="VisitRequest"/>; not 0 while it stands in a list of visitors, or is about to.</summary>
    public uint Requests;
    public byte StartupVector;
    /// <summary>Not 0: before it runs on, its translations go.</summary>
    public uint FlushRequested;
    public ulong NextVisitor;
    public PostedInterrupts Posted;
    /// <summary>Guards <see cref="Synic"/> and what waits in it; the root's also all notices of EOIs.</summary>
    public SpinLock SynicLock;

    /// <summary>Whether it is the executing processor's, and has arrived.</summary>
    public readonly bool IsHere
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Processor == (ulong)LogicalProcessor.Current && (Volatile.Read(in Requests) & VisitRequest.Arrival) == 0;
    }

    public readonly bool IsRunnable => SuspendReasons == 0;

    /// <summary>Counts one more. Every exit is counted once, by whoever carries it out, as a constant of <see cref="HvStatsVpCounters"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Count(uint counter)
    {
        // Two instructions this way; an increment in place makes the address first.
        ulong* counters = (ulong*)Stats;
        counters[counter] = counters[counter] + 1;
    }
}
