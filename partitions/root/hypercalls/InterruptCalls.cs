// Calls about a guest's interrupts. TLFS, "Virtual Interrupt Control".
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
}
