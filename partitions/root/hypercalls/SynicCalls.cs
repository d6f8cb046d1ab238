// Calls about messages, events, ports and connections. TLFS, "Inter-Partition Communication".
using System;
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

public static unsafe class SynicCalls
{
    /// <summary>HvCallPostMessageDirect: a message into a child's slot, without a port.</summary>
    public static HvStatus PostMessageDirect(PartitionAccount* account, VpIndex vp, uint sint, uint messageType, ReadOnlySpan<byte> payload)
    {
        HvInputPostMessageDirect* input = HypercallClient.Prepare<HvInputPostMessageDirect>();
        input->PartitionId = account->Id;
        input->VpIndex = vp;
        input->SintIndex = sint;
        input->Message.Header.MessageType = messageType;
        input->Message.Header.PayloadSize = (byte)Math.Min(payload.Length, SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT);
        byte* bytes = (byte*)input->Message.Payload;
        for (int i = 0; i < input->Message.Header.PayloadSize; i++) bytes[i] = payload[i];
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallPostMessageDirect);
    }

    /// <summary>HvCallPostMessage: a message of the root's by one of its connections; HV_STATUS_INSUFFICIENT_BUFFERS while the port's are taken.</summary>
    public static HvStatus PostMessage(uint connection, uint messageType, ReadOnlySpan<byte> payload)
    {
        HvInputPostMessage* input = HypercallClient.Prepare<HvInputPostMessage>();
        input->ConnectionId = connection;
        input->MessageType = messageType;
        input->PayloadSize = (uint)Math.Min(payload.Length, SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT);
        payload.Slice(0, (int)input->PayloadSize).CopyTo(new Span<byte>(input->Payload, SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT));
        return HypercallClient.CallQuietly(null, HypercallCode.HvCallPostMessage);
    }

    /// <summary>HvCallSignalEventDirect: a flag of a child's SINT.</summary>
    public static HvStatus SignalEventDirect(PartitionAccount* account, VpIndex vp, byte sint, ushort flag)
    {
        HvInputSignalEventDirect* input = HypercallClient.Prepare<HvInputSignalEventDirect>();
        input->TargetPartition = account->Id;
        input->TargetVp = vp;
        input->TargetSint = sint;
        input->FlagNumber = flag;
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallSignalEventDirect);
    }

    /// <summary>HvCallCreatePort: <paramref name="account"/> receives on <paramref name="sint"/> what comes in by this port. Flags are those of event ports.</summary>
    public static HvStatus CreatePort(PartitionAccount* account, uint portId, PartitionId sender, uint portType, uint sint, VpIndex vp, ushort baseFlag, ushort flagCount)
    {
        HvInputCreatePort* input = HypercallClient.Prepare<HvInputCreatePort>();
        input->PortPartition = account->Id;
        input->PortId = portId;
        input->ConnectionPartition = sender;
        input->PortInfo.PortType = portType;
        input->PortInfo.TargetSint = sint;
        input->PortInfo.TargetVp = vp;
        if (portType == HvPortType.HvPortTypeEvent)
        {
            input->PortInfo.BaseFlagNumber = baseFlag;
            input->PortInfo.FlagCount = flagCount;
        }
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallCreatePort);
    }

    /// <summary>HvCallDeletePort.</summary>
    public static HvStatus DeletePort(PartitionAccount* account, uint portId)
    {
        HvInputDeletePort* input = HypercallClient.Prepare<HvInputDeletePort>();
        input->PortPartition = account->Id;
        input->PortId = portId;
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallDeletePort);
    }

    /// <summary>HvCallConnectPort: what <paramref name="account"/> sends to the connection arrives at the port.</summary>
    public static HvStatus ConnectPort(PartitionAccount* account, uint connectionId, PartitionId portPartition, uint portId, uint portType)
    {
        HvInputConnectPort* input = HypercallClient.Prepare<HvInputConnectPort>();
        input->ConnectionPartition = account->Id;
        input->ConnectionId = connectionId;
        input->PortPartition = portPartition;
        input->PortId = portId;
        input->ConnectionInfo.PortType = portType;
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallConnectPort);
    }

    /// <summary>HvCallDisconnectPort.</summary>
    public static HvStatus DisconnectPort(PartitionAccount* account, uint connectionId)
    {
        HvInputDisconnectPort* input = HypercallClient.Prepare<HvInputDisconnectPort>();
        input->ConnectionPartition = account->Id;
        input->ConnectionId = connectionId;
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallDisconnectPort);
    }
}
