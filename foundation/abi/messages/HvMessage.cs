// SynIC messages and the pages through which messages and event flags reach a guest. TLFS, "Inter-Partition Communication".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>Numbers that the SynIC is made of.</summary>
public static class SynicLimits
{
    public const int HV_SYNIC_SINT_COUNT = 16;
    public const int HV_SYNIC_STIMER_COUNT = 4;
    public const int HV_MESSAGE_SIZE = 256;
    public const int HV_MESSAGE_PAYLOAD_BYTE_COUNT = 240;

    /// <summary>Event flags of one SINT: 256 bytes of bits.</summary>
    public const int HV_EVENT_FLAGS_COUNT = 2048;
    public const int HV_EVENT_FLAGS_BYTE_COUNT = 256;

    /// <summary>What HV_X64_MSR_SVERSION reads.</summary>
    public const ulong HV_SYNIC_VERSION_1 = 1;

    /// <summary>The SINT of intercept messages in the root.</summary>
    public const byte HV_SYNIC_INTERCEPTION_SINT_INDEX = 0;

    /// <summary>The SINT that VMbus uses in children.</summary>
    public const byte HV_SYNIC_VMBUS_SINT_INDEX = 2;

    /// <summary>Identifiers of ports and connections have 24 bits; the other 8 must be zero.</summary>
    public const uint PortIdMask = 0x00FFFFFF;
}

/// <summary>HV_MESSAGE_TYPE. Types with bit 31 set come from the hypervisor, others from partitions; 0 marks a free slot.</summary>
public static class HvMessageType
{
    public const uint HvMessageTypeNone = 0x00000000;

    // Memory access messages
    public const uint HvMessageTypeUnmappedGpa = 0x80000000;
    public const uint HvMessageTypeGpaIntercept = 0x80000001;

    // Timer notifications
    public const uint HvMessageTimerExpired = 0x80000010;

    // Error messages
    public const uint HvMessageTypeInvalidVpRegisterValue = 0x80000020;
    public const uint HvMessageTypeUnrecoverableException = 0x80000021;
    public const uint HvMessageTypeUnsupportedFeature = 0x80000022;
    public const uint HvMessageTypeTlbPageSizeMismatch = 0x80000023;

    /// <summary>The message itself is in the VP's mapped intercept page.</summary>
    public const uint HvMessageTypeOpaqueIntercept = 0x8000003F;

    public const uint HvMessageTypeEventLogBuffersComplete = 0x80000040;
    public const uint HvMessageTypeHypercallIntercept = 0x80000050;
    public const uint HvMessageTypeSynicEventIntercept = 0x80000060;
    public const uint HvMessageTypeSynicSintIntercept = 0x80000061;
    public const uint HvMessageTypeSynicSintDeliverable = 0x80000062;
    public const uint HvMessageTypeAsyncCallCompletion = 0x80000070;

    // Processor-specific intercepts
    public const uint HvMessageTypeX64IoPortIntercept = 0x80010000;
    public const uint HvMessageTypeMsrIntercept = 0x80010001;
    public const uint HvMessageTypeX64CpuidIntercept = 0x80010002;
    public const uint HvMessageTypeExceptionIntercept = 0x80010003;
    public const uint HvMessageTypeX64ApicEoi = 0x80010004;
    public const uint HvMessageTypeX64LegacyFpError = 0x80010005;
    public const uint HvMessageTypeRegisterIntercept = 0x80010006;
    public const uint HvMessageTypeX64Halt = 0x80010007;
    public const uint HvMessageTypeX64InterruptionDeliverable = 0x80010008;
    public const uint HvMessageTypeX64SipiIntercept = 0x80010009;
    public const uint HvMessageTypeX64RdtscIntercept = 0x8001000A;
    public const uint HvMessageTypeX64ApicSmiIntercept = 0x8001000B;
    public const uint HvMessageTypeX64ApicInitSipiIntercept = 0x8001000D;
    public const uint HvMessageTypeX64ApicWriteIntercept = 0x8001000E;

    /// <summary>Set in every type that the hypervisor itself sends; HvCallPostMessage refuses them.</summary>
    public const uint HypervisorBit = 0x80000000;
}

/// <summary>HV_MESSAGE_HEADER, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvMessageHeader
{
    /// <summary>A constant of <see cref="HvMessageType"/> or the sender's own. Written last: it publishes the message.</summary>
    public uint MessageType;

    /// <summary>Bytes of payload in use, at most 240.</summary>
    public byte PayloadSize;

    /// <summary>Bit 0: another message waits for this slot; write EOM after freeing it.</summary>
    public byte MessageFlags;
    public ushort Reserved;

    /// <summary>The port's identity, or the partition's for messages of the hypervisor.</summary>
    public ulong SenderOrPort;

    /// <summary><see cref="MessageFlags"/>: MessagePending.</summary>
    public const byte MessagePending = 1;
}

/// <summary>HV_MESSAGE, 256 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvMessage
{
    public HvMessageHeader Header;
    public fixed ulong Payload[30];
}

/// <summary>The SIM page: one slot for each SINT.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvMessagePage
{
    /// <summary>16 times 256 bytes, each a <see cref="HvMessage"/>.</summary>
    public fixed byte SintMessage[4096];
}

/// <summary>The SIEF page: 2048 flags for each SINT.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvSynicEventFlagsPage
{
    /// <summary>16 times 256 bytes; flag n is bit n % 8 of byte n / 8.</summary>
    public fixed byte SintEventFlags[4096];
}

/// <summary>One SINT's ring in the root's event ring page (SIRB): doorbells, by port.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvSynicEventRing
{
    public byte SignalMasked;
    public byte RingFull;
    public ushort ReservedZ;
    public fixed uint Data[63];
}

/// <summary>Payload of HvMessageTimerExpired, 24 bytes. TLFS, "Synthetic Timer Expiration Messages".</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvTimerMessagePayload
{
    public uint TimerIndex;
    public uint Reserved;

    /// <summary>When the timer expired, 100 ns reference time.</summary>
    public ulong ExpirationTime;

    /// <summary>When the message was delivered, 100 ns reference time.</summary>
    public ulong DeliveryTime;
}
