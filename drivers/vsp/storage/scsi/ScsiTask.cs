// One command on its way through a disk: its CDB, the initiator's memory, the request to the device below, the outcome.
using System;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

/// <summary>What is to be done for a task next.</summary>
public enum ScsiStep : byte
{
    /// <summary>Its outcome stands.</summary>
    Done,
    /// <summary><see cref="ScsiTask.Block"/> goes to the device; after its completion: <see cref="ScsiDisk.Continue"/>.</summary>
    Submit,
    /// <summary>It needs <see cref="ScsiTask.BufferBytes"/> of ours; when <see cref="ScsiTask.Buffer"/> is set: <see cref="ScsiDisk.BufferGiven"/>.</summary>
    NeedBuffer,
}

/// <summary>What a task does with a completion of the device.</summary>
public enum ScsiTaskKind : byte
{
    /// <summary>A READ or WRITE straight between the device and the initiator's memory, or a command that ends with one request.</summary>
    Direct,
    ReadThroughBuffer,
    WriteThroughBuffer,
    /// <summary>WRITE SAME with blocks that are written piece by piece.</summary>
    WriteSame,
    /// <summary>WRITE SAME with zeros that the device can write by itself.</summary>
    WriteZeros,
    Verify,
    Unmap,
}

/// <summary>Does not move while the device has its request. All of it is the disk's but for what its functions say.</summary>
public unsafe struct ScsiTask
{
    /// <summary>Of one READ or WRITE: what every device takes.</summary>
    public const uint MaximumBytes = BlockLimits.LeastTransferBytes, MaximumSegments = BlockLimits.LeastSegments;

    /// <summary>First, so that the request's address is the task's.</summary>
    public BlockRequest Block;

    public byte* Cdb;
    /// <summary>Bytes of the initiator's memory in <see cref="Segments"/>; one of the two is 0.</summary>
    public uint DataInBytes, DataOutBytes;
    public uint SegmentCount;
    /// <summary>Addresses and lengths of all segments, or-ed.</summary>
    public uint AddressBits;
    /// <summary>A segment but the first begins, or one but the last ends, within a page.</summary>
    public bool HasGaps;

    /// <summary>Set by the owner: no further request to the device, whatever is still to do.</summary>
    public bool IsStopped;

    // The outcome
    public byte SrbStatus, Status;
    public SenseCode Sense;
    /// <summary>Bytes moved to or from the initiator.</summary>
    public uint Transferred;

    /// <summary>Pages of the owner's pool while the task has any.</summary>
    public byte* Buffer;
    public uint BufferBytes;

    internal ScsiTaskKind Kind;
    /// <summary>Bytes still to do after the current request; of UNMAP: the next range.</summary>
    internal ulong Remaining;
    internal uint NextRange, RangeCount;
    private BlockSegment bufferSegment;
    private fixed ulong segments[(int)MaximumSegments * 2];

    /// <summary>The initiator's memory. Of UNMAP, once its parameters are read: the ranges.</summary>
    public BlockSegment* Segments
    {
        get { fixed (ulong* first = segments) return (BlockSegment*)first; }
    }

    /// <summary>Ready for another command; the segments and what describes them are the owner's to set.</summary>
    public void Begin(byte* cdb)
    {
        Cdb = cdb;
        DataInBytes = DataOutBytes = SegmentCount = AddressBits = 0;
        HasGaps = IsStopped = false;
        Transferred = 0;
        Buffer = null;
        Kind = ScsiTaskKind.Direct;
        Block.Segments = Segments;
    }

    public ScsiStep Good(uint transferred = 0)
    {
        SrbStatus = Storage.SrbStatus.Success;
        Status = ScsiStatus.Good;
        Sense = SenseCode.NoSense;
        Transferred = transferred;
        return ScsiStep.Done;
    }

    public ScsiStep CheckCondition(SenseCode sense)
    {
        SrbStatus = Storage.SrbStatus.Error | Storage.SrbStatus.AutosenseValid;
        Status = ScsiStatus.CheckCondition;
        Sense = sense;
        Transferred = 0;
        return ScsiStep.Done;
    }

    /// <summary>Refused below SCSI, without sense data.</summary>
    public ScsiStep Refuse(byte srbStatus)
    {
        SrbStatus = srbStatus;
        Status = ScsiStatus.CheckCondition;
        Sense = SenseCode.NoSense;
        Transferred = 0;
        return ScsiStep.Done;
    }

    /// <summary>GOOD with data: as much as the CDB allocates and the initiator has room for.</summary>
    public ScsiStep Return(byte* data, uint length, uint allocationLength)
    {
        uint count = Math.Min(length, Math.Min(allocationLength, DataInBytes));
        Scatter(data, count);
        return Good(count);
    }

    /// <summary>Into the initiator's memory. Caller: at most <see cref="DataInBytes"/>.</summary>
    public void Scatter(byte* data, uint count)
    {
        for (BlockSegment* segment = Segments; count != 0; segment++)
        {
            uint piece = Math.Min(count, segment->Length);
            new ReadOnlySpan<byte>(data, (int)piece).CopyTo(new Span<byte>((byte*)segment->Physical, (int)piece));
            data += piece;
            count -= piece;
        }
    }

    /// <summary>Out of the initiator's memory, once: what is looked at is the copy. Caller: at most <see cref="DataOutBytes"/>.</summary>
    public void Gather(byte* data, uint count)
    {
        for (BlockSegment* segment = Segments; count != 0; segment++)
        {
            uint piece = Math.Min(count, segment->Length);
            new ReadOnlySpan<byte>((byte*)segment->Physical, (int)piece).CopyTo(new Span<byte>(data, (int)piece));
            data += piece;
            count -= piece;
        }
    }

    /// <summary>Cuts the segments down to <paramref name="bytes"/>, above 0 and not more than they have.</summary>
    internal void Trim(uint bytes)
    {
        BlockSegment* segment = Segments;
        while (segment->Length < bytes) bytes -= (segment++)->Length;
        segment->Length = bytes;
        SegmentCount = (uint)(segment - Segments) + 1;
    }

    /// <summary>The request's data is our buffer's first <paramref name="bytes"/>.</summary>
    internal void UseBuffer(uint bytes)
    {
        fixed (BlockSegment* segment = &bufferSegment)
        {
            segment->Physical = (ulong)Buffer;
            segment->Length = bytes;
            Block.Segments = segment;
        }
        Block.SegmentCount = 1;
        Block.Length = bytes;
    }
}
