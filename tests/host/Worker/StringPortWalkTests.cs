// INS and OUTS element by element: address sizes, direction, counts, page crossings.
using System;
using CsCheck;
using Lamina.Root.Worker;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public class StringPortWalkTests
{
    private static StringPortWalk Walk64(byte size, ulong index, ulong rcx, bool repeated = true, bool down = false, ulong segmentBase = 0) =>
        new(size, repeated, 8, false, down, index, rcx, segmentBase);

    [Fact]
    public void A_repeated_walk_moves_up_and_counts_down()
    {
        StringPortWalk walk = Walk64(4, 0xFFFF_8000_0000_0FF8, 3);
        walk.Advance();
        walk.Advance();
        Assert.False(walk.IsDone);
        Assert.Equal(0xFFFF_8000_0000_1000, walk.Linear);
        walk.Advance();
        Assert.True(walk.IsDone);
        Assert.Equal((0xFFFF_8000_0000_1004, 0UL), (walk.Index, walk.Count));
    }

    [Fact]
    public void Without_rep_one_element_moves_and_rcx_stays()
    {
        StringPortWalk walk = Walk64(2, 0x1000, 0, repeated: false, down: true);
        Assert.False(walk.IsCountZero);
        walk.Advance();
        Assert.True(walk.IsDone);
        Assert.Equal((0xFFEUL, 0UL), (walk.Index, walk.Count));
    }

    [Fact]
    public void Only_the_bits_of_the_address_size_count()
    {
        Assert.True(Walk64(1, 0, 0).IsCountZero);
        Assert.False(Walk64(1, 0, 0x1_0000_0000).IsCountZero);
        Assert.True(new StringPortWalk(1, true, 4, false, false, 0, 0x1_0000_0000, 0).IsCountZero);
    }

    [Fact]
    public void Sixteen_bits_wrap_at_64_KiB_and_keep_high_halves()
    {
        var walk = new StringPortWalk(1, true, 2, true, false, 0xAAAA_FFFF, 0xBBBB_0002, 0xF0000);
        Assert.Equal(0xFFFFFUL, walk.Linear);
        walk.Advance();
        Assert.Equal((0xAAAA_0000UL, 0xBBBB_0001UL, 0xF0000UL), (walk.Index, walk.Count, walk.Linear));
    }

    [Fact]
    public void Thirty_two_bits_wrap_at_4_GiB_and_clear_high_halves()
    {
        var walk = new StringPortWalk(1, true, 4, true, false, 0xFFFF_FFFF, 0x7_0000_0002, 0x10);
        Assert.Equal(0xFUL, walk.Linear);
        walk.Advance();
        Assert.Equal((0UL, 1UL), (walk.Index, walk.Count));
    }

    [Fact]
    public void A_walk_ends_after_as_many_elements_as_rcx_says() =>
        Gen.Select(Gen.Int[0, 2], Gen.UInt[1, 300], Gen.Bool, Gen.ULong).Sample((shift, count, down, index) =>
        {
            byte size = (byte)(1 << shift);
            StringPortWalk walk = Walk64(size, index, count, down: down);
            uint moved = 0;
            for (; !walk.IsDone; moved++) walk.Advance();
            Assert.Equal(count, moved);
            Assert.Equal(down ? index - count * size : index + count * size, walk.Index);
        }, iter: 200);

    [Theory]
    [InlineData(0x1000UL, 4, 4)]
    [InlineData(0x1FFEUL, 4, 2)]
    [InlineData(0x1FFFUL, 4, 1)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL, 2, 1)]
    public void Elements_split_at_pages(ulong linear, int length, int first) => Assert.Equal(first, PageSplit.BytesInPage(linear, length));

    [Theory]
    [InlineData(1, 0xFFFFFF12u, 0x1122334455667712UL)]
    [InlineData(2, 0xFFFF1234u, 0x1122334455661234UL)]
    [InlineData(4, 0x12345678u, 0x12345678UL)]
    public void Inputs_merge_as_register_writes_do(int size, uint value, ulong expected) =>
        Assert.Equal(expected, PortInstruction.MergeInput(0x1122334455667788, size, value));

    [Theory]
    [InlineData(1, 0x88u, 0xFFu)]
    [InlineData(2, 0x7788u, 0xFFFFu)]
    [InlineData(4, 0x55667788u, 0xFFFFFFFFu)]
    public void Outputs_and_absent_devices_have_the_width_of_the_access(int size, uint output, uint absent)
    {
        Assert.Equal(output, PortInstruction.OutputValue(0x1122334455667788, size));
        Assert.Equal(absent, PortInstruction.AllOnes(size));
    }

    [Fact]
    public void Unmapped_regions_are_reported_once_and_not_without_end()
    {
        UnmappedRegions regions = default;
        Assert.True(regions.IsNew(0xFED00000));
        Assert.False(regions.IsNew(0xFED0FFFF));
        Assert.True(regions.IsNew(0xFED10000));
        int reported = 2;
        for (ulong address = 0; address < 1UL << 24; address += 1 << 16) if (regions.IsNew(address)) reported++;
        Assert.Equal(UnmappedRegions.Capacity, reported);
    }
}
