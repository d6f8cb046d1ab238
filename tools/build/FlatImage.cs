// Lays a PE image out as it stands in memory: file offset = RVA, headers at 0, zeros at the end left out.
using System;
using System.Buffers.Binary;

namespace Lamina.Tools.Build;

/// <summary>Flat files are what a loader copies in one go; the full size in memory is SizeOfImage in the PE header at their start.</summary>
public static class FlatImage
{
    private const uint MultibootMagic = 0x1BADB002;
    private const uint MultibootHasAddresses = 1u << 16;
    private const uint Multiboot2Magic = 0xE85250D6;
    private const ushort Multiboot2AddressTag = 2;

    /// <summary>The flat bytes of a PE image.</summary>
    public static byte[] Flatten(PortableExecutable image)
    {
        var memory = new byte[image.SizeOfImage];
        Array.Copy(image.File, memory, Math.Min(image.SizeOfHeaders, (uint)image.File.Length));
        foreach (Section section in image.Sections)
            Array.Copy(image.File, section.RawOffset, memory, section.Address, Math.Min(section.RawSize, section.VirtualSize));
        int end = memory.Length;
        while (end > image.SizeOfHeaders && memory[end - 1] == 0)
            end--;
        return memory[..end];
    }

    /// <summary>
    /// Finds the Multiboot 1 header in the first 8 KiB and fills in what only the linker knows: where the loaded bytes end and
    /// where the zeroed memory ends. (Multiboot Specification, "The address fields of Multiboot header".)
    /// </summary>
    /// <returns>Offset of the header.</returns>
    /// <exception cref="Failure">No header, or one without address fields, or one that does not load at the image's base.</exception>
    public static int CompleteMultibootHeader(byte[] flat, PortableExecutable image)
    {
        for (int at = 0; at + 32 <= Math.Min(flat.Length, 8192); at += 4)
        {
            if (Read(flat, at) != MultibootMagic || Read(flat, at) + Read(flat, at + 4) + Read(flat, at + 8) != 0)
                continue;
            if ((Read(flat, at + 4) & MultibootHasAddresses) == 0)
                throw new Failure("its Multiboot header lacks the address fields (flag bit 16)");
            if (Read(flat, at + 12) != (uint)image.Base + at || Read(flat, at + 16) != (uint)image.Base)
                throw new Failure($"its Multiboot header must say header_addr 0x{image.Base + (uint)at:X} and load_addr 0x{image.Base:X}");
            Write(flat, at + 20, (uint)image.Base + (uint)flat.Length);
            Write(flat, at + 24, (uint)image.Base + image.SizeOfImage);
            return at;
        }
        throw new Failure("no Multiboot 1 header in its first 8 KiB");
    }

    /// <summary>
    /// Finds the Multiboot2 header in the first 32 KiB and fills in the ends of its address tag. (Multiboot2 Specification, "The
    /// address tag of Multiboot2 header".)
    /// </summary>
    /// <returns>Offset of the header.</returns>
    /// <exception cref="Failure">No header, or one without an address tag, or one that does not load at the image's base.</exception>
    public static int CompleteMultiboot2Header(byte[] flat, PortableExecutable image)
    {
        for (int at = 0; at + 16 <= Math.Min(flat.Length, 32768); at += 8)
        {
            if (Read(flat, at) != Multiboot2Magic || Read(flat, at) + Read(flat, at + 4) + Read(flat, at + 8) + Read(flat, at + 12) != 0)
                continue;
            int end = (int)Math.Min(at + Read(flat, at + 8), (uint)flat.Length), tag = at + 16;
            while (tag + 24 <= end && (ushort)Read(flat, tag) != Multiboot2AddressTag && Read(flat, tag + 4) >= 8)
                tag += (int)(Read(flat, tag + 4) + 7 & ~7u);
            if (tag + 24 > end || (ushort)Read(flat, tag) != Multiboot2AddressTag)
                throw new Failure("its Multiboot2 header lacks the address tag (type 2)");
            if (Read(flat, tag + 8) != (uint)image.Base + at || Read(flat, tag + 12) != (uint)image.Base)
                throw new Failure($"its Multiboot2 header must say header_addr 0x{image.Base + (uint)at:X} and load_addr 0x{image.Base:X}");
            Write(flat, tag + 16, (uint)image.Base + (uint)flat.Length);
            Write(flat, tag + 20, (uint)image.Base + image.SizeOfImage);
            return at;
        }
        throw new Failure("no Multiboot2 header in its first 32 KiB");
    }

    private static uint Read(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));
    private static void Write(byte[] bytes, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
}
