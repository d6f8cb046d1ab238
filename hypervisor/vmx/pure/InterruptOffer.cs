// How a processor without virtual-interrupt delivery is made to watch over an interrupt that waits.
// SDM 3C, "VM Exits Induced by the TPR Shadow", "Interrupt-Window Exiting and Virtual-Interrupt Delivery".

namespace Lamina.Hypervisor.Vmx;

/// <summary>What becomes of a vector at the next entry: one of the three, or nothing when there is no vector.</summary>
public readonly struct InterruptOffer
{
    /// <summary>It is injected.</summary>
    public readonly bool IsInjected;
    /// <summary>The guest exits as soon as it can take interrupts.</summary>
    public readonly bool WaitsForWindow;
    /// <summary>The guest exits as soon as its task priority's class is below this one.</summary>
    public readonly byte TprThreshold;

    private InterruptOffer(bool isInjected, bool waitsForWindow, byte tprThreshold)
    {
        IsInjected = isInjected;
        WaitsForWindow = waitsForWindow;
        TprThreshold = tprThreshold;
    }

    /// <param name="taskPriority">The TPR. A threshold above its class is refused at entry, and there is none then: the class is below the vector's already.</param>
    /// <param name="isFree">The guest is open to interrupts, nothing else is to be injected, and an injection is wanted.</param>
    public static InterruptOffer For(byte vector, byte taskPriority, bool isFree)
    {
        if (vector == 0)
            return default;
        if (vector >> 4 <= taskPriority >> 4)
            return new(false, false, (byte)(vector >> 4));
        return new(isFree, !isFree, 0);
    }
}
