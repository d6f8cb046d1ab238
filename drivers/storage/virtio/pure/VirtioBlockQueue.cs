// One queue of a virtio block device: requests wait, are started part by part, and are handed back. Virtio 1.2, "Block Device Operation".
using System;
using System.Threading;
using Lamina.Drivers.Bus.Virtio;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Virtio;

/// <summary>What bounds one of the device's requests.</summary>
public struct VirtioBlockBounds
{
    public uint Segments;
    public uint SegmentBytes;
    public ulong DiscardBytes;
    public ulong WriteZerosBytes;
    public bool HasFlush;
}

/// <summary>
/// A request that is more than the device takes at once goes to it in parts, one after the other. All memory is the owner's. Completions
/// are delivered from <see cref="Run"/> alone; what a completion submits and kicks is started by the Run that delivers it, so that a
/// batch of completions causes one notification.
/// </summary>
public unsafe struct VirtioBlockQueue<TDoorbell> where TDoorbell : struct, IVirtioDoorbell
{
    /// <summary>Data descriptors of a request, at most; header and answer come on top.</summary>
    public const uint MaximumSegments = 126;
    public const uint FrameSegments = 2;
    public const ushort MaximumSlots = 64;
    private const int CompletionsPerTurn = 256;

    public VirtQueue Ring;
    public TDoorbell Doorbell;

    private VirtioBlockSlots slots;
    private VirtioBlockFrame* frames;
    private ulong framesPhysical;
    private VirtioBlockBounds bounds;
    private BlockDevice* device;
    private BlockRequestList waiting, finished;
    private BlockStatus stopped;
    private bool running, kicked;

    /// <summary>Bytes of memory for the device (frames), and for the driver (slots).</summary>
    public static ulong SharedBytes(ushort slotCount) => (ulong)slotCount * VirtioBlockFrame.Bytes;
    public static ulong PrivateBytes(ushort slotCount) => (ulong)(slotCount * sizeof(VirtioBlockSlot));

    /// <summary>Whether the device has anything that it has not answered.</summary>
    public readonly bool IsBusy => Ring.Outstanding != 0;

    /// <summary>
    /// The ring is the caller's to initialise, before the first kick. <paramref name="shared"/>: zeroed, 64-byte aligned, at
    /// <paramref name="physical"/> for the device.
    /// </summary>
    public void Initialize(BlockDevice* owner, in VirtioBlockBounds limits, ushort slotCount, byte* shared, ulong physical, byte* own)
    {
        device = owner;
        bounds = limits;
        frames = (VirtioBlockFrame*)shared;
        framesPhysical = physical;
        slots.Initialize((VirtioBlockSlot*)own, slotCount);
    }

    public void Submit(BlockRequest* request)
    {
        request->Status = stopped != BlockStatus.Success ? stopped : device->Check(request);
        bool nothingToDo = request->Operation == BlockOperation.Flush ? !bounds.HasFlush : request->Length == 0;
        if (request->Status != BlockStatus.Success || nothingToDo)
        {
            finished.Add(request);
            return;
        }
        request->DeviceData = request->Operation switch
        {
            BlockOperation.Read => VirtioBlockType.VIRTIO_BLK_T_IN,
            BlockOperation.Write => VirtioBlockType.VIRTIO_BLK_T_OUT,
            BlockOperation.Flush => VirtioBlockType.VIRTIO_BLK_T_FLUSH,
            BlockOperation.Discard => VirtioBlockType.VIRTIO_BLK_T_DISCARD,
            _ => VirtioBlockType.VIRTIO_BLK_T_WRITE_ZEROES,
        };
        waiting.Add(request);
    }

    /// <summary>Asks for the serial number, into the 20 bytes of the request's segments.</summary>
    public void SubmitIdentify(BlockRequest* request)
    {
        request->DeviceData = VirtioBlockType.VIRTIO_BLK_T_GET_ID;
        waiting.Add(request);
    }

    /// <summary>Starts what waits, tells the device if it asks for that, hands back what has finished. From within a completion it only marks.</summary>
    public void Run()
    {
        kicked = true;
        if (running) return;
        running = true;
        while (kicked)
        {
            kicked = false;
            StartWaiting();
            if (Ring.Expose()) Doorbell.Ring();
            for (BlockRequest* request = finished.Take(); request != null; request = finished.Take()) request->Completed(request);
        }
        running = false;
    }

    /// <summary>
    /// Takes what the device is done with, in batches. False: more may be there, have it called again. Afterwards look at the ring: it may
    /// have become broken.
    /// </summary>
    public bool Reap()
    {
        Ring.Quiet();
        int taken = 0;
        do
        {
            while (taken < CompletionsPerTurn && Ring.TryTake(out uint slot, out _))
            {
                Continue((ushort)slot);
                taken++;
            }
            Run();
            if (taken >= CompletionsPerTurn) return Ring.IsBroken;
        }
        while (!Ring.TryRest());
        return true;
    }

    /// <summary>Time passes for what the device has; the age of the oldest, in calls of this.</summary>
    public readonly uint Tick()
    {
        uint oldest = 0;
        for (uint i = 0; i < slots.Count; i++)
        {
            VirtioBlockSlot* slot = slots.At(i);
            if (!slot->IsWithDevice) continue;
            if (slot->Age < byte.MaxValue) slot->Age++;
            oldest = Math.Max(oldest, slot->Age);
        }
        return oldest;
    }

    /// <summary>Gives up what the device has; it must have been reset. What waits goes on waiting until the ring has been initialised again; the next Run delivers.</summary>
    public void GiveUp(BlockStatus status)
    {
        Ring.Close();
        slots.ForgetReady();
        for (uint i = 0; i < slots.Count; i++)
            if (slots.At(i)->Request != null) Finish((ushort)i, status);
    }

    /// <summary>Gives up everything, now and in future.</summary>
    public void Stop(BlockStatus status)
    {
        stopped = status;
        GiveUp(status);
        for (BlockRequest* request = waiting.Take(); request != null; request = waiting.Take())
        {
            request->Status = status;
            finished.Add(request);
        }
    }

    private void StartWaiting()
    {
        while (!Ring.IsBroken)
        {
            if (!slots.HasReady)
            {
                if (waiting.IsEmpty || !slots.HasFree) return;
                slots.Occupy(waiting.Take());
            }
            ushort index = slots.TakeReady();
            if (TryStart(index)) continue;
            slots.AddReadyFirst(index);
            return;
        }
    }

    /// <summary>Gives the device the next part of a slot's request; false while the ring has no room.</summary>
    private bool TryStart(ushort index)
    {
        VirtioBlockSlot* slot = slots.At(index);
        VirtioBlockFrame* frame = frames + index;
        frame->Type = slot->IsFlushing ? VirtioBlockType.VIRTIO_BLK_T_FLUSH : (uint)slot->Request->DeviceData;
        frame->Sector = 0;
        frame->Answer = VirtioBlockAnswer.None;
        switch (frame->Type)
        {
            case VirtioBlockType.VIRTIO_BLK_T_FLUSH: return TryStartFlush(index);
            case VirtioBlockType.VIRTIO_BLK_T_DISCARD: return TryStartRange(index, bounds.DiscardBytes);
            case VirtioBlockType.VIRTIO_BLK_T_WRITE_ZEROES: return TryStartRange(index, bounds.WriteZerosBytes);
            case VirtioBlockType.VIRTIO_BLK_T_GET_ID: return TryStartTransfer(index, isRead: true);
            default:
                frame->Sector = (slot->Request->Offset + slot->Done) / VirtioBlockConfiguration.SectorBytes;
                return TryStartTransfer(index, frame->Type == VirtioBlockType.VIRTIO_BLK_T_IN);
        }
    }

    private bool TryStartFlush(ushort index)
    {
        if (!Ring.TryBegin(FrameSegments, index, out VirtChain chain)) return false;
        AppendHeader(ref chain, index);
        EndWithAnswer(ref chain, index);
        return true;
    }

    private bool TryStartRange(ushort index, ulong most)
    {
        VirtioBlockSlot* slot = slots.At(index);
        VirtioBlockFrame* frame = frames + index;
        if (!Ring.TryBegin(FrameSegments + 1, index, out VirtChain chain)) return false;
        slot->PartBytes = Math.Min(slot->Request->Length - slot->Done, most);
        frame->RangeSector = (slot->Request->Offset + slot->Done) / VirtioBlockConfiguration.SectorBytes;
        frame->RangeSectors = (uint)(slot->PartBytes / VirtioBlockConfiguration.SectorBytes);
        frame->RangeFlags = 0;
        AppendHeader(ref chain, index);
        Ring.Append(ref chain, FramePhysical(index) + VirtioBlockFrame.RangeOffset, VirtioBlockFrame.RangeBytes, deviceWrites: false);
        EndWithAnswer(ref chain, index);
        return true;
    }

    private bool TryStartTransfer(ushort index, bool isRead)
    {
        VirtioBlockSlot* slot = slots.At(index);
        uint count = VirtioBlockParts.Measure(slot, bounds, device->Limits.BlockBytes, out ulong bytes);
        if (count == 0)
        {
            Finish(index, BlockStatus.Unsupported);
            return true;
        }
        if (!Ring.TryBegin(count + FrameSegments, index, out VirtChain chain)) return false;
        slot->PartBytes = bytes;
        AppendHeader(ref chain, index);
        while (bytes != 0)
        {
            BlockSegment piece = VirtioBlockParts.TakePiece(slot, bounds.SegmentBytes, bytes);
            Ring.Append(ref chain, piece.Physical, piece.Length, isRead);
            bytes -= piece.Length;
        }
        EndWithAnswer(ref chain, index);
        return true;
    }

    private void AppendHeader(ref VirtChain chain, ushort index) => Ring.Append(ref chain, FramePhysical(index), VirtioBlockFrame.HeaderBytes, deviceWrites: false);

    private void EndWithAnswer(ref VirtChain chain, ushort index)
    {
        Ring.Append(ref chain, FramePhysical(index) + VirtioBlockFrame.AnswerOffset, 1, deviceWrites: true);
        Ring.End(ref chain);
        VirtioBlockSlot* slot = slots.At(index);
        slot->IsWithDevice = true;
        slot->Age = 0;
    }

    private readonly ulong FramePhysical(ushort index) => framesPhysical + (ulong)index * VirtioBlockFrame.Bytes;

    /// <summary>The device has answered a part.</summary>
    private void Continue(ushort index)
    {
        VirtioBlockSlot* slot = slots.At(index);
        slot->IsWithDevice = false;
        BlockStatus status = StatusOf(Volatile.Read(ref frames[index].Answer));
        if (status == BlockStatus.Success && !slot->IsFlushing)
        {
            slot->Done += slot->PartBytes;
            slot->PartBytes = 0;
            BlockRequest* request = slot->Request;
            bool mustFlush = request->Operation == BlockOperation.Write && request->ForceUnitAccess && device->Limits.HasWriteCache;
            slot->IsFlushing = mustFlush && slot->Done == request->Length;
            if (slot->Done < request->Length || slot->IsFlushing)
            {
                slots.AddReady(index);
                return;
            }
        }
        Finish(index, status);
    }

    private void Finish(ushort index, BlockStatus status)
    {
        BlockRequest* request = slots.At(index)->Request;
        slots.Release(index);
        request->Status = status;
        finished.Add(request);
    }

    private static BlockStatus StatusOf(byte answer) => answer switch
    {
        VirtioBlockAnswer.VIRTIO_BLK_S_OK => BlockStatus.Success,
        VirtioBlockAnswer.VIRTIO_BLK_S_IOERR => BlockStatus.MediumError,
        VirtioBlockAnswer.VIRTIO_BLK_S_UNSUPP => BlockStatus.Unsupported,
        _ => BlockStatus.DeviceError,
    };
}
