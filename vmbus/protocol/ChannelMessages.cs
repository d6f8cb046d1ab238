// Channel messages as they lie in SynIC messages. Sources: Linux, "include/linux/hyperv.h"; OpenVMM, "vmbus_core/protocol".

using System.Runtime.InteropServices;

namespace Lamina.VMBus;

/// <summary>Every message's beginning; REQUESTOFFERS, ALLOFFERS_DELIVERED, UNLOAD and UNLOAD_RESPONSE are nothing else.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct ChannelMessageHeader
{
    [FieldOffset(0)] public uint MessageType;
    [FieldOffset(4)] public uint Padding;
}

/// <summary>1, host to guest. The event flag of the channel is its number; the guest signals <see cref="ConnectionId"/>.</summary>
[StructLayout(LayoutKind.Explicit, Size = 196, Pack = 4)]
public unsafe struct OfferChannelMessage
{
    public const int UserDefinedSize = 120;

    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public VMBusGuid InterfaceId;
    [FieldOffset(24)] public VMBusGuid InstanceId;
    [FieldOffset(40)] public ulong Reserved1;
    [FieldOffset(48)] public ulong Reserved2;
    [FieldOffset(56)] public ushort Flags;
    [FieldOffset(58)] public ushort MmioMegabytes;
    [FieldOffset(60)] public fixed byte UserDefined[UserDefinedSize];
    [FieldOffset(180)] public ushort SubChannelIndex;
    [FieldOffset(182)] public ushort MmioMegabytesOptional;
    [FieldOffset(184)] public uint RelId;
    [FieldOffset(188)] public byte MonitorId;
    /// <summary>Bit 0: the monitor id counts. Never set here.</summary>
    [FieldOffset(189)] public byte MonitorAllocated;
    /// <summary>Bit 0: the guest signals by its own connection, not by the interrupt page. Always set here.</summary>
    [FieldOffset(190)] public ushort IsDedicatedInterrupt;
    [FieldOffset(192)] public uint ConnectionId;
}

/// <summary>2, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 12)]
public struct RescindChannelOfferMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
}

/// <summary>5, guest to host. The ring's GPADL holds guest-to-host first, host-to-guest from page <see cref="DownstreamPageOffset"/>.</summary>
[StructLayout(LayoutKind.Explicit, Size = 148)]
public unsafe struct OpenChannelMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint OpenId;
    [FieldOffset(16)] public uint RingGpadl;
    [FieldOffset(20)] public uint TargetVp;
    [FieldOffset(24)] public uint DownstreamPageOffset;
    [FieldOffset(28)] public fixed byte UserData[OfferChannelMessage.UserDefinedSize];
}

/// <summary>6, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 20)]
public struct OpenChannelResultMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint OpenId;
    [FieldOffset(16)] public uint Status;
}

/// <summary>7, guest to host. Not answered.</summary>
[StructLayout(LayoutKind.Explicit, Size = 12)]
public struct CloseChannelMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
}

/// <summary>8, guest to host: the beginning of a GPADL and of its first range; page numbers follow at <see cref="PagesOffset"/>.</summary>
[StructLayout(LayoutKind.Explicit, Size = 28)]
public struct GpadlHeaderMessage
{
    public const int PagesOffset = 28;

    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint Gpadl;
    /// <summary>Bytes of all ranges: 8 for each range's own fields, 8 for each page.</summary>
    [FieldOffset(16)] public ushort RangeBufferLength;
    [FieldOffset(18)] public ushort RangeCount;
    [FieldOffset(20)] public uint ByteCount;
    [FieldOffset(24)] public uint ByteOffset;
}

/// <summary>9, guest to host: more page numbers, from <see cref="PagesOffset"/>. Order of arrival counts, not the number.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct GpadlBodyMessage
{
    public const int PagesOffset = 16;

    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint MessageNumber;
    [FieldOffset(12)] public uint Gpadl;
}

/// <summary>10, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 20)]
public struct GpadlCreatedMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint Gpadl;
    [FieldOffset(16)] public uint Status;
}

/// <summary>11, guest to host.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct GpadlTeardownMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint Gpadl;
}

/// <summary>12, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 12)]
public struct GpadlTorndownMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint Gpadl;
}

/// <summary>13, guest to host: the number of a rescinded channel may be used again.</summary>
[StructLayout(LayoutKind.Explicit, Size = 12)]
public struct RelIdReleasedMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
}

/// <summary>14, guest to host. Where older versions had the interrupt page, 5.x says how it wants its messages.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
public struct InitiateContactMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint VersionRequested;
    [FieldOffset(12)] public uint TargetMessageVp;
    [FieldOffset(16)] public byte TargetSint;
    [FieldOffset(17)] public byte TargetVtl;
    [FieldOffset(18)] public ushort Padding;
    [FieldOffset(20)] public uint FeatureFlags;
    [FieldOffset(24)] public ulong ParentToChildMonitorPage;
    [FieldOffset(32)] public ulong ChildToParentMonitorPage;
}

/// <summary>15, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct VersionResponseMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public byte VersionSupported;
    [FieldOffset(9)] public byte State;
    [FieldOffset(10)] public ushort Padding;
    /// <summary>Where the guest posts its messages from now on.</summary>
    [FieldOffset(12)] public uint MessageConnectionId;
}

/// <summary>21, guest to host: connect a vsock service.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
public struct TlConnectRequestMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public VMBusGuid EndpointId;
    [FieldOffset(24)] public VMBusGuid ServiceId;
}

/// <summary>22, guest to host: other processor for the channel's interrupts. Answered from 5.3 on.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct ModifyChannelMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint TargetVp;
}

/// <summary>23, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 44, Pack = 4)]
public struct TlConnectResultMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public VMBusGuid EndpointId;
    [FieldOffset(24)] public VMBusGuid ServiceId;
    [FieldOffset(40)] public uint Status;
}

/// <summary>24, host to guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct ModifyChannelResponseMessage
{
    [FieldOffset(0)] public ChannelMessageHeader Header;
    [FieldOffset(8)] public uint RelId;
    [FieldOffset(12)] public uint Status;
}
