// Memory in the loader's hands: nothing is given twice, nothing that is not RAM, and the finished map says what became of it.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Abi;
using Lamina.Boot;
using Xunit;

namespace Lamina.Tests.Host.Boot;

public unsafe class FreeMemoryTests
{
    private const ulong MiB = 1 << 20;
    private const int Capacity = 32;

    private sealed class Memory
    {
        private readonly MemoryRange[] storage = GC.AllocateArray<MemoryRange>(4 * Capacity, pinned: true);
        public FreeMemory Free;

        public Memory(params (ulong Base, ulong Length, uint Type)[] ranges)
        {
            fixed (MemoryRange* first = storage) Free = new FreeMemory(first, Capacity);
            foreach (var (start, length, type) in ranges)
                Assert.True(Free.TryAddRange(new MemoryRange { Base = start, Length = length, Type = type }));
        }

        public List<(ulong Base, ulong End, uint Type)> Map()
        {
            var output = new MemoryRange[2 * Capacity];
            fixed (MemoryRange* o = output)
            {
                int count = Free.Build(o, Free.MostRanges);
                Assert.True(count >= 0);
                return output.Take(count).Select(r => (r.Base, r.Base + r.Length, r.Type)).ToList();
            }
        }
    }

    private static Memory Pc() => new((0, 0x9FC00, MemoryRangeType.Usable), (0x9FC00, 0x400, MemoryRangeType.Reserved), (0xF0000, 0x10000, MemoryRangeType.Reserved),
        (MiB, 127 * MiB, MemoryRangeType.Usable), (128 * MiB, MiB, MemoryRangeType.AcpiReclaimable), (4096 * MiB, 64 * MiB, MemoryRangeType.Usable));

    [Fact]
    public void TheHighestAlignedBlockBelowTheLimitIsTaken()
    {
        Memory memory = Pc();
        Assert.True(memory.Free.TryAllocate(26 * MiB, 2 * MiB, 4096 * MiB, MemoryRangeType.Hypervisor, out ulong core));
        Assert.Equal(102 * MiB, core);
        Assert.True(memory.Free.TryAllocate(1, 4096, 4096 * MiB, MemoryRangeType.BootData, out ulong page));
        Assert.Equal(102 * MiB - 4096, page);
        Assert.True(memory.Free.TryAllocate(4096, 4096, MiB, MemoryRangeType.Hypervisor, out ulong trampoline));
        Assert.Equal(0x9E000UL, trampoline);
        Assert.False(memory.Free.TryAllocate(128 * MiB, 4096, 4096 * MiB, MemoryRangeType.BootData, out _));
        Assert.Equal(4160 * MiB, memory.Free.TopOfRam());
    }

    [Fact]
    public void WhatIsTakenOnlyForNowIsUsableInTheEnd()
    {
        Memory memory = Pc();
        Assert.True(memory.Free.TryTake(100 * MiB, 28 * MiB, MemoryRangeType.Usable));
        Assert.True(memory.Free.TryAllocate(4096, 4096, 4096 * MiB, MemoryRangeType.BootData, out ulong page));
        Assert.Equal(100 * MiB - 4096, page);
        Assert.Equal(
        [
            (0UL, 0x1000UL, MemoryRangeType.Reserved), (0x1000UL, 0x9F000UL, MemoryRangeType.Usable), (0x9F000UL, 0xA0000UL, MemoryRangeType.Reserved),
            (0xF0000UL, 0x100000UL, MemoryRangeType.Reserved), (MiB, page, MemoryRangeType.Usable), (page, 100 * MiB, MemoryRangeType.BootData),
            (100 * MiB, 128 * MiB, MemoryRangeType.Usable), (128 * MiB, 129 * MiB, MemoryRangeType.AcpiReclaimable), (4096 * MiB, 4160 * MiB, MemoryRangeType.Usable),
        ], memory.Map());
    }

    [Fact]
    public void TooManyRangesOrBlocksAreSaid()
    {
        var memory = new Memory();
        for (ulong i = 0; i < Capacity - 1; i++)
            Assert.True(i < 20 ? memory.Free.TryAddRange(new MemoryRange { Base = i * MiB, Length = 4096, Type = 1 }) : memory.Free.TryTake(i * MiB, 4096, MemoryRangeType.BootData));
        Assert.False(memory.Free.TryTake(0, 4096, MemoryRangeType.BootData));
        Assert.False(memory.Free.TryAddRange(default));
        Assert.False(memory.Free.TryAllocate(4096, 4096, ulong.MaxValue, MemoryRangeType.BootData, out _)); // found, but not to be remembered
        Assert.NotEmpty(memory.Map());
    }

    [Fact]
    public void ARangeBeyondTheEndOfTheAddressSpaceEndsThere()
    {
        var memory = new Memory((ulong.MaxValue - 0xFFFF, ulong.MaxValue, MemoryRangeType.Usable));
        Assert.Equal(ulong.MaxValue, memory.Free.TopOfRam());
        Assert.Equal(0xFFFFUL, memory.Free.UsableBytes());
    }

    private static readonly Gen<(ulong Base, ulong Length, uint Type)> Range =
        Gen.Select(Gen.ULong[0, 64 * 4096], Gen.ULong[0, 16 * 4096], Gen.UInt[1, 5], (start, length, type) => (start, length, type));
    private static readonly Gen<(ulong Bytes, int Alignment, ulong Limit, uint Type)> Request =
        Gen.Select(Gen.ULong[0, 5 * 4096], Gen.Int[12, 15], Gen.ULong[0, 90 * 4096], Gen.UInt[0, 2].Select(i => i == 0 ? MemoryRangeType.Usable : i == 1 ? MemoryRangeType.BootData : MemoryRangeType.Hypervisor),
            (bytes, shift, limit, type) => (bytes, 1 << shift, limit, type));

    [Fact]
    public void BlocksAreOfFreeRamAndOfNobodyElse() => Gen.Select(Range.Array[0, 8], Request.Array[1, 8]).Sample((ranges, requests) =>
    {
        var memory = new Memory(ranges);
        var taken = new List<(ulong Base, ulong End, uint Type)>();
        foreach (var (bytes, alignment, limit, type) in requests)
        {
            if (!memory.Free.TryAllocate(bytes, (ulong)alignment, limit, type, out ulong address)) continue;
            ulong end = address + ((bytes + 4095) & ~4095UL);
            Assert.True(address != 0 && address % (ulong)alignment == 0 && end <= limit && end > address);
            Assert.DoesNotContain(taken, t => t.Base < end && address < t.End);
            for (ulong page = address; page < end; page += 4096)
            {
                // Whole pages of RAM, joined from neighbours perhaps, and touched by nothing else.
                for (ulong at = page; at < page + 4096; at += 64)
                    Assert.Contains(ranges, r => r.Type == MemoryRangeType.Usable && r.Base <= at && at < r.Base + r.Length);
                Assert.DoesNotContain(ranges, r => r.Type != MemoryRangeType.Usable && r.Length != 0 && r.Base < page + 4096 && page < r.Base + r.Length);
            }
            taken.Add((address, end, type));
        }
        var map = memory.Map();
        foreach (var (start, end, type) in taken)
            for (ulong page = start; page < end; page += 4096)
                Assert.Equal(type, map.Single(r => r.Base <= page && page < r.End).Type);
    });
}
