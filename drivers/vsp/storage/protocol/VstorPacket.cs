// What goes through a storage channel: 64-byte packets. Source: Linux, "drivers/scsi/storvsc_drv.c" (6.1, 6.12).
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Vsp.Storage;

/// <summary>vstor_packet: every message of both sides.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct VstorPacket
{
    /// <summary>What a guest of protocol 4.2 sends before the version is agreed upon: without the end of the SRB.</summary>
    public const int ShortSize = 48;

    [FieldOffset(0)] public uint Operation;
    /// <summary>Bit 0: a completion is wanted; the ring's own flag says the same.</summary>
    [FieldOffset(4)] public uint Flags;
    /// <summary>In completions, see <see cref="NtStatus"/>.</summary>
    [FieldOffset(8)] public uint Status;
    [FieldOffset(12)] public VmscsiRequest VmSrb;
    [FieldOffset(12)] public VmstorageChannelProperties StorageChannelProperties;
    [FieldOffset(12)] public VmstorageProtocolVersion Version;
    [FieldOffset(12)] public ushort SubChannelCount;
}

/// <summary>vmscsi_request: a SCSI command, and what became of it.</summary>
[StructLayout(LayoutKind.Explicit, Size = 52)]
public unsafe struct VmscsiRequest
{
    public const int MaximumCdbLength = 16, SenseBufferSize = 20;

    // data_in
    public const byte WriteType = 0, ReadType = 1, UnknownType = 2;

    [FieldOffset(0)] public ushort Length;
    [FieldOffset(2)] public byte SrbStatus;
    [FieldOffset(3)] public byte ScsiStatus;
    [FieldOffset(4)] public byte PortNumber;
    [FieldOffset(5)] public byte PathId;
    [FieldOffset(6)] public byte TargetId;
    [FieldOffset(7)] public byte Lun;
    [FieldOffset(8)] public byte CdbLength;
    /// <summary>In: room for sense data; out: how much there is.</summary>
    [FieldOffset(9)] public byte SenseInfoLength;
    [FieldOffset(10)] public byte DataIn;
    [FieldOffset(11)] public byte Reserved;
    /// <summary>In: bytes of the guest's buffer; out: bytes moved.</summary>
    [FieldOffset(12)] public uint DataTransferLength;
    [FieldOffset(16)] public fixed byte Cdb[MaximumCdbLength];
    [FieldOffset(16)] public fixed byte SenseData[SenseBufferSize];
    [FieldOffset(36)] public ushort Reserve;
    [FieldOffset(38)] public byte QueueTag;
    [FieldOffset(39)] public byte QueueAction;
    [FieldOffset(40)] public uint SrbFlags;
    [FieldOffset(44)] public uint TimeOutValue;
    [FieldOffset(48)] public uint QueueSortKey;
}

/// <summary>vmstorage_channel_properties, the answer to QUERY_PROPERTIES.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct VmstorageChannelProperties
{
    public const uint SupportsMultiChannel = 1;

    [FieldOffset(0)] public uint Reserved;
    /// <summary>Of sub-channels.</summary>
    [FieldOffset(4)] public ushort MaxChannelCount;
    [FieldOffset(6)] public ushort Reserved1;
    [FieldOffset(8)] public uint Flags;
    [FieldOffset(12)] public uint MaxTransferBytes;
    [FieldOffset(16)] public uint Reserved2Low;
    [FieldOffset(20)] public uint Reserved2High;
}

/// <summary>vmstorage_protocol_version: major in the high byte.</summary>
[StructLayout(LayoutKind.Explicit, Size = 4)]
public struct VmstorageProtocolVersion
{
    public const ushort Win8 = 0x0501, Win8_1 = 0x0600, Win10 = 0x0602;

    [FieldOffset(0)] public ushort MajorMinor;
    [FieldOffset(2)] public ushort Revision;
}
