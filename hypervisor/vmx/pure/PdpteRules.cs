// Page-directory-pointer-table entries of PAE paging. SDM 3A, "PAE Paging", table "Format of a PAE Page-Directory-Pointer-Table Entry".

namespace Lamina.Hypervisor.Vmx;

public static class PdpteRules
{
    /// <summary>Whether the processor takes an entry: not present, or bits 2:1, 8:5 and those above the address width zero.</summary>
    public static bool IsValid(ulong entry, byte addressBits) => (entry & 1) == 0 || (entry & (0x1E6 | ~((1UL << addressBits) - 1))) == 0;
}
