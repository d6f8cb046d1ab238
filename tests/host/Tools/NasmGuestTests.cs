// NASM test kernels: linked where their first line says, header early enough for Multiboot, note found by PVH loaders.
using System;
using System.Buffers.Binary;
using System.IO;
using System.Threading.Tasks;
using Lamina.Tools;
using Lamina.Tools.Build;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class NasmGuestTests
{
    private const string Source = """
        ; image: elf32 sample.elf begin 0x200000
        bits 32
        section .note note alloc noexec nowrite align=4
            dd 4, 4, 18
            db "Xen", 0
            dd begin
        section .text
        global begin
        begin: mov eax, [value]
            jmp $
        section .data
        value: dd 7
        section .bss
            resb 8192
        section .multiboot progbits alloc noexec nowrite align=4
            dd 0x1BADB002, 0, -0x1BADB002
        """;

    [Fact]
    public async Task A_kernel_is_linked_as_its_first_line_says()
    {
        using var folder = new Scratch();
        Workspace workspace = Tree(folder, Source);
        (string name, long size) = Assert.Single(await new NasmGuests(workspace).RunAsync());
        Assert.Equal("sample.elf", name);
        byte[] elf = File.ReadAllBytes(Path.Combine(workspace.Out, name));
        Assert.Equal(size, elf.Length);
        Assert.Equal(0x464C457Fu, BinaryPrimitives.ReadUInt32LittleEndian(elf));
        int header = elf.AsSpan().IndexOf(new byte[] { 0x02, 0xB0, 0xAD, 0x1B });
        Assert.InRange(header, 0, 8192 - 12);
        uint entry = BinaryPrimitives.ReadUInt32LittleEndian(elf.AsSpan(24));
        Assert.InRange(entry, 0x200000u, 0x201000u);
        Assert.Contains((4u, entry), Notes(elf));
        Assert.InRange(elf.Length, 100, 16384);
    }

    [Fact]
    public async Task A_Linux_program_has_segments_that_can_be_mapped()
    {
        using var folder = new Scratch();
        Workspace workspace = Tree(folder, "; image: elf64 sample begin 0x400000\nbits 64\nsection .text\nglobal begin\nbegin: ret\nsection .data\ndd 1\n");
        (string name, _) = Assert.Single(await new NasmGuests(workspace).RunAsync());
        byte[] elf = File.ReadAllBytes(Path.Combine(workspace.Out, name));
        Assert.Equal(2, elf[4]); // ELFCLASS64
        int headers = (int)BinaryPrimitives.ReadUInt64LittleEndian(elf.AsSpan(32)), count = BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(56));
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> segment = elf.AsSpan(headers + i * 56);
            if (BinaryPrimitives.ReadUInt32LittleEndian(segment) == 1)
                Assert.Equal(BinaryPrimitives.ReadUInt64LittleEndian(segment[8..]) % 4096, BinaryPrimitives.ReadUInt64LittleEndian(segment[16..]) % 4096);
        }
    }

    [Theory]
    [InlineData("; image: elf32 sample.elf begin 0x200000\nbits 32\nsection .text\nother: ret\n", "defines no global begin")]
    [InlineData("; image: elf32 sample.elf begin 0x200000\nbits 32\nsection .text\nglobal begin\nextern nowhere\nbegin: call nowhere\n", "undefined symbol nowhere")]
    [InlineData("; image: elf32 sample.elf begin 0x200000\nmoov eax, 1\n", "sample.asm:2")]
    public async Task What_cannot_be_made_is_one_line(string source, string why)
    {
        using var folder = new Scratch();
        Failure failure = await Assert.ThrowsAsync<Failure>(() => new NasmGuests(Tree(folder, source)).RunAsync());
        Assert.StartsWith("sample.elf: ", failure.Message);
        Assert.Contains(why, failure.Message);
    }

    private static Workspace Tree(Scratch folder, string source)
    {
        Directory.CreateDirectory(folder.File("tests/guest/kernels"));
        File.WriteAllText(folder.File("tests/guest/kernels/sample.asm"), source);
        File.WriteAllText(folder.File("tests/guest/kernels/part.asm"), "; included by another\n");
        return new Workspace(folder.Folder, folder.File("out"));
    }

    // Type of each program header of type 4 (note), and the 32-bit value that its note holds.
    private static (uint, uint)[] Notes(byte[] elf)
    {
        var found = new System.Collections.Generic.List<(uint, uint)>();
        uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(elf.AsSpan(at));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(44));
        for (int i = 0, at = (int)U32(28); i < count; i++, at += 32)
            if (U32(at) == 4)
                found.Add((4, U32((int)U32(at + 4) + 16)));
        return found.ToArray();
    }
}
