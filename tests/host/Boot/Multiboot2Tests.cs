// What a Multiboot2 loader passes: every tag that is read, and information that is cut, damaged or made of noise.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Abi;
using Lamina.Boot;
using Xunit;

namespace Lamina.Tests.Host.Boot;

public class Multiboot2Tests
{
    /// <summary>Boot information of these tags, each padded to eight bytes, with the end tag.</summary>
    private static byte[] Information(params (uint Type, byte[] Body)[] tags)
    {
        var bytes = new List<byte>(new byte[8]);
        foreach ((uint type, byte[] body) in tags.Append((0u, [])))
        {
            bytes.AddRange(BitConverter.GetBytes(type));
            bytes.AddRange(BitConverter.GetBytes((uint)body.Length + 8));
            bytes.AddRange(body);
            while (bytes.Count % 8 != 0) bytes.Add(0);
        }
        byte[] whole = [.. bytes];
        BitConverter.TryWriteBytes(whole, (uint)whole.Length);
        return whole;
    }

    private static byte[] Bytes(params object[] parts) => parts.SelectMany(part => part switch
    {
        byte b => [b],
        ushort w => BitConverter.GetBytes(w),
        uint d => BitConverter.GetBytes(d),
        ulong q => BitConverter.GetBytes(q),
        string s => Encoding.UTF8.GetBytes(s + "\0"),
        byte[] raw => raw,
        _ => throw new ArgumentException(part.GetType().Name),
    }).ToArray();

    private static byte[] Entry(ulong start, ulong length, uint type) => Bytes(start, length, type, 0u);

    private static Multiboot2Tags At(byte[] information, uint type)
    {
        Multiboot2Tags tags = new(information);
        while (tags.TryNext())
            if (tags.Type == type) return tags;
        throw new InvalidOperationException($"no tag {type}");
    }

    [Fact]
    public void TagsComeInOrderWithTheirBodies()
    {
        byte[] information = Information((2, Bytes("GRUB 2.06")), (1, Bytes("a=b")), (99, [1, 2, 3]), (3, Bytes(0x1000u, 0x1800u, "lamina.json")));
        Multiboot2Tags tags = new(information);
        Assert.True(tags.TryNext());
        Assert.Equal((2u, "GRUB 2.06"), (tags.Type, Encoding.UTF8.GetString(tags.Text)));
        Assert.True(tags.TryNext());
        Assert.Equal((1u, "a=b"), (tags.Type, Encoding.UTF8.GetString(tags.Text)));
        Assert.True(tags.TryNext());
        Assert.Equal((99u, 3), (tags.Type, tags.Body.Length));
        Assert.True(tags.TryNext());
        Assert.True(tags.TryReadModule(out Multiboot2Module module));
        Assert.Equal((0x1000u, 0x1800u, "lamina.json"), (module.Start, module.End, Encoding.UTF8.GetString(module.Text)));
        Assert.False(tags.TryNext());
        Assert.False(tags.TryNext());
    }

    [Theory]
    [InlineData(1u, MemoryRangeType.Usable)]
    [InlineData(2u, MemoryRangeType.Reserved)]
    [InlineData(3u, MemoryRangeType.AcpiReclaimable)]
    [InlineData(4u, MemoryRangeType.AcpiNvs)]
    [InlineData(5u, MemoryRangeType.Bad)]
    [InlineData(0u, MemoryRangeType.Reserved)]
    [InlineData(77u, MemoryRangeType.Reserved)]
    public void EachTypeOfMemoryBecomesOneOfOurs(uint type, uint expected)
    {
        Multiboot2Tags map = At(Information((6, Bytes(24u, 0u, Entry(0x1000, 0x2000, type)))), 6);
        Assert.True(map.TryReadMemoryRange(0, out MemoryRange range));
        Assert.Equal((0x1000UL, 0x2000UL, expected), (range.Base, range.Length, range.Type));
        Assert.False(map.TryReadMemoryRange(1, out _));
    }

    [Fact]
    public void LongerEntriesOfALaterVersionAreStridden()
    {
        Multiboot2Tags map = At(Information((6, Bytes(32u, 1u, Entry(1, 2, 1), 9ul, Entry(3, 4, 2), 9ul))), 6);
        Assert.True(map.TryReadMemoryRange(1, out MemoryRange range));
        Assert.Equal((3UL, 4UL), (range.Base, range.Length));
        Assert.False(map.TryReadMemoryRange(2, out _));
        Assert.False(map.TryReadMemoryRange(int.MaxValue, out _));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(8u)]
    [InlineData(23u)]
    public void EntriesOfASizeThatCannotBeAreNotRead(uint entryBytes) =>
        Assert.False(At(Information((6, Bytes(entryBytes, 0u, Entry(1, 2, 1)))), 6).TryReadMemoryRange(0, out _));

    [Fact]
    public void AnEntryBeyondItsTagIsNotRead()
    {
        Multiboot2Tags map = At(Information((6, Bytes(uint.MaxValue, 0u, Entry(1, 2, 1)))), 6);
        Assert.True(map.TryReadMemoryRange(0, out _));
        Assert.False(map.TryReadMemoryRange(1, out _));
        Assert.False(map.TryReadMemoryRange(int.MaxValue, out _));
    }

    private static byte[] Screen(ulong address = 0xFD000000, uint pitch = 4096, uint width = 1024, uint height = 768, byte bits = 32, byte type = 1,
        byte red = 16, byte green = 8, byte blue = 0, byte size = 8) =>
        Bytes(address, pitch, width, height, bits, type, (ushort)0, red, size, green, size, blue, size);

    [Fact]
    public void AFramebufferOfEitherOrderIsDescribed()
    {
        Assert.True(At(Information((8, Screen())), 8).TryReadFramebuffer(out FramebufferInfo screen));
        Assert.Equal((0xFD000000UL, 4096UL * 768, 1024u, 768u, 1024u, FramebufferFormat.Bgrx),
            (screen.Base, screen.Size, screen.Width, screen.Height, screen.PixelsPerScanLine, screen.Format));
        Assert.True(At(Information((8, Screen(red: 0, blue: 16, pitch: 8192))), 8).TryReadFramebuffer(out screen));
        Assert.Equal((FramebufferFormat.Rgbx, 2048u), (screen.Format, screen.PixelsPerScanLine));
    }

    [Fact]
    public void AFramebufferThatCannotBeDrawnOnIsNone()
    {
        byte[][] unfit = [Screen(bits: 24), Screen(bits: 8), Screen(type: 0), Screen(type: 2), Screen(green: 0), Screen(size: 5), Screen(address: 0),
            Screen(pitch: 4094), Screen(pitch: 2048), Screen(width: 0), Screen(height: 0), Screen()[..29], []];
        foreach (byte[] body in unfit)
            Assert.False(At(Information((8, body)), 8).TryReadFramebuffer(out _));
    }

    [Fact]
    public void ATextScreenIsDescribed()
    {
        byte[] Text(ulong address = 0xB8000, uint pitch = 160, uint width = 80, uint height = 25, byte bits = 16, byte type = 2) =>
            Bytes(address, pitch, width, height, bits, type, (ushort)0);
        Assert.True(At(Information((8, Text())), 8).TryReadTextScreen(out TextScreenInfo screen));
        Assert.Equal((0xB8000UL, 80u, 25u), (screen.Base, screen.Columns, screen.Rows));
        byte[][] unfit = [Text(type: 1), Text(bits: 8), Text(address: 0), Text(pitch: 80), Text(width: 0, pitch: 0), Text(height: 0), Text(height: 201),
            Text(width: 201, pitch: 402), Text()[..21], Screen()];
        foreach (byte[] body in unfit)
            Assert.False(At(Information((8, body)), 8).TryReadTextScreen(out _));
        Assert.False(At(Information((8, Text())), 8).TryReadFramebuffer(out _));
    }

    [Fact]
    public void AModuleThatEndsBeforeItBeginsOrIsCutIsNone()
    {
        Assert.False(At(Information((3, Bytes(0x2000u, 0x1000u, "x"))), 3).TryReadModule(out _));
        Assert.False(At(Information((3, Bytes(0x2000u))), 3).TryReadModule(out _));
        Assert.True(At(Information((3, Bytes(0x2000u, 0x2000u))), 3).TryReadModule(out Multiboot2Module empty));
        Assert.Equal(0, empty.Text.Length);
    }

    [Fact]
    public void InformationTooShortForAnythingHasNoTags()
    {
        for (int length = 0; length < 16; length++)
            Assert.False(new Multiboot2Tags(new byte[length]).TryNext());
        byte[] lies = Information((1, Bytes("x")));
        BitConverter.TryWriteBytes(lies, uint.MaxValue); // more than there is
        Assert.True(new Multiboot2Tags(lies).TryNext());
    }

    private static void ReadEverything(byte[] information)
    {
        Multiboot2Tags tags = new(information);
        int count = 0;
        while (tags.TryNext())
        {
            Assert.True(++count <= information.Length / 8);
            _ = tags.Text.Length;
            if (tags.TryReadModule(out Multiboot2Module module)) Assert.True(module.Start <= module.End);
            for (int i = 0; tags.TryReadMemoryRange(i, out _); i++) Assert.True(i < information.Length / 24);
            if (tags.TryReadFramebuffer(out FramebufferInfo screen)) Assert.True(screen.Width <= screen.PixelsPerScanLine);
        }
    }

    [Fact]
    public void NoiseIsReadWithoutLeavingIt() => Gen.Byte.Array[0, 200].Sample(noise =>
    {
        if (noise.Length >= 4) BitConverter.TryWriteBytes(noise, (uint)noise.Length);
        ReadEverything(noise);
    });

    [Fact]
    public void DamagedInformationIsReadWithoutLeavingIt()
    {
        byte[] sound = Information((2, Bytes("GRUB")), (6, Bytes(24u, 0u, Entry(0, 0x9F000, 1), Entry(0x100000, 1 << 30, 1))), (3, Bytes(0x1000u, 0x1800u, "lamina.json")), (8, Screen()));
        Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Byte, Gen.Int[0, sound.Length]).Array[1, 4].Sample(changes =>
        {
            byte[] damaged = (byte[])sound.Clone();
            foreach ((int at, byte value, int length) in changes)
            {
                if (at < damaged.Length) damaged[at] = value;
                damaged = damaged[..Math.Min(length | 0x20, damaged.Length)];
            }
            ReadEverything(damaged);
        });
    }
}
