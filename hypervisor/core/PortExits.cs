// IN and OUT of children. A port that the parent did not ask for has no device: reads are all ones, writes vanish, and nobody is woken.
using Lamina.Abi;

namespace Lamina.Hypervisor.Core;

public static unsafe class PortExits<TBackend> where TBackend : struct, IBackend
{
    public static void Handle(VirtualProcessor* vp, ushort port, byte size, bool isIn, bool isString, bool hasRep, byte length)
    {
        vp->Count(HvStatsVpCounters.VpIoInstructionsCount);
        if (isString || IsIntercepted(vp->Partition, port, size))
        {
            Intercepts<TBackend>.IoPort(vp, port, size, isIn, isString, hasRep, length);
            return;
        }
        if (isIn)
        {
            ulong mask = size == 4 ? 0xFFFFFFFFUL : size == 2 ? 0xFFFFUL : 0xFFUL;
            // A 32-bit IN clears the upper half like every 32-bit result; smaller ones keep it.
            vp->Gpr[Gpr.Rax] = size == 4 ? mask : vp->Gpr[Gpr.Rax] | mask;
        }
        TBackend.CompleteInstruction(vp);
    }

    private static bool IsIntercepted(Partition* partition, ushort port, byte size)
    {
        for (uint i = 0; i < size; i++)
        {
            uint at = (port + i) & 0xFFFF;
            ulong page = partition->PortIntercepts[at >> 15];
            if (page != 0 && (PhysicalMap.ToPointer(page)[(at & 0x7FFF) >> 3] & 1 << (int)(at & 7)) != 0)
                return true;
        }
        return false;
    }
}
