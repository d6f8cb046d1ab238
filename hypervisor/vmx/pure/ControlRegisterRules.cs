// What a MOV to a control register may do, where the core carries it out. SDM 2B, "MOV—Move to/from Control Registers".

namespace Lamina.Hypervisor.Vmx;

public static class ControlRegisterRules
{
    public const ulong Cr4Pae = 1 << 5, Cr4Pcide = 1 << 17;
    private const ulong Cr3Pcid = 0xFFF;

    /// <summary>Whether a guest's MOV to CR4 is none that raises #GP.</summary>
    /// <param name="allowed">Bits that it may have set.</param>
    /// <param name="longMode">EFER.LMA.</param>
    public static bool MayWriteCr4(ulong before, ulong value, ulong allowed, ulong cr3, bool longMode)
    {
        if ((value & ~allowed) != 0)
            return false;
        if (longMode && (value & Cr4Pae) == 0)
            return false;
        bool startsPcids = (value & Cr4Pcide) != 0 && (before & Cr4Pcide) == 0;
        return !startsPcids || longMode && (cr3 & Cr3Pcid) == 0;
    }
}
