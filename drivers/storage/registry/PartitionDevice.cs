// A partition as a block device: the disk's own functions, with the offset moved while the disk has the request.
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Registry;

/// <summary>
/// Nothing is copied and nothing waits here: a request goes down as it is, its offset moved, and comes up as its owner left it. What
/// lies outside the partition is refused at the next kick, as a completion must not come from within Submit.
/// </summary>
internal static unsafe class PartitionDevice
{
    /// <summary>Makes <paramref name="partition"/>'s device: the disk's limits, its queues, the partition's size.</summary>
    public static void Create(DiskEntry* partition, ulong bytes)
    {
        BlockDevice* disk = partition->Disk->Device;
        partition->PartitionDevice = new BlockDevice
        {
            Limits = disk->Limits, QueueCount = disk->QueueCount, Context = partition, SubmitFunction = &Submit, KickFunction = &Kick,
        };
        partition->PartitionDevice.Limits.Bytes = bytes;
        partition->Device = &partition->PartitionDevice;
    }

    private static void Submit(void* context, uint queue, BlockRequest* request)
    {
        DiskEntry* partition = (DiskEntry*)context;
        request->Status = partition->PartitionDevice.Check(request);
        if (request->Status != BlockStatus.Success)
        {
            partition->Refused.Add(request);
            return;
        }
        request->Partition = partition;
        request->AfterPartition = request->Completed;
        request->Completed = &OnCompleted;
        request->Offset += partition->FirstByte;
        partition->Disk->Device->Submit(queue, request);
    }

    private static void Kick(void* context, uint queue)
    {
        DiskEntry* partition = (DiskEntry*)context;
        partition->Disk->Device->Kick(queue);
        for (BlockRequest* request = partition->Refused.Take(); request != null; request = partition->Refused.Take()) request->Completed(request);
    }

    private static void OnCompleted(BlockRequest* request)
    {
        request->Offset -= ((DiskEntry*)request->Partition)->FirstByte;
        request->Completed = request->AfterPartition;
        request->Completed(request);
    }
}
