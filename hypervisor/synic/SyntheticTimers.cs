// The four synthetic timers of a virtual processor.
using System;
using System.Numerics;
using Lamina.Abi;

namespace Lamina.Hypervisor.Synic;

/// <summary>Where expired timers report to.</summary>
public interface ITimerSink
{
    /// <summary>Asserts a vector, edge-triggered.</summary>
    void AssertDirect(byte vector);

    /// <summary>Delivers HvMessageTimerExpired and asserts the SINT's vector. False: slot busy or SynIC disabled.</summary>
    bool TryDeliverMessage(int sint, uint timer, ulong expiration, ulong delivery);
}

/// <summary>
/// TLFS, "Synthetic Timers". Times are partition reference time in 100 ns. Belongs to the owner of the virtual processor.
/// </summary>
public unsafe struct SyntheticTimers
{
    public const int Count = SynicLimits.HV_SYNIC_STIMER_COUNT;

    // Expirations of a periodic timer that is behind are made up for at double speed, this many at most; the rest is skipped.
    private const ulong MaximumBacklog = 8;
    // A shorter period (10 us) would only storm; the core puts off those of one that does not run.
    private const ulong MinimumPeriod = 100;

    // Config: bits 63:20 and 15:13 are "should be zero".
    private const ulong ConfigReserved = ~0xFFFFFUL | 0xE000;

    private fixed ulong _config[Count];
    private fixed ulong _count[Count];
    // When to act, and the expiration that this act stands for: later than it while a periodic timer catches up.
    private fixed ulong _due[Count];
    private fixed ulong _expiration[Count];
    // One bit per timer: has a Due; expired but its message still waits for the slot.
    private uint _armed;
    private uint _waiting;

    /// <summary>Creation and reset: all disabled.</summary>
    public void Reset() => this = default;

    public readonly bool IsAnyArmed => _armed != 0;
    /// <summary>Some timer's message waits for its slot: call <see cref="RetryWaiting"/> on EOM.</summary>
    public readonly bool IsAnyWaiting => _waiting != 0;

    /// <summary>Reads HV_X64_MSR_STIMERn_CONFIG or _COUNT. False: not one of them.</summary>
    public readonly bool TryReadMsr(uint msr, out ulong value)
    {
        value = 0;
        uint index = msr - HvMsr.HV_X64_MSR_STIMER0_CONFIG;
        if (index >= Count * 2) return false;
        value = (index & 1) == 0 ? _config[index >> 1] : _count[index >> 1];
        return true;
    }

    /// <summary>
    /// Writes one of them. False: not one of them, reserved bits, or a direct vector below 16; inject #GP.
    /// Ask <see cref="TryGetDeadline"/> afterwards; a deadline that has passed is to be expired at once.
    /// </summary>
    public bool TryWriteMsr(uint msr, ulong value, ulong now)
    {
        uint index = msr - HvMsr.HV_X64_MSR_STIMER0_CONFIG;
        if (index >= Count * 2) return false;
        int number = (int)(index >> 1);
        StimerConfigMsr config = new StimerConfigMsr((index & 1) == 0 ? value : _config[number]);
        if ((index & 1) == 0)
        {
            if ((value & ConfigReserved) != 0) return false;
            if (config.DirectMode && config.ApicVector < SintMsr.FirstValidVector) return false;
        }
        else
        {
            _count[number] = value;
            if (value == 0) config = config.WithEnable(false);
            else if (config.AutoEnable) config = config.WithEnable(true);
        }
        // SINT 0 belongs to the hypervisor: such a timer is marked disabled at once.
        if (!config.DirectMode && config.SINTx == 0) config = config.WithEnable(false);
        _config[number] = config.Value;
        Arm(number, config, now);
        return true;
    }

    // Either register starts the timer afresh; a message that still waited is dropped.
    private void Arm(int number, StimerConfigMsr config, ulong now)
    {
        uint bit = 1u << number;
        _armed &= ~bit;
        _waiting &= ~bit;
        if (!config.Enable || _count[number] == 0) return;
        _expiration[number] = _due[number] = config.Periodic ? Later(now, PeriodOf(number)) : _count[number];
        _armed |= bit;
    }

    /// <summary>When the first timer expires. False: none armed.</summary>
    public readonly bool TryGetDeadline(out ulong time)
    {
        time = ulong.MaxValue;
        for (uint left = _armed; left != 0; left &= left - 1)
            time = Math.Min(time, _due[BitOperations.TrailingZeroCount(left)]);
        return _armed != 0;
    }

    /// <summary>Lets every timer act whose time has come. At most one expiration of each per call.</summary>
    public void Expire<TSink>(ulong now, ref TSink sink) where TSink : struct, ITimerSink
    {
        for (uint left = _armed; left != 0; left &= left - 1)
        {
            int number = BitOperations.TrailingZeroCount(left);
            if (_due[number] <= now) Fire(number, now, ref sink);
        }
    }

    /// <summary>Tries again to deliver the messages that waited for their slots. To be called on EOM and when the SynIC has been enabled.</summary>
    public void RetryWaiting<TSink>(ulong now, ref TSink sink) where TSink : struct, ITimerSink
    {
        for (uint left = _waiting; left != 0; left &= left - 1) Fire(BitOperations.TrailingZeroCount(left), now, ref sink);
    }

    private void Fire<TSink>(int number, ulong now, ref TSink sink) where TSink : struct, ITimerSink
    {
        StimerConfigMsr config = new StimerConfigMsr(_config[number]);
        uint bit = 1u << number;
        _armed &= ~bit;
        if (config.DirectMode) sink.AssertDirect(config.ApicVector);
        else if (!sink.TryDeliverMessage(config.SINTx, (uint)number, _expiration[number], now))
        {
            _waiting |= bit;
            return;
        }
        _waiting &= ~bit;
        if (config.Periodic)
        {
            Advance(number, config, now);
            _armed |= bit;
        }
        else _config[number] = config.WithEnable(false).Value;
    }

    // TLFS, "Periodic Timers": a lazy timer skips what it missed, another one shortens its period until it has caught up.
    private void Advance(int number, StimerConfigMsr config, ulong now)
    {
        ulong period = PeriodOf(number);
        ulong next = Later(_expiration[number], period);
        if (next > now)
        {
            _expiration[number] = _due[number] = next;
            return;
        }
        ulong missed = (now - next) / period;
        if (config.Lazy)
        {
            _expiration[number] = _due[number] = Later(next + missed * period, period);
            return;
        }
        if (missed > MaximumBacklog) next += (missed - MaximumBacklog) * period;
        _expiration[number] = next;
        _due[number] = Later(now, period / 2);
    }

    private readonly ulong PeriodOf(int number) => Math.Max(_count[number], MinimumPeriod);

    private static ulong Later(ulong time, ulong delay) => delay > ulong.MaxValue - time ? ulong.MaxValue : time + delay;
}
