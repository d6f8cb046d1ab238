// The CMOS clock against .NET's calendar: reading in every format, setting, and any random access.
using System;
using CsCheck;
using Lamina.Root.Devices;
using Xunit;

namespace Lamina.Tests.Host.Devices;

public class CmosClockTests
{
    private const ulong Second = 10_000_000;
    private CmosClock _clock;

    private uint In(int register, ulong time) { _clock.Write(0x70, 1, (uint)register, time); return _clock.Read(0x71, 1, time); }
    private void Out(int register, uint value, ulong time) { _clock.Write(0x70, 1, (uint)register, time); _clock.Write(0x71, 1, value, time); }
    private static int FromBcd(uint value) => (int)(value >> 4) * 10 + (int)(value & 15);
    private static ulong Units(DateTime time) => (ulong)(time - DateTime.UnixEpoch).Ticks;

    private DateTime ReadAsLinuxDoes(ulong time)
    {
        Assert.Equal(2u, In(11, time) & 6); // 24 hours, BCD
        Assert.Equal(0x80u, In(13, time));
        return new DateTime(FromBcd(In(0x32, time)) * 100 + FromBcd(In(9, time)), FromBcd(In(8, time)), FromBcd(In(7, time)), FromBcd(In(4, time)), FromBcd(In(2, time)), FromBcd(In(0, time)));
    }

    [Fact]
    public void EveryTimeReadsRight() =>
        Gen.Long[0, 253402300799].Sample(seconds =>
        {
            CmosClockTests test = new();
            DateTime expected = DateTime.UnixEpoch.AddSeconds(seconds);
            Assert.Equal(expected, test.ReadAsLinuxDoes((ulong)seconds * Second + 5));
            Assert.Equal((uint)expected.DayOfWeek + 1, test.In(6, (ulong)seconds * Second));
        }, threads: 1);

    [Fact]
    public void TheUpdateIsAnnounced244MicrosecondsBefore()
    {
        Assert.Equal(0x26u, In(10, 100 * Second));
        Assert.Equal(0x26u, In(10, 101 * Second - 2441));
        Assert.Equal(0xA6u, In(10, 101 * Second - 2440));
        Assert.Equal(0xA6u, In(10, 101 * Second - 1));
    }

    [Theory]
    [InlineData(0, 0x12, 12)]
    [InlineData(1, 0x01, 1)]
    [InlineData(11, 0x11, 11)]
    [InlineData(12, 0x92, 0x8C)]
    [InlineData(23, 0x91, 0x8B)]
    public void TwelveHourFormats(int hour, uint bcd, uint binary)
    {
        ulong time = (ulong)hour * 3600 * Second;
        Out(11, 0, time);
        Assert.Equal(bcd, In(4, time));
        Out(11, 4, time);
        Assert.Equal(binary, In(4, time));
        Out(4, binary, time);
        Assert.Equal(binary, In(4, time));
    }

    /// <summary>As hwclock --systohc does: SET, all fields, SET off; then the clock goes on from there.</summary>
    [Fact]
    public void SettingTakesEffectWhenSetIsCleared() =>
        Gen.Select(Gen.Long[0, 253402000000], Gen.Long[0, 253402000000], Gen.Int[0, 100000]).Sample((now, wanted, later) =>
        {
            CmosClockTests test = new();
            ulong time = (ulong)now * Second;
            DateTime target = DateTime.UnixEpoch.AddSeconds(wanted);
            static uint Bcd(int value) => (uint)(value / 10 << 4 | value % 10);
            test.Out(11, 0x82, time);
            test.Out(9, Bcd(target.Year % 100), time);
            test.Out(8, Bcd(target.Month), time);
            test.Out(7, Bcd(target.Day), time);
            test.Out(4, Bcd(target.Hour), time);
            test.Out(2, Bcd(target.Minute), time);
            test.Out(0, Bcd(target.Second), time);
            test.Out(0x32, Bcd(target.Year / 100), time);
            test.Out(11, 0x02, time);
            Assert.Equal(target.AddSeconds(later), test.ReadAsLinuxDoes(time + (ulong)later * Second));
        }, threads: 1);

    [Fact]
    public void MemoryKeepsItsBytesAndTheIndexPortReadsOnes()
    {
        Out(0x40, 0x5A, 0);
        Out(0xC1, 0xA5, 0); // bit 7 masks NMIs and is no part of the index
        Assert.Equal((0x5Au, 0xA5u), (In(0x40, 0), In(0x41, 0)));
        Assert.Equal(0xFFu, _clock.Read(0x70, 1, 0));
    }

    [Fact]
    public void NonsenseWrittenWhileHeldStaysWithinItsByte()
    {
        CmosClock clock = default;
        clock.Write(0x70, 1, 0x0B, 0);
        clock.Write(0x71, 1, 0x80, 0);
        clock.Write(0x70, 1, 0, 0);
        clock.Write(0x71, 1, 0xFF, 0);
        Assert.InRange(clock.Read(0x71, 1, 0), 0u, 0xFFu);
    }

    [Fact]
    public void AnySequenceIsHarmless() =>
        Gen.Select(Gen.Bool, Gen.Int[0, 1], Gen.Int[0, 2], Gen.UInt, Gen.ULong).Array[0, 100].Sample(steps =>
        {
            CmosClock clock = default;
            foreach ((bool write, int port, int sizeLog, uint value, ulong time) in steps)
            {
                if (write) clock.Write((ushort)(0x70 + port), 1 << sizeLog, value, time);
                else Assert.True(sizeLog == 2 || clock.Read((ushort)(0x70 + port), 1 << sizeLog, time) >> (8 << sizeLog) == 0);
            }
        }, iter: 3000);
}
