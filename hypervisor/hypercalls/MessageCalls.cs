// Messages and events between partitions, by connection or directly. TLFS, "Inter-Partition Communication".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Synic;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class MessageCalls<TBackend> where TBackend : struct, IBackend
{
    /// <summary>HvCallPostMessage.</summary>
    internal static HvStatus PostMessage(HypercallCall* call)
    {
        HvInputPostMessage* input = call->Input<HvInputPostMessage>();
        if (input->PayloadSize > SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT || !IsOwnType(input->MessageType))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        HvStatus status = TryFollow(call->Caller, input->ConnectionId, PortKind.MessageConnection, out Partition* receiver, out PortEntry* port);
        if (!status.IsSuccess)
            return status;
        VirtualProcessor* target = Ports.TargetOf(receiver, port);
        if (target == null)
            return HvStatus.HV_STATUS_INVALID_VP_INDEX;
        if (!target->Synic.AcceptsMessages)
            return HvStatus.HV_STATUS_INVALID_SYNIC_STATE;
        if (!MessageBufferPool.TryTake((MessageBufferPool*)PhysicalMap.ToPointer(port->Nodes), out PendingMessage* node))
            return HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS;
        HvMessage* message = node->Message;
        message->Header.MessageType = input->MessageType;
        message->Header.PayloadSize = (byte)input->PayloadSize;
        message->Header.MessageFlags = 0;
        message->Header.Reserved = 0;
        message->Header.SenderOrPort = port->Id;
        for (uint i = 0; i < (input->PayloadSize + 7) / 8; i++) message->Payload[i] = input->Payload[i];
        Messages<TBackend>.Enqueue(target, port->Sint, node);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool IsOwnType(uint type) => type != HvMessageType.HvMessageTypeNone && (type & HvMessageType.HypervisorBit) == 0;

    /// <summary>HvCallSignalEvent. <paramref name="parameters"/>: connection in 31:0, flag in 47:32.</summary>
    internal static HvStatus SignalEvent(VirtualProcessor* caller, ulong parameters)
    {
        if (parameters >> 48 != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        HvStatus status = TryFollow(caller, (uint)parameters, PortKind.EventConnection, out Partition* receiver, out PortEntry* port);
        if (!status.IsSuccess)
            return status;
        uint flag = (ushort)(parameters >> 32);
        if (flag >= port->FlagCount)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        VirtualProcessor* target = Ports.TargetOf(receiver, port);
        if (target == null)
            return HvStatus.HV_STATUS_INVALID_VP_INDEX;
        bool mayGoOn = (caller->Work & EntryWork.Reschedule) == 0;
        status = Messages<TBackend>.SignalEvent(target, port->Sint, port->BaseFlag + flag);
        if (mayGoOn && (caller->Work & EntryWork.Reschedule) != 0)
            Scheduler<TBackend>.GrantGrace(caller);
        return status;
    }

    /// <summary>From a connection of the caller's to the port at its other end.</summary>
    private static HvStatus TryFollow(VirtualProcessor* caller, uint connectionId, PortKind kind, out Partition* receiver, out PortEntry* port)
    {
        receiver = null;
        port = null;
        PortEntry* connection = caller->Partition->Ports.Find(connectionId, false);
        if (connection == null || connection->Kind != kind)
            return HvStatus.HV_STATUS_INVALID_CONNECTION_ID;
        PortKind portKind = kind == PortKind.MessageConnection ? PortKind.MessagePort : PortKind.EventPort;
        // Ports come and go without their connections; another one may have taken the number.
        if (!Partitions.TryFind(connection->PartitionId, out receiver) || (port = receiver->Ports.Find(connection->PortId, true)) == null
            || port->Kind != portKind || port->PartitionId != caller->Partition->Id)
            return HvStatus.HV_STATUS_INVALID_PORT_ID;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallPostMessageDirect: into a slot of a child, without a port; HV_STATUS_INSUFFICIENT_BUFFERS while the slot is taken.</summary>
    internal static HvStatus PostMessageDirect(HypercallCall* call)
    {
        HvInputPostMessageDirect* input = call->Input<HvInputPostMessageDirect>();
        HvStatus status = Targets.TryResolveVp(call, input->PartitionId, input->VpIndex, out VirtualProcessor* vp);
        if (!status.IsSuccess)
            return status;
        if (input->Vtl != 0 || input->SintIndex >= SynicLimits.HV_SYNIC_SINT_COUNT || input->Message.Header.PayloadSize > SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT
            || input->Message.Header.MessageType == HvMessageType.HvMessageTypeNone)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        return Messages<TBackend>.Post(vp, input->SintIndex, &input->Message);
    }

    /// <summary>HvCallSignalEventDirect.</summary>
    internal static HvStatus SignalEventDirect(HypercallCall* call)
    {
        HvInputSignalEventDirect* input = call->Input<HvInputSignalEventDirect>();
        HvStatus status = Targets.TryResolveVp(call, input->TargetPartition, input->TargetVp, out VirtualProcessor* vp);
        if (!status.IsSuccess)
            return status;
        if (input->TargetVtl != 0 || input->TargetSint >= SynicLimits.HV_SYNIC_SINT_COUNT || input->FlagNumber >= SynicLimits.HV_EVENT_FLAGS_COUNT)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        status = Messages<TBackend>.SignalEvent(vp, input->TargetSint, input->FlagNumber, out bool newly);
        if (status.IsSuccess)
            *call->Result<ulong>() = newly ? 1UL : 0;
        return status;
    }
}
