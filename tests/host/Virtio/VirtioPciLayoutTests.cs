// Capabilities of virtio devices: real ones, and ones that lie.
using System;
using System.Buffers.Binary;
using CsCheck;
using Lamina.Drivers.Bus.Virtio;
using Lamina.Tests.Host.Storage;
using Xunit;

namespace Lamina.Tests.Host.Virtio;

public class VirtioPciLayoutTests
{
    private static byte[] Configuration(params (int At, byte Type, byte Bar, uint Offset, uint Length, byte Bytes)[] capabilities)
    {
        byte[] space = new byte[256];
        for (int i = 0; i < capabilities.Length; i++)
        {
            var (at, type, bar, offset, length, bytes) = capabilities[i];
            if (i == 0) space[0x34] = (byte)at;
            space[at] = 9;
            space[at + 1] = i + 1 < capabilities.Length ? (byte)capabilities[i + 1].At : (byte)0;
            space[at + 2] = bytes;
            space[at + 3] = type;
            space[at + 4] = bar;
            BinaryPrimitives.WriteUInt32LittleEndian(space.AsSpan(at + 8), offset);
            BinaryPrimitives.WriteUInt32LittleEndian(space.AsSpan(at + 12), length);
            if (bytes >= 20) BinaryPrimitives.WriteUInt32LittleEndian(space.AsSpan(at + 16), 4);
        }
        return space;
    }

    [Fact]
    public void A_device_as_they_are()
    {
        byte[] space = Configuration((0x84, 5, 0, 0, 0, 20), (0x70, 2, 4, 0x3000, 0x1000, 20), (0x60, 4, 4, 0x2000, 60, 16), (0x50, 3, 4, 0x1000, 0x1000, 16), (0x40, 1, 4, 0, 0x1000, 16));
        Assert.True(VirtioPciLayout.TryParse(space, out VirtioPciLayout layout));
        Assert.Equal((4, 0u, 0x1000u), (layout.Common.Bar, layout.Common.Offset, layout.Common.Length));
        Assert.Equal((4, 0x3000u, 0x1000u, 4u), (layout.Notify.Bar, layout.Notify.Offset, layout.Notify.Length, layout.NotifyMultiplier));
        Assert.Equal((4, 0x2000u, 60u), (layout.Device.Bar, layout.Device.Offset, layout.Device.Length));
        Assert.True(layout.TryNotifyOffset(1023, out ulong offset) && offset == 4092);
        Assert.False(layout.TryNotifyOffset(1024, out _));
        Assert.False(layout.TryNotifyOffset(ushort.MaxValue, out _));
    }

    [Fact]
    public void Without_capabilities_it_is_a_legacy_device() => Assert.False(VirtioPciLayout.TryParse(new byte[256], out _));

    [Theory]
    [InlineData(6, 0u, 0x1000u, 16)] // a reserved base address
    [InlineData(4, 2u, 0x1000u, 16)] // not aligned
    [InlineData(4, 0u, 0x37u, 16)]   // too short
    [InlineData(4, 0u, 0x1000u, 15)] // the capability itself is too short
    public void A_common_configuration_that_cannot_be_used_is_passed_over(byte bar, uint offset, uint length, byte bytes)
    {
        var notify = (0x60, (byte)2, (byte)4, 0x3000u, 0x1000u, (byte)20);
        Assert.False(VirtioPciLayout.TryParse(Configuration((0x40, 1, bar, offset, length, bytes), notify), out _));
        Assert.True(VirtioPciLayout.TryParse(Configuration((0x40, 1, bar, offset, length, bytes), notify, (0x80, 1, 2, 0x100, 0x40, 16)), out VirtioPciLayout layout));
        Assert.Equal(2, layout.Common.Bar);
    }

    [Fact]
    public void Any_bytes_end_and_give_regions_that_make_sense() =>
        Gen.Select(Gen.Byte.Array[256], Gen.Int[0, 63].Array[0, 40]).Sample((space, vendors) =>
        {
            // Enough of what looks like a capability for the interesting paths.
            foreach (int at in vendors)
            {
                space[at * 4] = 9;
                if (at < 63) space[at * 4 + 3] %= 6;
            }
            bool parsed = VirtioPciLayout.TryParse(space, out VirtioPciLayout layout);
            Assert.Equal(parsed, layout.Common.IsPresent && layout.Notify.IsPresent);
            if (!parsed) return;
            Assert.True(layout.Common.Bar < 6 && layout.Common.Length >= VirtioPciLayout.CommonBytes && layout.Common.Offset % 4 == 0);
            Assert.True(layout.Notify.Bar < 6 && layout.Notify.Length >= 2);
            for (int queue = 0; queue < 65536; queue += 257)
                if (layout.TryNotifyOffset((ushort)queue, out ulong offset)) Assert.True(offset + 2 <= layout.Notify.Length);
        }, iter: 3000 * Fuzz.Factor);
}
