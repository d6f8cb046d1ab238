// Writes to the local APIC are counted under what they bring about.
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.X64;
using Xunit;
using static Lamina.Abi.HvStatsVpCounters;

namespace Lamina.Tests.Host.Apic;

public sealed class CounterTests
{
    private static readonly Gen<uint> Offsets = Gen.OneOf(Gen.UInt[0, 0x3F].Select(register => register << 4), OneOf(0xB0, 0x80, 0x300, 0x310, 0x3F0), Gen.UInt[0, 0xFFF]);
    private static readonly Gen<uint> Msrs = Gen.OneOf(Gen.UInt[0x800, 0x83F], Gen.UInt[0x40000070, 0x40000073], OneOf(0x80B, 0x808, 0x830, 0x83F, 0x7FF, 0x840, 0, 0x1B, uint.MaxValue));

    private static Gen<uint> OneOf(params uint[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    [Fact]
    public void A_write_to_the_page_is_counted_as_what_it_does() => Gen.Select(Offsets, Gen.UInt).Sample((offset, value) =>
    {
        using var fixture = new ApicFixture();
        fixture.Apic.Assert(0x50, false);
        fixture.Apic.Acknowledge(0x50);
        ApicEffect effect = fixture.Write(offset, value);
        Check(ApicCounters.OfPageWrite(offset), VpApicMmioAccesses, effect);
    }, iter: 20_000);

    [Fact]
    public void A_write_to_a_register_is_counted_as_what_it_does() => Gen.Select(Msrs, Gen.UInt[0, 0xFFF], Gen.Bool).Sample((msr, value, x2Apic) =>
    {
        using var fixture = new ApicFixture(x2Apic: x2Apic);
        fixture.Apic.Assert(0x50, false);
        fixture.Apic.Acknowledge(0x50);
        if (msr == Msr.IA32_X2APIC_EOI) value = 0;
        fixture.Apic.TryWriteMsr(msr, value, 0, out ApicEffect effect);
        Check(ApicCounters.OfMsrWrite(msr), VpMsrAccessesCount, effect);
    }, iter: 20_000);

    private static void Check(uint counter, uint otherwise, ApicEffect effect)
    {
        Assert.True(counter == otherwise || counter is VpApicEoiAccesses or VpApicTprAccesses or VpApicIpisSent or VpApicSelfIpisSent);
        if (effect.HasEndOfInterrupt) Assert.Equal(VpApicEoiAccesses, counter);
        if (effect.HasSendIpi) Assert.Equal(VpApicIpisSent, counter);
    }

    [Theory]
    [InlineData(Msr.IA32_X2APIC_SELF_IPI, VpApicSelfIpisSent)]
    [InlineData(Msr.IA32_X2APIC_ICR, VpApicIpisSent)]
    [InlineData(Msr.IA32_X2APIC_TPR, VpApicTprAccesses)]
    [InlineData(Msr.IA32_X2APIC_EOI, VpApicEoiAccesses)]
    [InlineData(Msr.IA32_TSC_DEADLINE, VpMsrAccessesCount)]
    [InlineData(HvMsr.HV_X64_MSR_EOI, VpApicEoiAccesses)]
    [InlineData(HvMsr.HV_X64_MSR_ICR, VpApicIpisSent)]
    [InlineData(HvMsr.HV_X64_MSR_TPR, VpApicTprAccesses)]
    [InlineData(HvMsr.HV_X64_MSR_STIMER0_COUNT, VpMsrAccessesCount)]
    public void Registers_have_counters_of_their_own(uint msr, uint counter) => Assert.Equal(counter, ApicCounters.OfMsrWrite(msr));
}
