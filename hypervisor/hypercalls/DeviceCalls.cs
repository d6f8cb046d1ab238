// Physical devices' interrupts, routed to their driver's partition. Definitions: Linux's drivers share them with the hypervisor; TLFS, "HvCallRetargetDeviceInterrupt".
using System.Numerics;
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class DeviceCalls
{
    private const ulong RteLevel = 1 << 15, RteActiveLow = 1 << 13;

    /// <summary>
    /// HvCallMapDeviceInterrupt. An IOAPIC line: the pin is BaseIrtIdx, polarity and trigger are the entry's; the core programs the
    /// IOAPIC itself. A message: what comes back is to be written to the device.
    /// </summary>
    internal static HvStatus MapDeviceInterrupt(HypercallCall* call)
    {
        HvInputMapDeviceInterrupt* input = call->Input<HvInputMapDeviceInterrupt>();
        HvDeviceInterruptDescriptor* descriptor = &input->InterruptDescriptor;
        HvStatus status = TryGetTarget(call, input->PartitionId, &descriptor->Target, out VirtualProcessor* vp);
        if (!status.IsSuccess)
            return status;
        if (descriptor->InterruptType > HvInterruptType.HvX64InterruptTypeLowestPriority || descriptor->TriggerMode > 1 || descriptor->VectorCount > 1)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        HvInterruptEntry given = default;
        given.InterruptSource = input->LogicalInterruptEntry.InterruptSource;
        byte vector = (byte)descriptor->Target.Vector;
        switch (given.InterruptSource)
        {
            case HvInterruptSource.HvInterruptSourceIoApic when input->DeviceId.DeviceType == HvDeviceId.HvDeviceTypeIoApic:
                ulong rte = input->LogicalInterruptEntry.IoApicRte;
                bool level = descriptor->TriggerMode == 1 || (rte & RteLevel) != 0;
                status = DeviceInterrupts.TryMapIoApic(input->DeviceId.IoApicId, input->BaseIrtIdx, level, (rte & RteActiveLow) != 0, vector, vp, out given.IoApicRte);
                break;
            case HvInterruptSource.HvInterruptSourceMsi when input->DeviceId.DeviceType == HvDeviceId.HvDeviceTypePci:
                status = DeviceInterrupts.TryMapMsi(input->DeviceId.PciBdf, vector, vp, out given.MsiAddress, out given.MsiData);
                break;
            default: return HvStatus.HV_STATUS_INVALID_DEVICE_ID;
        }
        if (status.IsSuccess)
        {
            HvOutputMapDeviceInterrupt* output = call->Result<HvOutputMapDeviceInterrupt>();
            *output = default;
            output->InterruptEntry = given;
        }
        return status;
    }

    /// <summary>HvCallUnmapDeviceInterrupt, by what the mapping returned.</summary>
    internal static HvStatus UnmapDeviceInterrupt(HypercallCall* call)
    {
        HvInputUnmapDeviceInterrupt* input = call->Input<HvInputUnmapDeviceInterrupt>();
        if (!IsOwn(call, input->PartitionId))
            return HvStatus.HV_STATUS_ACCESS_DENIED;
        return input->InterruptEntry.InterruptSource switch
        {
            HvInterruptSource.HvInterruptSourceIoApic => DeviceInterrupts.TryFindPin(input->DeviceId.IoApicId, (byte)input->InterruptEntry.IoApicRte, out uint pin)
                ? DeviceInterrupts.UnmapIoApic(input->DeviceId.IoApicId, pin) : HvStatus.HV_STATUS_NOT_FOUND,
            HvInterruptSource.HvInterruptSourceMsi => DeviceInterrupts.UnmapMsi(input->DeviceId.PciBdf, input->InterruptEntry.MsiData),
            _ => HvStatus.HV_STATUS_INVALID_PARAMETER,
        };
    }

    /// <summary>HvCallRetargetDeviceInterrupt: the device goes on as it is, its interrupt arrives elsewhere.</summary>
    internal static HvStatus RetargetDeviceInterrupt(HypercallCall* call)
    {
        HvInputRetargetDeviceInterrupt* input = call->Input<HvInputRetargetDeviceInterrupt>();
        HvStatus status = TryGetTarget(call, input->PartitionId, &input->InterruptTarget, out VirtualProcessor* vp);
        if (!status.IsSuccess)
            return status;
        byte vector = (byte)input->InterruptTarget.Vector;
        return input->InterruptEntry.InterruptSource switch
        {
            HvInterruptSource.HvInterruptSourceIoApic => DeviceInterrupts.Retarget((byte)input->InterruptEntry.IoApicRte, vector, vp),
            HvInterruptSource.HvInterruptSourceMsi => DeviceInterrupts.Retarget(input->InterruptEntry.MsiData, vector, vp),
            _ => HvStatus.HV_STATUS_INVALID_PARAMETER,
        };
    }

    private static bool IsOwn(HypercallCall* call, PartitionId id) => id.IsSelf || id.Value == call->Partition->Id;

    /// <summary>Devices belong to whoever drives them: the caller. Of several processors the first gets the interrupt.</summary>
    private static HvStatus TryGetTarget(HypercallCall* call, PartitionId id, HvDeviceInterruptTarget* target, out VirtualProcessor* vp)
    {
        vp = null;
        if (!IsOwn(call, id))
            return HvStatus.HV_STATUS_ACCESS_DENIED;
        if (target->Vector is < 16 or > 255)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        ulong mask = target->VpMaskOrFormat;
        if ((target->Flags & HvDeviceInterruptTarget.HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET) != 0)
        {
            // The variable header: the mask of the banks, then the banks. The first 64 processors are all there can be.
            if (target->VpMaskOrFormat == HvVpSet.HvGenericSetAll)
                mask = ulong.MaxValue;
            else if (target->VpMaskOrFormat != HvVpSet.HvGenericSetSparse4k || call->VariableCount < 2 || (call->Variable[0] & 1) == 0)
                return HvStatus.HV_STATUS_INVALID_PARAMETER;
            else
                mask = call->Variable[1];
        }
        for (; mask != 0; mask &= mask - 1)
        {
            vp = call->Partition->GetVp((uint)BitOperations.TrailingZeroCount(mask));
            if (vp != null)
                return HvStatus.HV_STATUS_SUCCESS;
        }
        return HvStatus.HV_STATUS_INVALID_VP_INDEX;
    }
}
