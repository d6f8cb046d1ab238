// A disk in memory: a boot module, or a scratch disk for tests. Nothing of it outlives the machine.
using System;

namespace Lamina.Drivers.Storage.Block;

/// <summary>Lives at a fixed address, as its requests wait in it between Submit and Kick.</summary>
public unsafe struct MemoryDisk
{
    private BlockDevice device;
    private byte* memory;
    private BlockRequestList waiting;

    /// <summary>Where its content is.</summary>
    public readonly byte* Start => memory;

    /// <summary>A device over <paramref name="bytes"/> (a multiple of 512) bytes of memory. Returned pointer: into <paramref name="disk"/>.</summary>
    public static BlockDevice* Create(MemoryDisk* disk, byte* memory, ulong bytes, bool isReadOnly)
    {
        *disk = default;
        disk->memory = memory;
        disk->device.Limits = new BlockLimits
        {
            Bytes = bytes, BlockBytes = 512, PhysicalBlockBytes = 512, MaximumTransferBytes = 1 << 20, MaximumSegments = 257, SegmentAlignment = 1,
            IsReadOnly = isReadOnly, CanWriteZeros = true, CanDiscard = true, MaximumDiscardBytes = 1 << 30, MaximumInFlight = 1024,
        };
        disk->device.QueueCount = 1;
        disk->device.Context = disk;
        disk->device.SubmitFunction = &Submit;
        disk->device.KickFunction = &Kick;
        return &disk->device;
    }

    private static void Submit(void* context, uint queue, BlockRequest* request) => ((MemoryDisk*)context)->waiting.Add(request);

    private static void Kick(void* context, uint queue)
    {
        MemoryDisk* disk = (MemoryDisk*)context;
        // What a completion submits waits for its own kick, which may be within it: the list is taken one by one.
        for (BlockRequest* request = disk->waiting.Take(); request != null; request = disk->waiting.Take())
        {
            request->Status = disk->device.Check(request);
            if (request->Status == BlockStatus.Success) disk->Perform(request);
            request->Completed(request);
        }
    }

    private readonly void Perform(BlockRequest* request)
    {
        byte* at = memory + request->Offset;
        switch (request->Operation)
        {
            case BlockOperation.Read:
            case BlockOperation.Write:
                for (uint i = 0; i < request->SegmentCount; i++)
                {
                    BlockSegment* segment = request->Segments + i;
                    Span<byte> data = new((byte*)segment->Physical, (int)segment->Length), content = new(at, (int)segment->Length);
                    if (request->Operation == BlockOperation.Read) content.CopyTo(data);
                    else data.CopyTo(content);
                    at += segment->Length;
                }
                break;
            case BlockOperation.WriteZeros:
                for (ulong left = request->Length; left != 0;)
                {
                    uint step = left > 1 << 30 ? 1 << 30 : (uint)left;
                    new Span<byte>(at, (int)step).Clear();
                    at += step;
                    left -= step;
                }
                break;
        }
    }
}
