// The APIC timer: one-shot, periodic and TSC-deadline, computed from the guest TSC and never ticking.
using System;
using Lamina.X64;

namespace Lamina.Hypervisor.Apic;

public unsafe partial struct LocalApic
{
    // A periodic timer faster than this many ticks of its own clock (5 us at 200 MHz) would only storm; the core puts off those of one that does not run.
    private const ulong MinimumPeriodTicks = 1024;
    private const ulong Never = ulong.MaxValue;

    /// <summary>TSC ticks per tick of the undivided APIC timer in 32.32 fixed point, below 2^48; rounded up by <see cref="ComputeTickRatio"/>.</summary>
    public void SetTickRatio(ulong ratio) => _tickRatio = Math.Max(1, Math.Min(ratio, (1UL << 48) - 1));

    /// <summary>Ratio for <see cref="SetTickRatio"/>; the APIC frequency is what HV_X64_MSR_APIC_FREQUENCY reports, below 2^32 Hz.</summary>
    public static ulong ComputeTickRatio(ulong tscHz, uint apicHz) =>
        ((tscHz / apicHz) << 32) + (((tscHz % apicHz) << 32) + apicHz - 1) / apicHz;

    /// <summary>When the timer wants to be expired. False: nothing armed that could interrupt.</summary>
    public readonly bool TryGetDeadline(out ulong tsc)
    {
        tsc = _deadline;
        return _deadline != 0 && (Register(ApicRegisters.LvtTimer) & LvtMaskBit) == 0;
    }

    /// <summary>
    /// Lets the timer act if its deadline has come: requests the vector unless masked, rearms a periodic one without
    /// drift; periods missed meanwhile merge into this one. True: a vector is newly requested.
    /// </summary>
    public bool Expire(ulong now)
    {
        if (_deadline == 0 || now < _deadline) return false;
        LocalVectorTableEntry entry = Timer;
        if ((ApicTimerMode)entry.TimerMode == ApicTimerMode.Periodic && _period != 0)
            _deadline = Saturate(now, _period - (now - _deadline) % _period);
        else
            _deadline = 0;
        if (entry.Masked) return false;
        return Assert(entry.Vector, false);
    }

    /// <summary>The guest's TSC jumped by <paramref name="delta"/>: counts go on as before, TSC deadlines stay absolute.</summary>
    public void ShiftTimeBase(long delta)
    {
        if (_deadline != 0 && (ApicTimerMode)Timer.TimerMode != ApicTimerMode.TscDeadline) _deadline = Math.Max(1, _deadline + (ulong)delta);
    }

    private readonly LocalVectorTableEntry Timer => new LocalVectorTableEntry(Register(ApicRegisters.LvtTimer));

    private readonly uint ReadCurrentCount(ulong now)
    {
        ApicTimerMode mode = (ApicTimerMode)Timer.TimerMode;
        if (_deadline == 0 || mode >= ApicTimerMode.TscDeadline) return 0;
        ulong remaining;
        if (now < _deadline) remaining = _deadline - now;
        else if (mode == ApicTimerMode.Periodic && _period != 0) remaining = _period - (now - _deadline) % _period;
        else return 0;
        ulong count = (ToTimerTicks(remaining) + (1UL << _divideShift) - 1) >> _divideShift;
        return (uint)Math.Min(Math.Max(count, 1), Register(ApicRegisters.InitialCount));
    }

    private ApicEffect WriteInitialCount(uint count, ulong now)
    {
        ApicTimerMode mode = (ApicTimerMode)Timer.TimerMode;
        if (mode == ApicTimerMode.TscDeadline) return ApicEffect.None;
        // An expiry that nobody has collected yet belongs to the old count.
        bool expired = Expire(now);
        SetRegister(ApicRegisters.InitialCount, count);
        _period = mode == ApicTimerMode.Periodic ? PeriodOf(count) : 0;
        _deadline = count == 0 || mode == ApicTimerMode.Reserved ? 0 : Saturate(now, ToTscTicks(count));
        return ApicEffect.TimerChanged.And(ApicEffect.InterruptsChangedIf(expired));
    }

    private ApicEffect WriteDivideConfiguration(uint value, ulong now)
    {
        bool expired = Expire(now);
        uint count = ReadCurrentCount(now);
        SetRegister(ApicRegisters.DivideConfiguration, value);
        // Bits 3, 1 and 0 are log2 of the divisor minus one; 111 is "by one".
        _divideShift = (byte)((((value >> 1) & 4 | value & 3) + 1) & 7);
        if ((ApicTimerMode)Timer.TimerMode < ApicTimerMode.TscDeadline && _deadline != 0)
        {
            _period = (ApicTimerMode)Timer.TimerMode == ApicTimerMode.Periodic ? PeriodOf(Register(ApicRegisters.InitialCount)) : 0;
            _deadline = Saturate(now, ToTscTicks(count));
        }
        return ApicEffect.TimerChanged.And(ApicEffect.InterruptsChangedIf(expired));
    }

    // SDM 3A, "TSC-Deadline Mode": entering or leaving that mode disarms. One-shot and periodic go on counting across a change.
    private ApicEffect WriteLvtTimer(uint value, ulong now)
    {
        bool expired = Expire(now);
        ApicTimerMode oldMode = (ApicTimerMode)Timer.TimerMode, newMode = (ApicTimerMode)new LocalVectorTableEntry(value).TimerMode;
        if (oldMode != newMode && (oldMode >= ApicTimerMode.TscDeadline || newMode >= ApicTimerMode.TscDeadline))
        {
            _deadline = _period = 0;
            SetRegister(ApicRegisters.InitialCount, 0);
        }
        // Of a count that goes on from another mode, too.
        if (newMode != oldMode) _period = newMode == ApicTimerMode.Periodic ? PeriodOf(Register(ApicRegisters.InitialCount)) : 0;
        SetRegister(ApicRegisters.LvtTimer, value);
        return ApicEffect.TimerChanged.And(ApicEffect.InterruptsChangedIf(expired));
    }

    private readonly ulong ReadTscDeadline(ulong now) =>
        (ApicTimerMode)Timer.TimerMode == ApicTimerMode.TscDeadline && _deadline > now ? _deadline : 0;

    private ApicEffect WriteTscDeadline(ulong value, ulong now)
    {
        if ((ApicTimerMode)Timer.TimerMode != ApicTimerMode.TscDeadline) return ApicEffect.None;
        bool expired = Expire(now);
        _deadline = value;
        expired |= Expire(now);
        return ApicEffect.TimerChanged.And(ApicEffect.InterruptsChangedIf(expired));
    }

    private readonly ulong PeriodOf(uint count)
    {
        if (count == 0) return 0;
        ulong ticks = Math.BigMul(MinimumPeriodTicks, _tickRatio, out ulong low);
        return Math.Max(ToTscTicks(count), (ticks << 32) | (low >> 32));
    }

    // Rounded up: a timer never fires early.
    private readonly ulong ToTscTicks(uint count)
    {
        ulong high = Math.BigMul((ulong)count << _divideShift, _tickRatio, out ulong low);
        ulong ticks = (high << 32) | (low >> 32);
        return (uint)low == 0 ? ticks : ticks + 1;
    }

    // remaining * 2^32 / ratio by two 16-bit steps of long division; ratio < 2^48 keeps each step in 64 bits.
    private readonly ulong ToTimerTicks(ulong remaining)
    {
        ulong quotient = remaining / _tickRatio, rest = remaining % _tickRatio;
        rest <<= 16;
        quotient = (quotient << 16) | (rest / _tickRatio);
        rest = (rest % _tickRatio) << 16;
        return (quotient << 16) | (rest / _tickRatio);
    }

    private static ulong Saturate(ulong time, ulong ticks) => ticks > Never - time ? Never : Math.Max(1, time + ticks);
}
