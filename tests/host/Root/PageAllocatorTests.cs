// The page allocator against a plain array of flags.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using CsCheck;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Root;

public unsafe class PageAllocatorTests
{
    private sealed class Fixture : IDisposable
    {
        private readonly byte* storage;
        public PageAllocator Allocator;

        public Fixture(ulong limit)
        {
            storage = (byte*)NativeMemory.AllocZeroed((nuint)PageAllocator.StorageBytes(limit));
            Allocator = new PageAllocator(storage, limit);
        }

        public void Dispose() => NativeMemory.Free(storage);
    }

    [Fact]
    public void Small_requests_leave_whole_blocks_whole()
    {
        using var fixture = new Fixture(4096);
        Assert.True(fixture.Allocator.TryAdd(0, 4096));
        for (int i = 0; i < 300; i++) Assert.True(fixture.Allocator.TryTake(1, 1, out _));
        for (int i = 0; i < 7; i++)
        {
            Assert.True(fixture.Allocator.TryTake(512, 512, out ulong first));
            Assert.Equal(0UL, first % 512);
        }
        Assert.False(fixture.Allocator.TryTake(512, 512, out _));
        Assert.Equal(212UL, fixture.Allocator.FreePageCount);
    }

    [Fact]
    public void A_run_may_cross_blocks()
    {
        using var fixture = new Fixture(2048);
        Assert.True(fixture.Allocator.TryAdd(100, 1500));
        Assert.True(fixture.Allocator.TryTake(1500, 1, out ulong first));
        Assert.Equal(100UL, first);
        Assert.Equal(0UL, fixture.Allocator.FreePageCount);
    }

    [Fact]
    public void Small_runs_are_found_even_when_only_a_block_border_has_room()
    {
        using var fixture = new Fixture(1024);
        Assert.True(fixture.Allocator.TryAdd(510, 4));
        Assert.True(fixture.Allocator.TryTake(4, 1, out ulong first));
        Assert.Equal(510UL, first);
    }

    [Fact]
    public void Releasing_what_is_free_is_refused_and_changes_nothing()
    {
        using var fixture = new Fixture(1024);
        Assert.True(fixture.Allocator.TryAdd(0, 1024));
        Assert.True(fixture.Allocator.TryTake(8, 8, out ulong first));
        Assert.False(fixture.Allocator.TryRelease(first, 9));
        Assert.Equal(1016UL, fixture.Allocator.FreePageCount);
        Assert.True(fixture.Allocator.TryRelease(first, 8));
        Assert.False(fixture.Allocator.TryRelease(first, 1));
        Assert.False(fixture.Allocator.TryRelease(1020, 8));
        Assert.False(fixture.Allocator.TryRelease(ulong.MaxValue - 1, 4));
    }

    [Fact]
    public void Content_is_unknown_once_and_after_that_zero()
    {
        using var fixture = new Fixture(1024);
        fixture.Allocator.TryAdd(0, 1024);
        fixture.Allocator.TryTake(2, 1, out ulong first);
        Assert.True(fixture.Allocator.TakeUnknown(first));
        Assert.False(fixture.Allocator.TakeUnknown(first));
        fixture.Allocator.TryRelease(first, 2);
        fixture.Allocator.TryTake(2, 1, out ulong again);
        Assert.Equal(first, again);
        Assert.False(fixture.Allocator.TakeUnknown(again));
        Assert.True(fixture.Allocator.TakeUnknown(again + 1));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    [InlineData(1, 3)]
    [InlineData(5000, 1)]
    public void Senseless_requests_are_refused(ulong count, ulong alignment)
    {
        using var fixture = new Fixture(1024);
        fixture.Allocator.TryAdd(0, 1024);
        Assert.False(fixture.Allocator.TryTake(count, alignment, out _));
        Assert.Equal(1024UL, fixture.Allocator.FreePageCount);
    }

    [Fact]
    public void Behaves_as_an_array_of_flags_does()
    {
        Gen<(int Kind, int Count, int Shift)> operation = Gen.Select(Gen.Int[0, 2], Gen.Int[1, 1300], Gen.Int[0, 10]);
        operation.Array[1, 60].Sample(operations =>
        {
            const int limit = 8 * 512;
            using var fixture = new Fixture(limit);
            var free = new bool[limit];
            foreach ((int start, int count) in new[] { (3, 700), (1024, 2000), (3100, 900) })
            {
                Assert.True(fixture.Allocator.TryAdd((ulong)start, (ulong)count));
                Array.Fill(free, true, start, count);
            }
            var taken = new List<(int First, int Count)>();
            foreach ((int kind, int size, int shift) in operations)
            {
                int count = kind == 0 ? size % 7 + 1 : size, alignment = 1 << shift;
                if (kind == 2 && taken.Count > 0)
                {
                    (int first, int length) = taken[size % taken.Count];
                    taken.RemoveAt(size % taken.Count);
                    Assert.True(fixture.Allocator.TryRelease((ulong)first, (ulong)length));
                    Array.Fill(free, true, first, length);
                }
                else if (fixture.Allocator.TryTake((ulong)count, (ulong)alignment, out ulong first))
                {
                    Assert.Equal(0, (int)first % alignment);
                    Assert.All(Enumerable.Range((int)first, count), page => Assert.True(free[page]));
                    Array.Fill(free, false, (int)first, count);
                    taken.Add(((int)first, count));
                }
                else Assert.False(Fits(free, count, alignment));
                Assert.Equal((ulong)free.Count(f => f), fixture.Allocator.FreePageCount);
            }
        }, iter: 300);
    }

    private static bool Fits(bool[] free, int count, int alignment)
    {
        for (int first = 0; first + count <= free.Length; first += alignment)
            if (Array.IndexOf(free, false, first, count) < 0) return true;
        return false;
    }
}
