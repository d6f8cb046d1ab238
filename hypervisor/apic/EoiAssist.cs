// The "No EOI required" bit of the VP assist page: lets the guest skip the EOI that nobody waits for.
using System.Threading;
using Lamina.Abi;

namespace Lamina.Hypervisor.Apic;

/// <summary>
/// Protocol: after acknowledging a vector the core calls <see cref="Offer"/>; on every exit while it is offered, and
/// before it requests another vector, it calls <see cref="Collect"/>. TLFS, "EOI Assist".
/// </summary>
public static unsafe class EoiAssist
{
    /// <summary>
    /// Whether an EOI could be left out: one vector in service, edge-triggered, and nothing pending that the EOI would release.
    /// </summary>
    public static bool IsApplicable(ref readonly LocalApic apic) =>
        apic.InServiceCount == 1 && apic.HighestRequest < 0 && !apic.IsLevelTriggered((byte)apic.HighestInService);

    /// <summary>Sets the bit if it applies. True: an offer stands.</summary>
    /// <param name="assist"><see cref="VpAssistPage.ApicAssist"/> of the mapped page.</param>
    // SAFETY: guest memory, one aligned 32-bit word that the caller has mapped; only bit 0 is interpreted.
    public static bool Offer(ref readonly LocalApic apic, uint* assist)
    {
        if (!IsApplicable(in apic)) return false;
        Volatile.Write(ref *assist, VpAssistPage.NoEoiRequired);
        return true;
    }

    /// <summary>
    /// Takes a standing offer back. True: the guest had used it, so the core retires the vector with
    /// <see cref="LocalApic.EndOfInterrupt"/> before anything else. False: the guest will write the EOI register.
    /// </summary>
    public static bool Collect(uint* assist) => (Interlocked.Exchange(ref *assist, 0) & VpAssistPage.NoEoiRequired) == 0;
}
