// INS and OUTS element by element: address sizes, direction, counts, page crossings, prefixes.
using Lamina.Abi;
using Lamina.Root.Worker;
using Xunit;

namespace Lamina.Tests.Host.Worker;

public class StringPortWalkTests
{
    private const ushort LongCode = 0xA09B, Code32 = 0xC09B, Code16 = 0x009B;

    private static HvX64InterceptMessageHeader Header(ushort codeAttributes, bool longMode = true, bool protectedMode = true, bool down = false) => new()
    {
        ExecutionState = default(HvX64VpExecutionState).WithEferLma(longMode).WithCr0Pe(protectedMode),
        CsSegment = new HvX64SegmentRegister { Attributes = new HvX64SegmentAttributes(codeAttributes) },
        Rflags = down ? 0x402UL : 2,
    };

    private static StringPortWalk Walk(HvX64InterceptMessageHeader header, byte size, ulong index, ulong rcx, bool rep = true, ulong segmentBase = 0, byte[] instruction = null) =>
        new(new HvX64IoPortAccessInfo(size, true, rep), header, PortPrefixes.Read(instruction ?? [0x6E]), index, rcx, segmentBase);

    [Fact]
    public void A_repeated_walk_moves_up_and_counts_down()
    {
        StringPortWalk walk = Walk(Header(LongCode), 4, 0xFFFF_8000_0000_0FF8, 3);
        Assert.Equal(4, walk.BytesInFirstPage);
        walk.Advance();
        walk.Advance();
        Assert.False(walk.IsDone);
        Assert.Equal(0xFFFF_8000_0000_1000, walk.Linear(0));
        walk.Advance();
        Assert.True(walk.IsDone);
        Assert.Equal((0xFFFF_8000_0000_1004, 0UL), (walk.Index, walk.Count));
    }

    [Fact]
    public void An_element_may_cross_a_page()
    {
        StringPortWalk walk = Walk(Header(LongCode), 4, 0x1FFE, 1);
        Assert.Equal(2, walk.BytesInFirstPage);
        Assert.Equal(0x2000UL, walk.Linear(2));
    }

    [Fact]
    public void Without_rep_one_element_moves_and_rcx_stays()
    {
        StringPortWalk walk = Walk(Header(LongCode, down: true), 2, 0x1000, 0, rep: false);
        Assert.False(walk.IsCountZero);
        walk.Advance();
        Assert.True(walk.IsDone);
        Assert.Equal((0xFFEUL, 0UL), (walk.Index, walk.Count));
    }

    [Fact]
    public void A_zero_count_moves_nothing()
    {
        Assert.True(Walk(Header(LongCode), 1, 0, 0).IsCountZero);
        Assert.False(Walk(Header(LongCode), 1, 0, 0x1_0000_0000).IsCountZero);
        Assert.True(Walk(Header(LongCode), 1, 0, 0x1_0000_0000, instruction: [0x67, 0xF3, 0x6E]).IsCountZero);
    }

    [Fact]
    public void Segments_have_no_base_in_64_bit_code_but_fs_and_gs_do()
    {
        Assert.Equal(0x10UL, Walk(Header(LongCode), 1, 0x10, 1, segmentBase: 0x5000).Linear(0));
        Assert.Equal(0x5010UL, Walk(Header(LongCode), 1, 0x10, 1, segmentBase: 0x5000, instruction: [0x65, 0x6E]).Linear(0));
    }

    [Fact]
    public void Real_mode_wraps_at_64_KiB_and_keeps_high_halves()
    {
        StringPortWalk walk = Walk(Header(Code16, longMode: false, protectedMode: false), 1, 0xAAAA_FFFF, 0xBBBB_0002, segmentBase: 0xF0000);
        Assert.Equal(0xFFFFFUL, walk.Linear(0));
        walk.Advance();
        Assert.Equal((0xAAAA_0000UL, 0xBBBB_0001UL, 0xF0000UL), (walk.Index, walk.Count, walk.Linear(0)));
    }

    [Fact]
    public void Compatibility_mode_addresses_wrap_at_4_GiB()
    {
        StringPortWalk walk = Walk(Header(Code32), 1, 0xFFFF_FFFF, 2, segmentBase: 0x10);
        Assert.Equal(0xFUL, walk.Linear(0));
        walk.Advance();
        Assert.Equal(0UL, walk.Index);
    }

    [Theory]
    [InlineData(new byte[] { 0xF3, 0x64, 0x6F }, SegmentOverride.Fs, false)]
    [InlineData(new byte[] { 0x67, 0x2E, 0xF3, 0x48, 0x6F }, SegmentOverride.Cs, true)]
    [InlineData(new byte[] { 0x6F, 0x65 }, SegmentOverride.None, false)]
    [InlineData(new byte[0], SegmentOverride.None, false)]
    public void Prefixes_end_at_the_opcode(byte[] bytes, SegmentOverride segment, bool addressSize)
    {
        PortPrefixes prefixes = PortPrefixes.Read(bytes);
        Assert.Equal((segment, addressSize), (prefixes.Segment, prefixes.AddressSize));
    }

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
}
