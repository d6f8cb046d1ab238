// Which hypercall input values are sound: properties over random values, and TLFS's examples.
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Hypercalls;
using Xunit;

namespace Lamina.Tests.Host.Hypercalls;

public sealed class HypercallRulesTests
{
    private static readonly Gen<HypercallDescriptor> Descriptors =
        from input in Gen.Int[0, 40]
        from output in Gen.Int[0, 10]
        from element in Gen.OneOf(Gen.Const(0), Gen.Const(4), Gen.Const(8), Gen.Const(32))
        from outputElement in Gen.OneOf(Gen.Const(0), Gen.Const(4), Gen.Const(8), Gen.Const(16))
        from rep in Gen.Bool
        from variable in Gen.Bool
        select rep ? HypercallDescriptor.Rep(PartitionPrivileges.None, input * 8, element, outputElement, variable)
            : HypercallDescriptor.Simple(PartitionPrivileges.None, input * 8, output * 8, variable);

    // Values near to sound ones: random 64 bits hardly ever are.
    private static readonly Gen<ulong> Controls =
        from code in Gen.ULong[0, 0xFFFF]
        from fast in Gen.Bool
        from variable in Gen.Frequency((3, Gen.Const(0UL)), (1, Gen.ULong[0, 70]))
        from count in Gen.Frequency((2, Gen.Const(0UL)), (2, Gen.ULong[0, 600]), (1, Gen.ULong[0, 4095]))
        from start in Gen.Frequency((2, Gen.Const(0UL)), (1, Gen.ULong[0, 600]))
        from noise in Gen.Frequency((6, Gen.Const(0UL)), (1, Gen.Int[0, 63].Select(bit => 1UL << bit)))
        select (code | (fast ? 1UL << 16 : 0) | variable << 17 | count << 32 | start << 48) ^ noise;

    private static readonly Gen<ulong> Addresses = Gen.Frequency((4, Gen.ULong[0, 1 << 20].Select(a => a & ~7UL)), (1, Gen.ULong));

    [Fact]
    public void WhatIsAcceptedIsSound() => Gen.Select(Controls, Descriptors, Addresses, Addresses).Sample((control, call, first, second) =>
    {
        var input = new HypercallInput(control);
        HvStatus status = HypercallRules.Check(input, call, first, second, out HypercallShape shape);
        if (!status.IsSuccess) return;
        Assert.Equal(0UL, control & 0xF000_F000_F800_0000);
        Assert.True(call.IsRep ? input.RepCount != 0 && input.RepStartIndex < input.RepCount : input.RepCount == 0 && input.RepStartIndex == 0);
        Assert.True(call.AllowsVariableHeader || input.VariableHeaderSize == 0);
        Assert.Equal(call.Input + 8 * input.VariableHeaderSize, shape.HeaderBytes);
        Assert.True(shape.HeaderBytes <= HypercallRules.MaximumHeaderBytes);
        Assert.Equal(shape.HeaderBytes + input.RepCount * call.InputElement, shape.InputBytes);
        Assert.Equal(call.Output + input.RepCount * call.OutputElement, shape.OutputBytes);
        if (input.IsFast)
            Assert.True(shape.InputBytes <= 16 && shape.OutputBytes == 0);
        else
        {
            Assert.True(shape.InputBytes == 0 || first % 8 == 0 && first / 4096 == (first + shape.InputBytes - 1) / 4096);
            Assert.True(shape.OutputBytes == 0 || second % 8 == 0 && second / 4096 == (second + shape.OutputBytes - 1) / 4096);
        }
    }, iter: 20_000);

    [Fact]
    public void WhatIsSoundIsAccepted() => Gen.Select(Descriptors, Gen.UInt[1, 60], Gen.UInt[0, 59]).Sample((call, count, start) =>
    {
        HypercallInput input = call.IsRep ? HypercallInput.Rep(0x48, count).WithRepStartIndex(start % count) : HypercallInput.Simple(0x48);
        Assert.True(HypercallRules.Check(input, call, 0x5000, 0x6000, out HypercallShape shape).IsSuccess == (shape.InputBytes <= 4096 && shape.OutputBytes <= 4096));
    }, iter: 5_000);

    [Fact]
    public void StatusesAreThoseOfTheSpecification()
    {
        HypercallDescriptor simple = HypercallDescriptor.Simple(PartitionPrivileges.None, 16, 8), rep = HypercallDescriptor.Rep(PartitionPrivileges.None, 8, 8);
        HypercallDescriptor small = HypercallDescriptor.Simple(PartitionPrivileges.None, 16);
        HvStatus bad = HvStatus.HV_STATUS_INVALID_HYPERCALL_INPUT, misplaced = HvStatus.HV_STATUS_INVALID_ALIGNMENT, good = HvStatus.HV_STATUS_SUCCESS;
        Check(good, 0x40, simple);
        Check(bad, 0x40 | 1UL << 27, simple);
        Check(bad, 0x40 | 1UL << 31, simple);
        Check(bad, 0x40 | 1UL << 32, simple);
        Check(bad, 0x40 | 1UL << 48, simple);
        Check(bad, 0x40 | 1UL << 17, simple);
        Check(bad, 0x40 | 1UL << 16, simple);
        Check(good, 0x40 | 1UL << 16, small, 0x5003, 0x6FFF);
        Check(bad, 0x48, rep);
        Check(good, 0x48 | 3UL << 32 | 2UL << 48, rep);
        Check(bad, 0x48 | 3UL << 32 | 3UL << 48, rep);
        Check(good, 0x48 | 511UL << 32, rep);
        Check(misplaced, 0x48 | 512UL << 32, rep);
        Check(misplaced, 0x40, simple, 0x5004);
        Check(misplaced, 0x40, simple, 0x5FF8);
        Check(good, 0x40, simple, 0x5FF0, 0x6FF8);
        Check(misplaced, 0x40, simple, 0x5FF0, 0x6FFC);

        static void Check(HvStatus expected, ulong control, HypercallDescriptor call, ulong first = 0x5000, ulong second = 0x6000) =>
            Assert.Equal(expected.Value, HypercallRules.Check(new HypercallInput(control), call, first, second, out _).Value);
    }
}
