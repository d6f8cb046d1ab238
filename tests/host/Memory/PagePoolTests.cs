// The page pool: pages come out zeroed, once each, and the count is right.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using CsCheck;
using Lamina.Hypervisor.Memory;
using Xunit;

namespace Lamina.Tests.Host.Memory;

public unsafe class PagePoolTests
{
    private const int Pages = 64;

    /// <summary>A little physical memory; "physical" addresses start at one page.</summary>
    private readonly struct Map : IPhysicalMap
    {
        private static readonly byte* Memory = (byte*)NativeMemory.AlignedAlloc(Pages * 4096, 4096);

        public static byte* ToPointer(ulong physical)
        {
            if (physical < 4096 || physical >= (Pages + 1) * 4096)
            {
                throw new ArgumentOutOfRangeException(nameof(physical));
            }
            return Memory + physical - 4096;
        }

        public static Span<byte> Page(ulong physical) => new(ToPointer(physical), 4096);
    }

    [Fact]
    public void EveryPageComesOutOnceAndZeroed() =>
        Gen.Int[0, 99].Array[1, 400].Sample(choices =>
        {
            PagePool<Map> pool = default;
            List<ulong> held = new();
            for (ulong i = 1; i <= Pages; i++)
            {
                held.Add(i * 4096);
            }
            HashSet<ulong> inside = new();
            foreach (int choice in choices)
            {
                if (choice < 50 && held.Count > 0)
                {
                    ulong page = held[choice % held.Count];
                    Assert.True(held.Remove(page) && inside.Add(page));
                    Map.Page(page).Fill((byte)(choice + 1));
                    Assert.True(pool.Add(page));
                }
                else if (pool.TryTake(out ulong page))
                {
                    Assert.True(inside.Remove(page));
                    Assert.Equal(-1, Map.Page(page).IndexOfAnyExcept((byte)0));
                    held.Add(page);
                }
                else
                {
                    Assert.Empty(inside);
                }
                Assert.Equal((ulong)inside.Count, pool.Count);
            }
        }, iter: 300, threads: 1);

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(4095UL)]
    [InlineData(4104UL)]
    public void WhatIsNoPageIsRefused(ulong address)
    {
        PagePool<Map> pool = default;
        Assert.False(pool.Add(address));
        Assert.False(pool.AddZeroed(address));
        Assert.Equal(0UL, pool.Count);
        Assert.False(pool.TryTake(out ulong page));
        Assert.Equal(0UL, page);
    }

    [Fact]
    public void RangesComeOutInOrderAndMoveWhole()
    {
        PagePool<Map> account = default;
        PagePool<Map> core = default;
        Assert.Equal(8UL, account.AddRange(4096, 8));
        Assert.True(account.TryTake(out ulong a));
        Assert.True(account.TryTake(out ulong b));
        Assert.Equal((4096UL, 8192UL), (a, b));
        account.MoveAllTo(ref core);
        Assert.Equal((0UL, 6UL), (account.Count, core.Count));
    }
}
