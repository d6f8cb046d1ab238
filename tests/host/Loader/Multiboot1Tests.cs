// Multiboot kernels: ELF of both classes and the a.out kludge, the information structure, wrong files, mutation.
using System;
using System.Linq;
using CsCheck;
using Lamina.Root.Loader;
using Xunit;

namespace Lamina.Tests.Host.Loader;

public class Multiboot1Tests
{
    private const int MiB = 1 << 20;

    private static ElfBuilder Elf(bool is64 = false, uint flags = 3) =>
        new ElfBuilder { Is64 = is64, Machine = (ushort)(is64 ? 62 : 3), Entry = 0x400020 }.Load(0x400000, ElfBuilder.WithMultibootHeader(500, flags), 0x2000);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TheKernelFindsItsInformation(bool is64)
    {
        using LoaderHost host = new(16 * MiB) { Initrd = new byte[5000] };
        Assert.True(host.Load(Multiboot1.TryLoad, Elf(is64).Build()), host.Error);
        Assert.True(host.Bytes(0x400000, 500).SequenceEqual(ElfBuilder.WithMultibootHeader(500, 3)));
        InitialRegisters r = host.Registers;
        Assert.Equal((StartMode.Protected32, 0x400020UL, 0x2BADB002UL), (r.Mode, r.Rip, r.Rax));
        Assert.Equal((0x11UL, 0UL, 2UL), (r.Cr0, r.Efer, r.RFlags));
        ulong info = r.Rbx;
        Assert.Equal(1u | 4 | 8 | 0x40 | 0x200, host.U32(info));
        Assert.Equal((640u, 15u * 1024), (host.U32(info + 4), host.U32(info + 8)));
        Assert.Equal("kernel.bin console=ttyS0", host.Text(host.U32(info + 16)));
        Assert.Equal(1u, host.U32(info + 20));
        ulong module = host.U32(info + 24);
        Assert.Equal(5000u, host.U32(module + 4) - host.U32(module));
        Assert.Equal(0u, host.U32(module) & 0xFFF);
        Assert.Equal(3u * 24, host.U32(info + 44));
        ulong map = host.U32(info + 48);
        Assert.Equal((20u, 0UL, 0xA0000UL, 1u), (host.U32(map), host.U64(map + 4), host.U64(map + 12), host.U32(map + 20)));
        Assert.Equal((20u, 0x100000UL, 15UL * MiB, 1u), (host.U32(map + 48), host.U64(map + 52), host.U64(map + 60), host.U32(map + 68)));
        Assert.Equal("Lamina", host.Text(host.U32(info + 64)));
    }

    [Fact]
    public void AnEntryInAHigherHalfIsTranslated()
    {
        using LoaderHost host = new(16 * MiB);
        ElfBuilder elf = new() { Is64 = false, Machine = 3, Entry = 0xC0400040 };
        elf.Load(0x400000, ElfBuilder.WithMultibootHeader(500, 0), 500, 0xC0400000);
        Assert.True(host.Load(Multiboot1.TryLoad, elf.Build()), host.Error);
        Assert.Equal(0x400040UL, host.Registers.Rip);
        Assert.Equal(0u, host.U32(host.Registers.Rbx) & 8);
    }

    /// <summary>Header 64 bytes into the file, load from 32 bytes before it, 200 bytes of file and 4096 of zeroed memory behind.</summary>
    private static byte[] Kludge(uint header = 0x200020, uint load = 0x200000, uint loadEnd = 0x2000C8, uint bssEnd = 0x2010C8, uint entry = 0x200040, uint flags = 0x10003) =>
        [.. Enumerable.Repeat((byte)0xCC, 64), .. ElfBuilder.WithMultibootHeader(400, flags, header, load, loadEnd, bssEnd, entry)];

    [Fact]
    public void TheAddressesInTheHeaderDecide()
    {
        using LoaderHost host = new(16 * MiB);
        byte[] file = Kludge();
        host.Memory.TryCopyIn(0x200000, Enumerable.Repeat((byte)0xEE, 0x2000).ToArray());
        Assert.True(host.Load(Multiboot1.TryLoad, file), host.Error);
        Assert.True(host.Bytes(0x200000, 200).SequenceEqual(file.AsSpan(32, 200)));
        Assert.False(host.Bytes(0x2000C8, 4096).ContainsAnyExcept((byte)0));
        Assert.Equal(0xEE, host.Bytes(0x2010C8, 1)[0]);
        Assert.Equal(0x200040UL, host.Registers.Rip);
        Assert.True(host.Load(Multiboot1.TryLoad, Kludge(loadEnd: 0, bssEnd: 0)), host.Error);
        Assert.True(host.Bytes(0x200000, 432).SequenceEqual(file.AsSpan(32, 20).ToArray().Concat(Kludge(loadEnd: 0, bssEnd: 0)[52..]).ToArray()));
    }

    [Fact]
    public void EachFaultHasItsLine()
    {
        using LoaderHost host = new(16 * MiB);
        void Refused(byte[] file, string expected)
        {
            Assert.False(host.Load(Multiboot1.TryLoad, file));
            Assert.Contains(expected, host.Error);
        }
        Refused(new byte[100], "no Multiboot header");
        Refused([.. new byte[8192], .. ElfBuilder.WithMultibootHeader(100, 0)], "no Multiboot header");
        Refused([.. new byte[2], .. ElfBuilder.WithMultibootHeader(100, 0)], "no Multiboot header");
        Refused(ElfBuilder.WithMultibootHeader(100, 0), "no ELF and gives no load addresses");
        Refused(Elf(flags: 0x28).Build(), "requires Multiboot features 0x28");
        Refused(ElfBuilder.WithMultibootHeader(20, 0x10000), "truncated: its Multiboot header ends beyond the file");
        Refused(Kludge(header: 0x1FFFFF), "lies before the file's start");
        Refused(Kludge(header: 0x200041), "lies before the file's start");
        Refused(Kludge(loadEnd: 0x2001B1), "truncated: its Multiboot header loads up to 0x2001b1");
        Refused(Kludge(loadEnd: 0x1FFFFF), "truncated: its Multiboot header loads up to 0x1fffff");
        Refused(Kludge(bssEnd: 0xFFFFFFFF), "goes to 0x200000, expected from 1 MiB to 3 GiB");
        Refused(Kludge(bssEnd: 0x2000000), "kernel: needs 32 MiB, the VM has 16 MiB");
        Refused(Kludge(entry: 0x2010C8), "its entry 0x2010c8 is outside");
        Refused(Kludge(header: 0x20, load: 0, loadEnd: 0, bssEnd: 0), "goes to 0x0");
        ElfBuilder elf = Elf();
        elf.Entry = 0x500000;
        Refused(elf.Build(), "its entry 0x500000 is in no loaded segment");
    }

    [Fact]
    public void MutatedFilesStayInsideTheRam()
    {
        using LoaderHost host = new(16 * MiB) { Initrd = new byte[MiB] };
        byte[] elf = Elf().Build(), kludge = Kludge();
        Gen.Select(Gen.Bool, Gen.Int[0, 95], Gen.Byte).Array[1, 4].Sample(edits =>
        {
            bool useElf = edits[0].Item1;
            byte[] file = (byte[])(useElf ? elf : kludge).Clone();
            foreach ((_, int at, byte value) in edits) file[useElf || at < 12 ? at : 64 + 12 + at % 20] = value;
            if (host.Load(Multiboot1.TryLoad, file)) Assert.InRange(host.Registers.Rip, (ulong)MiB, 16UL * MiB);
        }, iter: 1500, threads: 1);
    }
}
