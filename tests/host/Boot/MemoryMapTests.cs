// The handover's memory map out of the firmware's: every byte ends up with the strictest claim on it, sorted and merged.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Abi;
using Lamina.Boot;
using Lamina.Boot.Efi;
using Xunit;

namespace Lamina.Tests.Host.Boot;

public unsafe class MemoryMapTests
{
    private const int DescriptorSize = 48; // as firmware reports it: more than the structure has

    private static byte[] Firmware(params (uint Type, ulong Start, ulong Pages, ulong Attribute)[] entries)
    {
        var bytes = new byte[entries.Length * DescriptorSize];
        for (int i = 0; i < entries.Length; i++)
        {
            fixed (byte* p = &bytes[i * DescriptorSize])
            {
                *(EfiMemoryDescriptor*)p = new EfiMemoryDescriptor
                {
                    Type = entries[i].Type, PhysicalStart = entries[i].Start, NumberOfPages = entries[i].Pages, Attribute = entries[i].Attribute,
                };
            }
        }
        return bytes;
    }

    private static List<(ulong Base, ulong End, uint Type)> Build(byte[] firmware, params (ulong Base, ulong Length, uint Type)[] own)
    {
        var claims = new MemoryRange[firmware.Length / DescriptorSize + own.Length];
        var output = new MemoryRange[2 * claims.Length + 1];
        fixed (byte* map = firmware)
        fixed (MemoryRange* c = claims)
        fixed (MemoryRange* o = output)
        {
            MemoryMapBuilder builder = new(c, claims.Length);
            Assert.True(new FirmwareMemoryMap(map, (ulong)firmware.Length, DescriptorSize).TryAddTo(ref builder));
            foreach (var (start, length, type) in own) Assert.True(builder.TryAdd(start, length, type));
            int count = builder.Build(o, output.Length);
            return output.Take(count).Select(r => (r.Base, r.Base + r.Length, r.Type)).ToList();
        }
    }

    private const ulong WB = EfiMemoryDescriptor.EFI_MEMORY_WB;

    [Theory]
    [InlineData(EfiMemoryType.EfiReservedMemoryType, WB, MemoryRangeType.Reserved)]
    [InlineData(EfiMemoryType.EfiLoaderCode, WB, MemoryRangeType.Usable)]
    [InlineData(EfiMemoryType.EfiLoaderData, WB, MemoryRangeType.Usable)]
    [InlineData(EfiMemoryType.EfiBootServicesCode, WB, MemoryRangeType.Usable)]
    [InlineData(EfiMemoryType.EfiBootServicesData, WB, MemoryRangeType.Usable)]
    [InlineData(EfiMemoryType.EfiRuntimeServicesCode, WB | EfiMemoryDescriptor.EFI_MEMORY_RUNTIME, MemoryRangeType.Reserved)]
    [InlineData(EfiMemoryType.EfiRuntimeServicesData, WB | EfiMemoryDescriptor.EFI_MEMORY_RUNTIME, MemoryRangeType.Reserved)]
    [InlineData(EfiMemoryType.EfiConventionalMemory, WB, MemoryRangeType.Usable)]
    [InlineData(EfiMemoryType.EfiConventionalMemory, 1, MemoryRangeType.Reserved)] // only uncacheable
    [InlineData(EfiMemoryType.EfiConventionalMemory, WB | EfiMemoryDescriptor.EFI_MEMORY_SP, MemoryRangeType.Reserved)]
    [InlineData(EfiMemoryType.EfiUnusableMemory, WB, MemoryRangeType.Bad)]
    [InlineData(EfiMemoryType.EfiACPIReclaimMemory, WB, MemoryRangeType.AcpiReclaimable)]
    [InlineData(EfiMemoryType.EfiACPIMemoryNVS, WB, MemoryRangeType.AcpiNvs)]
    [InlineData(EfiMemoryType.EfiMemoryMappedIO, 1, MemoryRangeType.Mmio)]
    [InlineData(EfiMemoryType.EfiMemoryMappedIOPortSpace, 1, MemoryRangeType.Mmio)]
    [InlineData(EfiMemoryType.EfiPalCode, WB, MemoryRangeType.Reserved)]
    [InlineData(EfiMemoryType.EfiPersistentMemory, WB, MemoryRangeType.Reserved)]
    [InlineData(EfiMemoryType.EfiUnacceptedMemoryType, WB, MemoryRangeType.Reserved)]
    [InlineData(0x80000001u, WB, MemoryRangeType.Reserved)] // of an OS loader: unknown to us
    public void EachFirmwareTypeBecomesOneOfOurs(uint type, ulong attribute, uint expected)
    {
        Assert.Equal([(0x1000UL, 0x3000UL, expected)], Build(Firmware((type, 0x1000, 2, attribute))));
    }

    [Fact]
    public void NeighboursOfOneKindMergeAndTheOrderOfTheFirmwareDoesNotMatter()
    {
        byte[] map = Firmware((EfiMemoryType.EfiConventionalMemory, 0x5000, 3, WB), (EfiMemoryType.EfiMemoryMappedIO, 0xFEC00000, 1, 1),
            (EfiMemoryType.EfiBootServicesData, 0x3000, 2, WB), (EfiMemoryType.EfiLoaderData, 0x8000, 1, WB));
        Assert.Equal([(0x3000UL, 0x9000UL, MemoryRangeType.Usable), (0xFEC00000UL, 0xFEC01000UL, MemoryRangeType.Mmio)], Build(map));
    }

    [Fact]
    public void OwnBlocksAreCutOutOfTheMemoryAroundThem()
    {
        byte[] map = Firmware((EfiMemoryType.EfiConventionalMemory, 0, 0x100, WB));
        Assert.Equal(
        [
            (0UL, 0x1000UL, MemoryRangeType.Reserved), (0x1000UL, 0x40000UL, MemoryRangeType.Usable),
            (0x40000UL, 0x42000UL, MemoryRangeType.BootData), (0x42000UL, 0x100000UL, MemoryRangeType.Usable),
        ], Build(map, (0x40000, 0x1234, MemoryRangeType.BootData), (0, 0x1000, MemoryRangeType.Reserved)));
    }

    [Fact]
    public void TooLittleRoomIsSaid()
    {
        MemoryRange* claims = stackalloc MemoryRange[2];
        MemoryRange* output = stackalloc MemoryRange[2];
        MemoryMapBuilder builder = new(claims, 2);
        Assert.True(builder.TryAdd(0, 0x3000, MemoryRangeType.Usable));
        Assert.True(builder.TryAdd(0x1000, 0x1000, MemoryRangeType.Bad));
        Assert.False(builder.TryAdd(0x9000, 0x1000, MemoryRangeType.Bad));
        Assert.Equal(-1, builder.Build(output, 2));
    }

    [Fact]
    public void ClaimsUpToTheEndOfTheAddressSpaceEnd()
    {
        byte[] map = Firmware((EfiMemoryType.EfiReservedMemoryType, 0xFFFF_FFFF_FFFF_0000, 0x10, 0), (EfiMemoryType.EfiMemoryMappedIO, 0x1000, ulong.MaxValue, 0));
        var built = Build(map);
        Assert.Equal([(0x1000UL, 0xFFFF_FFFF_FFFF_0000, MemoryRangeType.Mmio), (0xFFFF_FFFF_FFFF_0000, 0xFFFF_FFFF_FFFF_F000, MemoryRangeType.Reserved)], built);
    }

    private static readonly Gen<(ulong Base, ulong Length, uint Type)> Claim =
        Gen.Select(Gen.ULong[0, 40 * 4096], Gen.ULong[0, 10 * 4096], Gen.UInt[1, 9], (start, length, type) => (start, length, type));

    [Fact]
    public void EveryPageHasTheStrictestClaimOnIt() => Claim.Array[0, 12].Sample(claims =>
    {
        var built = Build([], claims);
        for (int i = 1; i < built.Count; i++)
        {
            Assert.True(built[i - 1].End <= built[i].Base);
            Assert.False(built[i - 1].End == built[i].Base && built[i - 1].Type == built[i].Type);
        }
        uint[] byStrictness = [MemoryRangeType.Usable, MemoryRangeType.AcpiReclaimable, MemoryRangeType.AcpiNvs, MemoryRangeType.Mmio,
            MemoryRangeType.Reserved, MemoryRangeType.Bad, MemoryRangeType.BootData, MemoryRangeType.RootImage, MemoryRangeType.Hypervisor];
        for (ulong page = 0; page < 60 * 4096; page += 4096)
        {
            // A page is usable only when wholly so, and withheld when any byte of it is.
            var touching = claims.Where(c => c.Type == MemoryRangeType.Usable
                ? c.Base <= page && page + 4096 <= c.Base + c.Length
                : c.Length != 0 && c.Base < page + 4096 && page < c.Base + c.Length);
            uint expected = touching.Select(c => c.Type).OrderBy(t => Array.IndexOf(byStrictness, t)).LastOrDefault();
            Assert.Equal(expected, built.Where(r => r.Base <= page && page < r.End).Select(r => r.Type).SingleOrDefault());
        }
    });

    [Fact]
    public void AFreeBlockIsTheHighestAlignedOneBelowTheLimit()
    {
        const ulong MiB = 1 << 20;
        byte[] bytes = Firmware((EfiMemoryType.EfiConventionalMemory, 0x1000, 0x9F, WB), (EfiMemoryType.EfiConventionalMemory, MiB, 100 * 256 + 3, WB),
            (EfiMemoryType.EfiBootServicesData, 400 * MiB, 100 * 256, WB), (EfiMemoryType.EfiConventionalMemory, 4096 * MiB, 64 * 256, WB));
        fixed (byte* p = bytes)
        {
            FirmwareMemoryMap map = new(p, (ulong)bytes.Length, DescriptorSize);
            Assert.True(map.TryFindFree(26 * MiB, 2 * MiB, 4096 * MiB, out ulong address));
            Assert.Equal(74 * MiB, address); // ends at 100 MiB: the odd pages above are no 2 MiB
            Assert.True(map.TryFindFree(26 * MiB, 2 * MiB, ulong.MaxValue, out address));
            Assert.Equal((4096 + 38) * MiB, address);
            Assert.True(map.TryFindFree(26 * MiB, 2 * MiB, address + 26 * MiB - 1, out ulong below));
            Assert.Equal(address - 2 * MiB, below);
            Assert.False(map.TryFindFree(101 * MiB, 2 * MiB, ulong.MaxValue, out _));
            Assert.Equal(4160 * MiB, map.TopOfRam());
            Assert.True(map.TryFindLeftPage(BootPages.OneMiB, out ulong page));
            Assert.Equal(0x9F000UL, page);
        }
    }

    [Fact]
    public void APageLeftBehindIsNeitherPageZeroNorTheLoaders()
    {
        byte[] bytes = Firmware((EfiMemoryType.EfiBootServicesCode, 0, 1, WB), (EfiMemoryType.EfiLoaderData, 0x5000, 4, WB), (EfiMemoryType.EfiRuntimeServicesData, 0x9000, 1, WB));
        fixed (byte* p = bytes)
        {
            Assert.False(new FirmwareMemoryMap(p, (ulong)bytes.Length, DescriptorSize).TryFindLeftPage(BootPages.OneMiB, out _));
        }
    }
}
