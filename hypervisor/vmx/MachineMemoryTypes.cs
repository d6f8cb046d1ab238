// The machine's own MTRRs, read once.
using Lamina.Hypervisor.Core;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Vmx;

internal static unsafe class MachineMemoryTypes
{
    private static class Storage
    {
        internal static MtrrMap Map;
        internal static bool IsRead;
    }

    internal static MemoryType TypeAt(ulong physical, out ulong end)
    {
        fixed (MtrrMap* map = &Storage.Map)
        {
            if (!Storage.IsRead)
                ReadInto(map);
            Storage.IsRead = true;
            return map->TypeAt(physical, out end);
        }
    }

    private static void ReadInto(MtrrMap* map)
    {
        const uint edxMtrr = 1 << 12;
        map->AddressMask = (1UL << GuestTableLimits.AddressBits) - 1;
        if (!Core.Preflight.HasLeafBit(1, 3, edxMtrr))
            return;
        ulong capabilities = Instructions.RdMsr(Msr.IA32_MTRRCAP);
        map->DefType = Instructions.RdMsr(Msr.IA32_MTRR_DEF_TYPE);
        map->VariableCount = (int)System.Math.Min(capabilities & 0xFF, MtrrMap.MaximumVariable);
        for (uint i = 0; i < map->VariableCount; i++)
        {
            map->Base[i] = Instructions.RdMsr(Msr.IA32_MTRR_PHYSBASE0 + 2 * i);
            map->Mask[i] = Instructions.RdMsr(Msr.IA32_MTRR_PHYSMASK0 + 2 * i);
        }
        const ulong hasFixed = 1 << 8;
        if ((capabilities & hasFixed) == 0)
            return;
        map->Fixed[0] = Instructions.RdMsr(Msr.IA32_MTRR_FIX64K_00000);
        map->Fixed[1] = Instructions.RdMsr(Msr.IA32_MTRR_FIX16K_80000);
        map->Fixed[2] = Instructions.RdMsr(Msr.IA32_MTRR_FIX16K_A0000);
        for (uint i = 0; i < 8; i++)
            map->Fixed[3 + i] = Instructions.RdMsr(Msr.IA32_MTRR_FIX4K_C0000 + i);
    }
}
