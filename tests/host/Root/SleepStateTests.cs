// The search for \_S5 in AML: as compilers write it, and in garbage.
using System;
using System.Linq;
using CsCheck;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Root;

public unsafe class SleepStateTests
{
    private static readonly byte[] Name = [0x08, (byte)'_', (byte)'S', (byte)'5', (byte)'_'];

    [Theory]
    [InlineData(new byte[] { 0x12, 0x06, 0x04, 0x00, 0x00, 0x00, 0x00 }, 0, 0)]
    [InlineData(new byte[] { 0x12, 0x08, 0x04, 0x0A, 0x05, 0x0A, 0x07, 0x00, 0x00 }, 5, 7)]
    [InlineData(new byte[] { 0x12, 0x07, 0x02, 0x01, 0x0A, 0x05, 0x00, 0x00 }, 1, 5)]
    [InlineData(new byte[] { 0x12, 0x49, 0x00, 0x04, 0x0A, 0x03, 0x00, 0x00, 0x00 }, 3, 0)]
    public void Packages_of_all_shapes(byte[] package, byte a, byte b)
    {
        Assert.True(Find([1, 2, 3, .. Name, .. package, 0, 0], out SleepState state));
        Assert.Equal((a, b), (state.TypeA, state.TypeB));
    }

    [Fact]
    public void With_a_root_character() => Assert.True(Find([9, 0x08, (byte)'\\', .. Name[1..], 0x12, 0x06, 0x04, 0x01, 0x00, 0x00, 0x00, 0, 0], out _));

    [Theory]
    [InlineData(new byte[] { 0x11, 0x06, 0x04, 0x00, 0x00, 0x00, 0x00, 0, 0 })]
    [InlineData(new byte[] { 0x12, 0x06, 0x01, 0x00, 0x00, 0x00, 0x00, 0, 0 })]
    [InlineData(new byte[] { 0x12, 0x06, 0x04, 0x0B, 0x00, 0x00, 0x00, 0, 0 })]
    public void What_is_no_package_of_bytes_is_passed_over(byte[] package) => Assert.False(Find([1, .. Name, .. package], out _));

    [Fact]
    public void Never_reads_beyond_the_table() => Gen.Byte.Array[0, 12].Sample(tail => { Find([0, .. Name, .. tail], out _); });

    /// <summary>The bytes end where reading must end: what lies after them would be found if it were read.</summary>
    private static bool Find(byte[] aml, out SleepState state)
    {
        byte[] trap = aml.Concat(Enumerable.Repeat((byte)0xCC, 64)).ToArray();
        fixed (byte* start = trap) return SleepState.TryFindS5(start, (ulong)aml.Length, out state);
    }
}
