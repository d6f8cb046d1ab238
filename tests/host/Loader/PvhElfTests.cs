// PVH kernels: segments, entry note, start info; what each wrong file is told; mutation.
using System;
using System.Linq;
using CsCheck;
using Lamina.Root.Loader;
using Xunit;

namespace Lamina.Tests.Host.Loader;

public class PvhElfTests
{
    private const int MiB = 1 << 20;
    private static readonly byte[] Code = Enumerable.Range(0, 3000).Select(i => (byte)(i * 5 + 1)).ToArray();

    private static ElfBuilder Kernel(bool is64 = true, int noteSize = 4, ulong entry = 0x1000100) =>
        new ElfBuilder { Is64 = is64, Machine = (ushort)(is64 ? 62 : 3) }.Load(0x1000000, Code, 0x3000, 0xC1000000).Load(0x1004000, [1, 2, 3], 3).PvhNote(entry, noteSize);

    [Theory]
    [InlineData(true, 4)]
    [InlineData(true, 8)]
    [InlineData(false, 4)]
    public void TheKernelFindsItsStartInfo(bool is64, int noteSize)
    {
        using LoaderHost host = new(32 * MiB) { Initrd = new byte[10000] };
        Assert.True(host.Load(PvhElf.TryLoad, Kernel(is64, noteSize).Build()), host.Error);
        Assert.True(host.Bytes(0x1000000, Code.Length).SequenceEqual(Code));
        Assert.True(host.Bytes(0x1004000, 3).SequenceEqual(new byte[] { 1, 2, 3 }));
        InitialRegisters r = host.Registers;
        Assert.Equal((StartMode.Protected32, 0x1000100UL, 0x11UL, 0UL, 0UL), (r.Mode, r.Rip, r.Cr0, r.Cr4, r.Efer));
        Assert.Equal((ushort)0xC09B, r.Cs.Attributes);
        Assert.Equal(uint.MaxValue, r.Cs.Limit);
        ulong info = r.Rbx;
        Assert.Equal((0x336EC578u, 1u), (host.U32(info), host.U32(info + 4)));
        Assert.Equal(1u, host.U32(info + 12));
        Assert.Equal((32UL * MiB - 12288, 10000UL), (host.U64(host.U64(info + 16)), host.U64(host.U64(info + 16) + 8)));
        Assert.Equal("console=ttyS0", host.Text(host.U64(info + 24)));
        Assert.Equal(0xE0000UL, host.U64(info + 32));
        Assert.Equal(3u, host.U32(info + 48));
        Assert.Equal((0UL, 0xA0000UL, 1u), (host.U64(host.U64(info + 40)), host.U64(host.U64(info + 40) + 8), host.U32(host.U64(info + 40) + 16)));
        Assert.Equal((0x100000UL, 31UL * MiB), (host.U64(host.U64(info + 40) + 48), host.U64(host.U64(info + 40) + 56)));
    }

    [Fact]
    public void MemoryBehindTheFilesBytesIsZeroed()
    {
        using LoaderHost host = new(32 * MiB);
        new Span<byte>(new byte[1]).Clear();
        host.Memory.TryCopyIn(0x1000000, Enumerable.Repeat((byte)0xEE, 0x3000).ToArray());
        Assert.True(host.Load(PvhElf.TryLoad, Kernel().Build()), host.Error);
        Assert.False(host.Bytes(0x1000000 + (ulong)Code.Length, 0x3000 - Code.Length).ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void EachFaultHasItsLine()
    {
        using LoaderHost host = new(32 * MiB);
        void Refused(ElfBuilder elf, string expected, Action<byte[]> change = null)
        {
            byte[] file = elf.Build();
            change?.Invoke(file);
            Assert.False(host.Load(PvhElf.TryLoad, file));
            Assert.Contains(expected, host.Error);
        }
        Refused(Kernel(entry: 0x1003000), "its PVH entry 0x1003000 is in no loaded segment");
        Refused(new ElfBuilder().Load(0x1000000, Code, 4096), "without a PVH entry note");
        Refused(Kernel().Load(0x1002FFF, [1], 1), "segments 0 and 3 overlap");
        Refused(Kernel().Load(0x80000, [1], 1), "segment 3 goes to 0x80000");
        Refused(Kernel().Load(0xC0000000, [1], 1), "segment 3 goes to 0xc0000000");
        Refused(Kernel().Load(ulong.MaxValue - 5, [1], 100), "segment 3 goes to 0xfffffffffffffffa");
        Refused(Kernel().Load(0x1800000, [1], 80 * MiB), "kernel: needs 104 MiB, the VM has 32 MiB");
        Refused(Kernel().Load(0x1800000, [1, 2], 1), "truncated: ELF segment 3");
        Refused(new ElfBuilder { Machine = 183 }.Load(0x1000000, Code, 4096).PvhNote(0x1000000, 4), "an ELF for processor type 183, expected x86");
        Refused(Kernel(), "an ELF with 0 program headers", f => LinuxBootTests.Put(f, 56, 0, 2));
        Refused(Kernel(), "an ELF with 65535 program headers", f => LinuxBootTests.Put(f, 56, 0xFFFF, 2));
        Refused(Kernel(), "program headers of 57 bytes", f => LinuxBootTests.Put(f, 54, 57, 2));
        Refused(Kernel(), "program headers end beyond the file", f => LinuxBootTests.Put(f, 32, ulong.MaxValue - 3, 8));
        host.Initrd = new byte[20 * MiB];
        Refused(Kernel(), "initrd: its 20 MiB do not fit beside the kernel, the VM has 32 MiB");
        host.Initrd = [];
        host.CommandLine = new byte[40000];
        Refused(Kernel(), "cmdline: is 40000 bytes long, this kernel takes 32767");
    }

    [Fact]
    public void EveryTruncationIsRefused()
    {
        using LoaderHost host = new(20 * MiB);
        byte[] file = Kernel().Build();
        // What is last in the file is the note, without which there is no entry.
        for (int length = 0; length < file.Length; length += length < 400 ? 1 : 37) Assert.False(host.Load(PvhElf.TryLoad, file[..length]));
    }

    [Fact]
    public void MutatedFilesStayInsideTheRam()
    {
        using LoaderHost host = new(20 * MiB) { Initrd = new byte[2 * MiB] };
        byte[] valid = Kernel().Build(), valid32 = Kernel(is64: false).Build();
        int noteAt = valid.Length - 50;
        Gen.Select(Gen.Bool, Gen.OneOf(Gen.Int[0, 240], Gen.Int[0, 49].Select(i => noteAt + i)), Gen.OneOf(Gen.Byte, Gen.Byte[0, 3])).Array[1, 5].Sample(edits =>
        {
            byte[] file = (byte[])(edits[0].Item1 ? valid : valid32).Clone();
            foreach ((_, int at, byte value) in edits) file[Math.Min(at, file.Length - 1)] = value;
            if (host.Load(PvhElf.TryLoad, file)) Assert.InRange(host.Registers.Rip, (ulong)MiB, 20UL * MiB);
        }, iter: 1500, threads: 1);
    }
}
