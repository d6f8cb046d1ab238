// Guests that lie: each lie ends in a status or in one line and the end of the channel, and nothing else is touched.
using System;
using System.Linq;
using CsCheck;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Tests.Host.VMBus;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed unsafe class HostileGuestTests
{
    private static string FailureOf(Action<StorageGuest, GuestChannel> lie)
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk());
        disk.IsSynchronous = true;
        GuestChannel channel = guest.Start();
        guest.Do(channel, [0, 0, 0, 0, 0, 0]);
        lie(guest, channel);
        channel.Out.Commit();
        guest.Controller->Signaled(channel.Id);
        byte[] ring = channel.Snapshot();
        guest.Controller->Signaled(channel.Id);
        Assert.Equal(ring, channel.Snapshot());
        Assert.True(guest.Controller->Close(channel.Id));
        channel = guest.Start();
        Assert.Equal(1, guest.Do(channel, [0, 0, 0, 0, 0, 0]).SrbStatus);
        return Assert.Single(guest.Failures).Reason;
    }

    [Fact]
    public void Broken_rings_and_packets_end_the_channel()
    {
        VstorPacket command = StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 0);
        Assert.Equal("ring index out of range", FailureOf((_, channel) => { channel.Out.TryWriteInBand(1, true, new byte[64]); channel.OutControl->WriteIndex = 0x100000; channel.Out.Revert(); }));
        Assert.Equal("packet length out of range", FailureOf((_, channel) => { channel.OutControl->WriteIndex += 8; }));
        Assert.Equal("storage packet shorter than a request", FailureOf((_, channel) => channel.Out.TryWriteInBand(1, true, new byte[40])));
        Assert.Equal("storage packet shorter than a request", FailureOf((_, channel) => channel.Out.TryWriteInBand(1, true, default)));
        Assert.Equal("storage packet that asks for no completion", FailureOf((_, channel) => channel.Out.TryWriteInBand(1, false, new byte[64])));
        Assert.Equal("storage packet of a type that is not sent to hosts", FailureOf((_, channel) => channel.Out.TryWriteCompletion(1, new byte[64])));
        Assert.Equal("storage packet of a type that is not sent to hosts", FailureOf((_, channel) => channel.Out.TryWriteTransferPages(1, 2, [new TransferPageRange { ByteCount = 4 }], new byte[64])));
        Assert.Equal("packet longer than the device accepts", FailureOf((_, channel) => channel.Out.TryWriteInBand(1, true, new byte[4096])));
        Assert.Equal("ring index out of range", FailureOf((guest, channel) => { guest.TryWrite(channel, command); channel.InControl->ReadIndex = 3; }));
    }

    [Fact]
    public void A_short_packet_of_an_old_driver_is_taken()
    {
        using StorageGuest guest = new();
        GuestChannel channel = guest.Open();
        VstorPacket packet = new() { Operation = VstorOperation.BeginInitialization };
        channel.Out.TryWriteInBand(5, true, new ReadOnlySpan<byte>(&packet, VstorPacket.ShortSize));
        guest.Flush(channel);
        guest.Receive();
        Assert.Equal(0u, guest.Take(5).Packet.Status);
    }

    [Fact]
    public void Data_that_is_not_there_is_an_invalid_request()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk());
        disk.IsSynchronous = true;
        GuestChannel channel = guest.Start();
        const ulong Page = StorageGuest.FirstPage;
        byte Status(uint length, uint offset, uint rangeLength, params ulong[] pages) =>
            guest.Execute(channel, StorageGuest.Command(TransferTests.Read10(0, 8), 1, length), offset, rangeLength, pages).SrbStatus;
        Assert.Equal(1, Status(4096, 0, 4096, Page));
        Assert.Equal(SrbStatus.InvalidRequest, Status(4096, 0, 4095, Page));
        Assert.Equal(SrbStatus.InvalidRequest, Status(4096, 0, 0));
        Assert.Equal(SrbStatus.InvalidRequest, Status(4096, 0, 4096, Page - 1));
        Assert.Equal(SrbStatus.InvalidRequest, Status(4096, 0, 4096, ulong.MaxValue));
        Assert.Equal(SrbStatus.InvalidRequest, Status(4096, 1, 4096, Page, Page + StorageGuest.PageCount));
        Assert.Equal(SrbStatus.InvalidRequest, Status(uint.MaxValue, 0, 4096, Page));
        // What lies beyond the transfer is not looked at.
        Assert.Equal(1, Status(4096, 0, 8192, Page, 0));
        Assert.Equal(2, disk.Requests);
        // No direction: the ranges are left over from another command.
        Assert.Equal(1, guest.Execute(channel, StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 4096), 0, 4096, 1).SrbStatus);
        VstorPacket longCdb = StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 0);
        longCdb.VmSrb.CdbLength = 17;
        Assert.Equal(SrbStatus.InvalidRequest, guest.Execute(channel, longCdb).SrbStatus);
        Assert.Empty(guest.Failures);
    }

    /// <summary>Several ranges, which no known guest sends: as many pieces as a device takes, through a buffer where they have gaps.</summary>
    [Fact]
    public void Many_small_ranges_are_taken_as_far_as_a_device_takes_them()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(4 << 20, 512, 4));
        disk.IsSynchronous = true;
        GuestChannel channel = guest.Start();
        StorageAnswer Scattered(int ranges, uint each)
        {
            byte* buffer = stackalloc byte[16 * 128];
            GpaRangeList list = new(buffer, 16 * 128);
            for (int i = 0; i < ranges; i++) Assert.True(list.TryAdd(0x100, each, [StorageGuest.FirstPage + (ulong)i]));
            uint length = (uint)ranges * each;
            VstorPacket packet = StorageGuest.Command(TransferTests.Read10(3, length / 512), 1, length);
            Assert.Equal(RingStatus.Ok, channel.Out.TryWriteGpaDirect(7, list, new ReadOnlySpan<byte>(&packet, 64)));
            guest.Flush(channel);
            guest.Receive();
            return guest.Take(7);
        }
        Assert.Equal((1, 0x2000u), (Scattered(64, 128).SrbStatus, 64u * 128));
        for (int i = 0; i < 64; i++) Assert.True(disk.Content.AsSpan(1536 + i * 128, 128).SequenceEqual(new ReadOnlySpan<byte>(guest.Page(StorageGuest.FirstPage + (ulong)i) + 0x100, 128)));
        Assert.Equal(1ul, guest.Controller->Counters.Buffered);
        Assert.Equal(SrbStatus.InvalidRequest, Scattered(68, 128).SrbStatus);
    }

    private static readonly byte[] Operations =
        [0x00, 0x03, 0x08, 0x0A, 0x12, 0x15, 0x1A, 0x1B, 0x1E, 0x25, 0x28, 0x2A, 0x2F, 0x35, 0x41, 0x42, 0x55, 0x5A, 0x88, 0x8A, 0x8F, 0x91, 0x93, 0x9E, 0xA0, 0xA8, 0xAA, 0xAF];

    // Half of the bytes are 0, so that commands are valid often enough to get somewhere.
    private static readonly Gen<byte> CdbByte = Gen.OneOf(Gen.Const((byte)0), Gen.Const((byte)0), Gen.Byte, Gen.Byte[0, 8]);
    private static readonly Gen<byte[]> Cdb = Gen.Select(Gen.OneOf(Gen.Int[0, Operations.Length - 1].Select(i => Operations[i]), Gen.Byte), CdbByte.Array[15], (operation, rest) => (byte[])[operation, .. rest]);

    /// <summary>Any CDB with any buffer and any outcome below: GOOD within the buffer's bounds, or an error with sense data that has a key.</summary>
    [Fact]
    public void Any_command_ends_within_its_buffer() =>
        Gen.Select(Cdb, Gen.Byte[0, 3], Gen.OneOf(Gen.UInt[0, 64], Gen.UInt[0, 0x2000], Gen.Const(512u), Gen.Const(4096u)), Gen.UInt[0, 4095], Gen.Byte.Array[64], Gen.Bool, Gen.Int[0, 30]).Array[1, 12].Sample(commands =>
        {
            using StorageGuest guest = new(slots: 2);
            using FakeDisk disk = guest.Attach(new FakeDisk(256 << 10, 512, 4)), other = guest.Attach(new FakeDisk(256 << 10, 4096), 0, 1);
            GuestChannel channel = guest.Start();
            foreach ((byte[] cdb, byte direction, uint length, uint offset, byte[] data, bool second, int outcome) in commands)
            {
                for (ulong i = 0; i < 4; i++) new Span<byte>(guest.Page(StorageGuest.FirstPage + i), 4096).Fill(0xEE);
                for (uint i = 0; i < Math.Min(length, 64); i++) guest.Page(StorageGuest.FirstPage + (offset + i) / 4096)[(offset + i) % 4096] = data[i];
                ulong[] pages = Enumerable.Range(0, (int)(offset + length + 4095) / 4096).Select(i => StorageGuest.FirstPage + (ulong)i).ToArray();
                if (length == 0) pages = [];
                disk.Outcome = other.Outcome = outcome < 9 ? (BlockStatus)outcome : BlockStatus.Success;
                ulong transaction = guest.TryWrite(channel, StorageGuest.Command(cdb, direction, length, second ? (byte)1 : (byte)0), offset, length, pages);
                guest.Flush(channel);
                for (int steps = 0; disk.Pending.Count + other.Pending.Count != 0; steps++)
                {
                    if (steps > 20000) return false;
                    (disk.Pending.Count != 0 ? disk : other).Complete();
                }
                guest.Receive();
                StorageAnswer answer = guest.Take(transaction);
                if (answer.Transferred > length) return false;
                if (answer.SrbStatus == 1 != (answer.Packet.VmSrb.ScsiStatus == 0)) return false;
                if (answer.SrbStatus == 0x84 ? answer.Sense >> 16 == 0 : answer.SrbStatus is not (1 or 0x20 or 6)) return false;
                bool isIn = direction == 1;
                uint changed = isIn ? answer.Transferred : 0;
                // Data that goes out stays as it was, and what is beyond the buffer too; an error on the way in may have left parts.
                if (!isIn || answer.SrbStatus == 1)
                    for (uint i = Math.Max(changed, isIn ? 64u : 0); i < length; i++)
                        if (guest.Page(StorageGuest.FirstPage + (offset + i) / 4096)[(offset + i) % 4096] != (i < 64 ? data[i] : 0xEE)) return false;
                for (uint i = 0; i < offset; i++) if (guest.Page(StorageGuest.FirstPage)[i] != 0xEE) return false;
                for (uint i = offset + length; i < 0x4000; i++) if (guest.Page(StorageGuest.FirstPage + i / 4096)[i % 4096] != 0xEE) return false;
            }
            return guest.Failures.Count == 0 && guest.Controller->Counters.InFlight == 0 && !disk.HasUnkicked;
        }, iter: VMBusFuzz.Count(400), threads: 1);

    // One step of a guest without manners, or of its host.
    private static readonly Gen<(int Kind, uint A, uint B, byte[] Bytes)> Step =
        Gen.Select(Gen.Int[0, 19], Gen.OneOf(Gen.UInt[0, 20], VMBusFuzz.Value), Gen.OneOf(Gen.UInt[0, 20], VMBusFuzz.Value), Gen.Byte.Array[0, 120]);

    /// <summary>Packets, control pages, closing and opening, disks and completions in any order: no crash, no leak, and the next kernel gets its disk.</summary>
    [Fact]
    public void No_guest_breaks_the_controller() =>
        Gen.Select(Step.Array[1, 120], Gen.UInt[1, 6], Gen.UInt[2, 4]).Sample((steps, slots, ringPages) =>
        {
            using StorageGuest guest = new(slots, 2, 2);
            using FakeDisk disk = guest.Attach(new FakeDisk(256 << 10, 512, 4, 2)), second = new(256 << 10, 512);
            guest.Start(ringPages);
            foreach (var step in steps) Perform(guest, disk, second, step, ringPages);
            foreach (uint id in guest.Channels.Keys) guest.Controller->Close(id);
            disk.Outcome = second.Outcome = BlockStatus.Success;
            for (int i = 0; disk.Pending.Count + second.Pending.Count != 0; i++)
            {
                if (i > 100000) return false;
                (disk.Pending.Count != 0 ? disk : second).Complete();
            }
            if (guest.Controller->BeginDetach(0, 1, null, null) == StorageDetach.InFlight) return false;
            if (guest.Controller->Counters.InFlight != 0 || disk.HasUnkicked || second.HasUnkicked) return false;
            guest.Answers.Clear();
            guest.Failures.Clear();
            foreach (GuestChannel old in guest.Channels.Values) old.Dispose();
            guest.Channels.Clear();
            // All slots and buffers are there again.
            GuestChannel channel = guest.Start();
            if (guest.Controller->IsIdle) return false;
            ulong[] sent = Enumerable.Range(0, (int)slots).Select(i => guest.TryWrite(channel, StorageGuest.Command(TransferTests.Read10((uint)i, 1), 1, 512), 2, 512, StorageGuest.FirstPage + (ulong)i)).ToArray();
            guest.Flush(channel);
            if (disk.Pending.Count != slots) return false;
            disk.CompleteAll();
            guest.Receive();
            return sent.All(transaction => guest.Take(transaction).SrbStatus == 1) && guest.Failures.Count == 0;
        }, iter: VMBusFuzz.Count(800), threads: 1);

    private static void Perform(StorageGuest guest, FakeDisk disk, FakeDisk second, (int Kind, uint A, uint B, byte[] Bytes) step, uint ringPages)
    {
        (int kind, uint a, uint b, byte[] bytes) = step;
        uint id = 20 + a % 3;
        if (!guest.Channels.TryGetValue(id, out GuestChannel channel)) id = (channel = guest.Channels[20]).Id;
        byte[] cdb = [Operations[a % (uint)Operations.Length], .. bytes.Take(15)];
        switch (kind)
        {
            case 0 or 1 or 2 or 3:
                guest.TryWrite(channel, StorageGuest.Command(kind == 0 ? cdb.AsSpan(0, Math.Min(cdb.Length, 16)) : TransferTests.Read10(b % 520, a % 40), (byte)(b % 3), b % 0x5000, (byte)(a % 3)),
                    a % 4096, Math.Max(b % 0x5000, 1), Enumerable.Range(0, (int)(a % 4096 + Math.Max(b % 0x5000, 1) + 4095) / 4096).Select(i => StorageGuest.FirstPage + (ulong)i + (a > 100000 ? 2000u : 0)).ToArray());
                break;
            case 4: channel.Out.TryWriteInBand(a, b % 8 != 0, bytes); break;
            case 5: guest.TryWrite(channel, new VstorPacket { Operation = a % 16, SubChannelCount = (ushort)b, Version = new() { MajorMinor = (ushort)(b % 4 == 0 ? 0x0602 : b) } }); break;
            case 6: *(uint*)((byte*)channel.OutControl + b % 4 * 4) = a; break;
            case 7: *(uint*)((byte*)channel.InControl + b % 4 * 4) = a; break;
            case 8 or 9: channel.Out.Commit(); guest.Controller->Signaled(id); guest.RunSoon(); break;
            case 10 or 11: if (disk.Pending.Count != 0) disk.Complete((int)(a % (uint)disk.Pending.Count)); break;
            case 12: while (second.Pending.Count != 0) second.Complete(); break;
            case 13: disk.Outcome = b % 3 == 0 ? (BlockStatus)(a % 9) : BlockStatus.Success; break;
            case 14: if (b % 3 == 0) guest.Controller->Close(id); break;
            case 15:
                ushort index = (ushort)(a % 3);
                using (GuestChannel opened = new(20u + index, index, ringPages))
                    if (guest.Controller->Open(opened.Id, index, opened.Pages, opened.Downstream) == ChannelStatus.Success) guest.Controller->Close(opened.Id);
                break;
            case 16:
                if (b % 2 == 0) { second.IsMemory = guest.IsMemory; guest.Controller->TryAttachDisk(0, 1, second.Device, a % 2 == 0); }
                else guest.Controller->BeginDetach(0, 1, null, null);
                break;
            case 17: Reopen(guest, (ushort)(a % 3), ringPages); break;
            case 18: channel.In.Commit(); guest.Controller->Signaled(id); break;
            case 19:
                byte* buffer = stackalloc byte[4096];
                for (uint i = 0; i < a % 30 && channel.In.TryRead(buffer, 4096, out _) == RingStatus.Ok; i++) { }
                if (channel.In.Commit()) guest.Controller->Signaled(id);
                break;
        }
    }

    /// <summary>A new channel where none is, introduced as far as it goes.</summary>
    private static void Reopen(StorageGuest guest, ushort index, uint ringPages)
    {
        GuestChannel opened = new(20u + index, index, ringPages);
        if (guest.Controller->Open(opened.Id, index, opened.Pages, opened.Downstream) != ChannelStatus.Success)
        {
            opened.Dispose();
            return;
        }
        if (guest.Channels.Remove(opened.Id, out GuestChannel old)) old.Dispose();
        guest.Channels[opened.Id] = opened;
        foreach (uint operation in new uint[] { 7, 9, 10, 8 }) guest.TryWrite(opened, new VstorPacket { Operation = operation, Version = new() { MajorMinor = 0x0602 } });
        opened.Out.Commit();
        guest.Controller->Signaled(opened.Id);
    }
}
