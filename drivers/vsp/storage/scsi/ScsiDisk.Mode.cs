// Mode parameters: caching and control, none of which can be changed. SPC-4, SBC-3.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

public unsafe partial struct ScsiDisk
{
    private const byte CachingPage = 0x08, ControlPage = 0x0A, AllPages = 0x3F, AllSubpages = 0xFF;
    private const int CachingLength = 20, ControlLength = 12, BlockDescriptorLength = 8, LongestHeader = 8;
    private const int LongestModeData = LongestHeader + BlockDescriptorLength + CachingLength + ControlLength;

    private enum PageControl { Current, Changeable, Default, Saved }

    /// <summary>SPC-4, "MODE SENSE (6) command".</summary>
    private readonly ScsiStep ModeSense6(ScsiTask* task)
    {
        byte* data = stackalloc byte[LongestModeData];
        int length = ModeData(task->Cdb, data, 4, out SenseCode wrong);
        if (wrong != SenseCode.NoSense) return task->CheckCondition(wrong);
        data[0] = (byte)(length - 1);
        data[2] = DeviceSpecificParameter;
        data[3] = (byte)BlockDescriptorLengthOf(task->Cdb);
        return task->Return(data, (uint)length, task->Cdb[4]);
    }

    /// <summary>SPC-4, "MODE SENSE (10) command".</summary>
    private readonly ScsiStep ModeSense10(ScsiTask* task)
    {
        byte* data = stackalloc byte[LongestModeData];
        int length = ModeData(task->Cdb, data, 8, out SenseCode wrong);
        if (wrong != SenseCode.NoSense) return task->CheckCondition(wrong);
        BigEndian.Write16(data, (ushort)(length - 2));
        data[3] = DeviceSpecificParameter;
        data[7] = (byte)BlockDescriptorLengthOf(task->Cdb);
        return task->Return(data, (uint)length, BigEndian.Read16(task->Cdb + 7));
    }

    /// <summary>WP, and DPOFUA: writes may ask for the medium.</summary>
    private readonly byte DeviceSpecificParameter => (byte)((IsReadOnly ? 0x80 : 0) | 0x10);

    /// <summary>Disable block descriptors is bit 3 of the second byte.</summary>
    private static int BlockDescriptorLengthOf(byte* cdb) => (cdb[1] & 0x08) != 0 ? 0 : BlockDescriptorLength;

    /// <summary>Zeroed header, block descriptor, pages; their length.</summary>
    private readonly int ModeData(byte* cdb, byte* data, int header, out SenseCode wrong)
    {
        new Span<byte>(data, LongestModeData).Clear();
        var control = (PageControl)(cdb[2] >> 6);
        byte page = (byte)(cdb[2] & 0x3F), subpage = cdb[3];
        wrong = SenseCode.NoSense;
        int length = header;
        if (BlockDescriptorLengthOf(cdb) != 0)
        {
            ulong blocks = Blocks;
            BigEndian.Write32(data + length, blocks > uint.MaxValue ? uint.MaxValue : (uint)blocks);
            BigEndian.Write32(data + length + 4, BlockBytes); // its first byte is reserved, and 0
            length += BlockDescriptorLength;
        }
        bool isKnown = page is CachingPage or ControlPage ? subpage == 0 : page == AllPages && subpage is (0 or AllSubpages);
        if (control == PageControl.Saved) wrong = SenseCode.SavingParametersNotSupported;
        else if (!isKnown) wrong = SenseCode.InvalidFieldInCdb;
        if (page is CachingPage or AllPages) length += Caching(data + length, control);
        if (page is ControlPage or AllPages) length += Control(data + length, control);
        return length;
    }

    /// <summary>SBC-3, "Caching mode page".</summary>
    private readonly int Caching(byte* data, PageControl control)
    {
        data[0] = CachingPage;
        data[1] = CachingLength - 2;
        if (control != PageControl.Changeable && device->Limits.HasWriteCache) data[2] = 0x04; // WCE
        return CachingLength;
    }

    /// <summary>SPC-4, "Control mode page".</summary>
    private static int Control(byte* data, PageControl control)
    {
        data[0] = ControlPage;
        data[1] = ControlLength - 2;
        if (control != PageControl.Changeable) data[3] = 0x10; // unrestricted reordering
        return ControlLength;
    }

    /// <summary>SPC-4, "MODE SELECT (6) command".</summary>
    private readonly ScsiStep ModeSelect6(ScsiTask* task) => ModeSelect(task, 4, task->Cdb[4]);

    /// <summary>SPC-4, "MODE SELECT (10) command".</summary>
    private readonly ScsiStep ModeSelect10(ScsiTask* task) => ModeSelect(task, 8, BigEndian.Read16(task->Cdb + 7));

    /// <summary>Accepts what is so already. In particular WCE is the device's own.</summary>
    private readonly ScsiStep ModeSelect(ScsiTask* task, uint header, uint length)
    {
        bool pageFormat = (task->Cdb[1] & 0x10) != 0, savePages = (task->Cdb[1] & 0x01) != 0;
        if (savePages || !pageFormat && length > header + BlockDescriptorLength) return task->CheckCondition(SenseCode.InvalidFieldInCdb);
        if (length == 0) return task->Good();
        if (length < header || length > task->DataOutBytes) return task->CheckCondition(SenseCode.ParameterListLengthError);
        if (length > LongestModeData) return task->CheckCondition(SenseCode.InvalidFieldInParameterList);
        byte* list = stackalloc byte[LongestModeData];
        task->Gather(list, length);
        uint descriptors = header == 4 ? list[3] : BigEndian.Read16(list + 6);
        if (descriptors is not (0 or BlockDescriptorLength)) return task->CheckCondition(SenseCode.InvalidFieldInParameterList);
        uint at = header + descriptors;
        if (at > length) return task->CheckCondition(SenseCode.ParameterListLengthError);
        if (descriptors != 0 && (BigEndian.Read32(list + header + 4) & 0xFF_FFFF) != BlockBytes) return task->CheckCondition(SenseCode.InvalidFieldInParameterList);
        SenseCode wrong = ComparePages(list + at, length - at);
        return wrong == SenseCode.NoSense ? task->Good(length) : task->CheckCondition(wrong);
    }

    private readonly SenseCode ComparePages(byte* pages, uint left)
    {
        byte* current = stackalloc byte[CachingLength];
        while (left != 0)
        {
            new Span<byte>(current, CachingLength).Clear();
            uint size = (pages[0] & 0x3F) switch
            {
                CachingPage => (uint)Caching(current, PageControl.Current),
                ControlPage => (uint)Control(current, PageControl.Current),
                _ => 0,
            };
            if (size == 0) return SenseCode.InvalidFieldInParameterList;
            if (size > left) return SenseCode.ParameterListLengthError;
            pages[0] &= 0x3F; // parameters saveable is reserved here
            if (!new ReadOnlySpan<byte>(pages, (int)size).SequenceEqual(new ReadOnlySpan<byte>(current, (int)size))) return SenseCode.InvalidFieldInParameterList;
            pages += size;
            left -= size;
        }
        return SenseCode.NoSense;
    }
}
