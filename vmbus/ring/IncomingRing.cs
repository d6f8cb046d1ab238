// The half that we read. Our read index is kept here; everything that the peer wrote is copied once and then checked.

using System;
using System.Threading;

namespace Lamina.VMBus;

/// <summary>Packets are taken with <see cref="TryRead"/>; their room goes back to the peer at <see cref="Commit"/>.</summary>
public unsafe struct IncomingRing<TPages> where TPages : struct, IRingMemory
{
    private RingMemory<TPages> memory;
    private uint committed, next;
    private RingStatus broken;

    /// <summary>Takes over the half at <paramref name="firstPage"/>; the indexes in memory must be valid. Signals are wanted from the beginning.</summary>
    public static RingStatus TryAttach(TPages pages, uint firstPage, uint pageCount, out IncomingRing<TPages> ring)
    {
        ring = default;
        RingStatus status = RingMemory<TPages>.TryCreate(pages, firstPage, pageCount, out ring.memory);
        if (status != RingStatus.Ok) return status;
        if (!ring.memory.TryReadIndex(ref ring.memory.ReadIndex, out ring.committed)) return RingStatus.BadIndex;
        ring.next = ring.committed;
        Volatile.Write(ref ring.memory.InterruptMask, 0);
        return RingStatus.Ok;
    }

    /// <summary>Whether the peer says that it uses the pending send size.</summary>
    public bool PeerWaitsForRoom => (Volatile.Read(ref memory.FeatureBits) & RingControlPage.FeaturePendingSendSize) != 0;

    /// <summary>Copies the next packet into <paramref name="buffer"/> (8-byte aligned) and describes it. After an error that
    /// <see cref="RingStatusText.IsBroken"/> the ring stays broken.</summary>
    public RingStatus TryRead(byte* buffer, uint capacity, out RingPacket packet)
    {
        packet = default;
        if (broken != RingStatus.Ok) return broken;
        if (!memory.TryReadIndex(ref memory.WriteIndex, out uint write)) return broken = RingStatus.BadIndex;
        if (write == next) return RingStatus.Empty;
        uint used = memory.Used(write, next);
        if (used < (uint)sizeof(PacketDescriptor) + PacketDescriptor.TrailerSize) return broken = RingStatus.BadLength;

        PacketDescriptor descriptor;
        memory.CopyOut(next, (byte*)&descriptor, (uint)sizeof(PacketDescriptor));
        uint length = descriptor.Length8 * 8u;
        if (length < (uint)sizeof(PacketDescriptor) || length > used - PacketDescriptor.TrailerSize) return broken = RingStatus.BadLength;
        if (length > capacity) return broken = RingStatus.BufferTooSmall;
        // The descriptor in the buffer is the one that was checked, not a second look at shared memory.
        *(PacketDescriptor*)buffer = descriptor;
        memory.CopyOut(memory.Advance(next, (uint)sizeof(PacketDescriptor)), buffer + sizeof(PacketDescriptor), length - (uint)sizeof(PacketDescriptor));
        RingStatus status = RingPacket.TryParse(buffer, length, out packet);
        if (status != RingStatus.Ok) return broken = status;
        next = memory.Advance(next, length + PacketDescriptor.TrailerSize);
        return RingStatus.Ok;
    }

    /// <summary>Gives the room of the packets read so far back. True: the peer must be signalled, as it waits for what just became free.</summary>
    public bool Commit()
    {
        if (next == committed) return false;
        uint before = committed;
        Volatile.Write(ref memory.ReadIndex, next);
        committed = next;
        // The index must be out before the size is read: the writer sets the size first, then looks at the index once more.
        Interlocked.MemoryBarrier();
        // Some writers ask for one byte less than the whole ring; sizes are multiples of 8.
        uint pending = Volatile.Read(ref memory.PendingSendSize) & ~7u;
        if (pending == 0 || !memory.TryReadIndex(ref memory.WriteIndex, out uint write)) return false;
        return memory.Free(write, before) < pending && memory.Free(write, next) >= pending;
    }

    /// <summary>While a reader drains the ring by itself it wants no signals.</summary>
    public void Mask() => Volatile.Write(ref memory.InterruptMask, 1);

    /// <summary>Wants signals again. False: something came in between, so read on (the mask is set again).</summary>
    public bool TryUnmask()
    {
        Volatile.Write(ref memory.InterruptMask, 0);
        Interlocked.MemoryBarrier();
        if (broken != RingStatus.Ok || Volatile.Read(ref memory.WriteIndex) == next) return true;
        Mask();
        return false;
    }
}
