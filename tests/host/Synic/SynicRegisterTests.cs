// SynIC registers: what is refused, what reads back, what the core is told.
using CsCheck;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Synic;
using Lamina.Tests.Host.Apic;
using Xunit;

namespace Lamina.Tests.Host.Synic;

public unsafe class SynicRegisterTests
{
    [Fact]
    public void PowerOnState()
    {
        using var fixture = new SynicFixture(enabled: false);
        Assert.Equal(0ul, fixture.Read(HvMsr.HV_X64_MSR_SCONTROL));
        Assert.Equal(1ul, fixture.Read(HvMsr.HV_X64_MSR_SVERSION));
        Assert.Equal(0ul, fixture.Read(HvMsr.HV_X64_MSR_SIMP));
        Assert.Equal(0ul, fixture.Read(HvMsr.HV_X64_MSR_SIEFP));
        for (uint i = 0; i < 16; i++) Assert.Equal(0x10000ul, fixture.Read(HvMsr.HV_X64_MSR_SINT0 + i));
    }

    [Fact]
    public void WritesAreRefusedOrReadBack() =>
        Gen.Select(Gen.UInt[0x40000070, 0x400000AF], Gen.OneOf(Gen.ULong, Gen.UInt[0, 0x7FFFF].Select(v => (ulong)v), Gen.UInt[0, 31].Select(v => (ulong)v | 0x10000))).Sample((msr, value) =>
        {
            using var fixture = new SynicFixture(enabled: false);
            bool sint = msr is >= 0x40000090 and <= 0x4000009F;
            bool legal = sint ? (value & 0xFF) >= 16 || (value & 0x10000) != 0 : msr is 0x40000080 or 0x40000082 or 0x40000083 or 0x40000084;
            Assert.Equal(legal, fixture.State->TryWriteMsr(msr, value, out SynicEffect effect));
            if (!legal) { Assert.Equal(SynicEffectKind.None, effect.Kind); return; }
            Assert.Equal(msr == 0x40000084 ? 0 : value, fixture.Read(msr));
            if (sint && value != 0x10000)
                Assert.Equal((SynicEffectKind.SintChanged, (int)(msr - 0x40000090), (byte)0, (byte)value), (effect.Kind, effect.SintIndex, effect.OldVector, effect.NewVector));
        }, iter: 5000);

    [Fact]
    public void EffectsNameWhatChanged()
    {
        using var fixture = new SynicFixture(enabled: false);
        Assert.Equal(SynicEffectKind.ControlChanged, fixture.Write(HvMsr.HV_X64_MSR_SCONTROL, 1).Kind);
        Assert.Equal(SynicEffectKind.None, fixture.Write(HvMsr.HV_X64_MSR_SCONTROL, 1).Kind);
        Assert.Equal(SynicEffectKind.MessagePageChanged, fixture.Write(HvMsr.HV_X64_MSR_SIMP, 0x5001).Kind);
        Assert.Equal((true, 5ul), (fixture.State->MessagePageRegister.Enable, fixture.State->MessagePageRegister.BaseSimpGpfn));
        Assert.Equal(SynicEffectKind.EventPageChanged, fixture.Write(HvMsr.HV_X64_MSR_SIEFP, 0x6001).Kind);
        Assert.Equal(SynicEffectKind.EndOfMessage, fixture.Write(HvMsr.HV_X64_MSR_EOM, 0).Kind);
    }

    // The APIC's automatic EOIs are those of the unmasked SINTs, also when two share a vector.
    [Fact]
    public void AutoEoiFollowsTheSints() => Gen.Select(Gen.Int[0, 3], Gen.Int[0, 7], Gen.Byte[0x40, 0x43]).Array[1, 30].Sample(writes =>
    {
        using var synic = new SynicFixture(enabled: false);
        using var apic = new ApicFixture();
        var registers = new ulong[4];
        foreach ((int sint, int flags, byte vector) in writes)
        {
            registers[sint] = vector | (ulong)flags << 16;
            SynicEffect effect = synic.Write(HvMsr.HV_X64_MSR_SINT0 + (uint)sint, registers[sint]);
            if (effect.Kind == SynicEffectKind.SintChanged) synic.State->UpdateAutoEoi(effect, ref apic.Apic);
            for (int v = 0x40; v <= 0x43; v++)
            {
                bool expected = false;
                foreach (ulong register in registers) expected |= (byte)register == v && (register >> 16 & 7) == 2;
                Assert.Equal(expected, apic.Apic.IsAutoEoi((byte)v));
            }
        }
    }, iter: 500);

    [Fact]
    public void AutoEoiVectorNeverEntersService()
    {
        using var apic = new ApicFixture();
        apic.Apic.SetAutoEoi(0x50, true);
        apic.Apic.Assert(0x50, false);
        Assert.True(apic.Apic.Acknowledge(0x50));
        Assert.Equal((-1, -1), (apic.Apic.HighestRequest, apic.Apic.HighestInService));
    }
}
