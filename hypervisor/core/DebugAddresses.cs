// DR0 to DR3: no vendor's world switch exchanges them, moves to and from them are slow, and few guests ever write one.
using System.Runtime.CompilerServices;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// Exchanges the breakpoint addresses of those virtual processors that have any. A backend has the first write of each exit, tells
/// <see cref="BeginUse"/>, and lets it be carried out again without an exit. Until then the registers read as zero.
/// </summary>
public static unsafe class DebugAddresses
{
    /// <summary>From here on the virtual processor's registers are its own. It is the one that was entered last here, or is not in registers.</summary>
    public static void BeginUse(VirtualProcessor* vp)
    {
        vp->UsesDebugAddresses = true;
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (processor->Loaded == vp)
            processor->HoldsDebugAddresses = true;
    }

    /// <summary>Puts away what the processor holds of the virtual processor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Leave(VirtualProcessor* vp)
    {
        if (vp->UsesDebugAddresses)
            Instructions.ReadDebugAddresses(vp->DebugAddress);
    }

    /// <summary>Gives the processor those of the virtual processor; what another has left there is gone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Enter(VirtualProcessor* vp)
    {
        LogicalProcessor* processor = LogicalProcessor.Current;
        if (!(vp->UsesDebugAddresses | processor->HoldsDebugAddresses))
            return;
        Instructions.WriteDebugAddresses(vp->DebugAddress);
        processor->HoldsDebugAddresses = vp->UsesDebugAddresses;
    }
}
