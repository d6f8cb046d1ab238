// Exits that the core answers by itself within a few dozen instructions. The world switch tries them with the guest's xmm registers still in place.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// The plain cases of frequent exits. Each returns false with nothing changed where the case is not plain: the long way carries it out then. What is reached
/// from here uses no xmm register (the build looks), opens no interrupts and gives rise to no <see cref="VirtualProcessor.Work"/>, so that none of what
/// comes before other entries need be looked at. RIP is the backend's to move on.
/// </summary>
public static unsafe class ShortExits<TBackend> where TBackend : struct, IBackend
{
    /// <summary>CPUID of a leaf that a guest sees as the processor says it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryCpuid(VirtualProcessor* vp)
    {
        uint leaf = (uint)vp->Gpr[Gpr.Rax];
        if (!CpuidPolicy.IsAsProcessorSays(leaf) || vp->Partition->CpuidInterceptCount != 0)
            return false;
        vp->Count(HvStatsVpCounters.VpCpuidInstructionsCount);
        Instructions.CpuidInPlace(vp->Gpr, leaf);
        return true;
    }

    /// <summary>RDMSR of a register whose value is at hand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryReadMsr(VirtualProcessor* vp)
    {
        ulong value;
        uint msr = (uint)vp->Gpr[Gpr.Rcx];
        if (msr == HostMsr.EFER)
            value = TBackend.GetEfer(vp);
        else if (msr == Msr.IA32_TIME_STAMP_COUNTER)
            value = Instructions.RdTsc() + vp->TscOffset;
        else
            return false;
        vp->Count(HvStatsVpCounters.VpMsrAccessesCount);
        vp->Gpr[Gpr.Rax] = (uint)value;
        vp->Gpr[Gpr.Rdx] = value >> 32;
        return true;
    }

    /// <summary>IN and OUT of one byte, at a port that is not <see cref="PortExits{TBackend}.IsIntercepted(Partition*, uint)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Port(VirtualProcessor* vp, bool isIn)
    {
        vp->Count(HvStatsVpCounters.VpIoInstructionsCount);
        if (isIn)
            PortExits<TBackend>.ReadNothing(vp, 1);
    }
}
