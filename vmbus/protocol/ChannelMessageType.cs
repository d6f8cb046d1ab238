// Numbers of the channel protocol: message types, versions, status values, limits.

using Lamina.Abi;

namespace Lamina.VMBus;

/// <summary>What a channel message is. Sources: Linux, "include/linux/hyperv.h" (enum vmbus_channel_message_type); OpenVMM, "vmbus_core/protocol".</summary>
public static class ChannelMessageType
{
    public const uint Invalid = 0;
    public const uint OfferChannel = 1;
    public const uint RescindChannelOffer = 2;
    public const uint RequestOffers = 3;
    public const uint AllOffersDelivered = 4;
    public const uint OpenChannel = 5;
    public const uint OpenChannelResult = 6;
    public const uint CloseChannel = 7;
    public const uint GpadlHeader = 8;
    public const uint GpadlBody = 9;
    public const uint GpadlCreated = 10;
    public const uint GpadlTeardown = 11;
    public const uint GpadlTorndown = 12;
    public const uint RelIdReleased = 13;
    public const uint InitiateContact = 14;
    public const uint VersionResponse = 15;
    public const uint Unload = 16;
    public const uint UnloadResponse = 17;
    public const uint TlConnectRequest = 21;
    public const uint ModifyChannel = 22;
    public const uint TlConnectResult = 23;
    public const uint ModifyChannelResponse = 24;
}

/// <summary>Protocol versions, major in the upper half.</summary>
public static class VMBusVersion
{
    public const uint V5_2 = 5u << 16 | 2;
    public const uint V5_3 = 5u << 16 | 3;

    /// <summary>The versions that this implementation speaks: both ends of it.</summary>
    public static bool IsSupported(uint version) => version is V5_2 or V5_3;
}

/// <summary>VERSION_RESPONSE's connection state.</summary>
public static class ConnectionState
{
    public const byte Successful = 0;
    public const byte FailedLowResources = 1;
    public const byte FailedUnknownFailure = 2;
}

/// <summary>Bits of an offer's flags.</summary>
public static class OfferFlags
{
    public const ushort EnumerateDeviceInterface = 0x1;
    public const ushort NamedPipeMode = 0x10;
    public const ushort TlnpiProvider = 0x2000;
}

/// <summary>Status values in answers; 0 is success, everything else failure (guests look no closer).</summary>
public static class ChannelStatus
{
    public const uint Success = 0;
    public const uint Unsuccessful = 0xC0000001;
    public const uint InvalidParameter = 0xC000000D;
    public const uint InsufficientResources = 0xC000009A;
    public const uint ConnectionRefused = 0xC0000236;
}

/// <summary>Limits of the protocol.</summary>
public static class ChannelLimits
{
    public const int PageSize = 4096;

    /// <summary>A channel message is one SynIC message's payload.</summary>
    public const int MaximumMessageSize = SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT;

    /// <summary>Channel numbers are event flags, of which a SINT has 2048; 0 is not one.</summary>
    public const uint MinimumRelId = 1;
    public const uint MaximumRelId = SynicLimits.HV_EVENT_FLAGS_COUNT - 1;

    public const int GpadlHeaderPages = (MaximumMessageSize - GpadlHeaderMessage.PagesOffset) / 8;
    public const int GpadlBodyPages = (MaximumMessageSize - GpadlBodyMessage.PagesOffset) / 8;

    /// <summary>A GPADL's range buffer has a 16-bit length, of which 8 bytes are its range's own.</summary>
    public const uint MaximumGpadlPages = (0xFFF8 - 8) / 8;

    /// <summary>The message connection of versions 5.0 and up, and the type of SynIC message that carries the protocol.</summary>
    public const uint MessageConnectionId = 4;
    public const uint SynicMessageType = 1;

    /// <summary>OPEN's and MODIFYCHANNEL's target that means: no interrupts.</summary>
    public const uint NoTargetVp = 0xFFFFFFFF;
}
