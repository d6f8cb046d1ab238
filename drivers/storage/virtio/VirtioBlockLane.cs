// One queue of a virtio disk with what belongs to it: memory, message, work item.
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Virtio;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Virtio;

/// <summary>Lives beside its device and does not move: its address is the context of its interrupt.</summary>
internal unsafe struct VirtioBlockLane<THost> where THost : struct, IDriverHost
{
    public VirtioBlock<THost>* Owner;
    public VirtioBlockQueue<VirtioDoorbell> Queue;
    public WorkItem Arrived;
    public InterruptMessage Message;
    private DmaMemory shared, own;
    private ushort ringSize;
    private uint tableCapacity;

    /// <summary>Memory for a ring of <paramref name="size"/> entries and for its requests; with indirect tables or without.</summary>
    public bool TryAllocate(ushort size, uint capacityOfTables)
    {
        ringSize = size;
        tableCapacity = capacityOfTables;
        return THost.TryAllocateDma(FramesOffset + VirtioBlockQueue<VirtioDoorbell>.SharedBytes(SlotCount), out shared)
            && THost.TryAllocateDma(VirtQueue.PrivateBytes(size) + VirtioBlockQueue<VirtioDoorbell>.PrivateBytes(SlotCount), out own);
    }

    public ushort SlotCount => ringSize < VirtioBlockQueue<VirtioDoorbell>.MaximumSlots ? ringSize : VirtioBlockQueue<VirtioDoorbell>.MaximumSlots;

    public void Free()
    {
        if (shared.Bytes != 0) THost.FreeDma(shared);
        if (own.Bytes != 0) THost.FreeDma(own);
        shared = own = default;
    }

    /// <summary>The slots, all of them free.</summary>
    public void InitializeQueue(BlockDevice* device, in VirtioBlockBounds bounds) =>
        Queue.Initialize(device, bounds, SlotCount, shared.Address + FramesOffset, shared.Physical + FramesOffset, own.Address + VirtQueue.PrivateBytes(ringSize));

    /// <summary>An empty ring, as the device expects it after a reset.</summary>
    public void InitializeRing(bool eventIndex)
    {
        new System.Span<byte>(shared.Address, (int)FramesOffset).Clear();
        Queue.Ring.Initialize(ringSize, tableCapacity, eventIndex, shared.Address, shared.Physical, own.Address);
    }

    // Frames are 64 bytes and do not cross pages.
    private readonly ulong FramesOffset => (VirtQueue.SharedBytes(ringSize, tableCapacity) + VirtioBlockFrame.Bytes - 1) / VirtioBlockFrame.Bytes * VirtioBlockFrame.Bytes;
}
