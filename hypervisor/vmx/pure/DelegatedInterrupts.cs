// What a processor that delivers interrupts by itself is told of them before an entry.
// SDM 3C, "Virtual-Interrupt Delivery", "Guest Non-Register State".

namespace Lamina.Hypervisor.Vmx;

/// <summary>The guest interrupt status, and whether the guest is to exit before the processor is told of what waits.</summary>
public readonly struct DelegatedInterrupts
{
    /// <summary>RVI and SVI: the highest vector requested and the highest one in service.</summary>
    public readonly byte RequestingVector, ServicingVector;
    /// <summary>A request is kept back: the guest exits as soon as it can take interrupts.</summary>
    public readonly bool WaitsForWindow;

    private DelegatedInterrupts(int request, int service, bool waits)
    {
        RequestingVector = waits || request < 0 ? (byte)0 : (byte)request;
        ServicingVector = service < 0 ? (byte)0 : (byte)service;
        WaitsForWindow = waits;
    }

    /// <summary>The field of the VMCS.</summary>
    public uint Status => (uint)ServicingVector << 8 | RequestingVector;

    /// <param name="request">Highest vector requested, -1 for none.</param>
    /// <param name="service">Highest vector in service, -1 for none.</param>
    /// <param name="mayWait">The processor keeps a request back itself while the guest has interrupts off, or the guest would take it at once.</param>
    public static DelegatedInterrupts For(int request, int service, bool mayWait) => new(request, service, !mayWait && request >> 4 > service >> 4);
}
