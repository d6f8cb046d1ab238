// IN and OUT of children. A port that the parent did not ask for has no device: reads are all ones, writes vanish, and nobody is woken.
using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Hypervisor.Core;

public static unsafe class PortExits<TBackend> where TBackend : struct, IBackend
{
    // What is done next is jumped to, each with a frame of its own: this one, on the way of every access, has none.
    public static void Handle(VirtualProcessor* vp, ushort port, HvX64IoPortAccessInfo access, bool isIn, uint length)
    {
        vp->Count(HvStatsVpCounters.VpIoInstructionsCount);
        if (access.Value != SingleByte)
            HandleOther(vp, port, access, isIn, length);
        else if (IsIntercepted(vp->Partition, port))
            Intercepts<TBackend>.IoPort(vp, port, access, isIn, length);
        else
            Complete(vp, 1, isIn);
    }

    /// <summary>Access of one byte, and nothing else about it.</summary>
    private const byte SingleByte = 1;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void HandleOther(VirtualProcessor* vp, ushort port, HvX64IoPortAccessInfo access, bool isIn, uint length)
    {
        if (access.StringOp)
            Intercepts<TBackend>.IoPortString(vp, port, access, isIn, length);
        else if (IsIntercepted(vp->Partition, port, access.AccessSize))
            Intercepts<TBackend>.IoPort(vp, port, access, isIn, length);
        else
            Complete(vp, access.AccessSize, isIn);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Complete(VirtualProcessor* vp, byte size, bool isIn)
    {
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
        return page != 0 && (*(uint*)(PhysicalMap.ToPointer(page) + (port >> 3 & 0xFFC)) & 1u << (int)port) != 0;
    }
}
