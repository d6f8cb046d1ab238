// READ, WRITE and VERIFY. SBC-3.
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

public unsafe partial struct ScsiDisk
{
    // Second byte of the CDB. Disable page out (0x10) is a hint that nobody below takes.
    private const byte ProtectMask = 0xE0, ForceUnitAccess = 0x08, ByteCheckMask = 0x06;

    /// <summary>SBC-3, "READ (10) command".</summary>
    private readonly ScsiStep Read10(ScsiTask* task) => Read(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read16(task->Cdb + 7), task->Cdb[1]);

    /// <summary>SBC-3, "WRITE (10) command".</summary>
    private readonly ScsiStep Write10(ScsiTask* task) => Write(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read16(task->Cdb + 7), task->Cdb[1]);

    /// <summary>SBC-3, "READ (16) command".</summary>
    private readonly ScsiStep Read16(ScsiTask* task) => Read(task, BigEndian.Read64(task->Cdb + 2), BigEndian.Read32(task->Cdb + 10), task->Cdb[1]);

    /// <summary>SBC-3, "WRITE (16) command".</summary>
    private readonly ScsiStep Write16(ScsiTask* task) => Write(task, BigEndian.Read64(task->Cdb + 2), BigEndian.Read32(task->Cdb + 10), task->Cdb[1]);

    /// <summary>SBC-3, "READ (12) command".</summary>
    private readonly ScsiStep Read12(ScsiTask* task) => Read(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read32(task->Cdb + 6), task->Cdb[1]);

    /// <summary>SBC-3, "WRITE (12) command".</summary>
    private readonly ScsiStep Write12(ScsiTask* task) => Write(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read32(task->Cdb + 6), task->Cdb[1]);

    /// <summary>SBC-3, "READ (6) command".</summary>
    private readonly ScsiStep Read6(ScsiTask* task) => Read(task, Address6(task->Cdb), Length6(task->Cdb), 0);

    /// <summary>SBC-3, "WRITE (6) command".</summary>
    private readonly ScsiStep Write6(ScsiTask* task) => Write(task, Address6(task->Cdb), Length6(task->Cdb), 0);

    private static ulong Address6(byte* cdb) => BigEndian.Read32(cdb) & 0x1F_FFFF;

    /// <summary>In six bytes 0 means 256.</summary>
    private static uint Length6(byte* cdb) => cdb[4] == 0 ? 256u : cdb[4];

    private readonly ScsiStep Read(ScsiTask* task, ulong address, uint blocks, byte flags)
    {
        if ((flags & ProtectMask) != 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (!Contains(address, blocks)) return task->CheckCondition(SenseCode.LogicalBlockAddressOutOfRange);
        task->Block.Operation = BlockOperation.Read;
        // What was written is in the device's cache or on its medium: a read may come from either but for a look at the medium itself.
        task->Block.ForceUnitAccess = false;
        return Transfer(task, address, blocks, task->DataInBytes, ScsiTaskKind.ReadThroughBuffer);
    }

    private readonly ScsiStep Write(ScsiTask* task, ulong address, uint blocks, byte flags)
    {
        if ((flags & ProtectMask) != 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (!Contains(address, blocks)) return task->CheckCondition(SenseCode.LogicalBlockAddressOutOfRange);
        if (IsReadOnly) return task->CheckCondition(SenseCode.WriteProtected);
        task->Block.Operation = BlockOperation.Write;
        task->Block.ForceUnitAccess = (flags & ForceUnitAccess) != 0;
        return Transfer(task, address, blocks, task->DataOutBytes, ScsiTaskKind.WriteThroughBuffer);
    }

    private readonly bool Contains(ulong address, ulong blocks) => address <= Blocks && blocks <= Blocks - address;

    /// <summary>
    /// A buffer longer than the blocks leaves a residual. One that is shorter (or for the other direction) moves nothing: half a
    /// command's data is of no use to whoever sent it. <paramref name="throughBuffer"/>: where the device cannot have it as it lies.
    /// </summary>
    private readonly ScsiStep Transfer(ScsiTask* task, ulong address, uint blocks, uint available, ScsiTaskKind throughBuffer)
    {
        if (blocks == 0) return task->Good();
        ulong bytes = (ulong)blocks << blockShift;
        if (bytes > available || bytes > ScsiTask.MaximumBytes) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (bytes < available) task->Trim((uint)bytes);
        task->Block.Offset = address << blockShift;
        task->Block.Length = bytes;
        task->Block.SegmentCount = task->SegmentCount;
        if ((task->AddressBits & (device->Limits.SegmentAlignment - 1)) == 0 && !(task->HasGaps && device->Limits.NeedsPageSegments)) return ScsiStep.Submit;
        task->Kind = throughBuffer;
        task->BufferBytes = (uint)bytes;
        return ScsiStep.NeedBuffer;
    }

    /// <summary>SBC-3, "VERIFY (10) command".</summary>
    private readonly ScsiStep Verify10(ScsiTask* task) => Verify(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read16(task->Cdb + 7));

    /// <summary>SBC-3, "VERIFY (12) command".</summary>
    private readonly ScsiStep Verify12(ScsiTask* task) => Verify(task, BigEndian.Read32(task->Cdb + 2), BigEndian.Read32(task->Cdb + 6));

    /// <summary>SBC-3, "VERIFY (16) command".</summary>
    private readonly ScsiStep Verify16(ScsiTask* task) => Verify(task, BigEndian.Read64(task->Cdb + 2), BigEndian.Read32(task->Cdb + 10));

    /// <summary>Reads piece after piece into one buffer of ours. A comparison with data of the initiator's is not offered.</summary>
    private readonly ScsiStep Verify(ScsiTask* task, ulong address, uint blocks)
    {
        if ((task->Cdb[1] & (ProtectMask | ByteCheckMask)) != 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (!Contains(address, blocks)) return task->CheckCondition(SenseCode.LogicalBlockAddressOutOfRange);
        if (blocks == 0) return task->Good();
        if ((ulong)blocks << blockShift > MaximumPiecewiseBytes) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        task->Block.Operation = BlockOperation.Read;
        task->Block.ForceUnitAccess = false;
        return FirstPiece(task, ScsiTaskKind.Verify, address, blocks);
    }

    private readonly ScsiStep FirstPiece(ScsiTask* task, ScsiTaskKind kind, ulong address, uint blocks)
    {
        task->Kind = kind;
        task->Block.Offset = address << blockShift;
        task->Remaining = (ulong)blocks << blockShift;
        task->BufferBytes = (uint)Math.Min(task->Remaining, PieceBytes);
        task->Remaining -= task->BufferBytes;
        return ScsiStep.NeedBuffer;
    }

    /// <summary>After a piece of VERIFY, WRITE SAME or of zeros.</summary>
    private readonly ScsiStep NextPiece(ScsiTask* task)
    {
        if (task->Remaining == 0) return task->Good(task->Kind == ScsiTaskKind.Verify ? 0 : Math.Min(task->DataOutBytes, BlockBytes));
        if (task->IsStopped) return task->CheckCondition(SenseCode.AbortedCommand);
        task->Block.Offset += task->Block.Length;
        if (task->Kind == ScsiTaskKind.WriteZeros) task->Block.Length = Math.Min(task->Remaining, DiscardLimit);
        else task->UseBuffer((uint)Math.Min(task->Remaining, PieceBytes));
        task->Remaining -= task->Block.Length;
        return ScsiStep.Submit;
    }
}
