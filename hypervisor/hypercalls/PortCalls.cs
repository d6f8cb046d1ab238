// Calls that make and unmake ports and connections. TLFS, "Inter-Partition Communication".
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class PortCalls
{
    private static bool IsNumber(uint id) => (id & ~SynicLimits.PortIdMask) == 0;

    /// <summary>HvCallCreatePort.</summary>
    internal static HvStatus CreatePort(HypercallCall* call)
    {
        HvInputCreatePort* input = call->Input<HvInputCreatePort>();
        HvStatus status = TryResolveActive(call, input->PortPartition, out Partition* owner);
        if (!status.IsSuccess)
            return status;
        if (!IsNumber(input->PortId) || owner->Ports.Find(input->PortId, true) != null)
            return HvStatus.HV_STATUS_INVALID_PORT_ID;
        PortEntry port = default;
        status = TryDecode(call, owner, ref port);
        if (!status.IsSuccess)
            return status;
        PortEntry* place = owner->Ports.Take(input->PortId, ref owner->Account);
        if (place == null || port.Kind == PortKind.MessagePort && !Ports.TryTakeBuffers(owner, out port.Nodes, out port.Messages))
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        PortTable<PhysicalMap>.Publish(place, port);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus TryDecode(HypercallCall* call, Partition* owner, ref PortEntry port)
    {
        HvInputCreatePort* input = call->Input<HvInputCreatePort>();
        HvPortInfo* info = &input->PortInfo;
        if (input->PortVtl != 0 || input->MinConnectionVtl != 0 || info->TargetSint >= SynicLimits.HV_SYNIC_SINT_COUNT)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (!info->TargetVp.IsAny && owner->GetVp(info->TargetVp.Value) == null)
            return HvStatus.HV_STATUS_INVALID_VP_INDEX;
        port.Id = input->PortId;
        port.Sint = (byte)info->TargetSint;
        port.TargetVp = info->TargetVp.Value;
        port.PartitionId = input->ConnectionPartition.IsSelf ? call->Partition->Id : input->ConnectionPartition.Value;
        switch (info->PortType)
        {
            case HvPortType.HvPortTypeMessage:
                port.Kind = PortKind.MessagePort;
                return HvStatus.HV_STATUS_SUCCESS;
            case HvPortType.HvPortTypeEvent when info->BaseFlagNumber + info->FlagCount <= SynicLimits.HV_EVENT_FLAGS_COUNT:
                port.Kind = PortKind.EventPort;
                port.BaseFlag = info->BaseFlagNumber;
                port.FlagCount = info->FlagCount;
                return HvStatus.HV_STATUS_SUCCESS;
            default: return HvStatus.HV_STATUS_INVALID_PARAMETER;
        }
    }

    /// <summary>HvCallDeletePort.</summary>
    internal static HvStatus DeletePort(HypercallCall* call)
    {
        HvInputDeletePort* input = call->Input<HvInputDeletePort>();
        HvStatus status = TryResolveActive(call, input->PortPartition, out Partition* owner);
        if (!status.IsSuccess)
            return status;
        PortEntry* port = owner->Ports.Find(input->PortId, true);
        if (port == null)
            return HvStatus.HV_STATUS_INVALID_PORT_ID;
        Ports.Delete(owner, port);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallConnectPort.</summary>
    internal static HvStatus ConnectPort(HypercallCall* call)
    {
        HvInputConnectPort* input = call->Input<HvInputConnectPort>();
        HvStatus status = TryResolveActive(call, input->ConnectionPartition, out Partition* sender);
        if (!status.IsSuccess)
            return status;
        if (input->ConnectionVtl != 0)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        if (!IsNumber(input->ConnectionId) || sender->Ports.Find(input->ConnectionId, false) != null)
            return HvStatus.HV_STATUS_INVALID_CONNECTION_ID;
        ulong portPartition = input->PortPartition.IsSelf ? call->Partition->Id : input->PortPartition.Value;
        if (!Partitions.TryFind(portPartition, out Partition* owner))
            return HvStatus.HV_STATUS_INVALID_PARTITION_ID;
        PortEntry* port = owner->Ports.Find(input->PortId, true);
        // A port that was made for somebody else does not exist.
        if (port == null || port->PartitionId != sender->Id)
            return HvStatus.HV_STATUS_INVALID_PORT_ID;
        bool message = port->Kind == PortKind.MessagePort;
        if (input->ConnectionInfo.PortType != (message ? HvPortType.HvPortTypeMessage : HvPortType.HvPortTypeEvent))
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        PortEntry* place = sender->Ports.Take(input->ConnectionId, ref sender->Account);
        if (place == null)
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        PortEntry connection = default;
        connection.Id = input->ConnectionId;
        connection.Kind = message ? PortKind.MessageConnection : PortKind.EventConnection;
        connection.PartitionId = owner->Id;
        connection.PortId = input->PortId;
        PortTable<PhysicalMap>.Publish(place, connection);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    /// <summary>HvCallDisconnectPort.</summary>
    internal static HvStatus DisconnectPort(HypercallCall* call)
    {
        HvInputDisconnectPort* input = call->Input<HvInputDisconnectPort>();
        HvStatus status = TryResolveActive(call, input->ConnectionPartition, out Partition* sender);
        if (!status.IsSuccess)
            return status;
        PortEntry* connection = sender->Ports.Find(input->ConnectionId, false);
        if (connection == null)
            return HvStatus.HV_STATUS_INVALID_CONNECTION_ID;
        Ports.Delete(sender, connection);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static HvStatus TryResolveActive(HypercallCall* call, PartitionId id, out Partition* target)
    {
        HvStatus status = Targets.TryResolve(call, id, out target);
        return status.IsSuccess && target->State != PartitionState.Active ? HvStatus.HV_STATUS_INVALID_PARTITION_STATE : status;
    }
}
