// Guest accesses to the local APIC: modes, reserved bits, commands, errors, and random bytes.
using System;
using CsCheck;
using Lamina.Hypervisor.Apic;
using Lamina.X64;
using Xunit;

namespace Lamina.Tests.Host.Apic;

public unsafe class RegisterTests
{
    private const ulong Enable = 1 << 11, X2 = 1 << 10, Base = 0xFEE00000;

    [Fact]
    public void PowerOnState()
    {
        using var fixture = new ApicFixture(id: 5, enabled: false);
        Assert.Equal(5u << 24, fixture.Read(ApicRegisters.LocalApicId));
        Assert.Equal(0x60014u, fixture.Read(ApicRegisters.LocalApicVersion));
        Assert.Equal(0xFFu, fixture.Read(ApicRegisters.SpuriousInterruptVector));
        Assert.Equal(0xFFFFFFFFu, fixture.Read(ApicRegisters.DestinationFormat));
        foreach (uint lvt in new[] { 0x2F0u, 0x320u, 0x330u, 0x340u, 0x350u, 0x360u, 0x370u }) Assert.Equal(0x10000u, fixture.Read(lvt));
        Assert.Equal(Base | Enable | 0x100, fixture.Apic.ApicBase);
        Assert.False(fixture.Apic.TryGetDeadline(out _));
    }

    [Theory]
    // From disabled, xAPIC and x2APIC to each of the four encodings.
    [InlineData(0ul, 0ul, true)] [InlineData(0ul, X2, false)] [InlineData(0ul, Enable, true)] [InlineData(0ul, Enable | X2, false)]
    [InlineData(Enable, 0ul, true)] [InlineData(Enable, X2, false)] [InlineData(Enable, Enable, true)] [InlineData(Enable, Enable | X2, true)]
    [InlineData(Enable | X2, 0ul, true)] [InlineData(Enable | X2, X2, false)] [InlineData(Enable | X2, Enable, false)] [InlineData(Enable | X2, Enable | X2, true)]
    public void ModeTransitions(ulong from, ulong to, bool legal)
    {
        using var fixture = new ApicFixture(id: 0x25, x2Apic: from == (Enable | X2));
        if (from == 0) Assert.True(fixture.Apic.TryWriteApicBase(Base, out _));
        ulong before = fixture.Apic.ApicBase;
        Assert.Equal(legal, fixture.Apic.TryWriteApicBase(Base | to, out ApicEffect effect));
        Assert.Equal(legal ? Base | to : before, fixture.Apic.ApicBase);
        Assert.Equal(legal && from != to, effect.HasModeChanged);
        Assert.Equal(fixture.Apic.IsXApic, fixture.Apic.TryReadMmio(0x20, 0, out _, out _));
        Assert.Equal(fixture.Apic.IsX2Apic, fixture.Apic.TryReadMsr(0x802, 0, out ulong id));
        if (!fixture.Apic.IsX2Apic) return;
        Assert.Equal(0x25ul, id);
        Assert.True(fixture.Apic.TryReadMsr(0x80D, 0, out ulong logical));
        Assert.Equal(0x2_0020ul, logical);
    }

    [Fact]
    public void BaseRejectsReservedBits() => Gen.ULong.Sample(value =>
    {
        using var fixture = new ApicFixture();
        fixture.Apic.SetPhysicalAddressBits(40);
        bool reserved = (value & 0x2FF & ~0x100ul) != 0 || value >> 40 != 0;
        bool accepted = fixture.Apic.TryWriteApicBase(value, out _);
        if (reserved) Assert.False(accepted);
        else Assert.Equal((value & (Enable | X2)) != X2, accepted);
        if (accepted) Assert.Equal(value, fixture.Apic.ApicBase);
    }, iter: 500);

    [Fact]
    public void WithoutX2ApicItsBitIsReserved()
    {
        using var fixture = new ApicFixture();
        fixture.Apic.SetFeatures(0);
        Assert.False(fixture.Apic.TryWriteApicBase(Base | Enable | X2, out _));
        Assert.False(fixture.Apic.TryReadMsr(0x6E0, 0, out _));
        fixture.Write(ApicRegisters.LvtTimer, 0x40030);
        Assert.Equal(0x30u, fixture.Read(ApicRegisters.LvtTimer));
    }

    // Every x2APIC MSR with any value: refused, or read back as the manual says.
    [Fact]
    public void X2ApicWritesAreRefusedOrReadBack() => Gen.Select(Gen.UInt[0x800, 0x8FF], Gen.OneOf(Gen.ULong, Gen.UInt.Select(v => (ulong)v), Gen.UInt[0, 0xFFFFF].Select(v => (ulong)v), Gen.Const(0ul))).Sample((msr, value) =>
    {
        using var fixture = new ApicFixture(id: 3, x2Apic: true);
        uint register = (msr - 0x800) << 4;
        bool accepted = fixture.Apic.TryWriteMsr(msr, value, 1000, out _);
        Assert.Equal(IsLegal(register, value), accepted);
        if (!accepted || register is 0x0B0 or 0x280 or 0x3F0) return;
        Assert.True(fixture.Apic.TryReadMsr(msr, 1000, out ulong back));
        bool lvt = register is 0x2F0 or >= 0x320 and <= 0x370;
        Assert.Equal(lvt ? value & ~0x5000ul : register == 0x300 ? value & ~0x1000ul : value, back);
    }, iter: 20000);

    private static bool IsLegal(uint register, ulong value) => register switch
    {
        0x080 => value <= 0xFF,
        0x0B0 or 0x280 => value == 0,
        0x0F0 => value <= 0x3FF,
        0x300 => (value & 0xFFF32000) == 0,
        0x320 => (value & ~0x750FFul) == 0 && value >> 17 != 3,
        0x2F0 or 0x330 or 0x340 => (value & ~0x157FFul) == 0,
        0x350 or 0x360 => (value & ~0x1F7FFul) == 0,
        0x370 => (value & ~0x150FFul) == 0,
        0x380 => value <= 0xFFFFFFFF,
        0x3E0 => (value & ~0xBul) == 0,
        0x3F0 => value <= 0xFF,
        _ => false,
    };

    [Fact]
    public void X2ApicReadableRegisters()
    {
        using var fixture = new ApicFixture(x2Apic: true);
        for (uint msr = 0x800; msr <= 0x8FF; msr++)
        {
            bool readable = msr is 0x802 or 0x803 or 0x808 or 0x80A or 0x80D or 0x80F or >= 0x810 and <= 0x828 or 0x82F or 0x830 or >= 0x832 and <= 0x839 or 0x83E;
            Assert.True(readable == fixture.Apic.TryReadMsr(msr, 0, out _), $"{msr:X}");
        }
    }

    [Fact]
    public void MmioMatchesOnlyXApicAndMsrsOnlyX2Apic()
    {
        using var x = new ApicFixture();
        Assert.False(x.Apic.TryWriteMsr(0x80B, 0, 0, out _));
        Assert.False(x.Apic.TryWriteMsr(0x830, 0, 0, out _));
        Assert.False(x.Apic.TryReadMsr(0x830, 0, out _));
        using var x2 = new ApicFixture(x2Apic: true);
        Assert.False(x2.Apic.TryReadMmio(0x20, 0, out _, out _));
        Assert.False(x2.Apic.TryWriteMmio(0xB0, 0, 0, out _));
    }

    [Fact]
    public void BytesOfARegisterAndGapsBetween()
    {
        using var fixture = new ApicFixture(id: 7);
        Assert.Equal(7u, fixture.Read(0x23));
        Assert.Equal(0u, fixture.Read(0x24));
        fixture.Write(0x82, 0xFF);
        Assert.Equal(0u, fixture.Read(0x80));
    }

    [Fact]
    public void TlfsMsrsReachTheSameRegisters()
    {
        using var fixture = new ApicFixture(id: 1);
        ref LocalApic apic = ref fixture.Apic;
        Assert.True(apic.TryWriteMsr(0x40000072, 0x30, 0, out _));
        Assert.Equal(0x30u, fixture.Read(0x80));
        Assert.False(apic.TryWriteMsr(0x40000072, 0x130, 0, out _));
        apic.Assert(0x55, true);
        apic.Acknowledge(0x55);
        Assert.True(apic.TryWriteMsr(0x40000070, 0, 0, out ApicEffect effect));
        Assert.True(effect.HasEndOfInterrupt && effect.IsLevelTriggered && effect.Vector == 0x55);
        Assert.False(apic.TryWriteMsr(0x40000070, 1ul << 32, 0, out _));
        Assert.False(apic.TryReadMsr(0x40000070, 0, out _));
        Assert.True(apic.TryWriteMsr(0x40000071, 0x02000000_00004041, 0, out effect));
        Assert.True(effect.HasSendIpi);
        Assert.Equal((2u, (byte)0x41, ApicShorthand.None), (effect.Command.Destination, effect.Command.Vector, effect.Command.Shorthand));
        Assert.True(apic.TryReadMsr(0x40000071, 0, out ulong command));
        Assert.Equal(0x02000000_00004041ul, command);
        Assert.Equal(0x4041u, fixture.Read(0x300));
    }

    [Fact]
    public void CommandsDecode()
    {
        using var fixture = new ApicFixture();
        fixture.Write(0x310, 0xFF000000);
        IcrCommand nmi = fixture.Write(0x300, 0x00000400).Command;
        Assert.Equal((ApicDeliveryMode.NonMaskable, IcrCommand.Broadcast, false), (nmi.DeliveryMode, nmi.Destination, nmi.IsLogical));
        fixture.Write(0x310, 0x03000000);
        IcrCommand init = fixture.Write(0x300, 0x0000C500).Command;
        Assert.Equal((ApicDeliveryMode.Init, 3u, true), (init.DeliveryMode, init.Destination, init.IsAssert));
        Assert.True(fixture.Write(0x300, 0x00008500).IsNone);
        IcrCommand startUp = fixture.Write(0x300, 0x0000069A).Command;
        Assert.Equal((ApicDeliveryMode.StartUp, (byte)0x9A), (startUp.DeliveryMode, startUp.Vector));
        IcrCommand all = fixture.Write(0x300, 0x000C80F0).Command;
        Assert.Equal((ApicShorthand.AllExcludingSelf, (byte)0xF0, false), (all.Shorthand, all.Vector, all.IsLevelTriggered));
        Assert.True(fixture.Write(0x300, 0x00000700).IsNone);
        ApicEffect self = fixture.Write(0x300, 0x000440F1);
        Assert.True(self.HasInterruptsChanged && !self.HasSendIpi);
        Assert.True(fixture.Apic.IsRequested(0xF1));

        using var x2 = new ApicFixture(x2Apic: true);
        Assert.True(x2.Apic.TryWriteMsr(0x830, 0x00010003_00000841, 0, out ApicEffect logical));
        Assert.Equal((0x10003u, true), (logical.Command.Destination, logical.Command.IsLogical));
        Assert.True(x2.Apic.TryReadMsr(0x830, 0, out ulong back));
        Assert.Equal(0x00010003_00000841ul, back);
        Assert.True(x2.Apic.TryWriteMsr(0x83F, 0xEE, 0, out ApicEffect selfIpi));
        Assert.True(selfIpi.HasInterruptsChanged && x2.Apic.IsRequested(0xEE));
    }

    [Fact]
    public void MessageSignalled()
    {
        IcrCommand command = IcrCommand.FromMessage(0xFEE0300C, 0xC155, false);
        Assert.Equal((3u, true, true, (byte)0x55, ApicDeliveryMode.LowestPriority), (command.Destination, command.IsLogical, command.IsLevelTriggered, command.Vector, command.DeliveryMode));
        Assert.Equal(IcrCommand.Broadcast, IcrCommand.FromMessage(0xFEEFF000, 0, false).Destination);
        Assert.Equal(0x1FFu, IcrCommand.FromMessage(0xFEEFF020, 0, true).Destination);
    }

    [Fact]
    public void Destinations()
    {
        using var fixture = new ApicFixture(id: 2);
        ref LocalApic apic = ref fixture.Apic;
        Assert.True(apic.Matches(2, false));
        Assert.False(apic.Matches(3, false));
        Assert.True(apic.Matches(IcrCommand.Broadcast, false));
        fixture.Write(0xD0, 0x04000000);
        Assert.True(apic.Matches(0x06, true));
        Assert.False(apic.Matches(0x02, true));
        fixture.Write(0xE0, 0x0FFFFFFF);
        fixture.Write(0xD0, 0x32000000);
        Assert.True(apic.Matches(0x36, true));
        Assert.True(apic.Matches(0xF2, true));
        Assert.False(apic.Matches(0x46, true));
        Assert.False(apic.Matches(0x31, true));
        Assert.True(apic.TryWriteApicBase(Base | Enable | X2, out _));
        Assert.True(apic.Matches(0x0000_0004, true));
        Assert.False(apic.Matches(0x0001_0004, true));
        Assert.True(apic.Matches(new IcrCommand(0xC0000), 1));
        Assert.False(apic.Matches(new IcrCommand(0xC0000), 2));
        Assert.True(apic.Matches(new IcrCommand(0x80000), 2));
        Assert.True(apic.Matches(new IcrCommand(0x40000), 2));
        Assert.False(apic.Matches(new IcrCommand(0x40000), 1));
    }

    [Fact]
    public void IllegalVectorsAreRecorded()
    {
        using var fixture = new ApicFixture();
        fixture.Write(0x370, 0xE0);
        ApicEffect effect = fixture.Write(0x300, 0x0F);
        Assert.False(effect.HasSendIpi);
        Assert.True(effect.HasInterruptsChanged && fixture.Apic.IsRequested(0xE0));
        Assert.Equal(ApicDelivery.None, fixture.Apic.Deliver(new IcrCommand(0x0A)));
        Assert.Equal(0u, fixture.Read(0x280));
        fixture.Write(0x280, 0);
        Assert.Equal(0x60u, fixture.Read(0x280));
        fixture.Write(0x280, 0);
        Assert.Equal(0u, fixture.Read(0x280));
        fixture.Read(0x400);
        fixture.Write(0x280, 0);
        Assert.Equal(0x80u, fixture.Read(0x280));
    }

    [Fact]
    public void LocalInterrupts()
    {
        using var fixture = new ApicFixture();
        Assert.Equal(ApicDelivery.None, fixture.Apic.DeliverLocal(ApicRegisters.LvtLint1));
        fixture.Write(0x360, 0x400);
        Assert.Equal(ApicDelivery.NonMaskable, fixture.Apic.DeliverLocal(ApicRegisters.LvtLint1));
        fixture.Write(0x350, 0x700);
        Assert.Equal(ApicDelivery.External, fixture.Apic.DeliverLocal(ApicRegisters.LvtLint0));
        fixture.Write(0x340, 0x4E);
        Assert.Equal(ApicDelivery.Interrupt, fixture.Apic.DeliverLocal(ApicRegisters.LvtPerformanceMonitoring));
        Assert.Equal(0x1004Eu, fixture.Read(0x340));
        fixture.Write(0xF0, 0xFF);
        Assert.Equal(0x10400u, fixture.Read(0x360));
        fixture.Write(0x360, 0x400);
        Assert.Equal(0x10400u, fixture.Read(0x360));
    }

    [Fact]
    public void InitKeepsIdentityAndMode()
    {
        using var fixture = new ApicFixture(id: 9, x2Apic: true);
        fixture.Apic.Assert(0x90, false);
        fixture.Apic.TryWriteMsr(0x838, 500, 0, out _);
        fixture.Apic.Init();
        Assert.True(fixture.Apic.IsX2Apic);
        Assert.Equal(-1, fixture.Apic.HighestRequest);
        Assert.True(fixture.Apic.TryReadMsr(0x802, 0, out ulong id) && id == 9);
        Assert.True(fixture.Apic.TryReadMsr(0x80D, 0, out ulong logical) && logical == 0x200);
        Assert.True(fixture.Apic.TryReadMsr(0x80F, 0, out ulong spurious) && spurious == 0xFF);
    }

    // Whatever a guest writes, the caches agree with the page and the registers keep to their defined bits.
    [Fact]
    public void RandomAccessesKeepTheInvariants() => Gen.Select(Gen.Int[0, 9], Gen.OneOf(Gen.UInt[0, 4095], Gen.UInt[0, 0x3F].Select(v => v << 4)), Gen.ULong, Gen.UInt[0, 5000]).Array[1, 200].Sample(steps =>
    {
        using var fixture = new ApicFixture(id: 1);
        ref LocalApic apic = ref fixture.Apic;
        ulong now = 1;
        foreach ((int op, uint offset, ulong value, uint wait) in steps)
        {
            now += wait;
            switch (op)
            {
                case <= 4: apic.TryWriteMmio(offset, (uint)value, now, out _); break;
                case 5: apic.TryReadMmio(offset, now, out _, out _); break;
                case 6: apic.TryWriteMsr(0x800 + (offset & 0x3F), (uint)value & (uint)(value >> 32), now, out _); break;
                case 7: apic.TryWriteMsr(offset % 4 == 0 ? 0x1Bu : 0x6E0, offset % 4 == 0 ? Base | (value & 0xD00) : now + (value & 0xFFF), now, out _); break;
                case 8: apic.Deliver(new IcrCommand(value)); break;
                case 9: if (apic.TryGetCandidate(out byte vector)) Assert.True(apic.Acknowledge(vector)); break;
            }
            if (apic.TryGetDeadline(out ulong deadline) && deadline <= now) { apic.Expire(now); Assert.True(!apic.TryGetDeadline(out deadline) || deadline > now); }
            CheckInvariants(fixture);
        }
    }, iter: 2000);

    private static void CheckInvariants(ApicFixture fixture)
    {
        LocalApic copy = fixture.Apic;
        copy.Resynchronize();
        Assert.Equal((copy.HighestRequest, copy.HighestInService, copy.InServiceCount), (fixture.Apic.HighestRequest, fixture.Apic.HighestInService, fixture.Apic.InServiceCount));
        Assert.Equal(0u, fixture.Raw(0x200) & 0xFFFF);
        Assert.Equal(0u, fixture.Raw(0x100) & 0xFFFF);
        Assert.Equal(fixture.Apic.IsX2Apic ? 1u : 1u << 24, fixture.Raw(0x20));
        Assert.Equal(0x60014u, fixture.Raw(0x30));
        Assert.Equal(0u, fixture.Raw(0x80) >> 8);
        Assert.Equal(0u, fixture.Raw(0xF0) & ~0x3FFu);
        Assert.Equal(0u, fixture.Raw(0x320) & ~0x700FFu);
        Assert.Equal(0u, fixture.Raw(0x350) & ~0x1A7FFu);
        Assert.Equal(0u, fixture.Raw(0x3E0) & ~0xBu);
        if ((fixture.Raw(0xF0) & 0x100) != 0) return;
        foreach (uint lvt in new[] { 0x2F0u, 0x320u, 0x330u, 0x340u, 0x350u, 0x360u, 0x370u }) Assert.NotEqual(0u, fixture.Raw(lvt) & 0x10000);
    }

    [Fact]
    public void A_read_of_no_register_may_raise_an_interrupt()
    {
        using var fixture = new ApicFixture();
        fixture.Write(ApicRegisters.LvtError, 0x45);
        Assert.True(fixture.Apic.TryReadMmio(0x40, 0, out _, out ApicEffect effect));
        Assert.True(effect.HasInterruptsChanged);
        Assert.Equal(0x45, fixture.Apic.HighestRequest);
        fixture.Apic.TryReadMmio(0x40, 0, out _, out effect);
        Assert.True(effect.IsNone);
        fixture.Apic.TryReadMmio(ApicRegisters.TaskPriority, 0, out _, out effect);
        Assert.True(effect.IsNone);
    }
}
