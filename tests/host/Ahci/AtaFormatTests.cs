// What disks say and what they are told, byte by byte.
using System;
using System.Linq;
using CsCheck;
using Lamina.Drivers.Storage.Ahci;
using Lamina.Drivers.Storage.Block;
using Lamina.Tests.Host.Storage;
using Xunit;

namespace Lamina.Tests.Host.Ahci;

public unsafe class AtaFormatTests
{
    private static byte[] With(params (int Word, int Value)[] words)
    {
        byte[] data = PortModel.IdentityOf(1000);
        data[510] = 0; // no checksum
        foreach (var (word, value) in words) (data[2 * word], data[2 * word + 1]) = ((byte)value, (byte)(value >> 8));
        return data;
    }

    private static void Refused(AtaVerdict verdict, params (int, int)[] words) => Assert.Equal(verdict, AtaIdentity.TryParse(With(words), out _));

    [Fact]
    public void Disks_that_cannot_be_used_are_told_apart()
    {
        Refused(AtaVerdict.Usable);
        Refused(AtaVerdict.Malformed, (0, 0x8000));
        Refused(AtaVerdict.TooOld, (49, 0x200));
        Refused(AtaVerdict.TooOld, (83, 0x4000));
        Refused(AtaVerdict.TooOld, (83, 0x0400));
        Refused(AtaVerdict.Locked, (128, 5));
        Refused(AtaVerdict.StrangeBlocks, (106, 0x5000), (117, 3000 / 2));
        byte[] broken = PortModel.IdentityOf(1000);
        broken[100]++;
        Assert.Equal(AtaVerdict.Malformed, AtaIdentity.TryParse(broken, out _));
    }

    [Fact]
    public void Blocks_of_4_KiB()
    {
        Assert.Equal(AtaVerdict.Usable, AtaIdentity.TryParse(With((106, 0x5000), (117, 2048)), out AtaIdentity identity));
        Assert.Equal((4096u, 4096u, 4096_000UL), (identity.BlockBytes, identity.PhysicalBlockBytes, identity.SizeInBytes));
    }

    [Fact]
    public void Any_identity_gives_limits_that_hold() =>
        Gen.Select(Gen.Byte.Array[512], Gen.Bool).Sample((data, plausible) =>
        {
            if (plausible)
            {
                data[1] &= 0x7F;
                data[99] |= 3;
                data[167] = (byte)(data[167] & 0x3F | 0x44);
                data[256] = 0;
                data[510] = 0;
            }
            if (AtaIdentity.TryParse(data, out AtaIdentity identity) != AtaVerdict.Usable) return;
            BlockLimits limits = identity.MakeLimits(32);
            Assert.True(limits.BlockBytes is 512 or 1024 or 2048 or 4096 && limits.PhysicalBlockBytes >= limits.BlockBytes);
            Assert.True(limits.Bytes <= 1UL << 60 && limits.Bytes % limits.BlockBytes == 0 && limits.MaximumInFlight is >= 1 and <= 32);
        }, iter: 3000 * Fuzz.Factor);

    [Fact]
    public void A_queued_write_as_the_wire_has_it()
    {
        byte[] fis = new byte[20];
        AtaCommand.QueuedTransfer(0x0102_0304_0506, 0x0807, isWrite: true, fua: true, tag: 9).WriteFis(fis);
        Assert.Equal(new byte[] { 0x27, 0x80, 0x61, 0x07, 0x06, 0x05, 0x04, 0xC0, 0x03, 0x02, 0x01, 0x08, 9 << 3, 0, 0, 0, 0, 0, 0, 0 }, fis);
        AtaCommand.Transfer(1, 65536, isWrite: false, fua: false).WriteFis(fis);
        Assert.Equal(new byte[] { 0x27, 0x80, 0x25, 0, 1, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, fis);
    }

    [Fact]
    public void Trim_ranges_cover_what_was_asked_and_nothing_else() =>
        Gen.Select(Gen.ULong[0, 1UL << 47], Gen.ULong[0, TrimRanges.MaximumBlocks + 2]).Sample((lba, blocks) =>
        {
            byte[] data = new byte[512];
            Assert.Equal(blocks <= TrimRanges.MaximumBlocks, TrimRanges.TryWrite(data, lba, blocks));
            if (blocks > TrimRanges.MaximumBlocks) return;
            ulong next = lba, total = 0;
            for (int i = 0; i < 64; i++)
            {
                ulong range = BitConverter.ToUInt64(data, 8 * i), count = range >> 48;
                if (count == 0) continue;
                Assert.Equal(next, range & 0xFFFF_FFFF_FFFF);
                next += count;
                total += count;
            }
            Assert.Equal(blocks, total);
        }, iter: 500 * Fuzz.Factor);

    [Fact]
    public void Empty_segments_give_no_region()
    {
        byte* table = stackalloc byte[(int)CommandTable.Bytes];
        BlockSegment* segments = stackalloc BlockSegment[3];
        (segments[0], segments[1], segments[2]) = (new() { Physical = 0x1000 }, new() { Physical = 0x1_0000_2000, Length = 1 << 20 }, new() { Physical = 0x3000, Length = 2 });
        CommandHeader header;
        CommandTable.Build(&header, table, 0x5000, AtaCommand.Transfer(0, 1, true, false), segments, 3);
        Assert.Equal((2, 0x5000UL, 5 | 1 << 6), (header.PRDTL, header.CTBA, header.Flags));
        PhysicalRegion* regions = (PhysicalRegion*)(table + 0x80);
        Assert.Equal((0x1_0000_2000UL, (1u << 20) - 1, 0x3000UL, 1u), (regions[0].DBA, regions[0].DBC, regions[1].DBA, regions[1].DBC));
    }

    [Fact]
    public void A_damaged_log_names_nobody()
    {
        byte[] page = new byte[512];
        (page[0], page[2], page[3]) = (17, 0x41, 0x40);
        Assert.False(NcqErrorLog.TryParse(page, out _));
        page[511] = (byte)-page.Sum(b => b);
        Assert.True(NcqErrorLog.TryParse(page, out NcqErrorLog log));
        Assert.Equal((17, 0x41, 0x40), (log.Tag, log.Status, log.Error));
        page[0] |= 0x80;
        page[511] -= 0x80;
        Assert.False(NcqErrorLog.TryParse(page, out _));
    }

    /// <summary>Its checksum is right, and it would name the command in slot 0, which may be well.</summary>
    [Fact]
    public void A_log_that_never_came_names_no_command() => Assert.False(NcqErrorLog.TryParse(new byte[512], out _));
}
