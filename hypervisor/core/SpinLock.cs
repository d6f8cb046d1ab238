// A lock that waits by spinning: for the few words that several processors write. Never held across an entry, an idle moment, or a wait for another processor.
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>Who holds one may take another only of a higher rank, so that no two processors can wait for each other. Builds with LAMINA_CHECKED assert it.</summary>
public static class LockRank
{
    /// <summary><see cref="Partition.Lock"/>: pages shared with the partition, its time.</summary>
    public const int Partition = 1;
    /// <summary><see cref="VirtualProcessor.SynicLock"/>: its SynIC. One at a time.</summary>
    public const int Synic = 2;
    /// <summary>The debug console.</summary>
    public const int Console = 3;
}

/// <summary>All zero: free.</summary>
public struct SpinLock
{
    private uint isHeld;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Acquire(int rank)
    {
        Ranks.Check(rank);
        if (Interlocked.Exchange(ref isHeld, 1u) != 0)
            Wait();
        Ranks.Set(rank, true);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Release(int rank)
    {
        Ranks.Set(rank, false);
        Volatile.Write(ref isHeld, 0u);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Wait()
    {
        do
        {
            while (Volatile.Read(ref isHeld) != 0)
                Instructions.Pause();
        }
        while (Interlocked.Exchange(ref isHeld, 1u) != 0);
    }
}

/// <summary>Which ranks the executing processor holds; costs nothing but in builds with LAMINA_CHECKED.</summary>
internal static unsafe class Ranks
{
    [System.Diagnostics.Conditional("LAMINA_CHECKED")]
    internal static void Check(int rank)
    {
        if (LogicalProcessor.Current->HeldRanks >> rank != 0)
            Panic.Stop("a lock was asked for out of order"u8);
    }

    [System.Diagnostics.Conditional("LAMINA_CHECKED")]
    internal static void Set(int rank, bool held)
    {
        if (held)
            LogicalProcessor.Current->HeldRanks |= 1u << rank;
        else
            LogicalProcessor.Current->HeldRanks &= ~(1u << rank);
    }

    /// <summary>Before a wait for another processor, and before an entry.</summary>
    [System.Diagnostics.Conditional("LAMINA_CHECKED")]
    internal static void RequireNone()
    {
        if (LogicalProcessor.Current->HeldRanks != 0)
            Panic.Stop("a lock is held across a wait"u8);
    }
}
