// IN and OUT of children. A port that the parent did not ask for has no device: reads are all ones, writes vanish, and nobody is woken.
using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Hypervisor.Core;

public static unsafe class PortExits<TBackend> where TBackend : struct, IBackend
{
    public static void Handle(VirtualProcessor* vp, ushort port, byte size, bool isIn, bool isString, bool hasRep, byte length)
    {
        vp->Count(HvStatsVpCounters.VpIoInstructionsCount);
        if (isString || (size == 1 ? IsIntercepted(vp->Partition, port) : IsIntercepted(vp->Partition, port, size)))
        {
            Intercepts<TBackend>.IoPort(vp, port, size, isIn, isString, hasRep, length);
            return;
        }
        if (isIn)
            ReadNothing(vp, size);
        TBackend.CompleteInstruction(vp);
    }

    /// <summary>What a port without a device reads as, into RAX.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void ReadNothing(VirtualProcessor* vp, byte size)
    {
        // A 32-bit IN clears the upper half like every 32-bit result; smaller ones keep it.
        if (size == 4)
            vp->Gpr[Gpr.Rax] = 0xFFFFFFFFUL;
        else
            vp->Gpr[Gpr.Rax] |= size == 2 ? 0xFFFFUL : 0xFFUL;
    }

    /// <summary>Whether the parent wants to be told of accesses to any of these ports.</summary>
    internal static bool IsIntercepted(Partition* partition, ushort port, byte size)
    {
        for (uint i = 0; i < size; i++)
            if (IsIntercepted(partition, port + i & 0xFFFF))
                return true;
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsIntercepted(Partition* partition, uint port)
    {
        ulong page = partition->PortIntercepts[port >> 15];
        return page != 0 && (PhysicalMap.ToPointer(page)[(port & 0x7FFF) >> 3] >> (int)(port & 7) & 1) != 0;
    }
}
