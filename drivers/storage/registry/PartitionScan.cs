// Reads one disk's partition table through the disk's own queue.
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;

namespace Lamina.Drivers.Storage.Registry;

/// <summary>A place for a scan in the registry's memory.</summary>
internal unsafe struct PartitionScan
{
    public const uint WorkspaceBytes = (PartitionTable.UsualWorkspaceBytes + 4095) & ~4095u;

    private BlockRegistry* registry;
    private BlockRequest request;
    private BlockSegment segment;

    /// <summary>The disk being scanned; null: the place is free.</summary>
    public DiskEntry* Disk;
    public byte* Workspace;
    public PartitionTable Table;

    public static void Begin(PartitionScan* scan, BlockRegistry* registry, DiskEntry* disk)
    {
        BlockLimits* limits = &disk->Device->Limits;
        scan->registry = registry;
        scan->Disk = disk;
        scan->Table = new PartitionTable(scan->Workspace, WorkspaceBytes, limits->BlockBytes, limits->BlockBytes == 0 ? 0 : limits->Bytes / limits->BlockBytes);
        Advance(scan, true);
    }

    private static void Advance(PartitionScan* scan, bool success)
    {
        BlockStep step = scan->Table.Advance(success);
        if (step.Kind == StepKind.Finished)
        {
            scan->registry->Scanned(scan, step.Status);
            return;
        }
        scan->segment = new BlockSegment { Physical = (ulong)step.Buffer, Length = step.Length };
        scan->request = new BlockRequest
        {
            Operation = BlockOperation.Read, Offset = step.Offset, Length = step.Length, SegmentCount = 1, Segments = &scan->segment, Completed = &OnRead, Context = scan,
        };
        scan->Disk->Device->Submit(0, &scan->request);
        scan->Disk->Device->Kick(0);
    }

    private static void OnRead(BlockRequest* request) => Advance((PartitionScan*)request->Context, request->Status == BlockStatus.Success);
}
