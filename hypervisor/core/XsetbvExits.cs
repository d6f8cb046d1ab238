// XSETBV: the guest enables extended state; it stays in the processor, so it must be one that the core saves and restores.
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class XsetbvExits<TBackend> where TBackend : struct, IBackend
{
    private const byte GeneralProtection = 13;

    public static void Handle(VirtualProcessor* vp)
    {
        ulong value = (uint)vp->Gpr[Gpr.Rax] | vp->Gpr[Gpr.Rdx] << 32;
        if ((uint)vp->Gpr[Gpr.Rcx] != 0 || TBackend.GetCpl(vp) != 0 || !CpuidPolicy.IsValidXcr0(value))
        {
            TBackend.InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        vp->Xcr0 = value;
        Instructions.XSetBv(0, value);
        TBackend.CompleteInstruction(vp);
    }
}
