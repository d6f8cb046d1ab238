// What a non-maskable interrupt has to wait for. SDM 3C, "Guest Non-Register State", "NMI-Window Exiting and Virtual-NMI Blocking".

namespace Lamina.Hypervisor.Vmx;

public enum NmiWindow : byte
{
    /// <summary>Nothing: it is injected.</summary>
    Open,
    /// <summary>The guest exits when nothing blocks NMIs any more.</summary>
    Nmi,
    /// <summary>The guest exits when it can take interrupts.</summary>
    Interrupt,
}

public static class NmiWindows
{
    /// <summary>
    /// The interruptibility state of a guest whose processor leaves NMIs blocked when it goes on with another guest (docs/decisions/0010): blocking
    /// that it was not entered with, and no NMI has caused, is somebody else's.
    /// </summary>
    /// <param name="mayBlock">It was entered with NMIs blocked, or one was injected since.</param>
    public static ulong WithoutForeign(ulong interruptibility, bool mayBlock) =>
        mayBlock ? interruptibility : interruptibility & ~(ulong)InterruptibilityState.BlockingByNmi;

    /// <param name="interruptibility">The guest's interruptibility state.</param>
    /// <param name="isBusy">Another event is injected at the next entry.</param>
    // A processor may open the NMI window in STI's shadow, again and again; the interrupt window it may not, and IF is set there.
    public static NmiWindow For(ulong interruptibility, bool isBusy)
    {
        const ulong obstacles = InterruptibilityState.Shadow | InterruptibilityState.BlockingByNmi;
        ulong blocking = interruptibility & obstacles;
        if (blocking == 0 && !isBusy)
            return NmiWindow.Open;
        return blocking == InterruptibilityState.BlockingBySti && !isBusy ? NmiWindow.Interrupt : NmiWindow.Nmi;
    }
}
