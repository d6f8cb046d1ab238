// Register formats: known values from the manuals, and round trips.

using System;
using System.Linq;
using System.Reflection;
using CsCheck;
using Lamina.X64;
using Xunit;

namespace Lamina.Tests.Host.X64.Registers;

public sealed class X64RegisterTests
{
    [Fact]
    public void Control_register_bits_are_where_the_manuals_have_them()
    {
        Assert.Equal(0x8001_0033UL, default(Cr0).WithPE(true).WithMP(true).WithET(true).WithNE(true).WithWP(true).WithPG(true).Value);
        Assert.Equal(0x0034_0020UL, default(Cr4).WithPAE(true).WithOSXSAVE(true).WithSMEP(true).WithSMAP(true).Value);
        Assert.Equal(0x1D01UL, default(Efer).WithSCE(true).WithLME(true).WithLMA(true).WithNXE(true).WithSVME(true).Value);
        Assert.Equal(0x202UL, RFlags.Reset.WithIF(true).Value);
        Assert.Equal(3, new RFlags(0x3000).IOPL);
        Assert.Equal(0xFFFF_0FF0UL, Dr6.Reset.Value);
        Assert.Equal(0x400UL, Dr7.Reset.Value);
        var apicBase = new ApicBase(0xFEE0_0D00);
        Assert.True(apicBase.BSP && apicBase.EXTD && apicBase.EN);
        Assert.Equal(ApicBase.DefaultAddress, apicBase.Address);
    }

    /// <summary>Every With… of every register changes the bits that the property of the same name reads, and no other.</summary>
    [Theory]
    [InlineData(typeof(Cr0))]
    [InlineData(typeof(Cr4))]
    [InlineData(typeof(Efer))]
    [InlineData(typeof(RFlags))]
    [InlineData(typeof(Xcr0))]
    [InlineData(typeof(Dr6))]
    [InlineData(typeof(Dr7))]
    [InlineData(typeof(ApicBase))]
    [InlineData(typeof(RedirectionEntry))]
    public void With_changes_what_the_property_reads(Type register)
    {
        MethodInfo[] changes = register.GetMethods().Where(method => method.Name.StartsWith("With") && method.GetParameters()[0].ParameterType == typeof(bool)).ToArray();
        Assert.NotEmpty(changes);
        ulong seen = 0;
        foreach (MethodInfo change in changes)
        {
            PropertyInfo property = register.GetProperty(change.Name["With".Length..]);
            object none = Activator.CreateInstance(register, 0UL);
            object set = change.Invoke(none, [true]);
            ulong bit = (ulong)register.GetField("Value").GetValue(set);
            Assert.True(ulong.IsPow2(bit), change.Name);
            Assert.Equal(0UL, seen & bit);
            seen |= bit;
            Assert.Equal(true, property.GetValue(set));
            Assert.Equal(false, property.GetValue(change.Invoke(set, [false])));
        }
    }

    [Theory]
    [InlineData(0x7UL, 0x7UL, true)]
    [InlineData(0x3UL, 0xE7UL, true)]
    [InlineData(0xE7UL, 0xE7UL, true)]
    [InlineData(0x6UL, 0x7UL, false)]
    [InlineData(0x5UL, 0x7UL, false)]
    [InlineData(0xFUL, 0x7UL, false)]
    [InlineData(0x67UL, 0xE7UL, false)]
    [InlineData(0xE3UL, 0xE7UL, false)]
    [InlineData(0xBUL, 0x1FUL, false)]
    public void Xcr0_is_judged_as_XSETBV_does(ulong value, ulong supported, bool acceptable) =>
        Assert.Equal(acceptable, new Xcr0(value).IsAcceptable(supported));

    [Theory]
    [InlineData(0x0007040600070406UL, true)]
    [InlineData(0x0000000000000002UL, false)]
    [InlineData(0x0300000000000000UL, false)]
    [InlineData(0x0000000800000000UL, false)]
    [InlineData(0x0706050401000706UL, true)]
    public void Pat_is_judged_as_WRMSR_does(ulong value, bool acceptable) => Assert.Equal(acceptable, new PageAttributeTable(value).IsAcceptable);

    [Fact]
    public void Segment_descriptors_are_the_usual_ones()
    {
        Assert.Equal(0x00AF_9B00_0000_FFFFUL, SegmentDescriptor.KernelCode64.Value);
        Assert.Equal(0x00CF_9300_0000_FFFFUL, SegmentDescriptor.KernelData.Value);
        Assert.Equal(0xFFFFFFFFu, SegmentDescriptor.KernelData.Limit);
    }

    [Fact]
    public void Segment_descriptor_round_trips() =>
        Gen.Select(Gen.UInt, Gen.UInt[0, 0xFFFFF], Gen.UShort).Sample((start, limit, attributes) =>
        {
            var descriptor = new SegmentDescriptor(start, limit, attributes);
            return descriptor.Base == start && descriptor.RawLimit == limit && descriptor.Attributes == (attributes & 0xF0FF);
        });

    [Fact]
    public void System_descriptor_and_gate_round_trip() =>
        Gen.Select(Gen.ULong, Gen.UShort, Gen.Byte[0, 3], Gen.Byte[0, 7]).Sample((address, selector, dpl, stack) =>
        {
            var tss = SystemDescriptor64.ForTss(address, 103);
            var gate = new GateDescriptor64(address, selector, GateDescriptor64.InterruptGate, dpl, stack);
            return tss.Base == address && tss.Low.Limit == 103 && tss.Low.Type == SegmentDescriptor.AvailableTss64 && tss.Low.Present && !tss.Low.NonSystem
                && gate.Offset == address && gate.Selector == selector && gate.InterruptStackTable == stack && gate.Attributes == (0x8E | dpl << 5);
        });

    [Fact]
    public void Interrupt_commands_are_the_usual_ones()
    {
        Assert.Equal(0x000C_4500UL, InterruptCommand.Of(DeliveryMode.INIT, 0).WithDestinationShorthand(InterruptCommand.AllExcludingSelf).Value);
        Assert.Equal(0x0000_0003_0000_4608UL, InterruptCommand.Of(DeliveryMode.StartUp, 8).WithX2ApicDestination(3).Value);
        Assert.Equal(0x0300_0000_0000_4608UL, InterruptCommand.Of(DeliveryMode.StartUp, 8).WithXApicDestination(3).Value);
        Assert.Equal(0x0004_00F0u, default(LocalVectorTableEntry).WithVector(0xF0).WithTimerMode(LocalVectorTableEntry.TscDeadline).Value);
        Assert.Equal(0x1FFu, default(SpuriousInterruptVector).WithVector(0xFF).WithApicSoftwareEnable(true).Value);
        Assert.Equal(Msr.IA32_X2APIC_ICR, ApicRegisters.ToMsr(ApicRegisters.InterruptCommandLow));
        Assert.Equal(Msr.IA32_X2APIC_DIV_CONF, ApicRegisters.ToMsr(ApicRegisters.DivideConfiguration));
    }

    [Fact]
    public void Redirection_entry_and_msi_carry_extended_destinations()
    {
        Assert.Equal(0x1234u, new RedirectionEntry(0x34UL << 56 | 0x12UL << 49).ExtendedDestination);
        Assert.Equal(0x1234u, new MsiAddress(0xFEE0_0000 | 0x34u << 12 | 0x12u << 5).ExtendedDestination);
        Assert.Equal(0xFEE0_5000u, MsiAddress.For(5).Value);
        Assert.True(MsiAddress.For(255).IsValid);
        Assert.False(new MsiAddress(0xFED0_0000).IsValid);
    }

    [Fact]
    public void Exceptions_with_error_code_are_those_of_the_manuals()
    {
        byte[] with = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30];
        for (int vector = 0; vector < 256; vector++)
            Assert.Equal(with.Contains((byte)vector), ExceptionVector.HasErrorCode((byte)vector));
    }

    [Fact]
    public void No_msr_or_feature_has_two_names()
    {
        var msrs = typeof(Msr).GetFields().Select(field => (uint)field.GetRawConstantValue()).ToList();
        Assert.Equal(msrs.Count, msrs.Distinct().Count());
        var features = typeof(CpuidFeature).GetProperties(BindingFlags.Public | BindingFlags.Static).Select(property => (CpuidFeature)property.GetValue(null))
            .Select(feature => (feature.Leaf, feature.Subleaf, feature.Register, feature.Bit)).ToList();
        Assert.True(features.Count > 100);
        Assert.Equal(features.Count, features.Distinct().Count());
    }

    [Fact]
    public void Features_look_at_their_own_register()
    {
        Assert.True(CpuidFeature.VMX.IsIn(0, 0, 1u << 5, 0));
        Assert.False(CpuidFeature.VMX.IsIn(0, 0, 0, 1u << 5));
        Assert.True(CpuidFeature.SVM.IsIn(0, 0, 4, 0));
        Assert.True(CpuidFeature.NX.IsIn(0, 0, 0, 1u << 20));
        Assert.True(CpuidFeature.SMEP.IsIn(0, 1u << 7, 0, 0));
        Assert.Equal(1u << 2, CpuidFeature.ARAT.Mask);
    }
}
