// What the scheduler keeps of one virtual processor: its settings, its clocks, and what it has used.
using System;
using System.Runtime.CompilerServices;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// Times are TSC ticks. Virtual time is ticks scaled by 1024 / weight; it may wrap, so that it is compared by distance. Cap and reserve are
/// shares of a logical processor in 1/65536. TLFS, "Partition Properties".
/// </summary>
public unsafe struct SchedulerEntity
{
    public const uint DefaultWeight = 100, MaximumWeight = 10000, WholeProcessor = 0x10000;
    /// <summary>A reserve beyond all others: the root's. It answers for every guest, so it runs when it wants to and as long as it wants to.</summary>
    public const uint Precedence = uint.MaxValue;
    /// <summary>More ticks than anybody runs between two looks at a clock, and few enough to be scaled.</summary>
    private const ulong MaximumTicks = 1UL << 46;

    internal SchedulerEntity* next;
    internal SchedulerEntity* previous;
    internal bool queued;
    internal ulong queuedAt;
    internal ulong dispatchedAt;
    /// <summary>Its place among those with a reserve, by <see cref="ReserveClock"/>, while it is queued.</summary>
    internal TimerEntry reserveEntry;

    /// <summary>The virtual processor that this is the entity of.</summary>
    public void* Owner;
    /// <summary>Those of one partition spin for each other's locks.</summary>
    public void* Group;
    /// <summary>1 to 10000; relative.</summary>
    public uint Weight;
    /// <summary>0 and the whole processor: none.</summary>
    public uint Cap;
    public uint Reserve;

    public ulong VirtualTime;
    /// <summary>The time up to which its cap has been used: each tick that it runs moves this on by 1 / cap.</summary>
    public ulong CapClock;
    /// <summary>The time up to which its reserve has been given: each tick that it runs moves this on by 1 / reserve.</summary>
    public ulong ReserveClock;

    /// <summary>Ticks run in total.</summary>
    public ulong RunTime;
    /// <summary>Ticks that it was runnable and others ran.</summary>
    public ulong WaitTime;
    /// <summary>How many times it was put on a processor.</summary>
    public ulong Dispatches;

    public readonly bool IsQueued => queued;
    /// <summary>Who is behind it in its queue.</summary>
    public readonly SchedulerEntity* Next => next;
    public readonly ulong WaitTimeUntil(ulong now) => queued ? WaitTime + (now - queuedAt) : WaitTime;
    public readonly bool IsCapped { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => Cap - 1 < WholeProcessor - 1; }
    public readonly bool HasPrecedence => Reserve == Precedence;
    internal readonly bool HasReserve { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => Reserve - 1 < Precedence - 1; }

    /// <summary>Virtual time for ticks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly ulong Scale(ulong ticks) => Scale(ticks, Weight);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Scale(ulong ticks, uint weight) => Math.Min(ticks, MaximumTicks) * 1024 / Math.Max(1, weight);

    /// <summary>What ticks are at a share of a processor: the time in which it may run that long.</summary>
    internal static ulong Stretch(ulong ticks, uint share) => Math.Min(ticks, MaximumTicks) * WholeProcessor / share;

    /// <summary>How long it may run until a clock of this share, at <paramref name="clock"/> now, is <paramref name="lead"/> ahead of the time.</summary>
    internal static ulong Remaining(ulong clock, uint share, ulong now, ulong lead)
    {
        if (clock >= now + lead)
            return 0;
        // Each tick brings the clock ahead by 1 / share - 1.
        ulong distance = now + lead - clock;
        return share >= WholeProcessor ? ulong.MaxValue >> 1 : Math.Min(distance, MaximumTicks) * share / (WholeProcessor - share);
    }
}
