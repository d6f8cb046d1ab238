// Formats of SVM's small structures, the permission maps' index calculation, and exit codes.

using System;
using System.Linq;
using System.Reflection;
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Svm;
using Xunit;

namespace Lamina.Tests.Host.Svm;

public sealed class SvmDefinitionTests
{
    [Theory]
    [InlineData(SvmExitCode.VMEXIT_EXCP0 + 14, 0x4E)]
    [InlineData(SvmExitCode.VMEXIT_INTR, 0x60)]
    [InlineData(SvmExitCode.VMEXIT_VINTR, 0x64)]
    [InlineData(SvmExitCode.VMEXIT_CPUID, 0x72)]
    [InlineData(SvmExitCode.VMEXIT_HLT, 0x78)]
    [InlineData(SvmExitCode.VMEXIT_IOIO, 0x7B)]
    [InlineData(SvmExitCode.VMEXIT_MSR, 0x7C)]
    [InlineData(SvmExitCode.VMEXIT_SHUTDOWN, 0x7F)]
    [InlineData(SvmExitCode.VMEXIT_VMMCALL, 0x81)]
    [InlineData(SvmExitCode.VMEXIT_XSETBV, 0x8D)]
    [InlineData(SvmExitCode.VMEXIT_INVPCID, 0xA2)]
    [InlineData(SvmExitCode.VMEXIT_NPF, 0x400)]
    public void Exit_code_is_the_manuals(ulong actual, ulong expected) => Assert.Equal(expected, actual);

    /// <summary>Exit codes of the three intercept words number the bits of the words in order, which ties both tables together.</summary>
    [Theory]
    [InlineData(VmcbIntercept1.INTR, SvmExitCode.VMEXIT_INTR, 0x60)]
    [InlineData(VmcbIntercept1.CPUID, SvmExitCode.VMEXIT_CPUID, 0x60)]
    [InlineData(VmcbIntercept1.HLT, SvmExitCode.VMEXIT_HLT, 0x60)]
    [InlineData(VmcbIntercept1.IOIO_PROT, SvmExitCode.VMEXIT_IOIO, 0x60)]
    [InlineData(VmcbIntercept1.MSR_PROT, SvmExitCode.VMEXIT_MSR, 0x60)]
    [InlineData(VmcbIntercept1.Shutdown, SvmExitCode.VMEXIT_SHUTDOWN, 0x60)]
    [InlineData(VmcbIntercept2.VMRUN, SvmExitCode.VMEXIT_VMRUN, 0x80)]
    [InlineData(VmcbIntercept2.VMMCALL, SvmExitCode.VMEXIT_VMMCALL, 0x80)]
    [InlineData(VmcbIntercept2.WBINVD, SvmExitCode.VMEXIT_WBINVD, 0x80)]
    [InlineData(VmcbIntercept2.XSETBV, SvmExitCode.VMEXIT_XSETBV, 0x80)]
    [InlineData(VmcbIntercept2.RDPRU, SvmExitCode.VMEXIT_RDPRU, 0x80)]
    [InlineData(VmcbIntercept3.INVPCID, SvmExitCode.VMEXIT_INVPCID, 0xA0)]
    [InlineData(VmcbIntercept3.IDLE_HLT, SvmExitCode.VMEXIT_IDLE_HLT, 0xA0)]
    public void Intercept_bit_and_exit_code_agree(uint bit, ulong code, ulong first) =>
        Assert.Equal(code, first + (ulong)System.Numerics.BitOperations.TrailingZeroCount(bit));

    [Theory]
    [InlineData(typeof(VmcbIntercept1))]
    [InlineData(typeof(VmcbIntercept2))]
    [InlineData(typeof(VmcbIntercept3))]
    [InlineData(typeof(SvmExitCode))]
    public void No_number_has_two_names(Type constants)
    {
        var values = constants.GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => Convert.ToUInt64(field.GetRawConstantValue())).ToList();
        Assert.Equal(values.Count, values.Distinct().Count());
    }

    [Theory]
    [InlineData(0x0000_0000, 0)]
    [InlineData(0x0000_0010, 0x20)]
    [InlineData(0x0000_1FFF, 0x3FFE)]
    [InlineData(0xC000_0000, 0x4000)]
    [InlineData(0xC000_0080, 0x4100)]
    [InlineData(0xC000_1FFF, 0x7FFE)]
    [InlineData(0xC001_0000, 0x8000)]
    [InlineData(0xC001_1FFF, 0xBFFE)]
    public void Msr_bit_is_the_manuals(uint msr, uint expected)
    {
        Assert.True(MsrPermissionMap.TryGetBit(msr, out uint bit));
        Assert.Equal(expected, bit);
    }

    [Theory]
    [InlineData(0x0000_2000)]
    [InlineData(0x4000_0000)]
    [InlineData(0xBFFF_FFFF)]
    [InlineData(0xC000_2000)]
    [InlineData(0xC000_FFFF)]
    [InlineData(0xC001_2000)]
    [InlineData(0xFFFF_FFFF)]
    public void Msr_outside_the_map_has_no_bit(uint msr) => Assert.False(MsrPermissionMap.TryGetBit(msr, out _));

    [Fact]
    public void Setting_one_msr_leaves_the_others() =>
        Gen.Select(Gen.OneOf(Gen.UInt[0, 0x1FFF], Gen.UInt[0xC0000000, 0xC0001FFF], Gen.UInt[0xC0010000, 0xC0011FFF]), Gen.Bool, Gen.Bool, Gen.Byte)
            .Sample((msr, read, write, background) => SetsOnlyItsOwn(msr, read, write, background));

    private static unsafe bool SetsOnlyItsOwn(uint msr, bool read, bool write, byte background)
    {
        byte[] map = new byte[MsrPermissionMap.Size];
        Array.Fill(map, background);
        fixed (byte* start = map)
            MsrPermissionMap.TrySet(start, msr, read, write);
        MsrPermissionMap.TryGetBit(msr, out uint bit);
        for (uint index = 0; index < map.Length * 8; index++)
        {
            bool actual = (map[index >> 3] >> (int)(index & 7) & 1) != 0;
            bool expected = index == bit ? read : index == bit + 1 ? write : (background >> (int)(index & 7) & 1) != 0;
            if (actual != expected)
                return false;
        }
        return true;
    }

    [Fact]
    public unsafe void Port_intercepts_are_set_and_cleared()
    {
        byte[] map = new byte[IoPermissionMap.Size];
        fixed (byte* start = map)
        {
            IoPermissionMap.Set(start, 0x3F8, true);
            Assert.Equal(1, map[0x7F]);
            IoPermissionMap.Set(start, 0xFFFF, true);
            Assert.Equal(0x80, map[0x1FFF]);
            IoPermissionMap.Set(start, 0x3F8, false);
            Assert.Equal(0, map[0x7F]);
        }
    }

    [Fact]
    public void Event_injection_is_encoded_as_the_manual_says()
    {
        Assert.Equal(0x8000_0030UL, EventInjection.ForInterrupt(0x30).Value);
        Assert.Equal(0x8000_0202UL, EventInjection.ForNmi().Value);
        Assert.Equal(0x8000_0306UL, EventInjection.ForException(6).Value);
        Assert.Equal(0x1234_5678_8000_0B0EUL, EventInjection.ForException(14, 0x12345678).Value);
        Assert.Equal(0x8000_0480UL, EventInjection.ForSoftwareInterrupt(0x80).Value);
        var fault = EventInjection.ForException(13, 0x10);
        Assert.True(fault.Valid && fault.ErrorValid && fault.VECTOR == 13 && fault.TYPE == EventInjection.Exception && fault.ERRORCODE == 0x10);
        Assert.False(EventInjection.None.Valid);
    }

    [Fact]
    public void Virtual_interrupt_control_round_trips() =>
        Gen.Select(Gen.ULong, Gen.Byte, Gen.Byte[0, 15], Gen.Byte, Gen.Bool).Sample((value, tpr, priority, vector, on) =>
        {
            var control = new VirtualInterruptControl(value).WithV_TPR(tpr).WithV_INTR_PRIO(priority).WithV_INTR_VECTOR(vector).WithV_IRQ(on).WithV_INTR_MASKING(on);
            return control.V_TPR == tpr && control.V_INTR_PRIO == priority && control.V_INTR_VECTOR == vector && control.V_IRQ == on
                && control.V_INTR_MASKING == on && control.AvicEnable == new VirtualInterruptControl(value).AvicEnable;
        });

    [Fact]
    public void Virtual_interrupt_bits_are_where_the_manual_has_them()
    {
        Assert.Equal(1UL << 24, default(VirtualInterruptControl).WithV_INTR_MASKING(true).Value);
        Assert.Equal(0x001F_0100UL, default(VirtualInterruptControl).WithInterruptWindow().Value);
        Assert.Equal(1UL << 31, default(VirtualInterruptControl).WithAvicEnable(true).Value);
    }

    [Fact]
    public void Segment_attributes_survive_the_way_to_the_wire_and_back() =>
        Gen.UShort[0, 0xFFF].Sample(value => SegmentAttributes.FromWire(new SegmentAttributes(value).ToWire()).Value == value
            && SegmentAttributes.ToWire((uint)value << 16 | 0xABCD) == ((uint)new SegmentAttributes(value).ToWire().Value << 16 | 0xABCD));

    [Fact]
    public void Flat_64_bit_code_segment_is_packed()
    {
        var code = SegmentAttributes.FromDescriptor(0xA09B);
        Assert.Equal(0xA9B, code.Value);
        Assert.True(code.Long && code.Present && code.NonSystem && code.Granularity && !code.DefaultBig);
        Assert.Equal(0xB, code.Type);
    }

    [Theory]
    [InlineData(0x03F8_0210UL, false, 1, 8)]
    [InlineData(0x0CF8_00C0UL, false, 4, 2)]
    [InlineData(0x0060_0111UL, true, 1, 4)]
    [InlineData(0x0060_011DUL, true, 1, 4)]
    public void Io_information_is_decoded(ulong info, bool isIn, byte size, byte addressSize)
    {
        var io = new IoInterceptInfo(info);
        Assert.Equal((isIn, size, addressSize), (io.IsIn, io.OperandSize, io.AddressSize));
        Assert.Equal((ushort)(info >> 16), io.Port);
        Assert.Equal(new HvX64IoPortAccessInfo(size, io.IsString, io.HasRepPrefix).Value, io.Access.Value);
        Assert.Equal(size == 1 && !io.IsString, io.IsSingleByte);
    }
}
