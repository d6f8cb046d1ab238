// The ACPI power block: registers by byte, word and double word, timer, soft off, reset, power button.
using System;
using CsCheck;
using Lamina.Root.Devices;
using Xunit;

namespace Lamina.Tests.Host.Devices;

public class AcpiPowerTests
{
    private const ulong Second = 10_000_000;
    private AcpiPower _power;

    private uint In(int port, int size, ulong time = 0) => _power.Read((ushort)port, size, time);
    private DeviceEffect Out(int port, int size, uint value, ulong time = 0) => _power.Write((ushort)port, size, value, time);

    [Fact]
    public void OnlySleepTypeFiveTurnsOff()
    {
        Assert.Equal(1u, In(0x404, 2)); // SCI_EN
        for (uint type = 0; type < 8; type++)
        {
            Assert.Equal(DeviceEffectKind.None, Out(0x404, 2, type << 10).Kind);
            Assert.Equal(type == 5 ? DeviceEffectKind.PowerOff : DeviceEffectKind.None, Out(0x404, 2, 1 << 13 | type << 10).Kind);
            Assert.Equal(type << 10 | 1, In(0x404, 2));
        }
        Assert.Equal(DeviceEffectKind.PowerOff, Out(0x405, 1, 0x34).Kind);
    }

    [Fact]
    public void TheResetRegisterResets()
    {
        Assert.Equal(DeviceEffectKind.None, Out(0xCF9, 1, 2).Kind);
        Assert.Equal(2u, In(0xCF9, 1));
        Assert.Equal(DeviceEffectKind.Reset, Out(0xCF9, 1, 6).Kind);
        Assert.Equal(DeviceEffectKind.Reset, Out(AcpiPower.ResetPort, 1, AcpiPower.ResetValue).Kind);
    }

    [Fact]
    public void ThePowerButtonRaisesTheSciUntilAcknowledged()
    {
        _power.PressPowerButton();
        Assert.False(_power.GetSciLevel(0));
        Out(0x402, 2, 0x100);
        Assert.True(_power.GetSciLevel(0));
        Assert.Equal(0x01000100u, In(0x400, 4));
        Out(0x400, 2, 0x0001);
        Assert.True(_power.GetSciLevel(0));
        Out(0x401, 1, 0x01);
        Assert.False(_power.GetSciLevel(0));
        Assert.Equal(0x100u, In(0x402, 2));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(Second, 3579545)]
    [InlineData(Second / 2, 1789772)]
    [InlineData(1200 * Second, 0x100000000 + 0)]
    public void TheTimerRunsAtItsFrequency(ulong time, ulong ticks)
    {
        if (time > 1000 * Second) ticks = 1200UL * 3579545;
        Assert.Equal((uint)ticks, In(0x408, 4, time));
        Assert.Equal((byte)(ticks >> 8), In(0x409, 1, time));
    }

    [Fact]
    public void TheTimerNeverGoesBackEvenAfterYears() =>
        Gen.Select(Gen.ULong[0, ulong.MaxValue / 8], Gen.ULong[1, 3 * Second]).Sample((time, step) =>
        {
            AcpiPower power = default;
            uint first = power.Read(0x408, 4, time), second = power.Read(0x408, 4, time + step);
            double expected = step * 0.3579545;
            Assert.InRange((uint)(second - first), expected - 1.01, expected + 1.01);
        });

    [Fact]
    public void TheHighestBitOfTheTimerSetsItsStatus()
    {
        Out(0x402, 2, 1);
        ulong next = _power.GetNextTimerEvent(0);
        Assert.InRange(next, 599 * Second, 600 * Second);
        Assert.False(_power.GetSciLevel(next - 3));
        Assert.True(_power.GetSciLevel(next));
        Assert.Equal(ulong.MaxValue, _power.GetNextTimerEvent(next));
        Out(0x400, 2, 1, next);
        Assert.False(_power.GetSciLevel(next));
        Assert.True(_power.GetNextTimerEvent(next) > next);
    }

    [Fact]
    public void AnySequenceKeepsTheInvariants() =>
        Gen.Select(Gen.Bool, Gen.Int[0, 12], Gen.Int[0, 2], Gen.UInt, Gen.ULong[0, Second]).Array[0, 100].Sample(steps =>
        {
            AcpiPower power = default;
            ulong time = 0;
            foreach ((bool write, int offset, int sizeLog, uint value, ulong step) in steps)
            {
                time += step;
                ushort port = offset == 12 ? AcpiPower.ResetPort : (ushort)(0x400 + offset);
                if (write) Assert.NotEqual(DeviceEffectKind.Exit, power.Write(port, 1 << sizeLog, value, time).Kind);
                else Assert.True(sizeLog == 2 || power.Read(port, 1 << sizeLog, time) >> (8 << sizeLog) == 0);
                Assert.Equal(1u, power.Read(0x404, 1, time) & 1);
                Assert.Equal((power.Read(0x400, 2, time) & power.Read(0x402, 2, time)) != 0, power.GetSciLevel(time));
            }
        }, iter: 2000);
}
