// Which kind a kernel is, by its content alone, and what is said of one that is none.
using System;
using System.Text;
using CsCheck;
using Lamina.Root.Loader;
using Lamina.Text;
using Xunit;

namespace Lamina.Tests.Host.Loader;

public unsafe class GuestImageTests
{
    private static (GuestImageKind, string) Detect(byte[] file)
    {
        byte* text = stackalloc byte[300];
        TextWriter reason = new(text, 300);
        GuestImageKind kind = GuestImage.Detect(file, ref reason);
        return (kind, Encoding.UTF8.GetString(reason.Written));
    }

    [Fact]
    public void KindsAreToldApart()
    {
        byte[] header = ElfBuilder.WithMultibootHeader(500, 0);
        Assert.Equal((GuestImageKind.LinuxBzImage, ""), Detect(LinuxBootTests.Image()));
        Assert.Equal((GuestImageKind.PvhElf, ""), Detect(new ElfBuilder().Load(0x100000, header, 500).PvhNote(0x100000, 4).Build()));
        Assert.Equal((GuestImageKind.Multiboot1, ""), Detect(new ElfBuilder().Load(0x100000, header, 500).Build()));
        Assert.Equal((GuestImageKind.Multiboot1, ""), Detect(header));
    }

    [Theory]
    [InlineData("", "kernel: the file is empty")]
    [InlineData("ab", "kernel: not a bzImage, PVH ELF or Multiboot image (starts with 61 62)")]
    [InlineData("GARBAGE", "kernel: not a bzImage, PVH ELF or Multiboot image (starts with 47 41 52 42)")]
    [InlineData("\x7F" + "ELF", "kernel: not a whole ELF header")]
    public void OthersAreDescribed(string content, string reason) => Assert.Equal((GuestImageKind.Unknown, reason), Detect(Encoding.Latin1.GetBytes(content)));

    [Fact]
    public void APlainElfIsNamed() =>
        Assert.Equal((GuestImageKind.Unknown, "kernel: an ELF with neither a PVH entry note nor a Multiboot header"), Detect(new ElfBuilder().Load(0x100000, [1], 1).Build()));

    [Fact]
    public void RandomBytesAreUnknownOrRefused()
    {
        using LoaderHost host = new(4 << 20);
        Gen.Byte.Array[0, 1000].Sample(bytes => { host.Load(GuestImage.TryLoad, bytes); }, iter: 1000, threads: 1);
    }
}
