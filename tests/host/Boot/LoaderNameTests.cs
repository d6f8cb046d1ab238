// Names on their way: a loader's module text against lamina.json, a name to a TFTP path, the boot server's answer, the RSDP in a BIOS.
using System;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Boot;
using Xunit;

namespace Lamina.Tests.Host.Boot;

public class LoaderNameTests
{
    private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    [Theory]
    [InlineData("lamina.json", "lamina.json", true)]
    [InlineData("/lamina/lamina.json", "lamina.json", true)]
    [InlineData("/lamina/lamina.json quiet", "lamina.json", true)]
    [InlineData("vmlinuz root=/dev/sda", "vmlinuz", true)]
    [InlineData("my kernel", "my kernel", true)]
    [InlineData("/lamina/my kernel", "my kernel", true)]
    [InlineData("(cd)/lamina/kernels/vmlinuz", "kernels/vmlinuz", true)]
    [InlineData("kernels\\vmlinuz", "kernels/vmlinuz", true)]
    [InlineData("/boot/vmlinuz", "/boot/vmlinuz", true)]
    [InlineData("boot/vmlinuz", "/boot/vmlinuz", true)]
    [InlineData("\"kernels/my kernel\" quiet", "kernels/my kernel", true)]
    [InlineData("\"it\\'s \\\"mine\\\"\"", "it's \"mine\"", true)]
    [InlineData("it\\'s quiet", "it's", true)]
    [InlineData("\"my kernel", "my kernel", false)]
    [InlineData("\"kernel\\", "kernel", false)]
    [InlineData("", "vmlinuz", false)]
    [InlineData("vmlinuz", "", false)]
    [InlineData("vmlinuz", "/", false)]
    [InlineData("old-vmlinuz", "vmlinuz", false)]
    [InlineData("vmlinuz.old", "vmlinuz", false)]
    [InlineData("vmlinuz", "kernels/vmlinuz", false)]
    [InlineData("initrd vmlinuz", "vmlinuz", false)]
    public void AModuleIsFoundByWhatItsLoaderSays(string text, string name, bool expected) =>
        Assert.Equal(expected, ModuleName.Matches(Utf8(text), Utf8(name)));

    [Fact]
    public void AnyTextCanBeCompared() => Gen.Select(Gen.Char["\\\"'/ ab"].Array[0, 600], Gen.Char["ab/ "].Array[0, 5]).Sample((text, name) =>
        { _ = ModuleName.Matches(Utf8(new string(text)), Utf8(new string(name))); });

    [Theory]
    [InlineData("BOOTX64.EFI", "lamina.json", "lamina/lamina.json")]
    [InlineData("boot\\x64\\BOOTX64.EFI", "vm\\disk.img", "boot/x64/lamina/vm/disk.img")]
    [InlineData("/pxe/BOOTX64.EFI", "/images/a.img", "/images/a.img")]
    [InlineData("pxe/", "a", "pxe/lamina/a")]
    public void AFileLiesBesideTheBootFile(string bootFile, string name, string expected)
    {
        var output = new byte[64];
        Assert.True(TftpPath.TryConvert(Utf8(bootFile), Utf8(name), output));
        Assert.Equal(expected, Encoding.UTF8.GetString(output[..Array.IndexOf(output, (byte)0)]));
        Assert.True(TftpPath.TryConvert(Utf8(bootFile), Utf8(name), new byte[expected.Length + 1]));
        Assert.False(TftpPath.TryConvert(Utf8(bootFile), Utf8(name), new byte[expected.Length]));
    }

    [Fact]
    public void APathWithAZeroInsideIsRefused() => Assert.False(TftpPath.TryConvert(Utf8("BOOTX64.EFI"), Utf8("a\0b"), new byte[64]));

    private static byte[] Reply(uint siaddr = 0x0202000A, string file = "BOOTX64.EFI", params byte[] options)
    {
        var packet = new byte[1472];
        BitConverter.TryWriteBytes(packet.AsSpan(20), siaddr);
        Utf8(file).CopyTo(packet, 108);
        new byte[] { 99, 130, 83, 99 }.CopyTo(packet, 236);
        options.CopyTo(packet, 240);
        packet[240 + options.Length] = 255;
        return packet;
    }

    private static byte[] Option(byte code, params byte[] value) => [code, (byte)value.Length, .. value];

    [Fact]
    public void TheAnswerNamesServerAndFile()
    {
        Assert.True(BootReply.TryRead(Reply(), out uint server, out ReadOnlySpan<byte> file));
        Assert.Equal((0x0202000Au, "BOOTX64.EFI"), (server, Encoding.UTF8.GetString(file)));
        byte[] options = [0, 0, .. Option(53, 5), .. Option(67, [.. Utf8("pxe/x.efi"), 0]), .. Option(54, 192, 168, 0, 9)];
        Assert.True(BootReply.TryRead(Reply(0, "ignored", options), out server, out file));
        Assert.Equal((0x0900A8C0u, "pxe/x.efi"), (server, Encoding.UTF8.GetString(file)));
    }

    [Fact]
    public void AnAnswerThatLacksOneOfThemIsNone()
    {
        Assert.False(BootReply.TryRead(Reply(siaddr: 0), out _, out _));
        Assert.False(BootReply.TryRead(Reply(file: ""), out _, out _));
        Assert.False(BootReply.TryRead(Reply(options: Option(52, 1)), out _, out _)); // the field holds options instead
        Assert.True(BootReply.TryRead(Reply(options: Option(52, 2)), out _, out _));
        Assert.False(BootReply.TryRead(Reply()[..239], out _, out _));
        byte[] foreign = Reply();
        foreign[236] = 0;
        Assert.False(BootReply.TryRead(foreign, out _, out _));
    }

    [Fact]
    public void DamagedAnswersAreReadWithoutLeavingThem() =>
        Gen.Select(Gen.Byte.Array[0, 80], Gen.Int[240, 400]).Sample((options, length) =>
        {
            byte[] packet = Reply(options: options)[..length];
            if (BootReply.TryRead(packet, out uint server, out ReadOnlySpan<byte> file))
                Assert.True(server != 0 && file.Length is > 0 and <= 255);
        });

    private static byte[] Rsdp(byte revision, uint length = 36)
    {
        var bytes = new byte[Math.Max(36, length)];
        Utf8("RSD PTR ").CopyTo(bytes, 0);
        bytes[15] = revision;
        BitConverter.TryWriteBytes(bytes.AsSpan(20), length);
        bytes[8] = (byte)-bytes[..20].Sum(b => b);
        bytes[32] = (byte)-bytes[..(int)length].Sum(b => b);
        return bytes;
    }

    [Fact]
    public void TheRootPointerIsFoundOnItsBoundaryOnly()
    {
        var area = new byte[0x20000];
        Assert.Equal(-1, RsdpSearch.Find(area));
        Rsdp(2).CopyTo(area, 0x1008);
        Assert.Equal(-1, RsdpSearch.Find(area));
        Rsdp(2).CopyTo(area, 0x1FFD0);
        Assert.Equal(0x1FFD0, RsdpSearch.Find(area));
        Rsdp(0)[..20].CopyTo(area, 0x40);
        Assert.Equal(0x40, RsdpSearch.Find(area));
        area[0x48]++;
        Assert.Equal(0x1FFD0, RsdpSearch.Find(area));
    }

    [Fact]
    public void ARootPointerIsAsLongAsItsRevisionSays()
    {
        Assert.Equal(20, RsdpSearch.LengthOf(Rsdp(0)));
        Assert.Equal(20, RsdpSearch.LengthOf(Rsdp(0).AsSpan(0, 20)));
        Assert.Equal(36, RsdpSearch.LengthOf(Rsdp(2)));
        Assert.Equal(40, RsdpSearch.LengthOf(Rsdp(2, 40)));
        Assert.Equal(0, RsdpSearch.LengthOf(Rsdp(2).AsSpan(0, 35)));
        byte[] damaged = Rsdp(2);
        damaged[33]++; // only the whole one's checksum covers it
        Assert.Equal(0, RsdpSearch.LengthOf(damaged));
        Assert.Equal(0, RsdpSearch.LengthOf(Rsdp(2, 33)));
        Gen.Byte.Array[0, 60].Sample(noise => { RsdpSearch.LengthOf(noise); RsdpSearch.Find(noise); });
    }
}
