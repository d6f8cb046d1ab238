// A namespace, which is what users see as a disk, and an I/O queue, which all namespaces share.
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>In the controller's memory.</summary>
internal unsafe struct NvmeNamespace
{
    public void* Controller;
    public BlockDevice Device;
    public uint Id;
    public int Shift;

    /// <summary>What one command may transfer, zero or deallocate, in bytes, whole blocks; requests larger than that become several.</summary>
    public uint TransferLimit;
    public ulong ZeroesLimit, DeallocateLimit;
    public bool IsUsable;
}

/// <summary>An I/O queue pair and the requests that wait for it, of which the first may be out in part.</summary>
internal unsafe struct NvmeIoQueue
{
    public NvmeCommand* Commands;
    public ulong* Completions;
    public NvmeSlot* Slots;

    /// <summary>For each slot <see cref="PrpList.Bytes"/>.</summary>
    public byte* Lists;
    public NvmeQueue Rings;
    public BlockRequestList Waiting;

    /// <summary>How much of the first waiting request has gone out.</summary>
    public ulong Position;
    public SegmentCursor Cursor;

    /// <summary>Somebody further up the stack is at work on it and will see what is added.</summary>
    public bool IsBusy;
}

/// <summary>What the driver remembers with a request, in its <see cref="BlockRequest.DeviceData"/>.</summary>
internal unsafe struct NvmeRequestState
{
    /// <summary>Of the controller's namespaces.</summary>
    public ushort Namespace;

    /// <summary>Commands that the device has for it.</summary>
    public ushort Outstanding;

    /// <summary>Of the first of its commands that failed.</summary>
    public BlockStatus Status;

    /// <summary>No more commands will go out for it: when none is outstanding, it is done.</summary>
    public bool IsIssued;

    public static NvmeRequestState* Of(BlockRequest* request) => (NvmeRequestState*)&request->DeviceData;
}
