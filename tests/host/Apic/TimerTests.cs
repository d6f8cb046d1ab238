// The APIC timer: never early, never lost, without drift, and as the manual says across mode changes.
using System;
using CsCheck;
using Lamina.Hypervisor.Apic;
using Lamina.X64;
using Xunit;

namespace Lamina.Tests.Host.Apic;

public class TimerTests
{
    private const uint Vector = 0xE0, Periodic = 1 << 17, Deadline = 2 << 17, Masked = 1 << 16;
    private const uint DeadlineMsr = Msr.IA32_TSC_DEADLINE;

    private static ApicFixture Create(uint lvt, ulong ratio = 1ul << 32, uint divide = 0xB)
    {
        var fixture = new ApicFixture();
        fixture.Apic.SetTickRatio(ratio);
        fixture.Write(0x3E0, divide);
        fixture.Write(0x320, lvt);
        return fixture;
    }

    [Theory]
    [InlineData(0x0u, 1)] [InlineData(0x1u, 2)] [InlineData(0x2u, 3)] [InlineData(0x3u, 4)] [InlineData(0x8u, 5)] [InlineData(0x9u, 6)] [InlineData(0xAu, 7)] [InlineData(0xBu, 0)]
    public void Divisors(uint divide, int shift)
    {
        using ApicFixture fixture = Create(Vector, divide: divide);
        fixture.Write(0x380, 1000, 500);
        Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline));
        Assert.Equal(500 + (1000ul << shift), deadline);
    }

    [Fact]
    public void OneShotFiresOnceAndNotEarly() =>
        Gen.Select(Gen.UInt[1, uint.MaxValue], Gen.ULong[1ul << 28, (1ul << 40) - 1], Gen.UInt[0, 0xF].Select(v => v & 0xB), Gen.ULong[0, 1ul << 50]).Sample((count, ratio, divide, start) =>
        {
            using ApicFixture fixture = Create(Vector, ratio, divide);
            fixture.Write(0x380, count, start);
            Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline));
            int shift = (int)((divide >> 1 & 4 | divide & 3) + 1 & 7);
            UInt128 exact = (((UInt128)count << shift) * ratio + uint.MaxValue) >> 32;
            Assert.Equal((UInt128)start + exact, deadline);
            Assert.False(fixture.Apic.Expire(deadline - 1));
            Assert.InRange(fixture.Read(0x390, deadline - 1), 1u, count);
            Assert.Equal(count, fixture.Read(0x390, start));
            Assert.True(fixture.Apic.Expire(deadline));
            Assert.True(fixture.Apic.IsRequested((byte)Vector));
            Assert.Equal(0u, fixture.Read(0x390, deadline));
            Assert.False(fixture.Apic.TryGetDeadline(out _));
            Assert.False(fixture.Apic.Expire(deadline + 1000));
        }, iter: 2000);

    [Fact]
    public void CountRunsDownAtTheRightRate() => Gen.Select(Gen.UInt[1, uint.MaxValue], Gen.ULong[1ul << 30, (1ul << 40) - 1], Gen.ULong[0, 1ul << 42]).Sample((count, ratio, elapsed) =>
    {
        using ApicFixture fixture = Create(Vector, ratio);
        fixture.Write(0x380, count, 7);
        fixture.Apic.TryGetDeadline(out ulong deadline);
        if (7 + elapsed >= deadline) return;
        UInt128 ticks = ((UInt128)elapsed << 32) / ratio;
        uint left = fixture.Read(0x390, 7 + elapsed);
        UInt128 expected = count - ticks;
        Assert.InRange(left, (uint)UInt128.Max(expected == 0 ? 0 : expected - 1, 1), (uint)UInt128.Min(expected + 1, count));
    }, iter: 2000);

    [Fact]
    public void PeriodicHasNoDriftAndBoundsCatchUp() => Gen.Select(Gen.UInt[2000, 1000000], Gen.ULong[0, 5000000].Array[1, 60]).Sample((count, waits) =>
    {
        using ApicFixture fixture = Create(Vector | Periodic);
        fixture.Write(0x380, count, 0);
        ulong now = 0;
        foreach (ulong wait in waits)
        {
            ulong before = now / count;
            now += wait;
            bool fired = fixture.Apic.Expire(now);
            // Fires exactly when a multiple of the period has been passed, once however many there were.
            Assert.Equal(now / count > before, fired);
            if (fired) { fixture.Apic.Acknowledge((byte)Vector); fixture.Apic.EndOfInterrupt(); }
            Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline));
            Assert.Equal((now / count + 1) * count, deadline);
            Assert.Equal(deadline - now, fixture.Read(0x390, now));
        }
    }, iter: 500);

    [Fact]
    public void TinyPeriodsAreStretched()
    {
        using ApicFixture fixture = Create(Vector | Periodic);
        fixture.Write(0x380, 1, 100);
        Assert.True(fixture.Apic.Expire(101));
        Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline));
        Assert.Equal(101ul + 1024, deadline);
        Assert.Equal(1u, fixture.Read(0x390, 102));
    }

    [Fact]
    public void TscDeadline()
    {
        using ApicFixture fixture = Create(Vector | Deadline);
        ref LocalApic apic = ref fixture.Apic;
        Assert.True(apic.TryWriteMsr(DeadlineMsr, 5000, 1000, out ApicEffect effect));
        Assert.True(effect.HasTimerChanged && !effect.HasInterruptsChanged);
        Assert.True(apic.TryGetDeadline(out ulong deadline) && deadline == 5000);
        Assert.True(apic.TryReadMsr(DeadlineMsr, 2000, out ulong value) && value == 5000);
        Assert.Equal(0u, fixture.Read(0x390, 2000));
        fixture.Write(0x380, 77, 2000);
        Assert.Equal(0u, fixture.Read(0x380));
        Assert.False(apic.Expire(4999));
        Assert.True(apic.Expire(5000));
        Assert.True(apic.TryReadMsr(DeadlineMsr, 5001, out value) && value == 0);
        apic.Clear((byte)Vector);
        // In the past: fires at once.
        Assert.True(apic.TryWriteMsr(DeadlineMsr, 10, 6000, out effect));
        Assert.True(effect.HasInterruptsChanged && apic.IsRequested((byte)Vector));
        Assert.False(apic.TryGetDeadline(out _));
        // Zero disarms.
        apic.TryWriteMsr(DeadlineMsr, 9000, 6000, out _);
        apic.TryWriteMsr(DeadlineMsr, 0, 6000, out _);
        Assert.False(apic.TryGetDeadline(out _));
        // In another mode the MSR reads zero and ignores writes.
        fixture.Write(0x320, Vector);
        Assert.True(apic.TryWriteMsr(DeadlineMsr, 9000, 6000, out _));
        Assert.False(apic.TryGetDeadline(out _));
    }

    [Fact]
    public void ModeChanges()
    {
        using ApicFixture fixture = Create(Vector);
        fixture.Write(0x380, 10000, 0);
        fixture.Write(0x320, Vector | Periodic, 4000);
        Assert.Equal(10000u, fixture.Read(0x380));
        Assert.Equal(6000u, fixture.Read(0x390, 4000));
        Assert.True(fixture.Apic.Expire(10000));
        Assert.Equal(10000u, fixture.Read(0x390, 10000));
        fixture.Write(0x320, Vector | Deadline, 12000);
        Assert.False(fixture.Apic.TryGetDeadline(out _));
        fixture.Apic.TryWriteMsr(DeadlineMsr, 20000, 12000, out _);
        fixture.Write(0x320, Vector | Periodic, 13000);
        Assert.False(fixture.Apic.TryGetDeadline(out _));
        Assert.Equal(0u, fixture.Read(0x390, 13000));
    }

    [Fact]
    public void MaskedTimerCountsButStaysSilent()
    {
        using ApicFixture fixture = Create(Vector | Masked);
        fixture.Write(0x380, 10000, 0);
        Assert.False(fixture.Apic.TryGetDeadline(out _));
        Assert.Equal(4000u, fixture.Read(0x390, 6000));
        // Unmasked in time it fires; expired while masked it is lost.
        fixture.Write(0x320, Vector, 6000);
        Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline) && deadline == 10000);
        fixture.Write(0x320, Vector | Masked, 7000);
        ApicEffect effect = fixture.Write(0x320, Vector, 11000);
        Assert.False(effect.HasInterruptsChanged);
        Assert.False(fixture.Apic.TryGetDeadline(out _));
    }

    // An expiry that the core has not collected yet is not lost to a register write that follows it.
    [Theory]
    [InlineData(0x320u, Masked | Vector)] [InlineData(0x380u, 5u)] [InlineData(0x380u, 0u)] [InlineData(0x3E0u, 0u)] [InlineData(0xF0u, 0xFFu)] [InlineData(0x320u, Deadline | Vector)]
    public void UncollectedExpiryIsNotLost(uint register, uint value)
    {
        using ApicFixture fixture = Create(Vector);
        fixture.Write(0x380, 1000, 0);
        Assert.True(fixture.Write(register, value, 1000).HasInterruptsChanged);
        Assert.True(fixture.Apic.IsRequested((byte)Vector));
    }

    [Fact]
    public void DividerChangeKeepsTheCount()
    {
        using ApicFixture fixture = Create(Vector | Periodic);
        fixture.Write(0x380, 10000, 0);
        fixture.Write(0x3E0, 0, 4000);
        Assert.Equal(6000u, fixture.Read(0x390, 4000));
        Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline));
        Assert.Equal(4000ul + 12000, deadline);
        fixture.Apic.Expire(16000);
        Assert.True(fixture.Apic.TryGetDeadline(out deadline));
        Assert.Equal(36000ul, deadline);
    }

    [Fact]
    public void TscJumpMovesCountsOnly()
    {
        using ApicFixture fixture = Create(Vector);
        fixture.Write(0x380, 1000, 5000);
        fixture.Apic.ShiftTimeBase(-3000);
        Assert.True(fixture.Apic.TryGetDeadline(out ulong deadline) && deadline == 3000);
    }

    [Fact]
    public void RatioIsRoundedUp() => Gen.Select(Gen.ULong[1000000, 1ul << 36], Gen.UInt[1000000, uint.MaxValue]).Sample((tsc, apic) =>
    {
        UInt128 exact = (((UInt128)tsc << 32) + apic - 1) / apic;
        Assert.Equal(exact, LocalApic.ComputeTickRatio(tsc, apic));
    }, iter: 1000);
}
