// Numbers of the integration services: message types, flags, status values, operations.
// Sources: Linux, "include/linux/hyperv.h", "include/uapi/linux/hyperv.h"; OpenVMM, "hyperv_ic_protocol".

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>The services, numbered as their owner numbers their channels.</summary>
public enum IntegrationService : byte { Heartbeat = 0, Shutdown = 1, TimeSynchronization = 2, KeyValuePairs = 3 }

/// <summary>What a message is about. Answers carry the type of what they answer.</summary>
public static class IcMessageType
{
    public const ushort Negotiate = 0;
    public const ushort Heartbeat = 1;
    public const ushort KvpExchange = 2;
    public const ushort Shutdown = 3;
    public const ushort TimeSync = 4;
}

public static class IcMessageFlags
{
    /// <summary>An answer is wanted, or this is one.</summary>
    public const byte Transaction = 1;
    public const byte Request = 2;
    public const byte Response = 4;
}

/// <summary>Status of an answer: an HRESULT. Guests may say any other.</summary>
public static class IcStatus
{
    public const uint Success = 0;
    public const uint Fail = 0x80004005;
    public const uint NotSupported = 0x80070032;
    /// <summary>The end of an enumeration; of SET and DELETE: it could not be done.</summary>
    public const uint NoMoreItems = 0x80070103;
}

public static class ApplicationState
{
    public const uint Unknown = 0;
    public const uint Healthy = 1;
    public const uint Critical = 2;
    public const uint Stopped = 3;
}

public static class ShutdownFlags
{
    public const uint Force = 1;
    public const uint Restart = 2;
    public const uint Hibernate = 4;
}

/// <summary>Reason codes are those of Windows' InitiateSystemShutdownEx.</summary>
public static class ShutdownReason
{
    public const uint Planned = 0x80000000;
}

public static class TimeSyncFlags
{
    /// <summary>The guest shall set its clock.</summary>
    public const byte Sync = 1;
    /// <summary>A sample for a guest that disciplines its clock itself.</summary>
    public const byte Sample = 2;
}

public static class KvpOperation
{
    public const byte Get = 0;
    public const byte Set = 1;
    public const byte Delete = 2;
    public const byte Enumerate = 3;
}

public static class KvpPool
{
    /// <summary>The host's words to the guest.</summary>
    public const byte External = 0;
    /// <summary>The guest's administrator's words to the host.</summary>
    public const byte Guest = 1;
    /// <summary>What the guest says of itself, made up when it is asked.</summary>
    public const byte Auto = 2;
}

/// <summary>Types of values, as in Windows' registry.</summary>
public static class KvpValueType
{
    public const uint String = 1;
    public const uint ExpandString = 2;
    public const uint UInt32 = 4;
    public const uint UInt64 = 8;
}
