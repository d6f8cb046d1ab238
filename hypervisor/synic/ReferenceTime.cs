// Partition reference time: 100 ns units computed from the guest TSC, and back.
using System;
using System.Threading;
using Lamina.Abi;

namespace Lamina.Hypervisor.Synic;

/// <summary>
/// The arithmetic that core and guest share: time = (tsc * Scale >> 64) + Offset. TLFS, "Partition Reference TSC Mechanism".
/// </summary>
public unsafe struct ReferenceTime
{
    public const ulong TicksPerSecond = 10_000_000;
    /// <summary>What <see cref="ToTsc"/> answers for a time that the TSC never reaches.</summary>
    public const ulong Never = ulong.MaxValue;

    private ulong _scale;
    private long _offset;
    // 2^64 / _scale, that is TSC ticks per 100 ns, as 64.64 fixed point.
    private ulong _ticksWhole;
    private ulong _ticksFraction;

    public readonly ulong Scale => _scale;
    public readonly long Offset => _offset;

    /// <summary>Sets the rate, and the TSC at which time is zero. False: a TSC of 10 MHz or less cannot be expressed.</summary>
    public bool TryInitialize(ulong tscHz, ulong tscAtZero)
    {
        if (tscHz <= TicksPerSecond) return false;
        _scale = Divide(TicksPerSecond, 0, tscHz, out _);
        if (_scale < 2) return false;
        _ticksWhole = Divide(1, 0, _scale, out ulong rest);
        _ticksFraction = Divide(rest, 0, _scale, out _);
        _offset = -(long)Math.BigMul(tscAtZero, _scale, out _);
        return true;
    }

    /// <summary>The guest's TSC jumped from one value to another at the same instant: time goes on without a step back.</summary>
    public void Rebase(ulong oldTsc, ulong newTsc)
    {
        // Rounding may differ by one unit between the two; the later one is taken.
        ulong time = FromTsc(oldTsc) + 1;
        _offset = (long)(time - Math.BigMul(newTsc, _scale, out _));
    }

    /// <summary>Time at a TSC value, in 100 ns, rounded down.</summary>
    public readonly ulong FromTsc(ulong tsc) => Math.BigMul(tsc, _scale, out _) + (ulong)_offset;

    /// <summary>The first TSC value at which time is at least <paramref name="time"/>, so that a timer never fires early; <see cref="Never"/> beyond reach.</summary>
    public readonly ulong ToTsc(ulong time)
    {
        ulong elapsed = time - (ulong)_offset;
        if (_offset < 0) { if (elapsed < time) return Never; }
        else if (time < (ulong)_offset) return 0;
        if (Math.BigMul(elapsed, _ticksWhole, out ulong tsc) != 0) return Never;
        ulong fraction = Math.BigMul(elapsed, _ticksFraction, out _);
        if (tsc > Never - 2 - fraction) return Never;
        tsc += fraction;
        // Two truncations: at most two ticks short.
        if (Math.BigMul(tsc, _scale, out _) < elapsed) tsc++;
        if (Math.BigMul(tsc, _scale, out _) < elapsed) tsc++;
        return tsc;
    }

    /// <summary>Publishes scale and offset in a reference TSC page.</summary>
    /// <param name="sequence">Kept by the core, never read back from the guest; counts on, past the reserved values.</param>
    // SAFETY: guest memory that is only written. TLFS, "Reference TSC Page": 0 is invalid and so was 0xFFFFFFFF once.
    public readonly void Publish(ReferenceTscPage* page, ref uint sequence)
    {
        sequence++;
        if (sequence == 0xFFFFFFFF || sequence == ReferenceTscPage.InvalidSequence) sequence = 1;
        // Readers that come meanwhile take the counter MSR.
        Volatile.Write(ref page->TscSequence, ReferenceTscPage.InvalidSequence);
        Volatile.Write(ref page->TscScale, _scale);
        Volatile.Write(ref page->TscOffset, _offset);
        Volatile.Write(ref page->TscSequence, sequence);
    }

    /// <summary>Sends readers of the page to the counter MSR.</summary>
    public static void Withdraw(ReferenceTscPage* page) => Volatile.Write(ref page->TscSequence, ReferenceTscPage.InvalidSequence);

    // 128 by 64 bits, bit by bit: runs when a partition is set up, never on an exit. The quotient fits if high < divisor.
    private static ulong Divide(ulong high, ulong low, ulong divisor, out ulong remainder)
    {
        ulong quotient = 0;
        for (int i = 0; i < 64; i++)
        {
            bool carry = high >> 63 != 0;
            high = high << 1 | low >> 63;
            low <<= 1;
            quotient <<= 1;
            if (!carry && high < divisor) continue;
            high -= divisor;
            quotient |= 1;
        }
        remainder = high;
        return quotient;
    }
}
