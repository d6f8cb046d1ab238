// The flattener against a PE image written by hand: every byte lands at its RVA, zeros at the end are left out.
using System;
using System.Buffers.Binary;
using System.Linq;
using Lamina.Tools;
using Lamina.Tools.Build;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class FlatImageTests
{
    [Fact]
    public void Sections_land_at_their_addresses_and_zeros_at_the_end_are_left_out()
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x10, [1, 2, 3, 4]), (".bss", 0x2000, 0x800, []), (".data", 0x3000, 0x900, [9, 0, 8, 0])));
        byte[] flat = FlatImage.Flatten(image);
        Assert.Equal(0x3003, flat.Length);
        Assert.Equal((byte)'M', flat[0]);
        Assert.Equal([1, 2, 3, 4], flat[0x1000..0x1004]);
        Assert.All(flat[0x1010..0x3000], b => Assert.Equal(0, b));
        Assert.Equal([9, 0, 8], flat[0x3000..]);
        Assert.Equal(0x4000u, image.SizeOfImage);
    }

    [Fact]
    public void Bss_is_what_memory_has_beyond_the_file()
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x10, [1]), (".data", 0x2000, 0x1400, [1])));
        Assert.Equal(0x1400 - 0x200, image.ZeroBytes);
    }

    [Fact]
    public void Raw_bytes_beyond_the_virtual_size_are_padding()
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 2, [1, 2, 0xCC, 0xCC])));
        Assert.Equal(0x1002, FlatImage.Flatten(image).Length);
    }

    [Fact]
    public void The_multiboot_header_gets_its_ends()
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x100, Multiboot(0x10000, 0x101000, 0x100000)), (".data", 0x2000, 0x1800, [5])));
        byte[] flat = FlatImage.Flatten(image);
        Assert.Equal(0x1000, FlatImage.CompleteMultibootHeader(flat, image));
        Assert.Equal(0x100000u + (uint)flat.Length, BinaryPrimitives.ReadUInt32LittleEndian(flat.AsSpan(0x1014)));
        Assert.Equal(0x100000u + image.SizeOfImage, BinaryPrimitives.ReadUInt32LittleEndian(flat.AsSpan(0x1018)));
    }

    [Theory]
    [InlineData(0u, 0x101000u, 0x100000u, "address fields")]
    [InlineData(0x10000u, 0x101004u, 0x100000u, "header_addr 0x101000")]
    [InlineData(0x10000u, 0x101000u, 0x200000u, "load_addr 0x100000")]
    public void A_wrong_multiboot_header_is_refused(uint flags, uint header, uint load, string why)
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x100, Multiboot(flags, header, load)), (".data", 0x2000, 1, [5])));
        Assert.Contains(why, Assert.Throws<Failure>(() => FlatImage.CompleteMultibootHeader(FlatImage.Flatten(image), image)).Message);
    }

    [Fact]
    public void An_image_without_multiboot_header_is_refused()
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x100, [1])));
        Assert.Contains("no Multiboot 1 header", Assert.Throws<Failure>(() => FlatImage.CompleteMultibootHeader(FlatImage.Flatten(image), image)).Message);
    }

    [Fact]
    public void The_multiboot2_header_gets_its_ends()
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x100, Multiboot2(0x101000, 0x100000)), (".data", 0x2000, 0x1800, [5])));
        byte[] flat = FlatImage.Flatten(image);
        Assert.Equal(0x1000, FlatImage.CompleteMultiboot2Header(flat, image));
        Assert.Equal(0x100000u + (uint)flat.Length, BinaryPrimitives.ReadUInt32LittleEndian(flat.AsSpan(0x1030)));
        Assert.Equal(0x100000u + image.SizeOfImage, BinaryPrimitives.ReadUInt32LittleEndian(flat.AsSpan(0x1034)));
    }

    [Theory]
    [InlineData(0x101000u, 0x100000u, 7, "lacks the address tag")]
    [InlineData(0x101008u, 0x100000u, 2, "header_addr 0x101000")]
    [InlineData(0x101000u, 0x200000u, 2, "load_addr 0x100000")]
    public void A_wrong_multiboot2_header_is_refused(uint header, uint load, ushort tag, string why)
    {
        var image = new PortableExecutable(Pe((".text", 0x1000, 0x100, Multiboot2(header, load, tag)), (".data", 0x2000, 1, [5])));
        Assert.Contains(why, Assert.Throws<Failure>(() => FlatImage.CompleteMultiboot2Header(FlatImage.Flatten(image), image)).Message);
        var none = new PortableExecutable(Pe((".text", 0x1000, 0x100, [1])));
        Assert.Contains("no Multiboot2 header", Assert.Throws<Failure>(() => FlatImage.CompleteMultiboot2Header(FlatImage.Flatten(none), none)).Message);
    }

    [Fact]
    public void No_prefix_of_an_image_crashes_the_reader()
    {
        byte[] whole = Pe((".text", 0x1000, 0x10, [1]));
        for (int length = 0; length < whole.Length; length++)
        {
            byte[] part = whole[..length];
            try
            {
                _ = new PortableExecutable(part);
            }
            catch (Failure) { }
        }
    }

    private static byte[] Multiboot(uint flags, uint header, uint load)
    {
        var bytes = new byte[32];
        uint[] fields = [0x1BADB002, flags, unchecked(0u - 0x1BADB002 - flags), header, load, 0, 0, header + 32];
        for (int i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), fields[i]);
        return bytes;
    }

    // An information tag of 12 bytes, so padded, then the address tag, then the end.
    private static byte[] Multiboot2(uint header, uint load, ushort tag = 2)
    {
        uint[] fields = [0xE85250D6, 0, 64, unchecked(0u - 0xE85250D6 - 64), 1, 12, 6, 0, tag, 24, header, load, 0, 0, 0, 8];
        var bytes = new byte[64];
        for (int i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), fields[i]);
        return bytes;
    }

    // A PE32+ file: DOS header, PE header at 0x40, sections of 0x200 file bytes each (none if they have no contents).
    private static byte[] Pe(params (string Name, uint Address, uint Size, byte[] Contents)[] sections)
    {
        const int headers = 0x200;
        var file = new byte[headers + 0x200 * sections.Count(s => s.Contents.Length > 0)];
        void U16(int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(at), (ushort)value);
        void U32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), value);
        "MZ"u8.CopyTo(file);
        U32(0x3C, 0x40);
        "PE"u8.CopyTo(file.AsSpan(0x40));
        U16(0x46, sections.Length);
        U16(0x54, 112);
        U16(0x58, 0x20B);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(0x58 + 24), 0x100000);
        U32(0x58 + 56, (sections.Max(s => s.Address + s.Size) + 0xFFF) & ~0xFFFu);
        U32(0x58 + 60, headers);
        uint raw = headers;
        for (int i = 0, at = 0x58 + 112; i < sections.Length; i++, at += 40)
        {
            (string name, uint address, uint size, byte[] contents) = sections[i];
            System.Text.Encoding.ASCII.GetBytes(name).CopyTo(file.AsSpan(at));
            U32(at + 8, size);
            U32(at + 12, address);
            if (contents.Length == 0)
                continue;
            U32(at + 16, 0x200);
            U32(at + 20, raw);
            contents.CopyTo(file.AsSpan((int)raw));
            raw += 0x200;
        }
        return file;
    }
}
