// A virtio disk for tests: does what the chains of its queue say, in any order, and holds the driver to the device's bounds.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Lamina.Drivers.Bus.Virtio;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Virtio;
using Xunit;

namespace Lamina.Tests.Host.Virtio;

public readonly unsafe struct CountingDoorbell(int* rings) : IVirtioDoorbell
{
    public void Ring() => ++*rings;
}

public sealed unsafe class BlockDisk : IDisposable
{
    public const int Sectors = 256;
    private readonly uint tables;
    private readonly byte* frames, slots;
    private readonly ushort slotCount;
    private readonly int* rings = (int*)NativeMemory.AllocZeroed(4);

    public readonly RingDevice Ring;
    public readonly BlockDevice* Device = (BlockDevice*)NativeMemory.AllocZeroed((nuint)sizeof(BlockDevice));
    public readonly VirtioBlockQueue<CountingDoorbell>* Queue = (VirtioBlockQueue<CountingDoorbell>*)NativeMemory.AllocZeroed((nuint)sizeof(VirtioBlockQueue<CountingDoorbell>));
    public readonly byte[] Content = new byte[Sectors * 512];
    public readonly VirtioBlockBounds Bounds;
    public readonly List<Chain> Held = [];

    /// <summary>Bytes written since the last flush, while the disk has a cache.</summary>
    public bool IsDirty { get; private set; }
    public int Rings => *rings;
    public Func<uint, ulong, byte> Answer = (_, _) => 0;

    public BlockDisk(ushort size, uint tables, bool eventIndex, ushort slotCount, VirtioBlockBounds bounds, BlockLimits limits)
    {
        this.tables = tables;
        this.slotCount = slotCount;
        Ring = new RingDevice(size, tables, eventIndex);
        bounds.Segments = Math.Min(bounds.Segments, (uint)size - 2);
        Bounds = bounds;
        Device->Limits = limits;
        frames = (byte*)NativeMemory.AlignedAlloc((nuint)(slotCount * 64), 64);
        slots = (byte*)NativeMemory.AllocZeroed((nuint)VirtioBlockQueue<CountingDoorbell>.PrivateBytes(slotCount));
        Queue->Doorbell = new CountingDoorbell(rings);
        Begin();
    }

    /// <summary>As after a reset: empty ring, free slots.</summary>
    public void Begin()
    {
        Held.Clear();
        Ring.Initialize(ref *Ring.Queue, tables); // the model looks through this one for addresses
        Ring.Initialize(ref Queue->Ring, tables);
        Queue->Initialize(Device, Bounds, slotCount, frames, (ulong)frames, slots);
    }

    public void TakeAll()
    {
        while (Ring.Waiting != 0) Held.Add(Ring.Take());
    }

    /// <summary>Performs one of the chains it holds and gives it back.</summary>
    public void Perform(int index)
    {
        Chain chain = Held[index];
        Held.RemoveAt(index);
        var (headerAt, headerBytes, headerWrites) = chain.Pieces[0];
        var (answerAt, answerBytes, answerWrites) = chain.Pieces[^1];
        Assert.Equal((16u, false, 1u, true), (headerBytes, headerWrites, answerBytes, answerWrites));
        VirtioBlockFrame* frame = (VirtioBlockFrame*)headerAt;
        var data = chain.Pieces[1..^1];
        byte answer = Answer(frame->Type, frame->Sector);
        if (answer == 0) Do(frame->Type, frame->Sector, data);
        *(byte*)answerAt = answer;
        Ring.Give(chain.Head, 1);
    }

    private void Do(uint type, ulong sector, List<(ulong Address, uint Length, bool Writes)> data)
    {
        int at = (int)sector * 512;
        switch (type)
        {
            case VirtioBlockType.VIRTIO_BLK_T_IN or VirtioBlockType.VIRTIO_BLK_T_OUT:
                Assert.InRange((uint)data.Count, 1u, Bounds.Segments);
                foreach (var (address, length, writes) in data)
                {
                    Assert.InRange(length, 1u, Bounds.SegmentBytes);
                    Assert.Equal(type == VirtioBlockType.VIRTIO_BLK_T_IN, writes);
                    Span<byte> memory = new((void*)address, (int)length), content = Content.AsSpan(at, (int)length);
                    if (writes) content.CopyTo(memory);
                    else memory.CopyTo(content);
                    at += (int)length;
                }
                Assert.Equal(0u, (uint)at % Device->Limits.BlockBytes);
                IsDirty |= type == VirtioBlockType.VIRTIO_BLK_T_OUT;
                break;
            case VirtioBlockType.VIRTIO_BLK_T_FLUSH:
                Assert.True(Bounds.HasFlush);
                Assert.Empty(data);
                IsDirty = false;
                break;
            case VirtioBlockType.VIRTIO_BLK_T_DISCARD or VirtioBlockType.VIRTIO_BLK_T_WRITE_ZEROES:
                Assert.Equal(16u, Assert.Single(data).Length);
                VirtioBlockFrame* frame = (VirtioBlockFrame*)(data[0].Address - VirtioBlockFrame.RangeOffset);
                ulong bytes = frame->RangeSectors * 512UL;
                Assert.InRange(bytes, 1UL, type == VirtioBlockType.VIRTIO_BLK_T_DISCARD ? Bounds.DiscardBytes : Bounds.WriteZerosBytes);
                Content.AsSpan((int)frame->RangeSector * 512, (int)bytes).Fill(type == VirtioBlockType.VIRTIO_BLK_T_DISCARD ? (byte)0xDD : (byte)0);
                break;
            case VirtioBlockType.VIRTIO_BLK_T_GET_ID:
                Assert.Equal(20u, Assert.Single(data).Length);
                "serial\0"u8.CopyTo(new Span<byte>((void*)data[0].Address, 20));
                break;
            default:
                Assert.Fail($"type {type}");
                break;
        }
    }

    public void Dispose()
    {
        Ring.CheckGuards();
        Ring.Dispose();
        NativeMemory.AlignedFree(frames);
        NativeMemory.Free(slots);
        NativeMemory.Free(Queue);
        NativeMemory.Free(Device);
        NativeMemory.Free(rings);
    }
}
