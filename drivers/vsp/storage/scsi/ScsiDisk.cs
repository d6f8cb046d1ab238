// A direct-access block device as SCSI has it, over a BlockDevice. Sources: SPC-4, SBC-3; one command, one function.
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

/// <summary>
/// Takes a task to its end in steps: <see cref="Start"/>, then whatever the returned <see cref="ScsiStep"/> asks for. Touches the
/// initiator's memory only from within its functions and through the task's segments. Blocks of 512 to 4096 bytes.
/// </summary>
public unsafe partial struct ScsiDisk
{
    /// <summary>A piece of VERIFY or of WRITE SAME with other than zeros: what one task takes from the pool of buffers.</summary>
    private const uint PieceBytes = 64 * 1024;

    private BlockDevice* device;
    private int blockShift;
    private bool isReadOnly;
    private ScsiIdentity identity;

    public readonly BlockDevice* Device => device;
    public readonly bool IsReadOnly => isReadOnly || device->Limits.IsReadOnly;

    /// <summary>The next command but INQUIRY, REPORT LUNS and REQUEST SENSE ends with it, once.</summary>
    public SenseCode UnitAttention;

    /// <summary>False: a device that breaks the rules of <see cref="BlockLimits"/>, or an empty one.</summary>
    public static bool TryCreate(BlockDevice* device, bool isReadOnly, in ScsiIdentity identity, out ScsiDisk disk)
    {
        disk = default;
        ref BlockLimits limits = ref device->Limits;
        if (limits.BlockBytes is < 512 or > 4096 || (limits.BlockBytes & (limits.BlockBytes - 1)) != 0 || limits.Bytes < limits.BlockBytes) return false;
        if (limits.MaximumTransferBytes < ScsiTask.MaximumBytes || limits.MaximumSegments < ScsiTask.MaximumSegments) return false;
        if (limits.SegmentAlignment is not (1 or 2 or 4) || device->QueueCount == 0) return false;
        disk.device = device;
        disk.isReadOnly = isReadOnly;
        disk.identity = identity;
        while (limits.BlockBytes >> disk.blockShift != 1) disk.blockShift++;
        return true;
    }

    private readonly ulong Blocks => device->Limits.Bytes >> blockShift;
    private readonly uint BlockBytes => 1u << blockShift;

    /// <summary>The CDB and the segments are set, nothing else of the task is looked at.</summary>
    public ScsiStep Start(ScsiTask* task)
    {
        byte* cdb = task->Cdb;
        if (UnitAttention != SenseCode.NoSense && cdb[0] is not (OperationCode.Inquiry or OperationCode.RequestSense)) return ReportUnitAttention(task);
        switch (cdb[0])
        {
            case OperationCode.Read10: return Read10(task);
            case OperationCode.Write10: return Write10(task);
            case OperationCode.Read16: return Read16(task);
            case OperationCode.Write16: return Write16(task);
            case OperationCode.Read6: return Read6(task);
            case OperationCode.Write6: return Write6(task);
            case OperationCode.Read12: return Read12(task);
            case OperationCode.Write12: return Write12(task);
            case OperationCode.TestUnitReady: return TestUnitReady(task);
            case OperationCode.RequestSense: return RequestSense(task);
            case OperationCode.Inquiry: return Inquiry(task);
            case OperationCode.ModeSense6: return ModeSense6(task);
            case OperationCode.ModeSense10: return ModeSense10(task);
            case OperationCode.ModeSelect6: return ModeSelect6(task);
            case OperationCode.ModeSelect10: return ModeSelect10(task);
            case OperationCode.StartStopUnit: return StartStopUnit(task);
            case OperationCode.PreventAllowMediumRemoval: return PreventAllowMediumRemoval(task);
            case OperationCode.ReadCapacity10: return ReadCapacity10(task);
            case OperationCode.ServiceActionIn16: return ServiceActionIn16(task);
            case OperationCode.Verify10: return Verify10(task);
            case OperationCode.Verify12: return Verify12(task);
            case OperationCode.Verify16: return Verify16(task);
            case OperationCode.SynchronizeCache10: return SynchronizeCache10(task);
            case OperationCode.SynchronizeCache16: return SynchronizeCache16(task);
            case OperationCode.WriteSame10: return WriteSame10(task);
            case OperationCode.WriteSame16: return WriteSame16(task);
            case OperationCode.Unmap: return Unmap(task);
            // Reservations among them: one initiator has nobody to reserve from, and a refusal is what keeps clusters off.
            default: return task->CheckCondition(SenseCode.InvalidCommandOperationCode);
        }
    }

    /// <summary>The device has completed the task's request.</summary>
    public ScsiStep Continue(ScsiTask* task)
    {
        if (task->Block.Status != BlockStatus.Success) return Failed(task);
        switch (task->Kind)
        {
            case ScsiTaskKind.Direct: return task->Good((uint)task->Block.Length);
            case ScsiTaskKind.ReadThroughBuffer:
                task->Scatter(task->Buffer, (uint)task->Block.Length);
                return task->Good((uint)task->Block.Length);
            case ScsiTaskKind.WriteThroughBuffer: return task->Good((uint)task->Block.Length);
            case ScsiTaskKind.Unmap: return NextUnmapRange(task);
            default: return NextPiece(task);
        }
    }

    /// <summary><see cref="ScsiTask.Buffer"/> has been set after <see cref="ScsiStep.NeedBuffer"/>.</summary>
    public readonly ScsiStep BufferGiven(ScsiTask* task)
    {
        switch (task->Kind)
        {
            case ScsiTaskKind.WriteThroughBuffer:
                task->Gather(task->Buffer, task->BufferBytes);
                break;
            case ScsiTaskKind.WriteSame:
                FillPattern(task);
                break;
        }
        task->UseBuffer(task->BufferBytes);
        return ScsiStep.Submit;
    }

    private ScsiStep ReportUnitAttention(ScsiTask* task)
    {
        SenseCode sense = UnitAttention;
        UnitAttention = SenseCode.NoSense;
        return task->CheckCondition(sense);
    }

    private static ScsiStep Failed(ScsiTask* task)
    {
        bool isRead = task->Block.Operation == BlockOperation.Read;
        return task->Block.Status switch
        {
            BlockStatus.MediumError => task->CheckCondition(isRead ? SenseCode.UnrecoveredReadError : SenseCode.WriteError),
            BlockStatus.ReadOnly => task->CheckCondition(SenseCode.WriteProtected),
            BlockStatus.OutOfRange => task->CheckCondition(SenseCode.LogicalBlockAddressOutOfRange),
            BlockStatus.NoSpace => task->CheckCondition(SenseCode.SpaceAllocationFailedWriteProtect),
            BlockStatus.Unsupported => task->CheckCondition(SenseCode.InvalidFieldInCdb),
            BlockStatus.Aborted => task->CheckCondition(SenseCode.AbortedCommand),
            // The guest forgets the unit, as it does after a hot removal.
            BlockStatus.Gone => task->Refuse(Storage.SrbStatus.InvalidLun),
            _ => task->CheckCondition(SenseCode.InternalTargetFailure),
        };
    }

    /// <summary>SPC-4, "TEST UNIT READY command".</summary>
    private static ScsiStep TestUnitReady(ScsiTask* task) => task->Good();

    /// <summary>SPC-4, "REQUEST SENSE command": errors were reported with their commands, so what may wait is a unit attention.</summary>
    private ScsiStep RequestSense(ScsiTask* task)
    {
        byte* sense = stackalloc byte[SenseData.FixedLength];
        SenseCode code = UnitAttention;
        UnitAttention = SenseCode.NoSense;
        bool isDescriptor = (task->Cdb[1] & 1) != 0;
        if (isDescriptor) SenseData.WriteDescriptor(sense, code);
        else SenseData.WriteFixed(sense, code);
        return task->Return(sense, isDescriptor ? (uint)SenseData.DescriptorLength : SenseData.FixedLength, task->Cdb[4]);
    }

    /// <summary>SBC-3, "READ CAPACITY (10) command".</summary>
    private readonly ScsiStep ReadCapacity10(ScsiTask* task)
    {
        bool isPartial = (task->Cdb[8] & 1) != 0;
        if (isPartial || BigEndian.Read32(task->Cdb + 2) != 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        byte* data = stackalloc byte[8];
        ulong last = Blocks - 1;
        BigEndian.Write32(data, last > uint.MaxValue ? uint.MaxValue : (uint)last);
        BigEndian.Write32(data + 4, BlockBytes);
        return task->Return(data, 8, 8);
    }

    /// <summary>SPC-4, "SERVICE ACTION IN(16)": only READ CAPACITY (16).</summary>
    private readonly ScsiStep ServiceActionIn16(ScsiTask* task) => (task->Cdb[1] & 0x1F) == OperationCode.ReadCapacity16Action
        ? ReadCapacity16(task) : task->CheckCondition(SenseCode.InvalidFieldInCdb);

    /// <summary>SBC-3, "READ CAPACITY (16) command".</summary>
    private readonly ScsiStep ReadCapacity16(ScsiTask* task)
    {
        byte* data = stackalloc byte[32];
        for (int i = 0; i < 32; i++) data[i] = 0;
        BigEndian.Write64(data, Blocks - 1);
        BigEndian.Write32(data + 8, BlockBytes);
        int exponent = 0;
        while (exponent < 15 && BlockBytes << exponent < device->Limits.PhysicalBlockBytes) exponent++;
        data[13] = (byte)exponent;
        if (device->Limits.CanDiscard && !IsReadOnly) data[14] = 0x80; // LBPME
        return task->Return(data, 32, BigEndian.Read32(task->Cdb + 10));
    }
}
