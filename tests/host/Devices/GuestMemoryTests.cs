// Guest RAM: what lies outside a range, across its end or around the top of the address space is refused.
using System;
using System.Linq;
using System.Runtime.InteropServices;
using CsCheck;
using Lamina.Root.Devices;
using Xunit;

namespace Lamina.Tests.Host.Devices;

public unsafe class GuestMemoryTests
{
    [Fact]
    public void OnlyWholeRangesAreReachable() =>
        Gen.Select(Gen.ULong, Gen.OneOf(Gen.ULong, Gen.ULong[0, 0x3000])).Sample((gpa, length) =>
        {
            byte* host = (byte*)0x10000;
            GuestMemory memory = default;
            Assert.True(memory.TryAddRange(0x1000, 0x2000, host));
            Assert.True(memory.TryAddRange(0x4000, 0x1000, host + 0x2000));
            Assert.True(memory.TryAddRange(ulong.MaxValue - 0xFFFF, 0xF000, host + 0x3000));
            foreach (ulong at in new[] { gpa, gpa & 0x7FFF, ulong.MaxValue - (gpa & 0x1FFFF) })
            {
                UInt128 end = (UInt128)at + length;
                bool expected = at >= 0x1000 && end <= 0x3000 || at >= 0x4000 && end <= 0x5000 || at >= ulong.MaxValue - 0xFFFF && end <= ulong.MaxValue - 0xFFF;
                Assert.Equal(expected, memory.TryGetPointer(at, length, out byte* pointer));
                if (!expected) Assert.True(pointer == null);
            }
        }, iter: 20000);

    [Fact]
    public void RangesMayNotOverlapWrapOrExceedEight()
    {
        GuestMemory memory = default;
        byte* host = (byte*)0x1000;
        Assert.True(memory.TryAddRange(0x1000, 0x1000, host));
        Assert.False(memory.TryAddRange(0x1FFF, 1, host));
        Assert.False(memory.TryAddRange(0, 0x1001, host));
        Assert.False(memory.TryAddRange(0, 0, host));
        Assert.False(memory.TryAddRange(ulong.MaxValue, 2, host));
        for (ulong i = 0; i < 7; i++) Assert.True(memory.TryAddRange(0x10000 + i * 0x1000, 0x1000, host));
        Assert.False(memory.TryAddRange(0x100000, 0x1000, host));
        Assert.Equal(8UL * 0x1000, memory.TotalLength);
    }

    [Theory]
    [InlineData(1UL << 30, 1, 1UL << 30)]
    [InlineData(3UL << 30, 1, 3UL << 30)]
    [InlineData(5UL << 30, 2, 3UL << 30)]
    public void TheStandardLayoutLeavesTheHole(ulong length, int ranges, ulong lowEnd)
    {
        GuestMemory memory = GuestMemory.CreateStandard((byte*)0x1000, length);
        Assert.Equal(ranges, memory.RangeCount);
        Assert.Equal(lowEnd, memory.LowEnd);
        Assert.Equal(length, memory.TotalLength);
        if (ranges == 2)
        {
            Assert.Equal(4UL << 30, memory.RangeGpa(1));
            Assert.True(memory.RangeHost(1) == (byte*)0x1000 + lowEnd);
        }
    }

    [Fact]
    public void CopiesMoveExactlyTheirBytes() =>
        Gen.Select(Gen.Int[0, 300], Gen.Int[0, 300]).Sample((offset, length) =>
        {
            byte[] backing = new byte[1024], data = Enumerable.Range(1, length).Select(i => (byte)(i | 1)).ToArray(), back = new byte[length];
            fixed (byte* host = backing)
            {
                GuestMemory memory = default;
                memory.TryAddRange(0x1000, 600, host + 100);
                bool fits = offset + length <= 600;
                Assert.Equal(fits, memory.TryCopyIn(0x1000 + (ulong)offset, data));
                Assert.Equal(fits, memory.TryCopyOut(0x1000 + (ulong)offset, back));
                Assert.Equal(fits ? length : 0, backing.Count(b => b != 0));
                if (fits) Assert.Equal(data, back);
                Assert.Equal(fits, memory.TryZero(0x1000 + (ulong)offset, (ulong)length));
                Assert.All(backing, b => Assert.Equal(0, b));
            }
        }, iter: 500);
}
