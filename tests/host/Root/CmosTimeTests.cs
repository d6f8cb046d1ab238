// Decoding of the CMOS clock's registers, against .NET's calendar.
using System;
using CsCheck;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Root;

public class CmosTimeTests
{
    private const byte Binary = 4, TwentyFourHours = 2;

    [Theory]
    [InlineData(0)]
    [InlineData(Binary)]
    [InlineData(TwentyFourHours)]
    [InlineData(Binary | TwentyFourHours)]
    public void Any_second_of_a_century_and_a_half_in_every_format(byte format) =>
        Gen.Long[0, 4733510399].Sample(seconds => Assert.Equal(seconds, Encode(seconds, format, true).ToUnixSeconds()));

    [Fact]
    public void Without_a_century_register_the_years_are_1970_to_2069() =>
        Gen.Long[0, 3155759999].Sample(seconds => Assert.Equal(seconds, Encode(seconds, TwentyFourHours, false).ToUnixSeconds()));

    [Fact]
    public void Registers_that_hold_no_date_are_the_epoch()
    {
        Assert.Equal(0, new CmosTime(0, 0, 0, 0, 0, 0, 0, Binary).ToUnixSeconds());
        Assert.Equal(0, new CmosTime(255, 255, 255, 255, 255, 255, 255, Binary | TwentyFourHours).ToUnixSeconds());
    }

    private static CmosTime Encode(long seconds, byte format, bool century)
    {
        DateTime t = DateTimeOffset.FromUnixTimeSeconds(seconds).UtcDateTime;
        byte E(int value) => (byte)((format & Binary) != 0 ? value : value / 10 << 4 | value % 10);
        byte hour = (format & TwentyFourHours) != 0 ? E(t.Hour) : (byte)(E((t.Hour + 11) % 12 + 1) | (t.Hour >= 12 ? 0x80 : 0));
        return new CmosTime(E(t.Second), E(t.Minute), hour, E(t.Day), E(t.Month), E(t.Year % 100), century ? E(t.Year / 100) : (byte)0, format);
    }
}
