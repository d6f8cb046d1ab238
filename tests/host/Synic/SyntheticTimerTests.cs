// Synthetic timers: never early, never lost, registers as the manual has them.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;
using Xunit;

namespace Lamina.Tests.Host.Synic;

public unsafe class SyntheticTimerTests
{
    private const uint Config0 = HvMsr.HV_X64_MSR_STIMER0_CONFIG, Count0 = HvMsr.HV_X64_MSR_STIMER0_COUNT;
    private const ulong Enable = 1, Periodic = 2, Lazy = 4, Auto = 8, Direct = 1 << 12, Sint2 = 2 << 16, VectorED = 0xED0;

    private static readonly List<byte> Vectors = new();
    private static readonly List<(int Sint, uint Timer, ulong Expiration, ulong Delivery)> Messages = new();

    // A struct as the core's is; what it records lies outside. One test at a time runs within a class.
    private struct Sink : ITimerSink
    {
        public bool Busy;
        public void AssertDirect(byte vector) => Vectors.Add(vector);
        public bool TryDeliverMessage(int sint, uint timer, ulong expiration, ulong delivery)
        {
            if (!Busy) Messages.Add((sint, timer, expiration, delivery));
            return !Busy;
        }
    }

    public SyntheticTimerTests()
    {
        Vectors.Clear();
        Messages.Clear();
    }

    private static ulong Read(ref SyntheticTimers timers, uint msr) => timers.TryReadMsr(msr, out ulong value) ? value : throw new InvalidOperationException();

    [Fact]
    public void LinuxDirectOneShot()
    {
        var timers = new SyntheticTimers();
        var sink = new Sink();
        Assert.True(timers.TryWriteMsr(Config0, Enable | Auto | Direct | VectorED, 100));
        Assert.False(timers.TryGetDeadline(out _));
        Assert.True(timers.TryWriteMsr(Count0, 5000, 100));
        Assert.True(timers.TryGetDeadline(out ulong time) && time == 5000);
        timers.Expire(4999, ref sink);
        Assert.Empty(Vectors);
        timers.Expire(5000, ref sink);
        Assert.Equal(new byte[] { 0xED }, Vectors);
        Assert.Equal(Auto | Direct | VectorED, Read(ref timers, Config0));
        timers.Expire(6000, ref sink);
        Assert.Single(Vectors);
        // Auto-enable: the next count starts it again; one in the past is due at once.
        Assert.True(timers.TryWriteMsr(Count0, 5500, 6000));
        Assert.Equal(Enable | Auto | Direct | VectorED, Read(ref timers, Config0));
        Assert.True(timers.TryGetDeadline(out time) && time <= 6000);
        timers.Expire(6000, ref sink);
        Assert.Equal(2, Vectors.Count);
        Assert.True(timers.TryWriteMsr(Count0, 9000, 6000));
        Assert.True(timers.TryWriteMsr(Count0, 0, 6000));
        Assert.Equal(Auto | Direct | VectorED, Read(ref timers, Config0));
        Assert.False(timers.TryGetDeadline(out _));
    }

    [Fact]
    public void ConfigWritesAreRefusedOrReadBack() => Gen.OneOf(Gen.ULong, Gen.UInt[0, 0xFFFFF].Select(v => (ulong)v)).Sample(value =>
    {
        var timers = new SyntheticTimers();
        bool reserved = value >> 20 != 0 || (value >> 13 & 7) != 0;
        bool badVector = (value & Direct) != 0 && (value >> 4 & 0xFF) < 16;
        Assert.Equal(!reserved && !badVector, timers.TryWriteMsr(Config0 + 4, value, 0));
        if (reserved || badVector) { Assert.Equal(0ul, Read(ref timers, Config0 + 4)); return; }
        bool hypervisorSint = (value & Direct) == 0 && (value >> 16 & 0xF) == 0;
        Assert.Equal(hypervisorSint ? value & ~Enable : value, Read(ref timers, Config0 + 4));
        Assert.True(timers.TryWriteMsr(Count0 + 4, ~value, 0));
        Assert.Equal(~value, Read(ref timers, Count0 + 4));
        Assert.Equal(!hypervisorSint && (value & (Enable | Auto)) != 0, timers.TryGetDeadline(out _));
    }, iter: 5000);

    [Fact]
    public void OnlyItsOwnMsrs()
    {
        var timers = new SyntheticTimers();
        Assert.False(timers.TryReadMsr(0x400000AF, out _));
        Assert.True(timers.TryReadMsr(0x400000B7, out _));
        Assert.False(timers.TryReadMsr(0x400000B8, out _));
        Assert.False(timers.TryWriteMsr(0x400000B8, 0, 0));
    }

    [Fact]
    public void MessageWaitsForItsSlot()
    {
        var timers = new SyntheticTimers();
        var sink = new Sink { Busy = true };
        Assert.True(timers.TryWriteMsr(Config0 + 2, Auto | Sint2, 0));
        Assert.True(timers.TryWriteMsr(Count0 + 2, 1000, 0));
        timers.Expire(1200, ref sink);
        Assert.True(timers.IsAnyWaiting);
        Assert.False(timers.TryGetDeadline(out _));
        Assert.NotEqual(0ul, Read(ref timers, Config0 + 2) & Enable);
        timers.RetryWaiting(1300, ref sink);
        Assert.Empty(Messages);
        sink.Busy = false;
        timers.RetryWaiting(1500, ref sink);
        Assert.Equal(new[] { (2, 1u, 1000ul, 1500ul) }, Messages);
        Assert.Equal(Auto | Sint2, Read(ref timers, Config0 + 2));
        Assert.False(timers.IsAnyWaiting);
        timers.RetryWaiting(1600, ref sink);
        Assert.Single(Messages);
    }

    [Fact]
    public void RewritingDropsTheWaitingMessage()
    {
        var timers = new SyntheticTimers();
        var sink = new Sink { Busy = true };
        timers.TryWriteMsr(Config0, Auto | Sint2, 0);
        timers.TryWriteMsr(Count0, 1000, 0);
        timers.Expire(1000, ref sink);
        timers.TryWriteMsr(Config0, 0, 1100);
        sink.Busy = false;
        timers.RetryWaiting(1200, ref sink);
        Assert.Empty(Messages);
    }

    // A periodic timer polled often enough fires once per period, exactly.
    [Fact]
    public void PeriodicHasNoDrift() => Gen.Select(Gen.ULong[100, 10000], Gen.Bool, Gen.Bool, Gen.ULong[0, 1ul << 40]).Sample((period, lazy, message, start) =>
    {
        Vectors.Clear();
        Messages.Clear();
        var timers = new SyntheticTimers();
        var sink = new Sink();
        timers.TryWriteMsr(Config0, Enable | Periodic | (lazy ? Lazy : 0) | (message ? Sint2 : Direct | VectorED), start);
        timers.TryWriteMsr(Count0, period, start);
        ulong step = period / 3 + 1, now = start;
        for (int i = 0; i < 200; i++)
        {
            now += step;
            timers.Expire(now, ref sink);
            Assert.Equal((now - start) / period, (ulong)(Vectors.Count + Messages.Count));
        }
        foreach (var m in Messages) Assert.True((m.Expiration - start) % period == 0 && m.Expiration <= m.Delivery);
    }, iter: 200, threads: 1);

    // Random delays: nothing early; a lazy one skips, another one catches up what it missed as far as the backlog allows.
    [Fact]
    public void PeriodicNeverEarly() => Gen.Select(Gen.ULong[100, 5000], Gen.Bool, Gen.ULong[0, 20000].Array[1, 100]).Sample((period, lazy, waits) =>
    {
        Messages.Clear();
        var timers = new SyntheticTimers();
        var sink = new Sink();
        timers.TryWriteMsr(Config0, Enable | Periodic | (lazy ? Lazy : 0) | Sint2, 0);
        timers.TryWriteMsr(Count0, period, 0);
        ulong now = 0;
        foreach (ulong wait in waits)
        {
            now += wait;
            int before = Messages.Count;
            bool due = timers.TryGetDeadline(out ulong time) && time <= now;
            timers.Expire(now, ref sink);
            Assert.Equal(due ? before + 1 : before, Messages.Count);
        }
        ulong last = 0;
        foreach (var m in Messages)
        {
            Assert.True(m.Expiration > last && m.Expiration <= m.Delivery && m.Expiration % period == 0);
            last = m.Expiration;
        }
        // Left alone, it catches up and goes on regularly.
        for (int i = 0; i < 100; i++) { timers.TryGetDeadline(out ulong time); now = Math.Max(now, time); timers.Expire(now, ref sink); }
        Assert.Equal(Messages[^1].Delivery, Messages[^1].Expiration);
    }, iter: 300, threads: 1);

    [Fact]
    public void MissedPeriods()
    {
        var sink = new Sink();
        foreach (ulong lazy in new ulong[] { 0, Lazy })
        {
            var timers = new SyntheticTimers();
            timers.TryWriteMsr(Config0, Enable | Periodic | lazy | Direct | VectorED, 0);
            timers.TryWriteMsr(Count0, 1000, 0);
            Vectors.Clear();
            timers.Expire(4500, ref sink);
            Assert.Single(Vectors);
            Assert.True(timers.TryGetDeadline(out ulong time));
            Assert.Equal(5000ul, time);
            timers.Expire(time, ref sink);
            timers.TryGetDeadline(out time);
            Assert.Equal(lazy != 0 ? 6000ul : 5500ul, time);
        }
    }

    // Four timers, random writes and waits: every one-shot that was armed and left alone fires exactly once, in time.
    [Fact]
    public void OneShotsAreNeverLost() => Gen.Select(Gen.Int[0, 3], Gen.ULong[0, 3000], Gen.Int[0, 2], Gen.ULong[0, 500]).Array[1, 100].Sample(steps =>
    {
        Vectors.Clear();
        var timers = new SyntheticTimers();
        var sink = new Sink();
        var due = new ulong[4];
        var expected = new int[4];
        for (uint i = 0; i < 4; i++) timers.TryWriteMsr(Config0 + 2 * i, Auto | Direct | (0x50ul + i) << 4, 0);
        ulong now = 1;
        foreach ((int timer, ulong delta, int op, ulong wait) in steps)
        {
            if (op == 0) { due[timer] = now + delta; Assert.True(timers.TryWriteMsr(Count0 + 2 * (uint)timer, due[timer], now)); }
            if (op == 1 && delta < 300) { due[timer] = 0; Assert.True(timers.TryWriteMsr(Count0 + 2 * (uint)timer, 0, now)); }
            ulong earliest = due.Where(d => d != 0).DefaultIfEmpty(0ul).Min();
            Assert.Equal(earliest != 0, timers.TryGetDeadline(out ulong deadline));
            if (earliest != 0) Assert.Equal(earliest, deadline);
            now += wait;
            timers.Expire(now, ref sink);
            for (int i = 0; i < 4; i++)
            {
                if (due[i] != 0 && due[i] <= now) { expected[i]++; due[i] = 0; }
                Assert.Equal(expected[i], Vectors.Count(v => v == 0x50 + i));
                Assert.Equal(due[i] != 0, (Read(ref timers, Config0 + 2 * (uint)i) & Enable) != 0);
            }
        }
    }, iter: 500, threads: 1);

    // With the real SynIC: the message is as TLFS has it, and a busy slot makes the guest write EOM.
    private struct SynicSink : ITimerSink
    {
        public SynicState* State;
        public void AssertDirect(byte vector) { }
        public bool TryDeliverMessage(int sint, uint timer, ulong expiration, ulong delivery)
        {
            PostResult result = State->TryPostTimerMessage(sint, timer, expiration, delivery, out byte vector);
            if (result == PostResult.Posted) Vectors.Add(vector);
            return result == PostResult.Posted;
        }
    }

    [Fact]
    public void TwoTimersShareASlot()
    {
        using var fixture = new SynicFixture();
        var sink = new SynicSink { State = fixture.State };
        var timers = new SyntheticTimers();
        for (uint i = 0; i < 2; i++)
        {
            timers.TryWriteMsr(Config0 + 2 * i, Auto | Sint2, 0);
            timers.TryWriteMsr(Count0 + 2 * i, 1000 + i, 0);
        }
        timers.Expire(2000, ref sink);
        HvMessage* slot = fixture.Slot(2);
        var payload = (HvTimerMessagePayload*)slot->Payload;
        Assert.Equal((HvMessageType.HvMessageTimerExpired, (byte)24, 0u, 1000ul, 2000ul), (slot->Header.MessageType, slot->Header.PayloadSize, payload->TimerIndex, payload->ExpirationTime, payload->DeliveryTime));
        Assert.True(fixture.Take(2, out _, out bool eom) && eom);
        Assert.Equal(0u, fixture.State->Redeliver());
        timers.RetryWaiting(2500, ref sink);
        Assert.Equal((1u, 1001ul, 2500ul), (payload->TimerIndex, payload->ExpirationTime, payload->DeliveryTime));
        Assert.True(fixture.Take(2, out _, out eom) && !eom);
        Assert.Equal(new byte[] { 0x32, 0x32 }, Vectors);
    }
}
