// Reference time arithmetic against 128-bit integers, and the page's sequence protocol.
using System;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Synic;
using Xunit;

namespace Lamina.Tests.Host.Synic;

public unsafe class ReferenceTimeTests
{
    private static readonly Gen<ulong> Frequency = Gen.OneOf(Gen.ULong[10_000_001, 6_000_000_000], Gen.ULong[900_000_000, 5_000_000_000], Gen.Const(1_000_000_000ul));

    private static ReferenceTime Create(ulong hz, ulong zero)
    {
        var time = new ReferenceTime();
        Assert.True(time.TryInitialize(hz, zero));
        return time;
    }

    [Fact]
    public void ScaleIsExact() => Frequency.Sample(hz => Assert.Equal(((UInt128)10_000_000 << 64) / hz, Create(hz, 0).Scale), iter: 3000);

    [Fact]
    public void StartsAtZeroAndFollowsTheFormula() => Gen.Select(Frequency, Gen.ULong[0, 1ul << 60], Gen.ULong[0, 1ul << 60]).Sample((hz, zero, elapsed) =>
    {
        ReferenceTime time = Create(hz, zero);
        Assert.Equal(0ul, time.FromTsc(zero));
        ulong tsc = zero + elapsed;
        Assert.Equal((ulong)((UInt128)tsc * time.Scale >> 64) + (ulong)time.Offset, time.FromTsc(tsc));
        // Within one unit of the ideal, per 2^54 TSC ticks.
        UInt128 ideal = (UInt128)elapsed * 10_000_000 / hz;
        Assert.InRange((double)time.FromTsc(tsc), (double)ideal * 0.999999999 - 2, (double)ideal * 1.000000001 + 2);
    }, iter: 3000);

    [Fact]
    public void ToTscIsTheFirstTickNotEarly() =>
        Gen.Select(Frequency, Gen.ULong[0, 1ul << 60], Gen.OneOf(Gen.ULong[0, 1ul << 50], Gen.ULong)).Sample((hz, zero, when) =>
        {
            ReferenceTime time = Create(hz, zero);
            ulong tsc = time.ToTsc(when);
            if (tsc == ReferenceTime.Never)
            {
                UInt128 needed = ((UInt128)when - (UInt128)(Int128)time.Offset) * hz / 10_000_000;
                Assert.True(needed > ulong.MaxValue - 1000);
                return;
            }
            Assert.True(time.FromTsc(tsc) >= when);
            if (tsc > zero) Assert.True(time.FromTsc(tsc - 1) < when);
        }, iter: 10000);

    [Fact]
    public void NeverStepsBack() => Gen.Select(Frequency, Gen.ULong[0, 1ul << 60], Gen.ULong[0, 100000].Array[1, 100], Gen.ULong[0, 1ul << 60]).Sample((hz, zero, steps, jump) =>
    {
        ReferenceTime time = Create(hz, zero);
        ulong tsc = zero, last = 0;
        foreach (ulong step in steps)
        {
            tsc += step;
            ulong now = time.FromTsc(tsc);
            Assert.True(now >= last);
            last = now;
        }
        time.Rebase(tsc, jump);
        Assert.InRange(time.FromTsc(jump), last, last + 1);
    }, iter: 500);

    [Fact]
    public void SlowClocksAreRefused()
    {
        var time = new ReferenceTime();
        Assert.False(time.TryInitialize(10_000_000, 0));
        Assert.False(time.TryInitialize(0, 0));
    }

    [Fact]
    public void PageSequenceSkipsReservedValues()
    {
        ReferenceTime time = Create(3_000_000_000, 12345);
        ReferenceTscPage page = default;
        uint sequence = 0;
        time.Publish(&page, ref sequence);
        Assert.Equal((1u, time.Scale, time.Offset), (page.TscSequence, page.TscScale, page.TscOffset));
        sequence = 0xFFFFFFFD;
        time.Publish(&page, ref sequence);
        Assert.Equal(0xFFFFFFFEu, page.TscSequence);
        time.Publish(&page, ref sequence);
        Assert.Equal(1u, page.TscSequence);
        ReferenceTime.Withdraw(&page);
        Assert.Equal(0u, page.TscSequence);
    }
}
