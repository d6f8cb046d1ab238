// The ring: packets, signals, waiting for room; against a queue as model, and with a peer that corrupts everything it can.

using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.VMBus;

public sealed unsafe class RingTests
{
    private const int BufferSize = 0x10000;

    private static byte[] Bytes(int count, int seed) => Enumerable.Range(0, count).Select(i => (byte)(i * 7 + seed)).ToArray();

    [Fact]
    public void First_packet_signals_and_second_does_not()
    {
        using var memory = new RingFixture(3);
        var reader = memory.Reader();
        var writer = memory.Writer();
        Assert.Equal(RingStatus.Ok, writer.TryWriteInBand(1, true, Bytes(20, 1)));
        Assert.Equal(0u, memory.Control->WriteIndex);
        Assert.True(writer.Commit());
        Assert.Equal(16u + 24 + 8, memory.Control->WriteIndex);
        Assert.Equal(RingStatus.Ok, writer.TryWriteInBand(2, true, Bytes(20, 2)));
        Assert.False(writer.Commit());
        Assert.False(writer.Commit());
        Assert.Equal(RingControlPage.FeaturePendingSendSize, memory.Control->FeatureBits);
        Assert.True(reader.PeerWaitsForRoom);
    }

    [Fact]
    public void Masked_reader_is_not_signalled_and_notices_at_unmasking()
    {
        using var memory = new RingFixture(2);
        var reader = memory.Reader();
        var writer = memory.Writer();
        reader.Mask();
        Assert.True(reader.TryUnmask());
        reader.Mask();
        writer.TryWriteInBand(1, false, Bytes(8, 1));
        Assert.False(writer.Commit());
        Assert.False(reader.TryUnmask());
        Assert.Equal(1u, memory.Control->InterruptMask);
        byte* buffer = stackalloc byte[256];
        Assert.Equal(RingStatus.Ok, reader.TryRead(buffer, 256, out _));
        Assert.Equal(RingStatus.Empty, reader.TryRead(buffer, 256, out _));
        reader.Commit();
        Assert.True(reader.TryUnmask());
    }

    [Fact]
    public void Reader_signals_once_when_the_awaited_room_is_there()
    {
        using var memory = new RingFixture(2);
        var reader = memory.Reader();
        var writer = memory.Writer();
        byte[] payload = Bytes(1000, 3);
        uint size = (uint)OutgoingRing<TestPages>.SizeOf(0, 1000);
        int written = 0;
        while (writer.TryWriteInBand((ulong)written, false, payload) == RingStatus.Ok) written++;
        writer.Commit();
        Assert.Equal(3, written);
        byte* buffer = stackalloc byte[2048];
        // Two packets' room: reading one of three frees too little, the second enough, the third is no news.
        Assert.Equal(RingStatus.Full, writer.AwaitRoom(2 * size));
        reader.TryRead(buffer, 2048, out _);
        Assert.False(reader.Commit());
        reader.TryRead(buffer, 2048, out _);
        Assert.True(reader.Commit());
        reader.TryRead(buffer, 2048, out _);
        Assert.False(reader.Commit());
        Assert.Equal(RingStatus.Ok, writer.AwaitRoom(3 * size));
        Assert.Equal(0u, memory.Control->PendingSendSize);
        Assert.Equal(RingStatus.TooLong, writer.AwaitRoom(4096));
    }

    [Fact]
    public void A_packet_that_never_fits_is_told_apart_from_a_full_ring()
    {
        using var memory = new RingFixture(2);
        var writer = memory.Writer();
        Assert.Equal(RingStatus.TooLong, writer.TryWriteInBand(1, false, Bytes(4096, 0)));
        Assert.Equal(RingStatus.Ok, writer.TryWriteInBand(1, false, Bytes(4096 - 8 - 24, 0)));
        Assert.Equal(RingStatus.Full, writer.TryWriteInBand(1, false, default));
        writer.Revert();
        Assert.Equal(RingStatus.Ok, writer.TryWriteInBand(1, false, default));
    }

    [Fact]
    public void Bad_geometry_and_bad_start_are_refused()
    {
        using var memory = new RingFixture(4);
        Assert.Equal(RingStatus.BadGeometry, OutgoingRing<TestPages>.TryAttach(memory.Pages, 0, 1, out _));
        Assert.Equal(RingStatus.BadGeometry, OutgoingRing<TestPages>.TryAttach(memory.Pages, 3, 2, out _));
        Assert.Equal(RingStatus.BadGeometry, IncomingRing<TestPages>.TryAttach(memory.Pages, 5, 2, out _));
        Assert.Equal(RingStatus.BadGeometry, IncomingRing<TestPages>.TryAttach(memory.Pages, uint.MaxValue, 2, out _));
        memory.Control->WriteIndex = 4;
        memory.Control->ReadIndex = 0x3000;
        Assert.Equal(RingStatus.BadIndex, OutgoingRing<TestPages>.TryAttach(memory.Pages, 0, 4, out _));
        Assert.Equal(RingStatus.BadIndex, IncomingRing<TestPages>.TryAttach(memory.Pages, 0, 4, out _));
    }

    [Fact]
    public void Guest_memory_and_transfer_pages_arrive_as_sent()
    {
        using var memory = new RingFixture(3);
        var reader = memory.Reader();
        var writer = memory.Writer();
        byte* list = stackalloc byte[256];
        var ranges = new GpaRangeList(list, 256);
        Assert.True(ranges.TryAdd(0x800, 0x1000, [5, 9]));
        Assert.True(ranges.TryAdd(0, 1, [7]));
        Assert.False(ranges.TryAdd(0, 4097, [7]));
        Assert.False(ranges.TryAdd(4096, 1, [7]));
        Assert.Equal(RingStatus.Ok, writer.TryWriteGpaDirect(0x1122334455667788, ranges, Bytes(64, 9)));
        Assert.Equal(RingStatus.Ok, writer.TryWriteTransferPages(3, 0xCAFE, [new() { ByteCount = 60, ByteOffset = 100 }], Bytes(40, 1)));
        Assert.Equal(RingStatus.Ok, writer.TryWriteCompletion(4, Bytes(8, 2)));
        writer.Commit();

        byte* buffer = stackalloc byte[512];
        Assert.Equal(RingStatus.Ok, reader.TryRead(buffer, 512, out RingPacket packet));
        Assert.Equal(PacketType.GpaDirect, packet.Type);
        Assert.True(packet.CompletionRequested);
        Assert.Equal(0x1122334455667788ul, packet.TransactionId);
        Assert.Equal(Bytes(64, 9), packet.Payload.ToArray());
        GpaRangeReader reading = packet.Ranges;
        Assert.True(reading.TryNext(out GpaRange range, out ReadOnlySpan<ulong> pages));
        Assert.Equal((0x1000u, 0x800u), (range.ByteCount, range.ByteOffset));
        Assert.Equal([5ul, 9ul], pages.ToArray());
        Assert.True(reading.TryNext(out range, out pages));
        Assert.Equal([7ul], pages.ToArray());
        Assert.False(reading.TryNext(out _, out _));

        Assert.Equal(RingStatus.Ok, reader.TryRead(buffer, 512, out packet));
        Assert.Equal(0xCAFE, packet.PageSetId);
        Assert.Equal(60u, packet.TransferRanges[0].ByteCount);
        Assert.Equal(100u, packet.TransferRanges[0].ByteOffset);
        Assert.False(packet.Ranges.TryNext(out _, out _));
        Assert.Equal(RingStatus.Ok, reader.TryRead(buffer, 512, out packet));
        Assert.Equal(PacketType.Completion, packet.Type);
        Assert.False(packet.CompletionRequested);
    }

    [Theory]
    [InlineData(6, 1, 3, 0, RingStatus.BadLength)]       // data before the descriptor's end
    [InlineData(6, 4, 3, 0, RingStatus.BadLength)]       // data behind the packet's end
    [InlineData(6, 2, 1, 0, RingStatus.BadLength)]       // shorter than a descriptor
    [InlineData(6, 2, 0xFFFF, 0, RingStatus.BadLength)]  // longer than what is there
    [InlineData(6, 2, 3, 2, RingStatus.BadFlags)]
    [InlineData(8, 2, 3, 0, RingStatus.BadType)]
    [InlineData(9, 2, 3, 0, RingStatus.BadLength)]       // no room for the range count
    [InlineData(9, 3, 3, 0, RingStatus.BadRanges)]       // no range
    [InlineData(7, 3, 3, 0, RingStatus.BadRanges)]
    public void A_wrong_descriptor_breaks_the_ring_for_good(ushort type, ushort offset8, ushort length8, ushort flags, RingStatus expected)
    {
        using var memory = new RingFixture(2);
        var reader = memory.Reader();
        *(PacketDescriptor*)memory.PageAt(1) = new() { Type = type, DataOffset8 = offset8, Length8 = length8, Flags = flags };
        memory.Control->WriteIndex = 4 * 8;
        byte* buffer = stackalloc byte[512];
        Assert.Equal(expected, reader.TryRead(buffer, 512, out _));
        Assert.True(expected.IsBroken());
        memory.Control->WriteIndex = 0;
        Assert.Equal(expected, reader.TryRead(buffer, 512, out _));
        Assert.False(reader.Commit());
    }

    /// <summary>Operation 0: write; 1: read; 2 and 3: commit. Whatever is committed comes out, in order, whole.</summary>
    [Fact]
    public void Behaves_as_a_queue() =>
        Gen.Select(Gen.UInt[2, 5], Gen.Select(Gen.Int[0, 3], Gen.OneOf(Gen.Int[0, 64], Gen.Int[0, 5000])).Array[1, 200]).Sample((pages, operations) =>
        {
            using var memory = new RingFixture(pages);
            var reader = memory.Reader();
            var writer = memory.Writer();
            var sent = new Queue<(int Size, int Seed)>();
            var uncommitted = new Queue<(int Size, int Seed)>();
            byte[] store = new byte[BufferSize];
            int seed = 0;
            fixed (byte* buffer = store)
                foreach ((int operation, int size) in operations)
                {
                    if (operation == 0)
                    {
                        RingStatus status = writer.TryWriteInBand((ulong)++seed, seed % 2 == 0, Bytes(size, seed));
                        if (status == RingStatus.Ok) uncommitted.Enqueue((size, seed));
                        else if (status == RingStatus.TooLong && size + 32 < (pages - 1) * 4096 - 16) return false;
                        else if (status.IsBroken()) return false;
                    }
                    else if (operation == 1)
                    {
                        RingStatus status = reader.TryRead(buffer, BufferSize, out RingPacket packet);
                        if (status != (sent.Count == 0 ? RingStatus.Empty : RingStatus.Ok)) return false;
                        if (status != RingStatus.Ok) continue;
                        (int length, int expected) = sent.Dequeue();
                        if (packet.TransactionId != (ulong)expected || packet.CompletionRequested != (expected % 2 == 0) || packet.Payload.Length != (length + 7) / 8 * 8 ||
                            !packet.Payload.Slice(0, length).SequenceEqual(Bytes(length, expected))) return false;
                    }
                    else if (operation == 2)
                    {
                        bool empty = memory.Control->ReadIndex == memory.Control->WriteIndex;
                        if (writer.Commit() != (empty && uncommitted.Count != 0)) return false;
                        while (uncommitted.Count != 0) sent.Enqueue(uncommitted.Dequeue());
                    }
                    else reader.Commit();
                }
            memory.CheckGuards();
            return true;
        }, iter: VMBusFuzz.Count(300));

    /// <summary>A peer that writes anything anywhere in the shared pages: errors, never an access outside, and what is parsed stays inside the buffer.</summary>
    [Fact]
    public void A_corrupting_peer_never_leads_outside() =>
        Gen.Select(Gen.UInt[2, 4], Gen.Select(Gen.Int[0, 5], Gen.UInt[0, 200], VMBusFuzz.Value).Array[1, 100]).Sample((pages, operations) =>
        {
            using var memory = new RingFixture(pages);
            var reader = memory.Reader();
            var writer = memory.Writer();
            byte[] store = new byte[512 + 8];
            store.AsSpan(512).Fill(0x5A);
            fixed (byte* buffer = store)
                foreach ((int operation, uint where, uint value) in operations)
                {
                    if (operation == 0) ((uint*)memory.PageAt(0))[where % 4] = value;
                    if (operation == 1) ((uint*)memory.PageAt(1 + value % (pages - 1)))[where] = value;
                    if (operation == 2)
                    {
                        // A descriptor that is nearly right where the reader will look.
                        byte* at = memory.PageAt(1) + memory.Control->ReadIndex % 4096 / 8 * 8;
                        if (at + 40 <= memory.PageAt(1) + 4096)
                        {
                            *(PacketDescriptor*)at = new() { Type = (ushort)(where % 12), DataOffset8 = (ushort)(value % 6), Length8 = (ushort)(where / 3), Flags = (ushort)(value / 8 % 2) };
                            ((uint*)at)[5] = value % 3;
                            ((uint*)at)[6] = value;
                            ((uint*)at)[7] = where;
                            memory.Control->WriteIndex = (memory.Control->ReadIndex + 400) % ((pages - 1) * 4096);
                        }
                    }
                    if (operation == 3 && reader.TryRead(buffer, 512, out RingPacket packet) == RingStatus.Ok)
                    {
                        if (packet.Payload.Length > 512 || packet.TransferRanges.Length * 8 > 512) return false;
                        int inside = 0;
                        for (GpaRangeReader ranges = packet.Ranges; ranges.TryNext(out _, out ReadOnlySpan<ulong> numbers);) inside += numbers.Length * 8 + 8;
                        if (inside > 512) return false;
                    }
                    if (operation == 4) { writer.TryWriteInBand(value, true, Bytes((int)where * 8, 1)); writer.Commit(); writer.AwaitRoom(value); }
                    if (operation == 5) { reader.Commit(); reader.TryUnmask(); }
                }
            memory.CheckGuards();
            return store.AsSpan(512).IndexOfAnyExcept((byte)0x5A) < 0;
        }, iter: VMBusFuzz.Count(1000));

    /// <summary>Packets with ranges whose counts, lengths and offsets are anything: those that pass stay inside their own header.</summary>
    [Fact]
    public void Accepted_ranges_lie_inside_the_packet() =>
        Gen.Select(Gen.Bool, Gen.UInt[2, 24], Gen.UInt[0, 8], Gen.OneOf(Gen.UInt[0, 4], VMBusFuzz.Value), Gen.OneOf(Gen.UInt[0, 0x4000], VMBusFuzz.Value).Array[40]).Sample((direct, offset8, payload8, count, words) =>
        {
            using var memory = new RingFixture(2);
            var reader = memory.Reader();
            uint length8 = offset8 + payload8;
            *(PacketDescriptor*)memory.PageAt(1) = new() { Type = direct ? PacketType.GpaDirect : PacketType.TransferPages, DataOffset8 = (ushort)offset8, Length8 = (ushort)length8 };
            var rest = (uint*)(memory.PageAt(1) + 20);
            *rest++ = count;
            for (int i = 0; i < words.Length; i++) rest[i] = words[i] % (i % 2 == 0 ? 0x10000u : 0xFFFFFFFF);
            memory.Control->WriteIndex = length8 * 8 + 8;
            byte* buffer = stackalloc byte[512];
            RingStatus status = reader.TryRead(buffer, 512, out RingPacket packet);
            if (status != RingStatus.Ok) return status is RingStatus.BadLength or RingStatus.BadRanges;
            long room = (offset8 - 3) * 8, used = packet.TransferRanges.Length * 8;
            for (GpaRangeReader ranges = packet.Ranges; ranges.TryNext(out GpaRange range, out ReadOnlySpan<ulong> pages);)
            {
                if ((ulong)pages.Length != ((ulong)range.ByteOffset + range.ByteCount + 4095) / 4096) return false;
                used += 8 + pages.Length * 8;
            }
            return used <= room && packet.RangeCount != 0 && packet.Payload.Length == payload8 * 8;
        }, iter: VMBusFuzz.Count(2000));
}
