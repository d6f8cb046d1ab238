// The half that we write. Our write index is kept here: what the peer does to the shared one changes nothing.

using System;
using System.Threading;

namespace Lamina.VMBus;

/// <summary>Packets are written with <c>TryWrite…</c>, which nobody sees before <see cref="Commit"/>, so that a batch needs one signal.</summary>
public unsafe struct OutgoingRing<TPages> where TPages : struct, IRingMemory
{
    private RingMemory<TPages> memory;
    private uint committed, next;
    private RingStatus broken;

    /// <summary>Takes over the half at <paramref name="firstPage"/>; the write index in memory must be valid (a new ring is zeroed).</summary>
    public static RingStatus TryAttach(TPages pages, uint firstPage, uint pageCount, out OutgoingRing<TPages> ring)
    {
        ring = default;
        RingStatus status = RingMemory<TPages>.TryCreate(pages, firstPage, pageCount, out ring.memory);
        if (status != RingStatus.Ok) return status;
        if (!ring.memory.TryReadIndex(ref ring.memory.WriteIndex, out ring.committed)) return RingStatus.BadIndex;
        ring.next = ring.committed;
        Volatile.Write(ref ring.memory.FeatureBits, RingControlPage.FeaturePendingSendSize);
        Volatile.Write(ref ring.memory.PendingSendSize, 0);
        return RingStatus.Ok;
    }

    /// <summary>Bytes that a packet with so much header (ranges) and payload takes in the ring, trailer included.</summary>
    public static ulong SizeOf(int header, int payload) =>
        (((ulong)(uint)header + 7) & ~7ul) + (((ulong)(uint)payload + 7) & ~7ul) + (uint)sizeof(PacketDescriptor) + PacketDescriptor.TrailerSize;

    public RingStatus TryWriteInBand(ulong transactionId, bool completionRequested, ReadOnlySpan<byte> payload) =>
        Write(PacketType.InBand, completionRequested, transactionId, 0, default, payload);

    public RingStatus TryWriteCompletion(ulong transactionId, ReadOnlySpan<byte> payload) =>
        Write(PacketType.Completion, false, transactionId, 0, default, payload);

    /// <summary>A packet with guest memory; the ranges come from a <see cref="GpaRangeList"/>.</summary>
    public RingStatus TryWriteGpaDirect(ulong transactionId, in GpaRangeList ranges, ReadOnlySpan<byte> payload) =>
        ranges.Count == 0 ? RingStatus.BadRanges : Write(PacketType.GpaDirect, true, transactionId, (ulong)ranges.Count << 32, ranges.Bytes, payload);

    public RingStatus TryWriteTransferPages(ulong transactionId, ushort pageSetId, ReadOnlySpan<TransferPageRange> ranges, ReadOnlySpan<byte> payload)
    {
        fixed (TransferPageRange* first = ranges)
            return Write(PacketType.TransferPages, true, transactionId, (ulong)(uint)ranges.Length << 32 | pageSetId,
                new ReadOnlySpan<byte>(first, ranges.Length * sizeof(TransferPageRange)), payload);
    }

    // specific: the 8 bytes that follow the descriptor of the types that have ranges.
    private RingStatus Write(ushort type, bool completionRequested, ulong transactionId, ulong specific, ReadOnlySpan<byte> ranges, ReadOnlySpan<byte> payload)
    {
        if (broken != RingStatus.Ok) return broken;
        bool hasRanges = type is PacketType.GpaDirect or PacketType.TransferPages;
        ulong total = SizeOf(ranges.Length + (hasRanges ? 8 : 0), payload.Length);
        uint headerSize = (uint)(sizeof(PacketDescriptor) + (hasRanges ? 8 : 0) + ((ranges.Length + 7) & ~7));
        if (total > memory.DataSize - 8 || total - PacketDescriptor.TrailerSize > 0xFFFF * 8) return RingStatus.TooLong;
        RingStatus room = Room((uint)total);
        if (room != RingStatus.Ok) return room;

        PacketDescriptor descriptor = default;
        descriptor.Type = type;
        descriptor.DataOffset8 = (ushort)(headerSize / 8);
        descriptor.Length8 = (ushort)((total - PacketDescriptor.TrailerSize) / 8);
        descriptor.Flags = completionRequested ? PacketDescriptor.CompletionRequested : (ushort)0;
        descriptor.TransactionId = transactionId;
        uint at = next;
        Put(ref at, (byte*)&descriptor, (uint)sizeof(PacketDescriptor));
        if (hasRanges) Put(ref at, (byte*)&specific, 8);
        PutPadded(ref at, ranges);
        PutPadded(ref at, payload);
        ulong trailer = (ulong)next << 32;
        Put(ref at, (byte*)&trailer, PacketDescriptor.TrailerSize);
        next = at;
        return RingStatus.Ok;
    }

    private void Put(ref uint at, byte* bytes, uint count)
    {
        memory.CopyIn(at, bytes, count);
        at = memory.Advance(at, count);
    }

    private void PutPadded(ref uint at, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes) Put(ref at, first, (uint)bytes.Length);
        uint padding = (uint)-bytes.Length & 7;
        memory.Zero(at, padding);
        at = memory.Advance(at, padding);
    }

    private RingStatus Room(uint bytes)
    {
        if (!memory.TryReadIndex(ref memory.ReadIndex, out uint read)) return broken = RingStatus.BadIndex;
        // A reader that lies about its index has its own unread packets overwritten; nothing outside the ring.
        return memory.Free(next, read) >= bytes ? RingStatus.Ok : RingStatus.Full;
    }

    /// <summary>Shows the written packets to the reader. True: it must be signalled, as it has seen an empty ring and does not look by itself.</summary>
    public bool Commit()
    {
        if (next == committed) return false;
        uint before = committed;
        Volatile.Write(ref memory.WriteIndex, next);
        committed = next;
        // The index must be out before the mask is read: the reader clears the mask first, then looks at the index once more.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref memory.InterruptMask) != 0) return false;
        return Volatile.Read(ref memory.ReadIndex) == before;
    }

    /// <summary>Takes back what has not been committed.</summary>
    public void Revert() => next = committed;

    /// <summary>After <see cref="RingStatus.Full"/>: asks for a signal when <paramref name="bytes"/> (see <see cref="SizeOf"/>) are free.
    /// Ok: they are free already, try again; Full: wait.</summary>
    public RingStatus AwaitRoom(uint bytes)
    {
        if (bytes > memory.DataSize - 8) return RingStatus.TooLong;
        Volatile.Write(ref memory.PendingSendSize, (bytes + 7) & ~7u);
        Interlocked.MemoryBarrier();
        RingStatus room = Room(bytes);
        if (room != RingStatus.Full) StopWaiting();
        return room;
    }

    public void StopWaiting() => Volatile.Write(ref memory.PendingSendSize, 0);
}
