// A virtio disk's queue against a disk that keeps the rules in any order and with any bounds, and against one that does not.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Virtio;
using Lamina.Tests.Host.Storage;
using Xunit;

namespace Lamina.Tests.Host.Virtio;

public unsafe class VirtioBlockQueueTests
{
    private static BlockLimits Limits(uint block, bool cache = true) => new()
    {
        Bytes = BlockDisk.Sectors * 512, BlockBytes = block, PhysicalBlockBytes = block, MaximumTransferBytes = 1 << 20, MaximumSegments = 65, SegmentAlignment = 1,
        HasWriteCache = cache, CanDiscard = true, CanWriteZeros = true, MaximumDiscardBytes = 8192,
    };

    private static Gen<T> One<T>(params T[] of) => Gen.Int[0, of.Length - 1].Select(i => of[i]);

    private static readonly Gen<(ushort Size, uint Tables, bool EventIndex, ushort Slots, uint Segments, uint SegmentBytes, bool BigBlocks)> Shape =
        Gen.Select(One<ushort>(8, 16, 64), One(0u, 128u), Gen.Bool, One<ushort>(1, 3, 8), Gen.UInt[4, 12],
            One(4096u, 5000u, uint.MaxValue), Gen.Bool);

    [Fact]
    public void Requests_of_any_shape_do_what_they_say() =>
        Gen.Select(Shape, Gen.Int).Sample((shape, seed) =>
        {
            uint block = shape.BigBlocks ? 4096u : 512u;
            using BlockDisk disk = new(shape.Size, shape.Tables, shape.EventIndex, shape.Slots,
                new VirtioBlockBounds { Segments = shape.Segments, SegmentBytes = shape.SegmentBytes, DiscardBytes = 8192, WriteZerosBytes = 4096, HasFlush = true }, Limits(block));
            using BlockUser user = new();
            Random random = new(seed);
            byte[] expected = new byte[disk.Content.Length];
            var reads = new Dictionary<nint, byte[]>();
            int sent = 0;
            for (int round = 0; sent < 60 || user.Outstanding != 0; round++)
            {
                Assert.True(round < 5000, "it ends");
                // What is outstanding together does not meet: each takes blocks of its own.
                if (sent < 60 && user.Outstanding == 0)
                {
                    for (ulong region = 0; region < 4; region++) Send(disk, user, random, block, region, expected, reads, ref sent);
                    user.MayComplete = true;
                    disk.Queue->Run();
                    user.MayComplete = false;
                }
                disk.TakeAll();
                while (disk.Held.Count != 0 && random.Next(4) != 0) disk.Perform(random.Next(disk.Held.Count));
                user.MayComplete = true;
                Assert.True(disk.Queue->Reap());
                user.MayComplete = false;
                Assert.False(disk.Queue->Ring.IsBroken);
            }
            Assert.Equal(sent, user.Completed.Count);
            foreach (var (request, status) in user.Completed)
            {
                Assert.Equal(BlockStatus.Success, status);
                if (reads.TryGetValue(request, out byte[] wanted)) Assert.Equal(wanted, BlockUser.DataOf((BlockRequest*)request));
            }
            Assert.Equal(expected, disk.Content);
            Assert.Equal(0u, disk.Queue->Tick());
        }, iter: 200 * Fuzz.Factor);

    private static void Send(BlockDisk disk, BlockUser user, Random random, uint block, ulong region, byte[] expected, Dictionary<nint, byte[]> reads, ref int sent)
    {
        const int regionBytes = BlockDisk.Sectors * 512 / 4;
        int blocks = random.Next(1, regionBytes / (int)block + 1), length = blocks * (int)block;
        int offset = (int)region * regionBytes + random.Next(regionBytes / (int)block - blocks + 1) * (int)block;
        BlockOperation operation = (BlockOperation)random.Next(5);
        // Pieces such that no block touches more of them than the least device takes: whole pages, but for the ends.
        int[] pieces = [random.Next(3) * 512, .. Enumerable.Repeat(0, 40).Select(_ => random.Next(4) * 4096)];
        BlockRequest* request = user.Make(operation, (ulong)offset, operation == BlockOperation.Flush ? 0 : length, pieces);
        byte[] data = new byte[length];
        switch (operation)
        {
            case BlockOperation.Read: reads[(nint)request] = expected.AsSpan(offset, length).ToArray(); break;
            case BlockOperation.Write:
                random.NextBytes(data);
                BlockUser.Fill(request, data);
                data.CopyTo(expected, offset);
                request->ForceUnitAccess = random.Next(2) == 0;
                break;
            case BlockOperation.Discard: expected.AsSpan(offset, length).Fill(0xDD); break;
            case BlockOperation.WriteZeros: expected.AsSpan(offset, length).Clear(); break;
        }
        user.Sent(request);
        disk.Queue->Submit(request);
        sent++;
    }

    private static BlockDisk Usual(ushort slots = 8, bool hasFlush = true, bool cache = true) => new(64, 128, true, slots,
        new VirtioBlockBounds { Segments = 126, SegmentBytes = uint.MaxValue, DiscardBytes = 1 << 20, WriteZerosBytes = 1 << 20, HasFlush = hasFlush }, Limits(512, cache));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_write_that_must_be_stable_is_followed_by_a_flush(bool cache)
    {
        using BlockDisk disk = Usual(cache: cache);
        using BlockUser user = new() { MayComplete = true };
        BlockRequest* write = user.Make(BlockOperation.Write, 0, 1024);
        write->ForceUnitAccess = true;
        user.Sent(write);
        disk.Queue->Submit(write);
        disk.Queue->Run();
        disk.TakeAll();
        disk.Perform(0);
        disk.Queue->Reap();
        if (cache)
        {
            Assert.Empty(user.Completed);
            disk.TakeAll();
            disk.Perform(0);
            disk.Queue->Reap();
            Assert.False(disk.IsDirty);
        }
        Assert.Equal(BlockStatus.Success, Assert.Single(user.Completed).Status);
        Assert.Empty(disk.Held);
    }

    [Fact]
    public void A_batch_is_one_notification_and_so_is_what_its_completions_submit()
    {
        using BlockDisk disk = Usual(slots: 16);
        using BlockUser user = new() { MayComplete = true };
        void Submit()
        {
            BlockRequest* request = user.Make(BlockOperation.Read, 0, 512);
            user.Sent(request);
            disk.Queue->Submit(request);
        }
        for (int i = 0; i < 10; i++) Submit();
        disk.Queue->Run();
        Assert.Equal(1, disk.Rings);
        user.OnCompleted = _ =>
        {
            Submit();
            disk.Queue->Run();
        };
        disk.TakeAll();
        disk.Ring.WishNotice();
        for (int i = 0; i < 10; i++) disk.Perform(0);
        Assert.Equal(1, disk.Ring.Interrupts);
        Assert.True(disk.Queue->Reap());
        Assert.Equal(2, disk.Rings);
        Assert.Equal(10, user.Completed.Count);
        // The device is busy with the queue and says so: no notification at all.
        disk.TakeAll();
        disk.Ring.WishQuiet(100);
        for (int i = 0; i < 10; i++) disk.Perform(0);
        disk.Queue->Reap();
        Assert.Equal((2, 20), (disk.Rings, user.Completed.Count));
    }

    [Theory]
    [InlineData(1, BlockStatus.MediumError)]
    [InlineData(2, BlockStatus.Unsupported)]
    [InlineData(3, BlockStatus.DeviceError)]
    [InlineData(0xFF, BlockStatus.DeviceError)]
    public void Answers_become_statuses(byte answer, BlockStatus expected)
    {
        using BlockDisk disk = Usual();
        using BlockUser user = new() { MayComplete = true };
        disk.Answer = (_, _) => answer;
        BlockRequest* request = user.Make(BlockOperation.Read, 512, 512);
        user.Sent(request);
        disk.Queue->Submit(request);
        disk.Queue->Run();
        disk.TakeAll();
        disk.Perform(0);
        disk.Queue->Reap();
        Assert.Equal(expected, Assert.Single(user.Completed).Status);
    }

    [Fact]
    public void What_cannot_be_is_refused_at_the_kick()
    {
        using BlockDisk disk = Usual(hasFlush: false, cache: false);
        using BlockUser user = new();
        disk.Device->Limits.IsReadOnly = true;
        nint[] requests =
        [
            (nint)user.Make(BlockOperation.Read, BlockDisk.Sectors * 512, 512), (nint)user.Make(BlockOperation.Read, 100, 512), (nint)user.Make(BlockOperation.Write, 0, 512),
            (nint)user.Make(BlockOperation.Flush, 0, 0), (nint)user.Make(BlockOperation.Read, 0, 0),
        ];
        foreach (nint request in requests)
        {
            user.Sent((BlockRequest*)request);
            disk.Queue->Submit((BlockRequest*)request);
        }
        user.MayComplete = true;
        disk.Queue->Run();
        Assert.Equal([BlockStatus.OutOfRange, BlockStatus.OutOfRange, BlockStatus.ReadOnly, BlockStatus.Success, BlockStatus.Success], user.Completed.Select(c => c.Status));
        Assert.Equal(0, disk.Rings);
    }

    [Fact]
    public void A_block_in_more_pieces_than_the_device_takes_is_refused()
    {
        using BlockDisk disk = new(64, 128, true, 4, new VirtioBlockBounds { Segments = 4, SegmentBytes = 4096, HasFlush = true }, Limits(512));
        using BlockUser user = new() { MayComplete = true };
        // The second block is in five pieces; the first is read before that shows.
        BlockRequest* request = user.Make(BlockOperation.Read, 0, 1024, 512, 100, 100, 100, 100, 112);
        BlockRequest* lying = user.Make(BlockOperation.Read, 0, 512, 512);
        lying->Length = 1024;
        foreach (nint each in new[] { (nint)request, (nint)lying })
        {
            user.Sent((BlockRequest*)each);
            disk.Queue->Submit((BlockRequest*)each);
        }
        disk.Queue->Run();
        disk.TakeAll();
        while (disk.Held.Count != 0) disk.Perform(0);
        disk.Queue->Reap();
        Assert.All(user.Completed, c => Assert.Equal(BlockStatus.Unsupported, c.Status));
        Assert.Equal(2, user.Completed.Count);
    }

    [Fact]
    public void A_wild_device_costs_its_requests_and_nothing_else() =>
        Gen.Select(Shape, Gen.Int).Sample((shape, seed) =>
        {
            using BlockDisk disk = new(shape.Size, shape.Tables, shape.EventIndex, shape.Slots,
                new VirtioBlockBounds { Segments = shape.Segments, SegmentBytes = shape.SegmentBytes, DiscardBytes = 8192, WriteZerosBytes = 4096, HasFlush = true }, Limits(512));
            using BlockUser user = new() { MayComplete = true };
            Random random = new(seed);
            var reads = new Dictionary<nint, byte[]>();
            byte[] ignored = new byte[disk.Content.Length];
            int sent = 0;
            disk.Answer = (_, _) => (byte)(random.Next(3) == 0 ? random.Next(256) : 0);
            for (int step = 0; step < 200; step++)
            {
                switch (random.Next(8))
                {
                    case 0 or 1: Send(disk, user, random, 512, (ulong)random.Next(4), ignored, reads, ref sent); break;
                    case 2: disk.Queue->Run(); break;
                    case 3: disk.Ring.UsedIndex += (ushort)random.Next(4); break;
                    case 4: disk.Ring.UsedId(random.Next(64)) = random.Next(3) == 0 ? (uint)random.Next() : (uint)random.Next(shape.Size); break;
                    case 5: disk.Queue->Reap(); break;
                    case 6: disk.Queue->Tick(); break;
                    case 7 when disk.Queue->Ring.IsBroken || random.Next(20) == 0:
                        disk.Queue->GiveUp(BlockStatus.Aborted);
                        disk.Queue->Reap(); // a message that was under way
                        disk.Begin();
                        disk.Queue->Run();
                        break;
                }
            }
            disk.Queue->Stop(BlockStatus.DeviceError);
            disk.Queue->Run();
            Assert.Equal(0, user.Outstanding);
            Send(disk, user, random, 512, 0, ignored, reads, ref sent);
            disk.Queue->Run();
            Assert.Equal((0, sent, BlockStatus.DeviceError), (user.Outstanding, user.Completed.Count, user.Completed[^1].Status));
        }, iter: 300 * Fuzz.Factor);

    [Fact]
    public void Silence_ages_and_a_reset_gives_up_only_what_the_device_had()
    {
        using BlockDisk disk = Usual(slots: 2);
        using BlockUser user = new() { MayComplete = true };
        for (int i = 0; i < 3; i++)
        {
            BlockRequest* request = user.Make(BlockOperation.Read, 0, 512);
            user.Sent(request);
            disk.Queue->Submit(request);
        }
        disk.Queue->Run();
        Assert.Equal((1u, 2u, true), (disk.Queue->Tick(), disk.Queue->Tick(), disk.Queue->IsBusy));
        disk.Queue->GiveUp(BlockStatus.Aborted);
        disk.Begin();
        disk.Queue->Run();
        Assert.Equal([BlockStatus.Aborted, BlockStatus.Aborted], user.Completed.Select(c => c.Status));
        disk.TakeAll();
        disk.Perform(0);
        disk.Queue->Reap();
        Assert.Equal((3, BlockStatus.Success), (user.Completed.Count, user.Completed[2].Status));
    }

    [Fact]
    public void What_waits_for_room_in_the_ring_does_not_age()
    {
        using BlockDisk disk = new(8, 0, true, 4, new VirtioBlockBounds { Segments = 4, SegmentBytes = 4096, HasFlush = true }, Limits(512, cache: true));
        using BlockUser user = new() { MayComplete = true };
        BlockRequest* stable = user.Make(BlockOperation.Write, 0, 512);
        stable->ForceUnitAccess = true;
        Submit(stable);
        Assert.Equal((1u, 2u), (disk.Queue->Tick(), disk.Queue->Tick()));
        Submit(user.Make(BlockOperation.Read, 0, 512));
        Submit(user.Make(BlockOperation.Read, 0, 2048, 512, 512, 512)); // no room for it beside the other two
        disk.TakeAll();
        disk.Perform(0); // its flush now waits behind that
        disk.Queue->Reap();
        Assert.Equal((1u, 2u), (disk.Queue->Tick(), disk.Queue->Tick()));

        void Submit(BlockRequest* request)
        {
            user.Sent(request);
            disk.Queue->Submit(request);
            disk.Queue->Run();
        }
    }

    [Fact]
    public void The_serial_number_is_asked_for()
    {
        using BlockDisk disk = Usual();
        using BlockUser user = new() { MayComplete = true };
        BlockRequest* request = user.Make(BlockOperation.Read, 0, 20);
        user.Sent(request);
        disk.Queue->SubmitIdentify(request);
        disk.Queue->Run();
        disk.TakeAll();
        disk.Perform(0);
        disk.Queue->Reap();
        Assert.StartsWith("serial\0", System.Text.Encoding.ASCII.GetString(BlockUser.DataOf(request)));
    }

    [Fact]
    public void Any_configuration_gives_limits_that_hold() =>
        Gen.Select(Gen.Byte.Array[VirtioBlockConfiguration.Bytes], Gen.ULong, Gen.UInt[8, 70], Gen.UInt[0, 16]).Sample((bytes, offered, shown, exponent) =>
        {
            VirtioBlockConfiguration configuration;
            fixed (byte* at = bytes) configuration = *(VirtioBlockConfiguration*)at;
            if (exponent < 16) configuration.BlkSize = 1u << (int)exponent;
            ulong features = VirtioBlockConfiguration.FeaturesWithin(offered, shown);
            Assert.Equal(0UL, features & ~offered);
            if (shown < 57) Assert.Equal(0UL, features & VirtioBlockFeature.VIRTIO_BLK_F_WRITE_ZEROES);
            if (!configuration.TryMakeLimits(features, out BlockLimits limits)) return;
            Assert.True(limits.BlockBytes is 512 or 1024 or 2048 or 4096 && limits.PhysicalBlockBytes >= limits.BlockBytes);
            Assert.True(limits.Bytes % limits.BlockBytes == 0 && limits.Bytes <= long.MaxValue && limits.MaximumDiscardBytes % limits.BlockBytes == 0);
            Assert.Equal(limits.CanDiscard || limits.CanWriteZeros, limits.MaximumDiscardBytes != 0);
            Assert.True(configuration.QueueCount(features) >= 1);
        }, iter: 2000 * Fuzz.Factor);
}
