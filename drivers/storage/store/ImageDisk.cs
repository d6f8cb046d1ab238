// An open image as a block device: requests become the image's, their steps the file's, and those the volume's.
using System.Numerics;
using System.Runtime.CompilerServices;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Store;

/// <summary>In memory of its own, from the beginning of its opening to the end of its closing.</summary>
public unsafe partial struct ImageDisk
{
    /// <summary>Requests at a time; more wait.</summary>
    private const uint Slots = 32;

    /// <summary>Fragments that a file may have: 32 KiB of memory.</summary>
    private const uint RunCapacity = 4096;

    /// <summary>What a request needs beside the image's own slot.</summary>
    private struct Work
    {
        public FileTask File;
        public ImageDisk* Disk;
        public uint Tag;
        /// <summary>The request that it serves; null: it is one of closing.</summary>
        public BlockRequest* Owner;
        /// <summary>The owner's data is written, and is now made stable.</summary>
        public bool IsFlushing;
        public BlockRequest Parent;
        public ParentSegments Segments;
    }

    [InlineArray((int)BlockLimits.LeastSegments)] private struct ParentSegments { private BlockSegment first; }

    private BlockDevice device;
    private StoreVolume* volume;
    private StoreHost* host;
    private ExFatFile file;
    private ImageFunctions functions;
    private void* engine;
    private Work* works;
    private BlockRequestList waiting;
    private uint free;          // a bit a slot
    private bool parentNeedsKick, isFull, isStarting;

    /// <summary>Of a differencing image: the disk that its absent sectors come from.</summary>
    private ImageDisk* parent;

    // Of opening and closing.
    private Stage stage;
    private ImageFormat format;
    private bool isWritable;
    private int depth, pathLength;
    private ImageStatus failure;
    private StoreMemory memory;
    private ulong ownBytes;
    private StepTask opener;
    private ExFatOpen open;
    private ExFatRun* runs;
    private byte* workspace;
    private ImageProbe probe;
    private FileTask reader;            // of steps that belong to no request
    private WorkItem ending;
    private delegate*<void*, ImageDisk*, ImageStatus, void> opened;
    private delegate*<void*, void> closed;
    private void* context;
    private PathBuffer path;

    [InlineArray(PathCapacity)] private struct PathBuffer { private byte first; }

    public BlockDevice* Device
    {
        get { fixed (BlockDevice* pointer = &device) return pointer; }
    }

    private static void Submit(void* context, uint queue, BlockRequest* request) => ((ImageDisk*)context)->waiting.Add(request);

    private static void Kick(void* context, uint queue)
    {
        ImageDisk* disk = (ImageDisk*)context;
        StartWaiting(disk);
        disk->KickBelow();
    }

    private void KickBelow()
    {
        volume->Runner.Run();
        if (!parentNeedsKick) return;
        parentNeedsKick = false;
        parent->device.Kick(0);
    }

    /// <summary>As many as there are slots for.</summary>
    private static void StartWaiting(ImageDisk* disk)
    {
        // Requests may end as they are started (discards of what is not there), and be followed by others: the loop that is running sees to them.
        if (disk->isStarting) return;
        disk->isStarting = true;
        while (disk->free != 0 && !disk->waiting.IsEmpty)
        {
            BlockRequest* request = disk->waiting.Take();
            request->Status = disk->device.Check(request);
            if (request->Status != BlockStatus.Success)
            {
                request->Completed(request);
                continue;
            }
            int tag = BitOperations.TrailingZeroCount(disk->free);
            disk->free &= ~(1u << tag);
            disk->works[tag].Owner = request;
            disk->functions.TryStart(disk->engine, (uint)tag, OperationOf(request->Operation), request->Offset, (uint)request->Length);
        }
        disk->isStarting = false;
    }

    private static ImageOperation OperationOf(BlockOperation operation) => operation switch
    {
        BlockOperation.Read => ImageOperation.Read,
        BlockOperation.Write => ImageOperation.Write,
        BlockOperation.Flush => ImageOperation.Flush,
        BlockOperation.Discard => ImageOperation.Discard,
        _ => ImageOperation.WriteZeros,
    };

    /// <summary>A step of an image's request, for the file or for the parent. Called by the image's queue; ends later.</summary>
    internal static void Perform(ImageDisk* disk, uint tag, in BlockStep step)
    {
        Work* work = disk->works + tag;
        BlockSegment* data = work->Owner == null ? null : work->Owner->Segments;
        uint count = work->Owner == null ? 0 : work->Owner->SegmentCount;
        if (step.Kind == StepKind.Flush) disk->volume->TellTime();
        if (step.Kind == StepKind.ReadParent) ReadParent(work, in step, data, count);
        else FileTask.Begin(&work->File, &disk->volume->Runner, &disk->file, in step, data, count);
    }

    private static void OnStepFinished(void* context, ImageStatus status)
    {
        Work* work = (Work*)context;
        // A full volume is a reason of its own; the format only knows of failure.
        if (status == ImageStatus.NoSpace) work->Disk->isFull = true;
        work->Disk->functions.Complete(work->Disk->engine, work->Tag, status == ImageStatus.Success);
        work->Disk->KickParent();
    }

    private void KickParent()
    {
        if (!parentNeedsKick) return;
        parentNeedsKick = false;
        parent->device.Kick(0);
    }

    /// <summary>Absent sectors: the parent's, and zeros where the parent is the smaller disk.</summary>
    private static void ReadParent(Work* work, in BlockStep step, BlockSegment* data, uint count)
    {
        ImageDisk* below = work->Disk->parent;
        ulong end = below == null ? 0 : below->device.Limits.Bytes;
        uint there = step.Offset >= end ? 0 : (uint)System.Math.Min(step.Length, end - step.Offset);
        if (there < step.Length) SegmentList.Clear(data, count, step.DataOffset + there, step.Length - there);
        work->Parent = new BlockRequest { Operation = BlockOperation.Read, Offset = step.Offset, Length = there, Completed = &OnParentRead, Context = work };
        if (there == 0)
        {
            BlockStep nothing = new() { Kind = StepKind.ZeroData, DataOffset = step.DataOffset };
            FileTask.Begin(&work->File, &work->Disk->volume->Runner, &work->Disk->file, in nothing, data, count);
            return;
        }
        work->Parent.Segments = (BlockSegment*)Unsafe.AsPointer(ref work->Segments);
        work->Parent.SegmentCount = SegmentList.Slice(data, count, step.DataOffset, there, work->Parent.Segments);
        below->device.Submit(0, &work->Parent);
        work->Disk->parentNeedsKick = true;
    }

    private static void OnParentRead(BlockRequest* request)
    {
        Work* work = (Work*)request->Context;
        work->Disk->functions.Complete(work->Disk->engine, work->Tag, request->Status == BlockStatus.Success);
        work->Disk->KickBelow();
    }

    /// <summary>A request of the image has ended. Called by the image's queue.</summary>
    internal static void Finished(ImageDisk* disk, uint tag, ImageStatus status)
    {
        Work* work = disk->works + tag;
        BlockRequest* owner = work->Owner;
        if (status == ImageStatus.Success && !work->IsFlushing && MustBeStable(owner))
        {
            work->IsFlushing = true;
            disk->functions.TryStart(disk->engine, tag, ImageOperation.Flush, 0, 0);
            return;
        }
        work->IsFlushing = false;
        work->Owner = null;
        disk->free |= 1u << (int)tag;
        if (owner == null)
        {
            disk->ImageClosed();
            return;
        }
        owner->Status = disk->StatusOf(status);
        owner->Completed(owner);
        StartWaiting(disk);
    }

    // Neither formats nor file systems pass such a wish on: what the data's place depends on must be stable as well, which a flush sees to.
    private static bool MustBeStable(BlockRequest* owner) => owner != null && owner->Operation == BlockOperation.Write && owner->ForceUnitAccess;

    private BlockStatus StatusOf(ImageStatus status)
    {
        bool full = isFull;
        if (status == ImageStatus.Success) return BlockStatus.Success;
        isFull = false;
        return status switch
        {
            ImageStatus.OutOfRange => BlockStatus.OutOfRange,
            ImageStatus.ReadOnly => BlockStatus.ReadOnly,
            ImageStatus.NoSpace => BlockStatus.NoSpace,
            ImageStatus.InputOutputError when full => BlockStatus.NoSpace,
            ImageStatus.InputOutputError => BlockStatus.MediumError,
            _ => BlockStatus.DeviceError,
        };
    }
}
