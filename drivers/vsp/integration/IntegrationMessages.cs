// Integration service messages as they lie in ring packets: pipe header, message header, one of the bodies.
// Sources: Linux, "include/linux/hyperv.h", "include/uapi/linux/hyperv.h"; OpenVMM, "hyperv_ic_protocol". Where Linux packs a body and
// thereby drops the padding at its end, it is here: guests ask for their size at least.

using System.Runtime.InteropServices;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>Every packet's beginning, as the channels are pipes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct PipeHeader
{
    public const uint Data = 1;

    [FieldOffset(0)] public uint PacketType;
    /// <summary>Bytes that follow; the packet may be longer by padding.</summary>
    [FieldOffset(4)] public uint MessageSize;
}

[StructLayout(LayoutKind.Explicit, Size = 4)]
public readonly struct IcVersion
{
    [FieldOffset(0)] public readonly ushort Major;
    [FieldOffset(2)] public readonly ushort Minor;

    public IcVersion(ushort major, ushort minor)
    {
        Major = major;
        Minor = minor;
    }

    public bool Matches(IcVersion other) => Major == other.Major && Minor == other.Minor;
    public bool IsAtLeast(ushort major, ushort minor) => Major > major || (Major == major && Minor >= minor);
}

/// <summary>Follows the pipe header in every message.</summary>
[StructLayout(LayoutKind.Explicit, Size = 20)]
public struct IcMessageHeader
{
    [FieldOffset(0)] public IcVersion FrameworkVersion;
    [FieldOffset(4)] public ushort MessageType;
    [FieldOffset(6)] public IcVersion MessageVersion;
    /// <summary>Bytes of the body.</summary>
    [FieldOffset(10)] public ushort MessageSize;
    [FieldOffset(12)] public uint Status;
    [FieldOffset(16)] public byte TransactionId;
    [FieldOffset(17)] public byte Flags;
    [FieldOffset(18)] public ushort Reserved;
}

/// <summary>NEGOTIATE: so many framework versions, then so many of the service follow; an answer has one of each, or none.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct IcNegotiateMessage
{
    [FieldOffset(0)] public ushort FrameworkVersionCount;
    [FieldOffset(2)] public ushort MessageVersionCount;
    [FieldOffset(4)] public uint Reserved;
}

/// <summary>HEARTBEAT: the guest answers with a number one higher.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
public unsafe struct HeartbeatMessage
{
    [FieldOffset(0)] public ulong SequenceNumber;
    /// <summary>Of an answer, by guests that know it; the host writes 0.</summary>
    [FieldOffset(8)] public uint ApplicationState;
    [FieldOffset(12)] public fixed uint Reserved[7];
}

/// <summary>SHUTDOWN.</summary>
[StructLayout(LayoutKind.Explicit, Size = 2060)]
public unsafe struct ShutdownMessage
{
    [FieldOffset(0)] public uint ReasonCode;
    [FieldOffset(4)] public uint TimeoutSeconds;
    [FieldOffset(8)] public uint Flags;
    [FieldOffset(12)] public fixed byte DisplayMessage[2048];
}

/// <summary>TIMESYNC before version 4. Times are 100 ns since 1601.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct TimeSyncMessage
{
    [FieldOffset(0)] public ulong ParentTime;
    [FieldOffset(8)] public ulong ChildTime;
    [FieldOffset(16)] public ulong RoundTripTime;
    [FieldOffset(24)] public byte Flags;
}

/// <summary>TIMESYNC from version 4 on: the time, and what the guest's reference counter showed at it.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct TimeSyncReferenceMessage
{
    [FieldOffset(0)] public ulong ParentTime;
    [FieldOffset(8)] public ulong VmReferenceTime;
    [FieldOffset(16)] public byte Flags;
    [FieldOffset(17)] public byte LeapFlags;
    [FieldOffset(18)] public byte Stratum;
}

[StructLayout(LayoutKind.Explicit, Size = 4)]
public struct KvpHeader
{
    [FieldOffset(0)] public byte Operation;
    [FieldOffset(1)] public byte Pool;
    [FieldOffset(2)] public ushort Padding;
}

/// <summary>A pair. Sizes are bytes, with the terminator of strings, which are UTF-16.</summary>
[StructLayout(LayoutKind.Explicit, Size = 2572)]
public unsafe struct KvpValue
{
    public const int MaximumKeySize = 512, MaximumValueSize = 2048;

    [FieldOffset(0)] public uint ValueType;
    [FieldOffset(4)] public uint KeySize;
    [FieldOffset(8)] public uint ValueSize;
    [FieldOffset(12)] public fixed byte Key[MaximumKeySize];
    [FieldOffset(524)] public fixed byte Value[MaximumValueSize];
}

/// <summary>KVP ENUMERATE, and the longest KVP message: all are sent with its size, since guests answer in place.</summary>
[StructLayout(LayoutKind.Explicit, Size = 2580)]
public struct KvpEnumerateMessage
{
    [FieldOffset(0)] public KvpHeader Header;
    [FieldOffset(4)] public uint Index;
    [FieldOffset(8)] public KvpValue Pair;
}

/// <summary>KVP SET (and GET).</summary>
[StructLayout(LayoutKind.Explicit, Size = 2576)]
public struct KvpSetMessage
{
    [FieldOffset(0)] public KvpHeader Header;
    [FieldOffset(4)] public KvpValue Pair;
}

/// <summary>KVP DELETE.</summary>
[StructLayout(LayoutKind.Explicit, Size = 520)]
public unsafe struct KvpDeleteMessage
{
    [FieldOffset(0)] public KvpHeader Header;
    [FieldOffset(4)] public uint KeySize;
    [FieldOffset(8)] public fixed byte Key[KvpValue.MaximumKeySize];
}
