// INQUIRY: who the disk says it is, and its vital product data pages. SPC-4, SBC-3.
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

public unsafe partial struct ScsiDisk
{
    public const int StandardInquiryLength = 74;
    private const int LongestPage = 64;

    // "Msft" it is not: Linux takes that vendor for a host that claims SPC-2 and does more, raises the level by the protocol's version
    // and lets WRITE SAME through. We say SPC-4, which makes it read capacity (16) and the pages below by itself.
    private static ReadOnlySpan<byte> Vendor => "Lamina  "u8;
    private static ReadOnlySpan<byte> Product => "Virtual Disk    "u8;
    private static ReadOnlySpan<byte> Revision => "1.0 "u8;

    /// <summary>SPC-4, "INQUIRY command".</summary>
    private readonly ScsiStep Inquiry(ScsiTask* task)
    {
        byte* cdb = task->Cdb;
        bool wantsPage = (cdb[1] & 1) != 0;
        uint allocationLength = BigEndian.Read16(cdb + 3);
        byte* data = stackalloc byte[StandardInquiryLength];
        if (!wantsPage)
        {
            if (cdb[2] != 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
            WriteStandardInquiry(data, isPresent: true);
            return task->Return(data, StandardInquiryLength, allocationLength);
        }
        for (int i = 0; i < LongestPage; i++) data[i] = 0;
        int length = VitalProductData(cdb[2], data + 4);
        if (length < 0) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        data[1] = cdb[2];
        BigEndian.Write16(data + 2, (ushort)length);
        return task->Return(data, (uint)length + 4, allocationLength);
    }

    /// <summary>Standard INQUIRY data; for a unit that is not there: peripheral qualifier 3, which ends a guest's search there.</summary>
    public static void WriteStandardInquiry(byte* data, bool isPresent)
    {
        new Span<byte>(data, StandardInquiryLength).Clear();
        data[0] = isPresent ? (byte)0 : (byte)0x7F;
        data[2] = 6; // SPC-4
        data[3] = 2; // response data format
        data[4] = StandardInquiryLength - 5;
        data[7] = 2; // CMDQUE
        Vendor.CopyTo(new Span<byte>(data + 8, 8));
        Product.CopyTo(new Span<byte>(data + 16, 16));
        Revision.CopyTo(new Span<byte>(data + 32, 4));
        BigEndian.Write16(data + 58, 0x00A0); // SAM-5
        BigEndian.Write16(data + 60, 0x0460); // SPC-4
        BigEndian.Write16(data + 62, 0x04C0); // SBC-3
    }

    /// <summary>A page's content after its four bytes of header, into zeroed memory; its length, or -1: no such page.</summary>
    private readonly int VitalProductData(byte page, byte* data) => page switch
    {
        0x00 => SupportedVpdPages(data),
        0x80 => UnitSerialNumber(data),
        0x83 => DeviceIdentification(data),
        0xB0 => BlockLimitsPage(data),
        0xB1 => BlockDeviceCharacteristics(data),
        0xB2 => LogicalBlockProvisioning(data),
        _ => -1,
    };

    private static int SupportedVpdPages(byte* data)
    {
        ReadOnlySpan<byte> pages = [0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2];
        pages.CopyTo(new Span<byte>(data, pages.Length));
        return pages.Length;
    }

    private readonly int UnitSerialNumber(byte* data)
    {
        identity.CopySerial(data);
        return ScsiIdentity.SerialLength;
    }

    /// <summary>Two designators of the logical unit: a locally assigned NAA, and vendor with serial number (T10).</summary>
    private readonly int DeviceIdentification(byte* data)
    {
        data[0] = 1; // binary
        data[1] = 3; // NAA
        data[3] = 8;
        BigEndian.Write64(data + 4, identity.NaaIdentifier);
        data += 12;
        data[0] = 2; // ASCII
        data[1] = 1; // T10 vendor ID based
        data[3] = 8 + ScsiIdentity.SerialLength;
        Vendor.CopyTo(new Span<byte>(data + 4, 8));
        identity.CopySerial(data + 12);
        return 12 + 12 + ScsiIdentity.SerialLength;
    }

    /// <summary>SBC-3, "Block Limits VPD page"; offsets there count the header's four bytes.</summary>
    private readonly int BlockLimitsPage(byte* data)
    {
        ref BlockLimits limits = ref device->Limits;
        data[0] = 1; // WSNZ
        BigEndian.Write16(data + 2, (ushort)Math.Max(limits.PhysicalBlockBytes >> blockShift, 1));
        BigEndian.Write32(data + 4, ScsiTask.MaximumBytes >> blockShift);
        if (CanUnmap)
        {
            BigEndian.Write32(data + 16, (uint)Math.Min(DiscardLimit >> blockShift, uint.MaxValue));
            BigEndian.Write32(data + 20, MaximumUnmapDescriptors);
            BigEndian.Write32(data + 24, Math.Max(limits.PhysicalBlockBytes >> blockShift, 1));
        }
        BigEndian.Write64(data + 32, MaximumPiecewiseBytes >> blockShift);
        return 0x3C;
    }

    private static int BlockDeviceCharacteristics(byte* data)
    {
        data[1] = 1; // does not rotate
        return 0x3C;
    }

    private readonly int LogicalBlockProvisioning(byte* data)
    {
        if (!CanUnmap) return 4;
        data[1] = 0x80; // LBPU; LBPRZ stays 0, as what a discard leaves is anything
        if (CanWriteZeros) data[1] |= 0x60; // LBPWS, LBPWS10
        data[2] = 2; // thin
        return 4;
    }
}
