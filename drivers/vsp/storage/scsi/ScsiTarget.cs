// What a target answers for units that are not there, and which are there. SPC-4.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

/// <summary>Without state: the units are the caller's.</summary>
public static unsafe class ScsiTarget
{
    public const int MaximumUnits = 64;

    /// <summary>
    /// Any command to a unit that is not there. The guest's driver is told so by SRB_STATUS_INVALID_LUN and drops the unit; INQUIRY alone
    /// succeeds with peripheral qualifier 3, as Linux takes every failed one for a success and would see a nameless disk. Linux also
    /// looks for the unit to be dropped on path 0 whatever the path was, so other paths have a status of their own.
    /// </summary>
    public static ScsiStep NoUnit(ScsiTask* task, byte path)
    {
        byte* cdb = task->Cdb;
        if (cdb[0] != OperationCode.Inquiry || (cdb[1] & 1) != 0 || cdb[2] != 0)
            return task->Refuse(path == 0 ? Storage.SrbStatus.InvalidLun : Storage.SrbStatus.InvalidPathId);
        byte* data = stackalloc byte[ScsiDisk.StandardInquiryLength];
        ScsiDisk.WriteStandardInquiry(data, isPresent: false);
        return task->Return(data, ScsiDisk.StandardInquiryLength, BigEndian.Read16(cdb + 3));
    }

    /// <summary>SPC-4, "REPORT LUNS command". <paramref name="units"/>: bit n is unit n.</summary>
    public static ScsiStep ReportLuns(ScsiTask* task, ulong units)
    {
        const byte OnlyWellKnown = 1, LastSelectReport = 2;
        byte select = task->Cdb[2];
        uint allocationLength = BigEndian.Read32(task->Cdb + 6);
        if (select > LastSelectReport || allocationLength < 16) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        byte* data = stackalloc byte[8 + MaximumUnits * 8];
        new Span<byte>(data, 8 + MaximumUnits * 8).Clear();
        uint length = 8;
        if (select == OnlyWellKnown) units = 0;
        for (int lun = 0; lun < MaximumUnits; lun++)
        {
            if ((units >> lun & 1) == 0) continue;
            data[length + 1] = (byte)lun; // single level, peripheral device addressing
            length += 8;
        }
        BigEndian.Write32(data, length - 8);
        return task->Return(data, length, allocationLength);
    }
}
