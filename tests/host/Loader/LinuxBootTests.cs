// bzImage: what the kernel finds in memory and registers, and what each wrong header is told.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using CsCheck;
using Lamina.Root.Loader;
using Xunit;

namespace Lamina.Tests.Host.Loader;

public unsafe class LinuxBootTests
{
    private const int MiB = 1 << 20, SetupSectors = 3, ImageBytes = 8192;

    /// <summary>A bzImage of version 2.15 whose protected-mode part is counted bytes.</summary>
    internal static byte[] Image()
    {
        byte[] file = new byte[(SetupSectors + 1) * 512 + ImageBytes];
        for (int i = 0; i < ImageBytes; i++) file[(SetupSectors + 1) * 512 + i] = (byte)(i * 7);
        file[0x1F1] = SetupSectors;
        Put(file, 0x1F4, ImageBytes / 16, 4);
        Put(file, 0x1FE, 0xAA55, 2);
        file[0x200] = 0xEB;
        file[0x201] = 0x6A;
        "HdrS"u8.CopyTo(file.AsSpan(0x202));
        Put(file, 0x206, 0x020F, 2);
        file[0x211] = 1;
        Put(file, 0x22C, 0x7FFFFFFF, 4);
        Put(file, 0x230, 0x200000, 4);
        file[0x234] = 1;
        Put(file, 0x236, 0x3F, 2);
        Put(file, 0x238, 2047, 4);
        Put(file, 0x258, 0x1000000, 8);
        Put(file, 0x260, 4 * MiB, 4);
        return file;
    }

    internal static void Put(byte[] file, int offset, ulong value, int size)
    {
        for (int i = 0; i < size; i++) file[offset + i] = (byte)(value >> (8 * i));
    }

    [Fact]
    public void TheKernelFindsItselfAndItsZeroPage()
    {
        using LoaderHost host = new(64 * MiB) { Initrd = Enumerable.Range(0, 5000).Select(i => (byte)i).ToArray() };
        byte[] image = Image();
        Assert.True(host.Load(LinuxBoot.TryLoad, image), host.Error);
        Assert.True(host.Bytes(0x1000000, ImageBytes).SequenceEqual(image.AsSpan((SetupSectors + 1) * 512)));
        ulong zeroPage = host.Registers.Rsi;
        Assert.Equal(0x1000200UL, host.Registers.Rip);
        Assert.True(host.Bytes(zeroPage + 0x202, 4).SequenceEqual("HdrS"u8));
        Assert.Equal(0xFF, *host.At(zeroPage + 0x210));
        Assert.Equal("console=ttyS0", host.Text(host.U32(zeroPage + 0x228)));
        Assert.Equal(0xE0000UL, host.U64(zeroPage + 0x70));
        uint initrd = host.U32(zeroPage + 0x218);
        Assert.Equal(5000u, host.U32(zeroPage + 0x21C));
        Assert.Equal(64u * MiB - 8192, initrd);
        Assert.True(host.Bytes(initrd, 5000).SequenceEqual(host.Initrd));
        List<(ulong, ulong, uint)> map = [];
        for (int i = 0; i < *host.At(zeroPage + 0x1E8); i++)
            map.Add((host.U64(zeroPage + 0x2D0 + (ulong)i * 20), host.U64(zeroPage + 0x2D8 + (ulong)i * 20), host.U32(zeroPage + 0x2E0 + (ulong)i * 20)));
        Assert.Equal([(0, 0xA0000, 1), (0xE0000, 0x20000, 2), (0x100000, 63 * MiB, 1)], map);
    }

    [Fact]
    public void LongModeIsSetUpOnIdentityPages()
    {
        using LoaderHost host = new(64 * MiB);
        Assert.True(host.Load(LinuxBoot.TryLoad, Image()), host.Error);
        InitialRegisters r = host.Registers;
        Assert.Equal(StartMode.Long64, r.Mode);
        Assert.Equal(0x80000011UL, r.Cr0);
        Assert.Equal(0x20UL, r.Cr4);
        Assert.Equal(0x500UL, r.Efer);
        Assert.Equal(2UL, r.RFlags);
        Assert.Equal(0x10, r.Cs.Selector);
        Assert.Equal(0xA09B, r.Cs.Attributes);
        Assert.Equal(0x18, r.Ss.Selector);
        Assert.Equal(0x8B, r.Tr.Attributes);
        foreach (ulong address in new ulong[] { 0, 0x1000200, 0x3FFFFFFF, 0x40000000, 0xFEE00000, 0xFFFFFFFF }) Assert.Equal(address, Walk(host, r.Cr3, address));
        ulong code = host.U64(r.GdtBase + 0x10), data = host.U64(r.GdtBase + 0x18), tss = host.U64(r.GdtBase + r.Tr.Selector);
        Assert.Equal(0xA09BUL, code >> 40 & 0xF0FF);
        Assert.Equal(0xC093UL, data >> 40 & 0xF0FF);
        Assert.Equal(0x8BUL, tss >> 40 & 0xFF);
        Assert.Equal(r.Tr.Base, tss >> 16 & 0xFFFFFF);
    }

    private static ulong Walk(LoaderHost host, ulong table, ulong address)
    {
        for (int shift = 39; ; shift -= 9)
        {
            ulong entry = host.U64((table & ~0xFFFUL) + (address >> shift & 511) * 8);
            Assert.Equal(3UL, entry & 3);
            if (shift < 39 && (entry & 0x80) != 0) return (entry & 0xFFFFFFFFFF000 & ~((1UL << shift) - 1)) | address & ((1UL << shift) - 1);
            table = entry & 0xFFFFFFFFFF000;
        }
    }

    [Fact]
    public void RamBeyondTheHoleIsInTheMap()
    {
        Lamina.Root.Devices.GuestMemory memory = Lamina.Root.Devices.GuestMemory.CreateStandard((byte*)0x1000, 5UL << 30);
        List<(ulong, ulong, MemoryType)> map = [];
        for (int i = 0; MemoryMap.TryGet(memory, i, out MemoryMapEntry entry); i++) map.Add((entry.Start, entry.Length, entry.Type));
        Assert.Equal([(0, 0xA0000, MemoryType.Usable), (0xE0000, 0x20000, MemoryType.Reserved), (0x100000, 0xBFF00000, MemoryType.Usable), (4UL << 30, 2UL << 30, MemoryType.Usable)], map);
    }

    [Theory]
    [InlineData(0x206, 0x20B, 2, "boot protocol 2.11, expected 2.12 or newer")]
    [InlineData(0x236, 0, 2, "a 32-bit bzImage")]
    [InlineData(0x211, 0, 1, "a zImage")]
    [InlineData(0x201, 0, 1, "setup header ends")]
    [InlineData(0x1F4, 0x10000000, 4, "truncated: its header says")]
    [InlineData(0x1F4, 1, 4, "no protected-mode part")]
    [InlineData(0x258, 0, 8, "wants to be loaded at 0x0")]
    [InlineData(0x258, 0xFFFFFFFFFFFFF000, 8, "wants to be loaded at 0xfffffffffffff000")]
    [InlineData(0x258, 0x1000001, 8, "wants to be loaded at 0x1000001")]
    [InlineData(0x260, 0xFFFFFFFF, 4, "kernel: needs 4112 MiB, the VM has 32 MiB")]
    [InlineData(0x260, 17 * MiB, 4, "kernel: needs 33 MiB, the VM has 32 MiB")]
    [InlineData(0x238, 5, 4, "cmdline: is 13 bytes long, this kernel takes 5")]
    [InlineData(0x22C, 0x1000000, 4, "initrd: its 1 MiB do not fit")]
    public void AWrongHeaderIsNamed(int offset, ulong value, int size, string expected)
    {
        using LoaderHost host = new(32 * MiB) { Initrd = new byte[100] };
        byte[] image = Image();
        Put(image, offset, value, size);
        Assert.False(host.Load(LinuxBoot.TryLoad, image));
        Assert.Contains(expected, host.Error);
    }

    [Fact]
    public void EveryTruncationIsRefused()
    {
        using LoaderHost host = new(24 * MiB);
        byte[] image = Image();
        for (int length = 0; length < image.Length - 15; length += length < 0x270 ? 1 : 97) Assert.False(host.Load(LinuxBoot.TryLoad, image[..length]));
    }

    [Fact]
    public void MutatedHeadersStayInsideTheRam()
    {
        using LoaderHost host = new(24 * MiB) { Initrd = new byte[3 * MiB] };
        Gen.Select(Gen.Int[0x1F1, 0x268], Gen.Byte).Array[1, 6].Sample(edits =>
        {
            byte[] image = Image();
            foreach ((int at, byte value) in edits) image[at] = value;
            if (!host.Load(LinuxBoot.TryLoad, image)) return;
            Assert.True(host.Registers.Rip >= MiB && host.Registers.Rip < 24 * MiB);
        }, iter: 400, threads: 1);
    }

    /// <summary>A kernel of the distribution, when the machine has one.</summary>
    [KernelFact]
    public void AnInstalledKernelLoads()
    {
        using LoaderHost host = new(256 * MiB);
        Assert.True(host.Load(LinuxBoot.TryLoad, File.ReadAllBytes(KernelFactAttribute.Path)), host.Error);
        Assert.Equal(0x1000200UL, host.Registers.Rip);
    }

    private sealed class KernelFactAttribute : FactAttribute
    {
        public static readonly string Path = Environment.GetEnvironmentVariable("LAMINA_TEST_KERNEL") ??
            (Directory.Exists("/boot") ? Directory.GetFiles("/boot", "vmlinuz*").FirstOrDefault() : null);

        public KernelFactAttribute()
        {
            if (Path == null) Skip = "no kernel in /boot, and LAMINA_TEST_KERNEL names none";
        }
    }
}
