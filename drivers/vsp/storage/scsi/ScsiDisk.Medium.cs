// Commands about the medium that move no blocks to the initiator: caches, start and stop, thin provisioning. SBC-3.
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

public unsafe partial struct ScsiDisk
{
    /// <summary>Of one UNMAP; the block limits page says so.</summary>
    private const uint MaximumUnmapDescriptors = 64;
    private const uint UnmapHeaderBytes = 8, UnmapDescriptorBytes = 16;

    /// <summary>Of one WRITE SAME or VERIFY: its pieces occupy a buffer, and a device in memory does them all in one go.</summary>
    private const ulong MaximumPiecewiseBytes = 4 << 20;

    // WRITE SAME's second byte
    private const byte Anchor = 0x10, UnmapBit = 0x08, NoDataOutBuffer = 0x01;

    /// <summary>What one request to the device may discard, in whole blocks; 0 where it says none.</summary>
    private readonly ulong DiscardLimit => device->Limits.MaximumDiscardBytes >> blockShift << blockShift;
    private readonly bool CanUnmap => device->Limits.CanDiscard && DiscardLimit != 0 && !IsReadOnly;
    private readonly bool CanWriteZeros => device->Limits.CanWriteZeros && DiscardLimit != 0;

    /// <summary>SBC-3, "SYNCHRONIZE CACHE (10) command".</summary>
    private readonly ScsiStep SynchronizeCache10(ScsiTask* task) => SynchronizeCache(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read16(task->Cdb + 7));

    /// <summary>SBC-3, "SYNCHRONIZE CACHE (16) command".</summary>
    private readonly ScsiStep SynchronizeCache16(ScsiTask* task) => SynchronizeCache(task, BigEndian.Read64(task->Cdb + 2), BigEndian.Read32(task->Cdb + 10));

    /// <summary>The whole cache, whatever the range. IMMED allows to answer earlier, and is not made use of.</summary>
    private readonly ScsiStep SynchronizeCache(ScsiTask* task, ulong address, uint blocks) =>
        Contains(address, blocks) ? Flush(task) : task->CheckCondition(SenseCode.LogicalBlockAddressOutOfRange);

    private readonly ScsiStep Flush(ScsiTask* task)
    {
        if (!device->Limits.HasWriteCache) return task->Good();
        task->Block.Operation = BlockOperation.Flush;
        return WithoutSegments(task, 0, 0);
    }

    private static ScsiStep WithoutSegments(ScsiTask* task, ulong offset, ulong length)
    {
        task->Block.ForceUnitAccess = false;
        task->Block.SegmentCount = 0;
        task->Block.Offset = offset;
        task->Block.Length = length;
        return ScsiStep.Submit;
    }

    /// <summary>SBC-3, "START STOP UNIT command". Whoever stops a disk wants its cache written; it answers again all the same.</summary>
    private readonly ScsiStep StartStopUnit(ScsiTask* task)
    {
        byte flags = task->Cdb[4];
        bool loadEject = (flags & 0x02) != 0, hasPowerCondition = (flags & 0xF0) != 0, start = (flags & 0x01) != 0;
        if (loadEject || hasPowerCondition) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        return start ? task->Good() : Flush(task);
    }

    /// <summary>SPC-4, "PREVENT ALLOW MEDIUM REMOVAL command": the medium cannot be removed anyway.</summary>
    private static ScsiStep PreventAllowMediumRemoval(ScsiTask* task) => task->Good();

    /// <summary>SBC-3, "UNMAP command". All ranges are checked before the first is given up.</summary>
    private readonly ScsiStep Unmap(ScsiTask* task)
    {
        if (!device->Limits.CanDiscard || DiscardLimit == 0) return task->CheckCondition(SenseCode.InvalidCommandOperationCode);
        if ((task->Cdb[1] & 1) != 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (IsReadOnly) return task->CheckCondition(SenseCode.WriteProtected);
        uint length = BigEndian.Read16(task->Cdb + 7);
        if (length == 0) return task->Good();
        if (length < UnmapHeaderBytes || length > task->DataOutBytes) return task->CheckCondition(SenseCode.ParameterListLengthError);

        const uint Capacity = UnmapHeaderBytes + MaximumUnmapDescriptors * UnmapDescriptorBytes;
        byte* list = stackalloc byte[(int)Capacity];
        task->Gather(list, Math.Min(length, Capacity));
        uint count = BigEndian.Read16(list + 2) / UnmapDescriptorBytes;
        if (count > (length - UnmapHeaderBytes) / UnmapDescriptorBytes) return task->CheckCondition(SenseCode.ParameterListLengthError);
        if (count > MaximumUnmapDescriptors) return task->CheckCondition(SenseCode.InvalidFieldInParameterList);
        SenseCode wrong = TakeRanges(task, list + UnmapHeaderBytes, count);
        if (wrong != SenseCode.NoSense) return task->CheckCondition(wrong);
        task->Kind = ScsiTaskKind.Unmap;
        task->Block.Operation = BlockOperation.Discard;
        task->Transferred = length;
        return NextUnmapRange(task);
    }

    /// <summary>The ranges take the place of the segments, which have been read. Segments hold 32-bit lengths, so these count blocks.</summary>
    private readonly SenseCode TakeRanges(ScsiTask* task, byte* descriptor, uint count)
    {
        ulong left = DiscardLimit >> blockShift;
        task->NextRange = task->RangeCount = 0;
        for (uint i = 0; i < count; i++, descriptor += UnmapDescriptorBytes)
        {
            ulong address = BigEndian.Read64(descriptor);
            uint blocks = BigEndian.Read32(descriptor + 8);
            if (!Contains(address, blocks)) return SenseCode.LogicalBlockAddressOutOfRange;
            if (blocks > left) return SenseCode.InvalidFieldInParameterList;
            left -= blocks;
            if (blocks == 0) continue;
            task->Segments[task->RangeCount++] = new BlockSegment { Physical = address, Length = blocks };
        }
        return SenseCode.NoSense;
    }

    private readonly ScsiStep NextUnmapRange(ScsiTask* task)
    {
        if (task->NextRange == task->RangeCount) return task->Good(task->Transferred);
        if (task->IsStopped) return task->CheckCondition(SenseCode.AbortedCommand);
        BlockSegment* range = task->Segments + task->NextRange++;
        return WithoutSegments(task, range->Physical << blockShift, (ulong)range->Length << blockShift);
    }

    /// <summary>SBC-3, "WRITE SAME (10) command".</summary>
    private readonly ScsiStep WriteSame10(ScsiTask* task) => WriteSame(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read16(task->Cdb + 7), false);

    /// <summary>SBC-3, "WRITE SAME (16) command".</summary>
    private readonly ScsiStep WriteSame16(ScsiTask* task) =>
        WriteSame(task, BigEndian.Read64(task->Cdb + 2), BigEndian.Read32(task->Cdb + 10), (task->Cdb[1] & NoDataOutBuffer) != 0);

    /// <summary>
    /// Zeros go to the device as such where it can. With the UNMAP bit it may unmap what then reads as the given block, and whether
    /// writing zeros does that is the device's business. 0 blocks would mean up to the end, which the block limits page excludes (WSNZ).
    /// </summary>
    private readonly ScsiStep WriteSame(ScsiTask* task, ulong address, uint blocks, bool withoutData)
    {
        byte flags = task->Cdb[1];
        if ((flags & (ProtectMask | Anchor)) != 0 || (flags & UnmapBit) != 0 && !CanUnmap) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (!Contains(address, blocks)) return task->CheckCondition(SenseCode.LogicalBlockAddressOutOfRange);
        if (IsReadOnly) return task->CheckCondition(SenseCode.WriteProtected);
        ulong bytes = (ulong)blocks << blockShift;
        if (blocks == 0 || bytes > MaximumPiecewiseBytes) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (withoutData) task->DataOutBytes = 0;
        else if (task->DataOutBytes < BlockBytes) return task->CheckCondition(SenseCode.InvalidFieldInCdb);

        if (CanWriteZeros && (withoutData || IsZero(task)))
        {
            task->Kind = ScsiTaskKind.WriteZeros;
            task->Block.Operation = BlockOperation.WriteZeros;
            ulong first = Math.Min(bytes, DiscardLimit);
            task->Remaining = bytes - first;
            return WithoutSegments(task, address << blockShift, first);
        }
        task->Block.Operation = BlockOperation.Write;
        task->Block.ForceUnitAccess = false;
        return FirstPiece(task, ScsiTaskKind.WriteSame, address, blocks);
    }

    /// <summary>Looked at where it lies: what a guest changes meanwhile is its own data.</summary>
    private readonly bool IsZero(ScsiTask* task)
    {
        int all = 0;
        uint left = BlockBytes;
        for (BlockSegment* segment = task->Segments; left != 0; segment++)
        {
            uint piece = Math.Min(left, segment->Length);
            for (uint i = 0; i < piece; i++) all |= ((byte*)segment->Physical)[i];
            left -= piece;
        }
        return all == 0;
    }

    /// <summary>The initiator's block, again and again up to the buffer's end; none: zeros.</summary>
    private readonly void FillPattern(ScsiTask* task)
    {
        Span<byte> first = new(task->Buffer, (int)BlockBytes);
        if (task->DataOutBytes == 0) first.Clear();
        else task->Gather(task->Buffer, BlockBytes);
        for (uint at = BlockBytes; at < task->BufferBytes; at += BlockBytes) first.CopyTo(new Span<byte>(task->Buffer + at, (int)BlockBytes));
    }
}
