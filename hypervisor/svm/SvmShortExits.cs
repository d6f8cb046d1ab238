// Exits that are over in a few dozen instructions: what the world switch tries before it puts the guest's xmm registers away.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using static Lamina.Hypervisor.Svm.SvmExitCode;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    /// <summary>
    /// Called by the world switch (svm.asm) after an exit, with the guest's xmm registers in place; see <see cref="ShortExits{TBackend}"/>. True: the instruction
    /// has been carried out, and the same virtual processor goes on. False: nothing has happened.
    /// </summary>
    // Each kind is a function of its own that is jumped to: none saves registers for another, and this one saves none.
    [RuntimeExport("svm_short_exit")]
    private static bool ShortExit(VirtualProcessor* vp)
    {
        Vmcb* vmcb = StateOf(vp);
        ulong code = vmcb->Control.EXITCODE;
        if (code == VMEXIT_CPUID)
            return ShortCpuid(vp, vmcb);
        if (code == VMEXIT_MSR)
            return vmcb->Control.EXITINFO1 == MsrInterceptInfo.Read && ShortRdmsr(vp, vmcb);
        if (code == VMEXIT_VMMCALL)
            return ShortCall(vp, vmcb);
        return code == VMEXIT_IOIO && ShortPort(vp, vmcb);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortCpuid(VirtualProcessor* vp, Vmcb* vmcb) =>
        IsPlain(vp, vmcb) && ShortExits<SvmBackend>.TryCpuid(vp) && Continue(vp, vmcb, Behind(vmcb, 2));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortRdmsr(VirtualProcessor* vp, Vmcb* vmcb) =>
        IsPlain(vp, vmcb) && ShortExits<SvmBackend>.TryReadMsr(vp) && Continue(vp, vmcb, Behind(vmcb, 2));

    // Calls that are known and ports with a device are the more frequent ones: they learn soon that they are not meant.

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortCall(VirtualProcessor* vp, Vmcb* vmcb) =>
        HypercallDispatch<SvmBackend>.IsBeyondAll(Is64Bit(vp) ? vp->Gpr[Gpr.Rcx] : vmcb->Save.RAX)
        && IsPlain(vp, vmcb) && HypercallDispatch<SvmBackend>.TryRefuse(vp) && Continue(vp, vmcb, Behind(vmcb, 3));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortPort(VirtualProcessor* vp, Vmcb* vmcb)
    {
        IoInterceptInfo io = new(vmcb->Control.EXITINFO1);
        if (!io.IsSingleByte || PortExits<SvmBackend>.IsIntercepted(vp->Partition, io.Port) || !IsPlain(vp, vmcb))
            return false;
        ShortExits<SvmBackend>.Port(vp, io.IsIn);
        return Continue(vp, vmcb, vmcb->Control.EXITINFO2);
    }

    /// <summary>No event that was cut off, no step, no shadow or trap that ends with the instruction. RAX is where the others are then.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsPlain(VirtualProcessor* vp, Vmcb* vmcb)
    {
        if (vmcb->Control.EXITINTINFO.Valid || vp->Stepping != SteppingReason.None
            || (vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW | vmcb->Save.RFLAGS & RflagsTf) != 0)
            return false;
        vp->Gpr[Gpr.Rax] = vmcb->Save.RAX;
        return true;
    }

    /// <summary>The next instruction's address; its length is fixed where the processor does not say it (docs/decisions/0002).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Behind(Vmcb* vmcb, uint length)
    {
        ulong next = vmcb->Control.NRIP;
        return next != 0 ? next : vmcb->Save.RIP + length;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Continue(VirtualProcessor* vp, Vmcb* vmcb, ulong next)
    {
        if ((vmcb->Save.EFER & EferLma) == 0)
            next = (uint)next;
        vmcb->Save.RIP = next;
        vmcb->Save.RAX = vp->Gpr[Gpr.Rax];
        vmcb->Control.EVENTINJ = EventInjection.None;
        vmcb->Control.TLB_CONTROL = TlbControl.DoNothing;
        return true;
    }
}
