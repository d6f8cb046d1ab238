// Parameters of the calls about ports, connections, messages and events. TLFS, "Inter-Partition Communication".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_PORT_TYPE.</summary>
public static class HvPortType
{
    public const uint HvPortTypeMessage = 1;
    public const uint HvPortTypeEvent = 2;
    public const uint HvPortTypeMonitor = 3;

    /// <summary>A write to a guest address signals the root.</summary>
    public const uint HvPortTypeDoorbell = 4;
}

/// <summary>HV_PORT_INFO, 24 bytes; BaseFlagNumber and FlagCount are those of event ports, MonitorAddress that of monitor ports.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
public struct HvPortInfo
{
    /// <summary>A constant of <see cref="HvPortType"/>.</summary>
    [FieldOffset(0)] public uint PortType;
    [FieldOffset(4)] public uint Padding;
    [FieldOffset(8)] public uint TargetSint;

    /// <summary>HV_ANY_VP is allowed.</summary>
    [FieldOffset(12)] public VpIndex TargetVp;
    [FieldOffset(16)] public ushort BaseFlagNumber;
    [FieldOffset(18)] public ushort FlagCount;
    [FieldOffset(20)] public uint EventReservedZ;
    [FieldOffset(8)] public GuestPhysicalAddress MonitorAddress;
    [FieldOffset(16)] public ulong ReservedZ;
}

/// <summary>HV_CONNECTION_INFO, 32 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
public struct HvConnectionInfo
{
    /// <summary>A constant of <see cref="HvPortType"/>, as the port has it.</summary>
    [FieldOffset(0)] public uint PortType;
    [FieldOffset(4)] public uint Padding;
    [FieldOffset(8)] public ulong ReservedZ;
    [FieldOffset(8)] public GuestPhysicalAddress MonitorAddress;

    // HvPortTypeDoorbell
    [FieldOffset(8)] public GuestPhysicalAddress DoorbellGpa;
    [FieldOffset(16)] public ulong DoorbellTriggerValue;

    /// <summary>Bits 2:0: 0 any, 1, 2, 3, 4 for 1, 2, 4, 8 bytes; bit 31: any value.</summary>
    [FieldOffset(24)] public ulong DoorbellFlags;
}

/// <summary>Input of HvCallCreatePort, 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputCreatePort
{
    /// <summary>Who receives.</summary>
    public PartitionId PortPartition;
    public uint PortId;
    public byte PortVtl;
    public byte MinConnectionVtl;
    public ushort Padding;

    /// <summary>Who may connect.</summary>
    public PartitionId ConnectionPartition;
    public HvPortInfo PortInfo;
    public HvProximityDomainInfo ProximityDomainInfo;
}

/// <summary>Input of HvCallDeletePort, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputDeletePort
{
    public PartitionId PortPartition;
    public uint PortId;
    public uint Reserved;
}

/// <summary>Input of HvCallConnectPort, 72 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputConnectPort
{
    /// <summary>Who sends.</summary>
    public PartitionId ConnectionPartition;
    public uint ConnectionId;
    public byte ConnectionVtl;
    public byte ReservedZ0;
    public ushort ReservedZ1;
    public PartitionId PortPartition;
    public uint PortId;
    public uint Reserved2;
    public HvConnectionInfo ConnectionInfo;
    public HvProximityDomainInfo ProximityDomainInfo;
}

/// <summary>Input of HvCallDisconnectPort, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputDisconnectPort
{
    public PartitionId ConnectionPartition;
    public uint ConnectionId;

    /// <summary>Bit 0: the connection is a doorbell.</summary>
    public uint Flags;
}

/// <summary>Input of HvCallPostMessage, 256 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvInputPostMessage
{
    public uint ConnectionId;
    public uint Reserved;

    /// <summary>Bit 31 must be zero, the rest not.</summary>
    public uint MessageType;

    /// <summary>At most 240.</summary>
    public uint PayloadSize;
    public fixed ulong Payload[30];
}

/// <summary>Input of HvCallSignalEvent, 8 bytes; fast callers have it in RDX.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputSignalEvent
{
    public uint ConnectionId;

    /// <summary>Relative to the port's first flag.</summary>
    public ushort FlagNumber;
    public ushort RsvdZ;
}

/// <summary>Input of HvCallPostMessageDirect, 280 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public unsafe struct HvInputPostMessageDirect
{
    public PartitionId PartitionId;
    public VpIndex VpIndex;
    public byte Vtl;
    public fixed byte Padding0[3];
    public uint SintIndex;
    public HvMessage Message;
    public uint Padding1;
}

/// <summary>Input of HvCallSignalEventDirect, 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputSignalEventDirect
{
    public PartitionId TargetPartition;
    public VpIndex TargetVp;
    public byte TargetVtl;
    public byte TargetSint;
    public ushort FlagNumber;
}

/// <summary>Output of HvCallSignalEventDirect, 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvOutputSignalEventDirect
{
    /// <summary>1: the flag was clear before.</summary>
    public byte NewlySignaled;
    public fixed byte Reserved[7];
}

/// <summary>Input of HvCallNotifyPortRingEmpty, 8 bytes, by register.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInputNotifyPortRingEmpty
{
    public uint SintIndex;
    public uint Reserved;
}
