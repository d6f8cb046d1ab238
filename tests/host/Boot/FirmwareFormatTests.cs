// Image headers, file paths and device paths as the loader reads them.
using System;
using System.Text;
using CsCheck;
using Lamina.Boot;
using Xunit;

namespace Lamina.Tests.Host.Boot;

public unsafe class FirmwareFormatTests
{
    private static byte[] Image(Action<byte[]> change = null, int length = 0x3000)
    {
        var image = new byte[length];
        image[0] = (byte)'M';
        image[1] = (byte)'Z';
        Put(image, 0x3C, 0x80);
        Put(image, 0x80, 0x4550);
        Put(image, 0x84, 0x8664);
        Put(image, 0x98, 0x20B);
        Put(image, 0x98 + 16, 0x1010);
        Put(image, 0x98 + 24, 0x80000000);
        Put(image, 0x98 + 28, 0xFFFFFFFF);
        Put(image, 0x98 + 56, 0x12345);
        change?.Invoke(image);
        return image;
    }

    private static void Put(byte[] image, int offset, uint value) => BitConverter.TryWriteBytes(image.AsSpan(offset), value);

    [Fact]
    public void ReadsTheHeaders()
    {
        Assert.Equal(PeImageFault.None, PeImage.Read(Image(), 1 << 21, out PeImage image));
        Assert.Equal(0xFFFFFFFF80000000, image.ImageBase);
        Assert.Equal(0x13000u, image.SizeOfImage);
        Assert.Equal(0x1010u, image.AddressOfEntryPoint);
    }

    [Theory]
    [InlineData(0, 0x5A4Eu, PeImageFault.NotAnImage)]
    [InlineData(0x3C, 0x7FFFFFFFu, PeImageFault.NotAnImage)]
    [InlineData(0x3C, 0xFFFFFFFFu, PeImageFault.NotAnImage)]
    [InlineData(0x3C, 0x2FF0u, PeImageFault.NotAnImage)]
    [InlineData(0x80, 0x4551u, PeImageFault.NotAnImage)]
    [InlineData(0x84, 0x14Cu, PeImageFault.NotX64)]
    [InlineData(0x98, 0x10Bu, PeImageFault.NotX64)]
    [InlineData(0x98 + 56, 0x2000u, PeImageFault.Truncated)]
    [InlineData(0x98 + 56, 0u, PeImageFault.Truncated)]
    [InlineData(0x98 + 56, 0xFFFFFFFFu, PeImageFault.Truncated)]
    [InlineData(0x98 + 16, 0u, PeImageFault.BadEntryPoint)]
    [InlineData(0x98 + 16, 0x3000u, PeImageFault.BadEntryPoint)]
    [InlineData(0x98 + 24, 0x80001000u, PeImageFault.BadAlignment)]
    public void NamesWhatIsWrong(int offset, uint value, PeImageFault expected) =>
        Assert.Equal(expected, PeImage.Read(Image(i => Put(i, offset, value)), 1 << 21, out _));

    [Fact]
    public void AnyCutImageIsRefusedOrRead()
    {
        byte[] image = Image();
        for (int length = 0; length < 0x80 + 24 + 112; length++)
        {
            Assert.Equal(PeImageFault.NotAnImage, PeImage.Read(image.AsSpan(0, length), 1 << 21, out _));
        }
    }

    [Fact]
    public void AnyHeaderBytesEnd() => Gen.Byte.Array[64, 300].Sample(bytes =>
    {
        bytes[0] = (byte)'M';
        bytes[1] = (byte)'Z';
        bytes[0x3D] = bytes[0x3E] = bytes[0x3F] = 0;
        PeImage.Read(bytes, 4096, out _);
    });

    private static string Path(byte[] name, int room = 256)
    {
        var output = new ushort[room];
        Array.Fill(output, (ushort)0xEEEE);
        if (!FirmwarePath.TryConvert(name, output)) return null;
        int end = Array.IndexOf(output, (ushort)0);
        return new string(Array.ConvertAll(output[..end], u => (char)u));
    }

    [Theory]
    [InlineData("vmlinuz", @"\lamina\vmlinuz")]
    [InlineData("sub/initrd.img", @"\lamina\sub\initrd.img")]
    [InlineData("/boot/vmlinuz", @"\boot\vmlinuz")]
    [InlineData(@"\boot\vmlinuz", @"\boot\vmlinuz")]
    [InlineData("é€😀", "\\lamina\\é€😀")]
    public void PathsAreTheFirmwares(string name, string expected) => Assert.Equal(expected, Path(Encoding.UTF8.GetBytes(name)));

    [Theory]
    [InlineData(new byte[] { 0x80 })]
    [InlineData(new byte[] { 0xC0, 0x80 })]
    [InlineData(new byte[] { 0xE2, 0x82 })]
    [InlineData(new byte[] { 0xC3, (byte)'a' })]
    [InlineData(new byte[] { 0xF8, 0x80, 0x80, 0x80 })]
    [InlineData(new byte[] { (byte)'a', 0, (byte)'b' })]
    public void WhatIsNotUtf8IsRefused(byte[] name) => Assert.Null(Path(name));

    [Fact]
    public void PathsThatDoNotFitAreRefused() => Gen.Select(Gen.Byte.Array[0, 30], Gen.Int[1, 40]).Sample((name, room) =>
    {
        string path = Path(name, room);
        Assert.True(path == null || path.Length < room);
    });

    private static readonly byte[] PciRoot = [2, 1, 12, 0, 0xD0, 0x41, 0x03, 0x0A, 0, 0, 0, 0];
    private static readonly byte[] Pci = [1, 1, 6, 0, 0, 0x1F];
    private static readonly byte[] Com1 = [2, 1, 12, 0, 0xD0, 0x41, 0x01, 0x05, 0, 0, 0, 0];
    private static readonly byte[] Com2 = [2, 1, 12, 0, 0xD0, 0x41, 0x01, 0x05, 1, 0, 0, 0];
    private static readonly byte[] Uart = [3, 14, 19, 0, 0, 0, 0, 0, 0, 0xC2, 1, 0, 0, 0, 0, 0, 8, 1, 1];
    private static readonly byte[] End = [0x7F, 0xFF, 4, 0];

    private static bool IsCom1(params byte[][] nodes)
    {
        byte[] path = new byte[2048];
        int length = 0;
        foreach (byte[] node in nodes)
        {
            node.CopyTo(path, length);
            length += node.Length;
        }
        fixed (byte* p = path) return DevicePathScan.IsCom1(p);
    }

    [Fact]
    public void OnlyTheFirstPortsUartIsCom1()
    {
        Assert.True(IsCom1(PciRoot, Pci, Com1, Uart, End));
        Assert.False(IsCom1(PciRoot, Pci, Com2, Uart, End));
        Assert.False(IsCom1(PciRoot, Pci, Com1, End));
        Assert.False(IsCom1(PciRoot, Pci, Uart, End));
        Assert.False(IsCom1(End, Com1, Uart));
        Assert.False(IsCom1([2, 1, 0, 0], Com1, Uart)); // a node of no length would never end
    }
}
