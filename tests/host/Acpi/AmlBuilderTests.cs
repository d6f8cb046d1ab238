// AML encodings against the bytes that the specification prescribes.
using System;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Root.Acpi;
using Xunit;

namespace Lamina.Tests.Host.Acpi;

public unsafe class AmlBuilderTests
{
    private delegate void Writes(ref AmlBuilder aml);

    private static byte[] Build(Writes write, int capacity = 1 << 20)
    {
        byte[] buffer = new byte[capacity + 1];
        buffer[capacity] = 0xA5;
        fixed (byte* p = buffer)
        {
            AmlBuilder aml = new(p, capacity);
            write(ref aml);
            Assert.Equal(0xA5, buffer[capacity]);
            return aml.Overflowed ? null : buffer[..aml.Length];
        }
    }

    [Theory]
    [InlineData(0, "00")]
    [InlineData(1, "01")]
    [InlineData(2, "0A02")]
    [InlineData(0x1234, "0B3412")]
    [InlineData(0x12345678, "0C78563412")]
    [InlineData(0x123456789A, "0E9A78563412000000")]
    public void Integers(ulong value, string hex) => Assert.Equal(hex, Convert.ToHexString(Build((ref AmlBuilder aml) => aml.Integer(value))));

    [Theory]
    [InlineData("_HID", "085F484944")]
    [InlineData("\\_SB", "085C5F53425F")]
    [InlineData("\\_SB.VMOD", "085C2E5F53425F564D4F44")]
    [InlineData("^A.B.C", "085E2F03415F5F5F425F5F5F435F5F5F")]
    public void Paths(string path, string hex) => Assert.Equal(hex, Convert.ToHexString(Build((ref AmlBuilder aml) => aml.Name(Encoding.ASCII.GetBytes(path)))));

    [Fact]
    public void EisaIds() => Assert.Equal("0C41D00501", Convert.ToHexString(Build((ref AmlBuilder aml) => aml.EisaId("PNP0501"u8))));

    /// <summary>The length in front of a block counts itself, in as few bytes as it needs.</summary>
    [Fact]
    public void PackageLengths() =>
        Gen.OneOf(Gen.Int[0, 200], Gen.Int[3900, 4200], Gen.Int[0, 70000]).Sample(text =>
        {
            byte[] aml = Build((ref AmlBuilder a) => { int mark = a.BeginPackage(1); a.String(Enumerable.Repeat((byte)'x', text).ToArray()); a.End(mark); });
            int extra = aml[1] >> 6, length = extra == 0 ? aml[1] & 0x3F : aml[1] & 0xF;
            for (int i = 0; i < extra; i++) length |= aml[2 + i] << (4 + 8 * i);
            Assert.Equal(aml.Length - 1, length);
            Assert.Equal(1, aml[2 + extra]);
            Assert.Equal(0x0D, aml[3 + extra]);
        }, iter: 300);

    [Fact]
    public void AnyCapacityIsRespected()
    {
        static void Write(ref AmlBuilder aml)
        {
            int scope = aml.BeginScope("\\_SB"u8), device = aml.BeginDevice("DEV0"u8);
            aml.Name("_UID"u8, 0x1234567890UL);
            aml.Name("_CRS"u8);
            int template = aml.BeginResourceTemplate();
            aml.QWordMemoryProducer(0, 4096);
            aml.Io(0x3F8, 8);
            aml.Interrupt(4, true);
            aml.EndResourceTemplate(template);
            aml.ConstantMethod("_STA"u8, 15);
            aml.Buffer([1, 2, 3]);
            aml.End(device);
            aml.End(scope);
        }
        int needed = Build(Write).Length;
        for (int capacity = 0; capacity < needed; capacity++) Assert.Null(Build(Write, capacity));
        Assert.NotNull(Build(Write, needed));
    }
}
