// The other side of a split virtqueue, for tests: takes chains, checks that they are well formed, gives them back when it is told to.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Bus.Virtio;
using Xunit;

namespace Lamina.Tests.Host.Virtio;

public sealed record Chain(ushort Head, List<(ulong Address, uint Length, bool Writes)> Pieces);

/// <summary>Owns the memory of a queue too, so that every test begins the same way.</summary>
public sealed unsafe class RingDevice : IDisposable
{
    private const int Guard = 256;
    private readonly byte* shared, own;
    private readonly ulong sharedBytes;
    private readonly bool eventIndex;
    private readonly ushort size;
    private ushort seen, given;

    public readonly VirtQueue* Queue = (VirtQueue*)NativeMemory.AllocZeroed((nuint)sizeof(VirtQueue));
    public int Interrupts;

    public RingDevice(ushort size, uint tables, bool eventIndex)
    {
        this.size = size;
        this.eventIndex = eventIndex;
        sharedBytes = VirtQueue.SharedBytes(size, tables);
        shared = (byte*)NativeMemory.AlignedAlloc((nuint)sharedBytes + Guard, 4096);
        new Span<byte>(shared, (int)sharedBytes).Clear();
        new Span<byte>(shared + sharedBytes, Guard).Fill(0xA5);
        own = (byte*)NativeMemory.AllocZeroed((nuint)VirtQueue.PrivateBytes(size) + Guard);
        new Span<byte>(own + VirtQueue.PrivateBytes(size), Guard).Fill(0x5A);
        Queue->Initialize(size, tables, eventIndex, shared, (ulong)shared, own);
    }

    public Span<byte> Memory => new(shared, (int)sharedBytes);
    public void Initialize(ref VirtQueue queue, uint tables)
    {
        seen = given = 0;
        Memory.Clear();
        queue.Initialize(size, tables, eventIndex, shared, (ulong)shared, own);
    }

    private ushort* Avail => (ushort*)Queue->DriverPhysical;
    private ushort* Used => (ushort*)Queue->DevicePhysical;
    public ref ushort UsedIndex => ref Used[1];
    public ref uint UsedId(int entry) => ref ((uint*)(Used + 2))[2 * (entry & size - 1)];
    public int Waiting => (ushort)(Avail[1] - seen);

    /// <summary>From now on the device does not want to hear of the next <paramref name="more"/> chains (event index), or of any (none).</summary>
    public void WishQuiet(ushort more)
    {
        if (eventIndex) Used[2 + 4 * size] = (ushort)(seen + more);
        else Used[0] = 1;
    }

    public void WishNotice()
    {
        if (eventIndex) Used[2 + 4 * size] = seen;
        else Used[0] = 0;
    }

    public Chain Take()
    {
        Assert.NotEqual(0, Waiting);
        ushort head = Avail[2 + (seen++ & size - 1)];
        Assert.True(head < size);
        var chain = new Chain(head, []);
        VirtqDesc* table = (VirtqDesc*)Queue->DescPhysical;
        uint index = head, limit = size;
        if ((table[head].Flags & VirtqDesc.VIRTQ_DESC_F_INDIRECT) != 0)
        {
            Assert.Equal(VirtqDesc.VIRTQ_DESC_F_INDIRECT, table[head].Flags);
            Assert.Equal(0u, table[head].Len % 16);
            limit = table[head].Len / 16;
            Assert.True(table[head].Addr >= (ulong)shared && table[head].Addr + table[head].Len <= (ulong)shared + sharedBytes);
            table = (VirtqDesc*)table[head].Addr;
            index = 0;
        }
        while (true)
        {
            Assert.True(index < limit);
            Assert.True(chain.Pieces.Count < limit);
            VirtqDesc piece = table[index];
            bool writes = (piece.Flags & VirtqDesc.VIRTQ_DESC_F_WRITE) != 0;
            Assert.False(!writes && chain.Pieces.Count != 0 && chain.Pieces[^1].Writes, "what the device reads comes first");
            chain.Pieces.Add((piece.Addr, piece.Len, writes));
            if ((piece.Flags & VirtqDesc.VIRTQ_DESC_F_NEXT) == 0) return chain;
            index = piece.Next;
        }
    }

    /// <summary>Gives a chain back, and interrupts if the driver asks for it.</summary>
    public void Give(ushort head, uint written)
    {
        uint* element = (uint*)(Used + 2) + 2 * (given & size - 1);
        element[0] = head;
        element[1] = written;
        ushort before = given++;
        Used[1] = given;
        ushort wish = Avail[2 + size];
        if (eventIndex ? before == wish : (Avail[0] & 1) == 0) Interrupts++;
    }

    public void CheckGuards()
    {
        Assert.False(new Span<byte>(shared + sharedBytes, Guard).ContainsAnyExcept((byte)0xA5));
        Assert.False(new Span<byte>(own + VirtQueue.PrivateBytes(size), Guard).ContainsAnyExcept((byte)0x5A));
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(shared);
        NativeMemory.Free(own);
        NativeMemory.Free(Queue);
    }
}
