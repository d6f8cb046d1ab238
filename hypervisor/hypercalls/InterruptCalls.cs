// Interrupts that a parent gives to a child. TLFS, "Virtual Interrupt Control".
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Core;
using static Lamina.Abi.HvInterruptType;

namespace Lamina.Hypervisor.Hypercalls;

internal static unsafe class InterruptCalls<TBackend> where TBackend : struct, IBackend
{
    private const uint FirstVector = 16, LastVector = 255, XApicBroadcast = 0xFF;
    private const ulong LogicalBit = 1 << 11, AssertBit = 1 << 14, LevelBit = 1 << 15;

    /// <summary>HvCallAssertVirtualInterrupt: as a message from a device would, to whoever has that destination. A destination that nobody has is no error.</summary>
    internal static HvStatus AssertVirtualInterrupt(HypercallCall* call)
    {
        HvInputAssertVirtualInterrupt* input = call->Input<HvInputAssertVirtualInterrupt>();
        HvStatus status = Targets.TryResolve(call, input->TargetPartition, out Partition* target);
        if (!status.IsSuccess)
            return status;
        HvInterruptControl control = input->InterruptControl;
        if (!IsSound(control.InterruptType, input->RequestedVector) || input->TargetVtl != 0 || input->DestinationAddress > uint.MaxValue)
            return HvStatus.HV_STATUS_INVALID_PARAMETER;
        ulong destination = input->DestinationAddress == XApicBroadcast && !control.LogicalDestinationMode ? IcrCommand.Broadcast : input->DestinationAddress;
        // The numbers of the types are those of the delivery modes.
        IcrCommand command = new(destination << 32 | input->RequestedVector | (ulong)control.InterruptType << 8 | AssertBit
            | (control.LogicalDestinationMode ? LogicalBit : 0) | (control.LevelTriggered ? LevelBit : 0));
        Interrupts<TBackend>.Deliver(target, command);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static bool IsSound(uint type, uint vector) => type switch
    {
        HvX64InterruptTypeFixed or HvX64InterruptTypeLowestPriority => vector is >= FirstVector and <= LastVector,
        HvX64InterruptTypeNmi or HvX64InterruptTypeInit or HvX64InterruptTypeSipi => vector <= LastVector,
        _ => false,
    };

    /// <summary>HvCallClearVirtualInterrupt: takes an ExtInt or local interrupt back. Neither can be asserted, so there is never one to take.</summary>
    internal static HvStatus ClearVirtualInterrupt(HypercallCall* call) =>
        Targets.TryResolve(call, call->Input<HvInputClearVirtualInterrupt>()->TargetPartition, out _);
}
