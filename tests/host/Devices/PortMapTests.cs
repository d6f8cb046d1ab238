// Which ports are claimed, and the decoding of the two test devices.
using System;
using CsCheck;
using Lamina.Root.Devices;
using Xunit;

namespace Lamina.Tests.Host.Devices;

public class PortMapTests
{
    [Theory]
    [InlineData(0x3F8, 1, PortDevice.Com1)]
    [InlineData(0x3FF, 1, PortDevice.Com1)]
    [InlineData(0x3FF, 2, PortDevice.None)]
    [InlineData(0x70, 1, PortDevice.Cmos)]
    [InlineData(0x71, 1, PortDevice.Cmos)]
    [InlineData(0x400, 4, PortDevice.Power)]
    [InlineData(0x408, 4, PortDevice.Power)]
    [InlineData(0xCF9, 1, PortDevice.Power)]
    [InlineData(0xCF8, 4, PortDevice.None)]
    [InlineData(0xF4, 4, PortDevice.DebugExit)]
    [InlineData(0x3000, 4, PortDevice.SynicTest)]
    [InlineData(0x21, 1, PortDevice.None)]
    [InlineData(0x64, 1, PortDevice.None)]
    [InlineData(0xFFFF, 4, PortDevice.None)]
    public void TheMachineClaims(int port, int size, PortDevice device)
    {
        Assert.Equal(device, PortMap.Create(true, true, true).Find((ushort)port, size));
        if (device is PortDevice.Com1 or PortDevice.DebugExit or PortDevice.SynicTest)
            Assert.Equal(PortDevice.None, PortMap.Create(false, false, false).Find((ushort)port, size));
    }

    [Fact]
    public void RangesMayNotOverlap() =>
        Gen.Select(Gen.UShort, Gen.Int[-1, 70000]).Array[0, 12].Sample(ranges =>
        {
            PortMap map = default;
            PortDevice[] owner = new PortDevice[0x10000];
            int added = 0;
            foreach ((ushort first, int count) in ranges)
            {
                bool free = count > 0 && first + count <= 0x10000 && added < 8 && Array.TrueForAll(owner[first..(first + count)], d => d == PortDevice.None);
                Assert.Equal(free, map.TryAdd(first, count, PortDevice.Cmos));
                if (!free) continue;
                Array.Fill(owner, PortDevice.Cmos, first, count);
                added++;
            }
            for (int port = 0; port < 0x10000; port += 257) Assert.Equal(owner[port], map.Find((ushort)port, 1));
        }, iter: 200);

    [Fact]
    public void TheRangesAreThoseThatAreFound()
    {
        PortMap map = PortMap.Create(true, true, true);
        bool[] claimed = new bool[0x10000];
        for (int i = 0; map.TryGetRange(i, out ushort first, out ushort last); i++) Array.Fill(claimed, true, first, last - first + 1);
        for (int port = 0; port < 0x10000; port++) Assert.Equal(claimed[port], map.Find((ushort)port, 1) != PortDevice.None);
        Assert.False(map.TryGetRange(-1, out _, out _));
    }

    [Fact]
    public void UnclaimedReadsAreAllOnes() => Assert.Equal((0xFFu, 0xFFFFu, 0xFFFFFFFFu), (PortMap.Unclaimed(1), PortMap.Unclaimed(2), PortMap.Unclaimed(4)));

    [Theory]
    [InlineData(0u, 1UL)]
    [InlineData(1u, 3UL)]
    [InlineData(0xFFFFFFFFu, 0x1FFFFFFFFUL)]
    public void DebugExitCodes(uint value, ulong code)
    {
        DeviceEffect effect = DebugExit.Write(value);
        Assert.Equal((DeviceEffectKind.Exit, code), (effect.Kind, effect.ExitCode));
    }

    [Fact]
    public void SynicTestCommands() =>
        Gen.Select(Gen.Byte, Gen.Byte[0, 10], Gen.Byte[0, 5], Gen.Byte[0, 20]).Sample((connection, kind, vp, sint) =>
        {
            SynicTestCommand command = SynicTestDevice.Decode((uint)(connection << 24 | kind << 16 | vp << 8 | sint), 4);
            bool valid = kind is >= 1 and <= 7 && vp < 4 && sint < 16;
            Assert.Equal(valid ? (SynicTestCommandKind)kind : SynicTestCommandKind.None, command.Kind);
            if (valid) Assert.Equal((connection, vp, sint), (command.Connection, command.VpIndex, command.Sint));
        });
}
