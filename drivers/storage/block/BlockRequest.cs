// One request to a block device, in its owner's memory. Everything that stores blocks takes these: disks, partitions, images, memory.

namespace Lamina.Drivers.Storage.Block;

public enum BlockOperation : byte
{
    Read,
    Write,
    /// <summary>What was completed before is on stable storage when this completes. No offset, no length, no segments.</summary>
    Flush,
    /// <summary>The content of the range is not needed any more; what it reads afterwards is anything. No segments.</summary>
    Discard,
    /// <summary>The range reads zero afterwards. No segments.</summary>
    WriteZeros,
}

/// <summary>What became of a request.</summary>
public enum BlockStatus : byte
{
    Success,
    /// <summary>Offset and length are not all within the device, or not multiples of its blocks.</summary>
    OutOfRange,
    ReadOnly,
    Unsupported,
    /// <summary>The medium does not give back, or does not take, these blocks.</summary>
    MediumError,
    /// <summary>The device failed, or broke its own rules.</summary>
    DeviceError,
    /// <summary>No room for what an image would have to grow by.</summary>
    NoSpace,
    /// <summary>The device has been taken away.</summary>
    Gone,
    /// <summary>Given up: a reset or a time limit came first.</summary>
    Aborted,
}

/// <summary>A piece of memory for a request's data.</summary>
public struct BlockSegment
{
    /// <summary>Where it is for a device. For the processor the same number is its address: the root maps memory 1:1.</summary>
    public ulong Physical;
    public uint Length;
}

/// <summary>
/// Belongs to its owner until it is submitted, to the device until <see cref="Completed"/> is called, and to its owner again from
/// then on, the call included. Must not move meanwhile, nor may its segments.
/// </summary>
public unsafe struct BlockRequest
{
    public BlockOperation Operation;

    /// <summary>Of a write: on stable storage when it completes.</summary>
    public bool ForceUnitAccess;

    /// <summary>Set before <see cref="Completed"/> is called.</summary>
    public BlockStatus Status;
    public uint SegmentCount;

    /// <summary>Bytes from the beginning of the device; a multiple of its block size, as the length is.</summary>
    public ulong Offset;
    public ulong Length;

    /// <summary>Of reads and writes: <see cref="SegmentCount"/> pieces, together <see cref="Length"/> bytes.</summary>
    public BlockSegment* Segments;

    /// <summary>Called in the executor, never from within <see cref="BlockDevice.Submit"/>.</summary>
    public delegate*<BlockRequest*, void> Completed;

    /// <summary>The owner's.</summary>
    public void* Context;

    /// <summary>The device's, while it has the request: a link for its list of waiting requests, and room for what it has to remember.</summary>
    public BlockRequest* Next;
    public ulong DeviceData;

    /// <summary>A partition's, while it has the request: which one, and whom to tell once the disk below has told it.</summary>
    internal void* Partition;
    internal delegate*<BlockRequest*, void> AfterPartition;
}

/// <summary>Requests in the order of arrival, linked through themselves.</summary>
public unsafe struct BlockRequestList
{
    private BlockRequest* first, last;

    public readonly bool IsEmpty => first == null;
    public readonly BlockRequest* First => first;

    public void Add(BlockRequest* request)
    {
        request->Next = null;
        if (first == null) first = request;
        else last->Next = request;
        last = request;
    }

    /// <summary>The oldest, or null.</summary>
    public BlockRequest* Take()
    {
        BlockRequest* request = first;
        if (request != null) first = request->Next;
        return request;
    }
}
