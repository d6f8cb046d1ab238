// Closing, resetting, and disks that come and go, with requests in flight.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Vsp.Storage;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed unsafe class LifecycleTests
{
    private static ulong Read(StorageGuest guest, GuestChannel channel, uint address, uint offset = 0, byte lun = 0, uint blocks = 8)
    {
        ulong[] pages = Enumerable.Range(0, (int)(offset + blocks * 512 + 4095) / 4096).Select(i => StorageGuest.FirstPage + address + (ulong)i).ToArray();
        ulong transaction = guest.TryWrite(channel, StorageGuest.Command(TransferTests.Read10(address, blocks), 1, blocks * 512, lun), offset, blocks * 512, pages);
        guest.Flush(channel);
        return transaction;
    }

    [Fact]
    public void A_channel_closes_when_its_last_request_is_done_and_touches_nothing_later()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(1 << 20, 512, 4));
        GuestChannel channel = guest.Start();
        Read(guest, channel, 0);
        Read(guest, channel, 8, offset: 2); // through a buffer: copied at its completion, if at all
        Assert.Equal(2, disk.Pending.Count);
        byte[] ring = channel.Snapshot();
        Assert.False(guest.Controller->Close(channel.Id));
        Assert.False(guest.Controller->Close(channel.Id));
        using GuestChannel next = new(21, 0, 4);
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(21, 0, next.Pages, 4));
        guest.Controller->Signaled(channel.Id);
        disk.Complete();
        Assert.Empty(guest.ClosedChannels);
        disk.Complete();
        Assert.Equal(new uint[] { 20 }, guest.ClosedChannels);
        Assert.Equal(ring, channel.Snapshot());
        Assert.True(new ReadOnlySpan<byte>(guest.Page(StorageGuest.FirstPage + 8), 4096).IndexOfAnyExcept((byte)0xEE) < 0);
        // The next kernel starts from the beginning.
        channel = guest.Start();
        disk.IsSynchronous = true;
        Assert.Equal(1, guest.Do(channel, [0, 0, 0, 0, 0, 0]).SrbStatus);
        Assert.True(guest.Controller->Close(channel.Id));
        Assert.Single(guest.ClosedChannels);
    }

    [Fact]
    public void Answers_that_wait_for_room_go_with_their_channel()
    {
        using StorageGuest guest = new(slots: 64);
        using FakeDisk disk = guest.Attach(new FakeDisk());
        GuestChannel channel = guest.Start(2);
        for (int i = 0; i < 60; i++)
        {
            ulong transaction = guest.TryWrite(channel, StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 0));
            guest.Flush(channel);
            Assert.NotEqual(0ul, transaction);
        }
        Assert.NotEqual(0ul, guest.Controller->Counters.RingStalls);
        Assert.NotEqual(0u, channel.InControl->PendingSendSize);
        Assert.True(guest.Controller->Close(channel.Id));
        channel = guest.Start(2);
        for (int i = 0; i < 200; i++)
        {
            Assert.NotEqual(0ul, guest.TryWrite(channel, StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 0)));
            guest.Flush(channel);
            if (i % 50 != 49) continue;
            while (guest.Receive() != 0) { }
        }
        Assert.Equal(200, guest.Answers.Count);
        Assert.Equal(0u, channel.InControl->PendingSendSize);
        Assert.Empty(guest.Failures);
    }

    [Fact]
    public void A_full_ring_costs_one_signal_for_many_answers()
    {
        using StorageGuest guest = new(slots: 128);
        using FakeDisk disk = guest.Attach(new FakeDisk());
        GuestChannel channel = guest.Start(2);
        List<ulong> sent = [];
        for (uint i = 0; i < 100; i++) sent.Add(Read(guest, channel, i % 64 * 8));
        disk.CompleteAll();
        ulong before = guest.Controller->Counters.GuestSignals;
        int received = 0, rounds = 0;
        for (int count = guest.Receive(); count != 0; count = guest.Receive(), rounds++) received += count;
        Assert.Equal(100, received);
        Assert.Equal(sent.Order(), guest.Answers.Keys.Order());
        Assert.InRange(guest.Controller->Counters.GuestSignals - before, 1ul, (ulong)rounds);
    }

    [Fact]
    public void A_sub_channel_closes_by_itself()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(1 << 20, 512, 1, 8));
        GuestChannel primary = guest.Start(), sub = guest.Open(2);
        Read(guest, sub, 0);
        ulong kept = Read(guest, primary, 8);
        Assert.Equal(new uint[] { 0, 2 }, disk.QueuesUsed.Order());
        Assert.False(guest.Controller->Close(sub.Id));
        disk.CompleteAll();
        Assert.Equal(new uint[] { 22 }, guest.ClosedChannels);
        guest.Receive();
        Assert.Equal(1, guest.Take(kept).SrbStatus);
        Assert.Empty(guest.Answers);
        guest.Open(2);
    }

    [Theory]
    [InlineData(VstorOperation.ResetBus)]
    [InlineData(VstorOperation.ResetAdapter)]
    [InlineData(VstorOperation.ResetLun)]
    public void A_reset_is_answered_after_what_was_before_it(uint operation)
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(1 << 20)), other = guest.Attach(new FakeDisk(2 << 20), 0, 1);
        GuestChannel channel = guest.Start();
        ulong first = Read(guest, channel, 0), second = Read(guest, channel, 8), elsewhere = Read(guest, channel, 16, lun: 1);
        ulong reset = guest.Send(channel, new VstorPacket { Operation = operation });
        ulong later = Read(guest, channel, 24);
        guest.Receive();
        Assert.Empty(guest.Answers);
        disk.Complete(1);
        disk.Complete(1); // the later one
        guest.Receive();
        Assert.Equal(new[] { second, later }.Order(), guest.Answers.Keys.Order());
        disk.Complete(0);
        guest.Receive();
        Assert.True(guest.Answers.ContainsKey(first));
        Assert.Equal(operation == VstorOperation.ResetLun, guest.Answers.ContainsKey(reset));
        other.Complete();
        guest.Receive();
        Assert.Equal(1, guest.Take(elsewhere).SrbStatus);
        Assert.Equal(0u, guest.Take(reset).Packet.Status);
    }

    [Fact]
    public void A_reset_ends_what_has_many_steps_and_what_waits()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(8 << 20, 512, 4));
        GuestChannel channel = guest.Start();
        ulong verify = guest.TryWrite(channel, StorageGuest.Command([0x2F, 0, 0, 0, 0, 0, 0, 0x10, 0, 0], 2, 0));
        guest.Flush(channel);
        ulong big = Read(guest, channel, 0, 2, blocks: 512); // 256 KiB through a buffer: waits for all of the pool
        Assert.Single(disk.Pending);
        ulong reset = guest.Send(channel, new VstorPacket { Operation = VstorOperation.ResetBus });
        guest.Receive();
        Assert.Equal(0x0B0000u, guest.Take(big).Sense);
        Assert.Empty(guest.Answers);
        disk.Complete();
        guest.Receive();
        Assert.Equal(0x0B0000u, guest.Take(verify).Sense);
        Assert.Equal(0u, guest.Take(reset).Packet.Status);
        Assert.Empty(disk.Pending);
        Assert.Equal(NtStatus.DeviceDoesNotExist, guest.Ask(channel, new VstorPacket { Operation = VstorOperation.ResetLun, VmSrb = new() { Lun = 9 } }).Packet.Status);
    }

    [Fact]
    public void Buffers_are_waited_for_in_order_and_never_failed_for()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(8 << 20, 512, 4));
        GuestChannel channel = guest.Start();
        List<ulong> sent = [];
        for (uint i = 0; i < 6; i++) sent.Add(Read(guest, channel, i * 64, 1, blocks: i == 2 ? 512u : 300));
        Assert.Single(disk.Pending); // 150 KiB of 256 KiB each; the third needs everything
        for (int i = 0; i < 6; i++)
        {
            Assert.NotEmpty(disk.Pending);
            disk.Complete();
            guest.Receive();
            Assert.Equal(1, guest.Take(sent[i]).SrbStatus);
        }
        Assert.Equal(6ul, guest.Controller->Counters.Buffered);
        disk.IsSynchronous = true;
        Assert.Equal(0u, guest.Do(channel, [0x2F, 0, 0, 0, 0, 0, 0, 0x10, 0, 0]).Sense);
    }

    private static (byte Target, byte Lun)? lastDetached;
    private static void Detached(void* context, byte target, byte lun)
    {
        Assert.Equal(77, (nint)context);
        lastDetached = (target, lun);
    }

    [Fact]
    public void Disks_come_and_go_while_the_guest_runs()
    {
        using StorageGuest guest = new(disks: 2);
        using FakeDisk disk = guest.Attach(new FakeDisk(1 << 20)), added = new(2 << 20), third = new(1 << 20);
        GuestChannel channel = guest.Start();
        // Linux scans on its own first, and is not told before it has begun.
        guest.Attach(added, 0, 1);
        Assert.Equal(StorageDetach.Detached, guest.Controller->BeginDetach(0, 1, &Detached, (void*)77));
        guest.Receive();
        Assert.Empty(guest.Unsolicited);
        Assert.Equal(1, guest.Do(channel, [0, 0, 0, 0, 0, 0]).SrbStatus);
        guest.Attach(added, 0, 1);
        Assert.False(guest.Controller->TryAttachDisk(0, 1, third.Device, false));
        Assert.False(guest.Controller->TryAttachDisk(0, 2, third.Device, false));
        Assert.False(guest.Controller->TryAttachDisk(2, 0, third.Device, false));
        Assert.False(guest.Controller->TryAttachDisk(0, 64, third.Device, false));
        guest.Receive();
        Assert.Equal(VstorOperation.EnumerateBus, Assert.Single(guest.Unsolicited).Packet.Operation);
        Assert.Equal(1, guest.Do(channel, [0, 0, 0, 0, 0, 0], null, 1).SrbStatus);

        ulong inFlight = Read(guest, channel, 0, lun: 1);
        Assert.Equal(StorageDetach.Absent, guest.Controller->BeginDetach(1, 1, &Detached, (void*)77));
        Assert.Equal(StorageDetach.InFlight, guest.Controller->BeginDetach(0, 1, &Detached, (void*)77));
        Assert.Equal(StorageDetach.Absent, guest.Controller->BeginDetach(0, 1, &Detached, (void*)77));
        Assert.Equal(0x20, guest.Do(channel, [0, 0, 0, 0, 0, 0], null, 1).SrbStatus);
        Assert.Equal(2, guest.Unsolicited.Count);
        Assert.Equal(0x7F, guest.Query(channel, [0x12, 0, 0, 0, 96, 0], 96, 1)[0]);
        Assert.Null(lastDetached);
        Assert.False(guest.Controller->IsIdle);
        added.Complete();
        Assert.Equal(((byte)0, (byte)1), lastDetached);
        guest.Receive();
        Assert.Equal(1, guest.Take(inFlight).SrbStatus);
        guest.Attach(third, 0, 1);
        Assert.Equal(new byte[] { 0, 0, 7, 255 }, guest.Query(channel, [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8, 1).Take(4));
        Assert.Equal(StorageDetach.Detached, guest.Controller->BeginDetach(0, 1, null, null));
        Assert.Equal(StorageDetach.Detached, guest.Controller->BeginDetach(0, 0, null, null));
        Assert.True(guest.Controller->Close(channel.Id));
        Assert.True(guest.Controller->IsIdle);
    }

    [Fact]
    public void A_disk_that_leaves_takes_along_what_waits_for_a_buffer()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk(8 << 20, 512, 4)), other = guest.Attach(new FakeDisk(8 << 20, 512, 4), 0, 1);
        GuestChannel channel = guest.Start();
        ulong first = Read(guest, channel, 0, 1, blocks: 512), second = Read(guest, channel, 64, 1, blocks: 512), third = Read(guest, channel, 128, 1, 1, 512);
        Assert.Equal(StorageDetach.InFlight, guest.Controller->BeginDetach(0, 0, null, null));
        guest.Receive();
        Assert.Equal(0x20, guest.Take(second).SrbStatus);
        disk.Complete();
        guest.Receive();
        Assert.Equal(1, guest.Take(first).SrbStatus);
        other.Complete();
        guest.Receive();
        Assert.Equal(1, guest.Take(third).SrbStatus);
    }

    [Fact]
    public void Devices_that_break_the_rules_are_not_taken()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = new();
        BlockLimits good = disk.Device->Limits;
        bool Taken(BlockLimits limits)
        {
            disk.Device->Limits = limits;
            bool taken = guest.Controller->TryAttachDisk(0, 0, disk.Device, false);
            if (taken) Assert.Equal(StorageDetach.Detached, guest.Controller->BeginDetach(0, 0, null, null));
            return taken;
        }
        Assert.True(Taken(good));
        Assert.False(Taken(good with { BlockBytes = 256 }));
        Assert.False(Taken(good with { BlockBytes = 8192 }));
        Assert.False(Taken(good with { BlockBytes = 1536 }));
        Assert.False(Taken(good with { Bytes = 511 }));
        Assert.False(Taken(good with { MaximumSegments = 64 }));
        Assert.False(Taken(good with { MaximumTransferBytes = 0x3FFFF }));
        Assert.False(Taken(good with { SegmentAlignment = 8 }));
        Assert.False(Taken(good with { SegmentAlignment = 0 }));
        disk.Device->QueueCount = 0;
        Assert.False(Taken(good));
    }

    [Fact]
    public void A_greedy_guest_gives_others_their_turn()
    {
        using StorageGuest guest = new(slots: 8);
        using FakeDisk disk = guest.Attach(new FakeDisk());
        GuestChannel channel = guest.Start(32);
        int sent = 0;
        while (guest.TryWrite(channel, StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 0)) != 0) sent++;
        Assert.True(sent > 600);
        channel.Out.Commit();
        ulong before = guest.Controller->Counters.Requests;
        guest.Controller->Signaled(channel.Id);
        Assert.Equal(256ul, guest.Controller->Counters.Requests - before);
        Assert.Equal(new uint[] { 20 }, guest.Soon);
        for (int i = 0; i < 100 && guest.Answers.Count < sent; i++) guest.Receive();
        Assert.Equal(sent, guest.Answers.Count);
        Assert.Equal(0u, channel.OutControl->InterruptMask);
    }

    /// <summary>A disk in memory completes from within its kick and takes what completions submit.</summary>
    [Fact]
    public void A_memory_disk_works_as_one()
    {
        using StorageGuest guest = new(slots: 4);
        byte* memory = (byte*)NativeMemory.AlignedAlloc(1 << 20, 4096);
        new Span<byte>(memory, 1 << 20).Fill(0x5A);
        MemoryDisk* disk = (MemoryDisk*)NativeMemory.AllocZeroed((nuint)sizeof(MemoryDisk));
        Assert.True(guest.Controller->TryAttachDisk(0, 0, MemoryDisk.Create(disk, memory, 1 << 20, false), false));
        GuestChannel channel = guest.Start();
        for (uint i = 0; i < 40; i++) guest.TryWrite(channel, StorageGuest.Command(TransferTests.Read10(i, 1), 1, 512), 0, 512, StorageGuest.FirstPage + i);
        guest.Flush(channel);
        guest.Receive();
        Assert.Equal(40, guest.Answers.Count);
        for (uint i = 0; i < 40; i++) Assert.Equal(0x5A, guest.Page(StorageGuest.FirstPage + i)[511]);
        Assert.Equal(0u, guest.Do(channel, [0x2F, 0, 0, 0, 0, 0, 0, 4, 0, 0]).Sense);
        Assert.Equal(0u, guest.Do(channel, [0x41, 0, 0, 0, 0, 0, 0, 0, 9, 0], Enumerable.Repeat((byte)7, 512).ToArray()).Sense);
        Assert.Equal((7, 0x5A), (memory[9 * 512 - 1], memory[9 * 512]));
        Assert.Equal(StorageDetach.Detached, guest.Controller->BeginDetach(0, 0, null, null));
        NativeMemory.AlignedFree(memory);
        NativeMemory.Free(disk);
    }

    [Fact]
    public void Memory_is_what_it_says()
    {
        StorageConfiguration configuration = new() { Slots = 128, Disks = 8, SubChannels = 3 };
        ulong bytes = StorageController<StorageTestHost>.MemoryBytes(configuration);
        Assert.InRange(bytes, 0x40000ul, 0x40000ul + 192 * 1024);
        Assert.InRange((StorageController<StorageTestHost>.MemoryBytes(configuration with { Slots = 228 }) - bytes) / 100, 1100ul, 1400ul);
        Assert.True(StorageController<StorageTestHost>.Create(null, configuration with { Slots = 0 }, default) == null);
        Assert.True(StorageController<StorageTestHost>.Create(null, configuration with { Slots = 1025 }, default) == null);
        Assert.True(StorageController<StorageTestHost>.Create(null, configuration with { Disks = 0 }, default) == null);
        Assert.True(StorageController<StorageTestHost>.Create(null, configuration with { Disks = 65 }, default) == null);
        Assert.True(StorageController<StorageTestHost>.Create(null, configuration with { SubChannels = 64 }, default) == null);
    }
}
