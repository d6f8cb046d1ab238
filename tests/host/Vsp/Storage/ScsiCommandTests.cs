// Each command's data and refusals, byte by byte where a manual fixes them.
using System;
using System.Buffers.Binary;
using System.Linq;
using System.Text;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp.Storage;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed unsafe class ScsiCommandTests : IDisposable
{
    private const uint InvalidField = 0x052400, InvalidOpcode = 0x052000, OutOfRange = 0x052100, WriteProtected = 0x072700, ListLength = 0x051A00, ListField = 0x052600;

    private readonly StorageGuest guest = new();
    private readonly FakeDisk disk = new(8 << 20) { IsSynchronous = true };
    private readonly FakeDisk readOnly = new(4 << 20, 4096) { IsSynchronous = true };
    private readonly GuestChannel channel;

    public ScsiCommandTests()
    {
        guest.Attach(disk);
        guest.Attach(readOnly, 1, 63, readOnly: true);
        channel = guest.Start();
    }

    public void Dispose()
    {
        Assert.Empty(guest.Failures);
        guest.Dispose();
        disk.Dispose();
        readOnly.Dispose();
    }

    private byte[] Query(uint length, params byte[] cdb) => guest.Query(channel, cdb, length);
    private byte[] QueryReadOnly(uint length, params byte[] cdb) => guest.Query(channel, cdb, length, 63, 1);
    private uint Sense(params byte[] cdb) => guest.Do(channel, cdb).Sense;
    private uint SenseOf(byte[] data, params byte[] cdb) => guest.Do(channel, cdb, data).Sense;
    private static byte[] Big32(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];
    private static byte[] Big64(ulong value) => [.. Big32((uint)(value >> 32)), .. Big32((uint)value)];

    [Fact]
    public void Inquiry_names_us()
    {
        byte[] data = Query(96, 0x12, 0, 0, 0, 96, 0);
        Assert.Equal(74, data.Length);
        Assert.Equal(new byte[] { 0, 0, 6, 2, 69, 0, 0, 2 }, data.Take(8));
        Assert.Equal("Lamina  Virtual Disk    1.0 ", Encoding.ASCII.GetString(data, 8, 28));
        Assert.Equal(new byte[] { 0x00, 0xA0, 0x04, 0x60, 0x04, 0xC0 }, data.Skip(58).Take(6));
        Assert.Equal(36, Query(96, 0x12, 0, 0, 0, 36, 0).Length);
        Assert.Equal(5, Query(5, 0x12, 0, 0, 0, 96, 0).Length);
        Assert.Equal(InvalidField, Sense(0x12, 0, 0x80, 0, 96, 0));
    }

    [Fact]
    public void Vital_product_data_pages_are_listed_and_well_formed()
    {
        byte[] pages = Query(255, 0x12, 1, 0, 0, 255, 0);
        Assert.Equal(new byte[] { 0, 0, 0, 6, 0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2 }, pages);
        foreach (byte page in pages.Skip(4))
        {
            byte[] data = Query(255, 0x12, 1, page, 0, 255, 0);
            Assert.Equal(page, data[1]);
            Assert.Equal(data.Length - 4, BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(2)));
        }
        Assert.Equal(InvalidField, Sense(0x12, 1, 0xB7, 0, 255, 0));
    }

    [Fact]
    public void Identity_is_stable_and_different_for_each_disk()
    {
        byte[] serial = Query(255, 0x12, 1, 0x80, 0, 255, 0), other = QueryReadOnly(255, 0x12, 1, 0x80, 0, 255, 0);
        Assert.Equal("111122223333444455556666777788880000", Encoding.ASCII.GetString(serial, 4, serial.Length - 4));
        Assert.Equal("11112222333344445555666677778888013f", Encoding.ASCII.GetString(other, 4, other.Length - 4));
        byte[] first = Query(255, 0x12, 1, 0x83, 0, 255, 0), second = QueryReadOnly(255, 0x12, 1, 0x83, 0, 255, 0);
        Assert.Equal(new byte[] { 1, 3, 0, 8 }, first.Skip(4).Take(4));
        Assert.Equal(3, first[8] >> 4);
        Assert.NotEqual(first.Skip(8).Take(8), second.Skip(8).Take(8));
        Assert.Equal(new byte[] { 2, 1, 0, 44 }, first.Skip(16).Take(4));
        Assert.Equal("Lamina  111122223333444455556666777788880000", Encoding.ASCII.GetString(first, 20, 44));

        using StorageGuest again = new();
        using FakeDisk elsewhere = again.Attach(new FakeDisk(1 << 20));
        Assert.Equal(first, again.Query(again.Start(), [0x12, 1, 0x83, 0, 255, 0], 255));
    }

    [Fact]
    public void Limits_are_the_devices()
    {
        byte[] data = Query(255, 0x12, 1, 0xB0, 0, 255, 0);
        uint At(int offset) => BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(offset));
        Assert.Equal(1, data[4]);
        Assert.Equal(8, BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(6)));
        Assert.Equal((512u, 2048u, 64u, 8u), (At(8), At(20), At(24), At(28)));
        Assert.Equal(8192ul, BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(36)));
        Assert.Equal(new byte[] { 0, 1 }, Query(255, 0x12, 1, 0xB1, 0, 255, 0).Skip(4).Take(2));
        Assert.Equal(new byte[] { 0, 0xE0, 2, 0 }, Query(255, 0x12, 1, 0xB2, 0, 255, 0).Skip(4));
        Assert.Equal(new byte[] { 0, 0, 0, 0 }, QueryReadOnly(255, 0x12, 1, 0xB2, 0, 255, 0).Skip(4));
        Assert.Equal(64u, BinaryPrimitives.ReadUInt32BigEndian(QueryReadOnly(255, 0x12, 1, 0xB0, 0, 255, 0).AsSpan(8)));
    }

    [Fact]
    public void Capacities()
    {
        Assert.Equal(new byte[] { 0, 0, 0x3F, 0xFF, 0, 0, 2, 0 }, Query(8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(new byte[] { 0, 0, 0x03, 0xFF, 0, 0, 0x10, 0 }, QueryReadOnly(8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        byte[] data = Query(32, 0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
        Assert.Equal([.. Big64(0x3FFF), .. Big32(512), 0, 3, 0x80, 0], data.Take(16));
        Assert.Equal(32, data.Length);
        data = QueryReadOnly(12, 0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0);
        Assert.Equal([.. Big64(0x3FF), .. Big32(4096)], data);
        Assert.Equal(InvalidField, Sense(0x9E, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0));
        Assert.Equal(InvalidField, Sense(0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0));
        disk.Device->Limits.Bytes = 3ul << 41;
        Assert.Equal(new byte[] { 255, 255, 255, 255, 0, 0, 2, 0 }, Query(8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(Big64((3ul << 32) - 1), Query(32, 0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0).Take(8));
    }

    [Fact]
    public void Mode_pages_say_cache_and_write_protection()
    {
        byte[] caching = [0x08, 18, 0x04, .. new byte[17]], control = [0x0A, 10, 0, 0x10, .. new byte[8]];
        Assert.Equal([43, 0, 0x10, 8, .. Big32(16384), .. Big32(512), .. caching, .. control], Query(192, 0x1A, 0, 0x3F, 0, 192, 0));
        Assert.Equal([35, 0, 0x10, 0, .. caching, .. control], Query(192, 0x1A, 8, 0x3F, 0xFF, 192, 0));
        Assert.Equal([23, 0, 0x10, 0, .. caching], Query(192, 0x1A, 8, 0x08, 0, 192, 0));
        Assert.Equal([15, 0, 0x90, 0, .. control], QueryReadOnly(192, 0x1A, 8, 0x0A, 0, 192, 0));
        Assert.Equal([0, 46, 0, 0x90, 0, 0, 0, 8, .. Big32(1024), .. Big32(4096), .. caching, .. control], QueryReadOnly(192, 0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 192, 0));
        Assert.Equal([23, 0, 0x10, 0, 0x08, 18, .. new byte[18]], Query(192, 0x1A, 8, 0x48, 0, 192, 0));
        Assert.Equal([23, 0, 0x10, 0], Query(192, 0x1A, 8, 0x08, 0, 4, 0));
        Assert.Equal(InvalidField, Sense(0x1A, 0, 0x1C, 0, 192, 0));
        Assert.Equal(InvalidField, Sense(0x1A, 0, 0x08, 1, 192, 0));
        Assert.Equal(InvalidField, Sense(0x1A, 0, 0x3F, 1, 192, 0));
        Assert.Equal(0x053900u, Sense(0x1A, 0, 0xC8, 0, 192, 0));
        disk.Device->Limits.HasWriteCache = false;
        Assert.Equal(0, Query(192, 0x1A, 8, 0x08, 0, 192, 0)[6]);
    }

    [Fact]
    public void Mode_select_takes_what_is_so_already()
    {
        byte[] caching = [0x08, 18, 0x04, .. new byte[17]];
        Assert.Equal(0u, SenseOf([0, 0, 0, 0, .. caching], 0x15, 0x10, 0, 0, 24, 0));
        Assert.Equal(0u, SenseOf([0, 0, 0, 8, .. Big32(0), .. Big32(512), .. caching], 0x15, 0x10, 0, 0, 32, 0));
        Assert.Equal(0u, SenseOf([0, 0, 0, 0, 0, 0, 0, 0, .. caching], 0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0));
        Assert.Equal(0u, Sense(0x15, 0x10, 0, 0, 0, 0));
        caching[2] = 0;
        Assert.Equal(ListField, SenseOf([0, 0, 0, 0, .. caching], 0x15, 0x10, 0, 0, 24, 0));
        Assert.Equal(ListField, SenseOf([0, 0, 0, 8, .. Big32(0), .. Big32(4096)], 0x15, 0x10, 0, 0, 12, 0));
        Assert.Equal(ListField, SenseOf([0, 0, 0, 0, 0x1C, 10, .. new byte[10]], 0x15, 0x10, 0, 0, 16, 0));
        Assert.Equal(ListField, SenseOf([0, 0, 0, 4, 0, 0, 0, 0], 0x15, 0x10, 0, 0, 8, 0));
        Assert.Equal(ListLength, SenseOf([0, 0, 0, 0, 8, 18], 0x15, 0x10, 0, 0, 6, 0));
        Assert.Equal(ListLength, SenseOf([0, 0, 0, 8], 0x15, 0x10, 0, 0, 4, 0));
        Assert.Equal(ListLength, SenseOf([0, 0, 0, 0], 0x15, 0x10, 0, 0, 24, 0));
        Assert.Equal(ListLength, SenseOf([0, 0, 0, 0], 0x15, 0x10, 0, 0, 3, 0));
        Assert.Equal(InvalidField, SenseOf([0, 0, 0, 0], 0x15, 0x11, 0, 0, 4, 0));
        Assert.Equal(ListField, SenseOf(new byte[255], 0x15, 0x10, 0, 0, 255, 0));
    }

    [Fact]
    public void Units_are_reported_by_target_and_absent_ones_as_linux_wants_it()
    {
        using FakeDisk third = guest.Attach(new FakeDisk(1 << 20), 0, 5);
        Assert.Equal([.. Big32(16), 0, 0, 0, 0, .. new byte[8], 0, 5, 0, 0, 0, 0, 0, 0], Query(128, 0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0));
        Assert.Equal([.. Big32(8), 0, 0, 0, 0, 0, 63, 0, 0, 0, 0, 0, 0], guest.Query(channel, [0xA0, 0, 2, 0, 0, 0, 0, 0, 0, 128, 0, 0], 128, 0, 1));
        Assert.Equal([.. Big32(16), 0, 0, 0, 0, .. new byte[8]], Query(16, 0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0));
        Assert.Equal(new byte[8], Query(128, 0xA0, 0, 1, 0, 0, 0, 0, 0, 0, 128, 0, 0));
        Assert.Equal(InvalidField, Sense(0xA0, 0, 3, 0, 0, 0, 0, 0, 0, 128, 0, 0));
        Assert.Equal(InvalidField, Sense(0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0));
        foreach ((byte path, byte target, byte lun) in new (byte, byte, byte)[] { (0, 0, 1), (0, 0, 64), (0, 0, 255), (0, 1, 0), (0, 2, 0), (0, 255, 255), (1, 0, 0), (7, 1, 63) })
        {
            byte[] inquiry = guest.Query(channel, [0x12, 0, 0, 0, 96, 0], 96, lun, target, path);
            Assert.Equal(74, inquiry.Length);
            Assert.Equal(0x7F, inquiry[0]);
            Assert.Equal(path == 0 ? 0x20 : 0x07, guest.Do(channel, [0, 0, 0, 0, 0, 0], null, lun, target, path).SrbStatus);
            Assert.Equal(path == 0 ? 0x20 : 0x07, guest.Do(channel, [0x12, 1, 0x83, 0, 96, 0], null, lun, target, path).SrbStatus);
            Assert.Equal(path == 0 && target == 1 ? 16 : path == 0 && target == 0 ? 24 : 8, guest.Query(channel, [0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0], 128, lun, target, path).Length);
        }
    }

    [Fact]
    public void Request_sense_has_nothing_to_say_but_a_unit_attention()
    {
        Assert.Equal([0x70, 0, 0, 0, 0, 0, 0, 10, .. new byte[10]], Query(252, 3, 0, 0, 0, 252, 0));
        Assert.Equal([0x72, 0, 0, 0, 0, 0, 0, 0], Query(252, 3, 1, 0, 0, 252, 0));
        Assert.True(guest.Controller->TryReportCapacityChange(0, 0));
        Assert.False(guest.Controller->TryReportCapacityChange(0, 9));
        Assert.Equal(74, Query(96, 0x12, 0, 0, 0, 96, 0).Length);
        Assert.Equal(0x062A09u, Sense(0, 0, 0, 0, 0, 0));
        Assert.Equal(0u, Sense(0, 0, 0, 0, 0, 0));
        guest.Controller->TryReportCapacityChange(0, 0);
        Assert.Equal(new byte[] { 0x72, 6, 0x2A, 9 }, Query(252, 3, 1, 0, 0, 252, 0).Take(4));
        Assert.Equal(0u, Sense(0, 0, 0, 0, 0, 0));
    }

    [Fact]
    public void Every_read_and_write_finds_its_blocks()
    {
        byte[][] reads = [[0x08, 0x00, 0x12, 0x34, 2, 0], [0x28, 0, 0, 0, 0x12, 0x34, 0, 0, 2, 0], [0xA8, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 2, 0, 0], [0x88, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 2, 0, 0]];
        foreach (byte[] cdb in reads) Assert.Equal(disk.Content.AsSpan(0x1234 * 512, 1024).ToArray(), guest.Query(channel, cdb, 1024));
        foreach (byte[] read in reads)
        {
            byte[] data = new byte[1024], cdb = [(byte)(read[0] + 2), .. read.Skip(1)];
            new Random(cdb[0]).NextBytes(data);
            Assert.Equal(1024u, guest.Do(channel, cdb, data).Transferred);
            Assert.Equal(data, disk.Content.AsSpan(0x1234 * 512, 1024).ToArray());
        }
        Assert.Equal(0, disk.ForcedWrites);
        guest.Do(channel, TransferTests.Write10(5, 1, 0x18), new byte[512]);
        Assert.Equal(1, disk.ForcedWrites);
        // Six bytes: 0 is 256 blocks; more than the buffer has, here.
        Assert.Equal(InvalidField, Sense(0x08, 0, 0, 0, 0, 0));
    }

    [Fact]
    public void Reads_and_writes_keep_to_their_bounds()
    {
        int before = disk.Requests;
        Assert.Equal(OutOfRange, Sense(TransferTests.Read10(16384, 1)));
        Assert.Equal(OutOfRange, Sense(TransferTests.Read10(16383, 2)));
        Assert.Equal(OutOfRange, Sense(0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0));
        Assert.Equal(OutOfRange, Sense(0x8A, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0));
        Assert.Equal(0u, Sense(TransferTests.Read10(16384, 0)));
        Assert.Equal(OutOfRange, Sense(TransferTests.Read10(16385, 0)));
        Assert.Equal(InvalidField, Sense(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0));
        Assert.Equal(InvalidField, SenseOf(new byte[512], 0x2A, 0x20, 0, 0, 0, 0, 0, 0, 1, 0));
        Assert.Equal(WriteProtected, guest.Do(channel, TransferTests.Write10(0, 1), new byte[4096], 63, 1).Sense);
        // A buffer for less than the blocks, or for the other direction, moves nothing.
        Assert.Equal(InvalidField, SenseOf(new byte[512], TransferTests.Write10(0, 2)));
        Assert.Equal(InvalidField, SenseOf(new byte[512], TransferTests.Read10(0, 1)));
        Assert.Equal(InvalidField, guest.Execute(channel, StorageGuest.Command(TransferTests.Write10(0, 1), 1, 512), 0, 512, StorageGuest.FirstPage).Sense);
        ulong[] pages = Enumerable.Range(0, 129).Select(i => StorageGuest.FirstPage + (ulong)i).ToArray();
        Assert.Equal(InvalidField, guest.Execute(channel, StorageGuest.Command(TransferTests.Read10(0, 513), 1, 0x80000), 0, 0x80000, pages[..128]).Sense);
        Assert.Equal(before, disk.Requests);
        // A longer one leaves a residual.
        new Span<byte>(guest.Page(pages[0]), 4096).Fill(0xEE);
        StorageAnswer answer = guest.Execute(channel, StorageGuest.Command(TransferTests.Read10(7, 3), 1, 0x80000), 0x100, 0x80000, pages);
        Assert.Equal((1, 1536u), (answer.SrbStatus, answer.Transferred));
        Assert.Equal(disk.Content.AsSpan(7 * 512, 1536).ToArray(), new ReadOnlySpan<byte>(guest.Page(pages[0]) + 0x100, 1536).ToArray());
        Assert.Equal(0xEE, guest.Page(pages[0])[0x100 + 1536]);
        Assert.Equal(512u, guest.Do(channel, TransferTests.Write10(9, 1), new byte[1000]).Transferred);
    }

    [Theory]
    [InlineData(BlockStatus.MediumError, 0x031100u, 0x030C00u)]
    [InlineData(BlockStatus.ReadOnly, 0x072700u, 0x072700u)]
    [InlineData(BlockStatus.OutOfRange, 0x052100u, 0x052100u)]
    [InlineData(BlockStatus.NoSpace, 0x072707u, 0x072707u)]
    [InlineData(BlockStatus.DeviceError, 0x044400u, 0x044400u)]
    [InlineData(BlockStatus.Aborted, 0x0B0000u, 0x0B0000u)]
    [InlineData(BlockStatus.Unsupported, 0x052400u, 0x052400u)]
    [InlineData((BlockStatus)99, 0x044400u, 0x044400u)]
    public void Errors_of_devices_have_their_sense(BlockStatus status, uint read, uint write)
    {
        disk.Outcome = status;
        StorageAnswer answer = guest.Execute(channel, StorageGuest.Command(TransferTests.Read10(0, 1), 1, 512), 0, 512, StorageGuest.FirstPage);
        Assert.Equal((0x84, 2, 0u, 18), (answer.SrbStatus, answer.Packet.VmSrb.ScsiStatus, answer.Transferred, answer.Packet.VmSrb.SenseInfoLength));
        Assert.Equal(read, answer.Sense);
        Assert.Equal(write, SenseOf(new byte[512], TransferTests.Write10(0, 1)));
        Assert.Equal(write, Sense(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(3ul, guest.Controller->Counters.Errors);
        disk.Outcome = BlockStatus.Gone;
        Assert.Equal(0x20, guest.Do(channel, TransferTests.Write10(0, 1), new byte[512]).SrbStatus);
    }

    [Fact]
    public void Caches_are_written_when_asked_and_only_then()
    {
        Assert.Equal(0u, Sense(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(0u, Sense(0x91, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0));
        Assert.Equal(0u, Sense(0x1B, 0, 0, 0, 0, 0));
        Assert.Equal(3, disk.Operations.Count(operation => operation == BlockOperation.Flush));
        Assert.Equal(0u, Sense(0x1B, 0, 0, 0, 1, 0));
        Assert.Equal(InvalidField, Sense(0x1B, 0, 0, 0, 2, 0));
        Assert.Equal(InvalidField, Sense(0x1B, 0, 0, 0, 0x10, 0));
        Assert.Equal(OutOfRange, Sense(0x35, 0, 0, 0, 0x40, 0, 0, 0, 1, 0));
        Assert.Equal(0u, Sense(0x1E, 0, 0, 0, 1, 0));
        disk.Device->Limits.HasWriteCache = false;
        Assert.Equal(0u, Sense(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(3, disk.Requests);
    }

    [Fact]
    public void Verify_reads_the_medium()
    {
        Assert.Equal(0u, Sense(0x2F, 0, 0, 0, 0, 0, 0, 0, 200, 0));
        Assert.Equal(0u, Sense(0xAF, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0));
        Assert.Equal(0u, Sense(0x8F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0));
        Assert.Equal((ulong)(200 + 8192 + 1) * 512, guest.Controller->Counters.BytesRead);
        Assert.Equal(0x10000ul, disk.LargestRequest);
        Assert.Equal(InvalidField, Sense(0x2F, 2, 0, 0, 0, 0, 0, 0, 1, 0));
        Assert.Equal(InvalidField, Sense(0xAF, 0, 0, 0, 0, 0, 0, 0, 0x20, 1, 0, 0));
        Assert.Equal(OutOfRange, Sense(0x2F, 0, 0, 0, 0x40, 0, 0, 0, 1, 0));
        disk.Outcome = BlockStatus.MediumError;
        Assert.Equal(0x031100u, Sense(0x2F, 0, 0, 0, 0, 0, 0, 0, 1, 0));
        disk.Outcome = BlockStatus.Success;
        Assert.Equal(0u, Sense(0x2F, 0, 0, 0, 0, 0, 0, 0, 1, 0));
    }

    private static byte[] UnmapList(params (ulong Address, uint Blocks)[] ranges) =>
        [0, (byte)(ranges.Length * 16 + 6), 0, (byte)(ranges.Length * 16), 0, 0, 0, 0, .. ranges.SelectMany(range => (byte[])[.. Big64(range.Address), .. Big32(range.Blocks), 0, 0, 0, 0])];

    [Fact]
    public void Unmap_discards_all_or_nothing()
    {
        byte[] list = UnmapList((8, 16), (100, 0), (16383, 1), (4096, 2000));
        StorageAnswer answer = guest.Do(channel, [0x42, 0, 0, 0, 0, 0, 0, 0, (byte)list.Length, 0], list);
        Assert.Equal((1, (uint)list.Length), (answer.SrbStatus, answer.Transferred));
        Assert.Equal([(4096ul, 8192ul), (16383 * 512ul, 512ul), (4096 * 512ul, 2000 * 512ul)], disk.Discarded);
        uint Unmap(params (ulong, uint)[] ranges)
        {
            byte[] bytes = UnmapList(ranges);
            return SenseOf(bytes, 0x42, 0, 0, 0, 0, 0, 0, 0, (byte)bytes.Length, 0);
        }
        Assert.Equal(OutOfRange, Unmap((0, 1), (16384, 1)));
        Assert.Equal(OutOfRange, Unmap((ulong.MaxValue, uint.MaxValue)));
        Assert.Equal(ListField, Unmap((0, 2049)));
        Assert.Equal(ListField, Unmap((0, 2000), (0, 49)));
        Assert.Equal(ListLength, SenseOf(UnmapList((0, 1), (1, 1)), 0x42, 0, 0, 0, 0, 0, 0, 0, 39, 0));
        Assert.Equal(ListLength, SenseOf(UnmapList((0, 1)), 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0));
        Assert.Equal(ListLength, SenseOf(new byte[8], 0x42, 0, 0, 0, 0, 0, 0, 0, 7, 0));
        byte[] many = new byte[8 + 65 * 16];
        BinaryPrimitives.WriteUInt16BigEndian(many.AsSpan(2), 65 * 16);
        Assert.Equal(ListField, SenseOf(many, 0x42, 0, 0, 0, 0, 0, 0, (byte)(many.Length >> 8), (byte)many.Length, 0));
        Assert.Equal(0u, Sense(0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(0u, SenseOf(new byte[8], 0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0));
        Assert.Equal(InvalidField, SenseOf(list, 0x42, 1, 0, 0, 0, 0, 0, 0, (byte)list.Length, 0));
        Assert.Equal(WriteProtected, guest.Do(channel, [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], UnmapList((0, 1)), 63, 1).Sense);
        Assert.Equal(3, disk.Discarded.Count);
        disk.Device->Limits.CanDiscard = false;
        Assert.Equal(InvalidOpcode, SenseOf(list, 0x42, 0, 0, 0, 0, 0, 0, 0, (byte)list.Length, 0));
        Assert.Equal(new byte[] { 0, 0, 0, 0 }, Query(255, 0x12, 1, 0xB2, 0, 255, 0).Skip(4));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Write_same_writes_zeros_and_patterns(bool canWriteZeros)
    {
        disk.Device->Limits.CanWriteZeros = canWriteZeros;
        byte[] pattern = new byte[512];
        new Random(5).NextBytes(pattern);
        Assert.Equal(512u, guest.Do(channel, [0x41, 0, 0, 0, 0, 3, 0, 1, 1, 0], pattern).Transferred);
        for (int i = 3; i < 3 + 257; i++) Assert.True(disk.Content.AsSpan(i * 512, 512).SequenceEqual(pattern));
        Assert.Equal(0u, SenseOf(new byte[512], 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x14, 0, 0, 0));
        Assert.True(disk.Content.AsSpan(4 * 512, 5120 * 512).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(disk.Content.AsSpan(3 * 512, 512).SequenceEqual(pattern));
        disk.Content.AsSpan(0, 4096).Fill(1);
        Assert.Equal(0u, Sense(0x93, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0));
        Assert.True(disk.Content.AsSpan(512, 1024).IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal((1, 1), (disk.Content[511], disk.Content[1536]));
        Assert.Equal(canWriteZeros, disk.Operations.Contains(BlockOperation.WriteZeros));
        Assert.Equal(0u, SenseOf(new byte[512], 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0));
        Assert.Equal(InvalidField, SenseOf(new byte[512], 0x93, 0x10, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0));
        Assert.Equal(InvalidField, SenseOf(new byte[511], 0x41, 0, 0, 0, 0, 3, 0, 0, 1, 0));
        Assert.Equal(InvalidField, SenseOf(pattern, 0x41, 0, 0, 0, 0, 3, 0, 0, 0, 0));
        Assert.Equal(InvalidField, SenseOf(pattern, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 1, 0, 0));
        Assert.Equal(OutOfRange, SenseOf(pattern, 0x41, 0, 0, 0, 0x40, 0, 0, 0, 1, 0));
        Assert.Equal(WriteProtected, guest.Do(channel, [0x41, 0, 0, 0, 0, 3, 0, 0, 1, 0], new byte[4096], 63, 1).Sense);
    }

    [Fact]
    public void What_is_not_offered_is_refused()
    {
        foreach (byte operation in new byte[] { 0x16, 0x17, 0x56, 0x57, 0x5E, 0x5F, 0x04, 0x3B, 0x3C, 0x83, 0x85, 0xA1, 0xA3, 0x7F, 0xFF, 0x2E })
            Assert.Equal(InvalidOpcode, Sense(operation, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Assert.Equal(0, disk.Requests);
    }
}
