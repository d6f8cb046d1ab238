// Calls about interrupts: asserted in a guest, and routed from devices to the root. TLFS, "Virtual Interrupt Control".
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

public static unsafe class InterruptCalls
{
    /// <summary>HvCallAssertVirtualInterrupt.</summary>
    public static HvStatus Assert(PartitionAccount* account, HvInterruptControl control, ulong destination, uint vector)
    {
        HvInputAssertVirtualInterrupt* input = HypercallClient.Prepare<HvInputAssertVirtualInterrupt>();
        input->TargetPartition = account->Id;
        input->InterruptControl = control;
        input->DestinationAddress = destination;
        input->RequestedVector = vector;
        return HypercallClient.CallQuietly(account, HypercallCode.HvCallAssertVirtualInterrupt);
    }

    /// <summary>
    /// HvCallMapDeviceInterrupt of the caller's own partition. <paramref name="source"/> says what the device would raise;
    /// <paramref name="programmed"/> is what has to be written to it instead (MSI), or the entry that the core now owns (IOAPIC).
    /// </summary>
    public static HvStatus MapDevice(HvDeviceId device, HvInterruptEntry source, bool levelTriggered, byte vector, uint vpIndex, out HvInterruptEntry programmed)
    {
        HvInputMapDeviceInterrupt* input = HypercallClient.Prepare<HvInputMapDeviceInterrupt>();
        input->PartitionId = PartitionId.Self;
        input->DeviceId = device;
        input->LogicalInterruptEntry = source;
        input->InterruptDescriptor.InterruptType = HvInterruptType.HvX64InterruptTypeFixed;
        input->InterruptDescriptor.TriggerMode = levelTriggered ? 1u : 0;
        input->InterruptDescriptor.VectorCount = 1;
        input->InterruptDescriptor.Target.Vector = vector;
        input->InterruptDescriptor.Target.VpMaskOrFormat = 1UL << (int)vpIndex;
        HvStatus status = HypercallClient.Call(null, HypercallCode.HvCallMapDeviceInterrupt, "HvCallMapDeviceInterrupt"u8);
        programmed = status.IsSuccess ? ((HvOutputMapDeviceInterrupt*)HypercallClient.Output)->InterruptEntry : default;
        return status;
    }

    /// <summary>HvCallUnmapDeviceInterrupt; <paramref name="programmed"/> as <see cref="MapDevice"/> returned it.</summary>
    public static HvStatus UnmapDevice(HvDeviceId device, HvInterruptEntry programmed)
    {
        HvInputUnmapDeviceInterrupt* input = HypercallClient.Prepare<HvInputUnmapDeviceInterrupt>();
        input->PartitionId = PartitionId.Self;
        input->DeviceId = device;
        input->InterruptEntry = programmed;
        return HypercallClient.Call(null, HypercallCode.HvCallUnmapDeviceInterrupt, "HvCallUnmapDeviceInterrupt"u8);
    }
}
