// Exits that are over in a few dozen instructions: what the world switch tries before it puts the guest's xmm registers away.
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using static Lamina.Hypervisor.Svm.SvmExitCode;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    /// <summary>Exit codes that may be short, by distance from that of CPUID.</summary>
    private const uint ShortCodes = 1u << (int)(VMEXIT_IOIO - VMEXIT_CPUID) | 1u << (int)(VMEXIT_MSR - VMEXIT_CPUID) | 1u << (int)(VMEXIT_VMMCALL - VMEXIT_CPUID) | 1;

    /// <summary>
    /// Called by the world switch (svm.asm) after an exit, with the guest's xmm registers in place; see <see cref="ShortExits{TBackend}"/>. True: the instruction
    /// has been carried out, and the same virtual processor goes on. False: nothing has happened.
    /// </summary>
    // Each kind is a function of its own that is jumped to: none saves registers for another.
    [RuntimeExport("svm_short_exit")]
    private static bool ShortExit(VirtualProcessor* vp)
    {
        Vmcb* vmcb = StateOf(vp);
        ulong code = vmcb->Control.EXITCODE, kind = code - VMEXIT_CPUID;
        if (kind > VMEXIT_VMMCALL - VMEXIT_CPUID || (ShortCodes >> (int)kind & 1) == 0)
            return false;
        // Ports with a device are the more frequent ones: they learn soon that they are not meant.
        IoInterceptInfo io = new(vmcb->Control.EXITINFO1);
        if (code == VMEXIT_IOIO && (io.IsString || !ShortExits<SvmBackend>.IsWithoutDevice(vp, io.Port, io.OperandSize)))
            return false;
        // An event that was cut off, a step, a shadow or a trap that ends with the instruction: not plain.
        if (vmcb->Control.EXITINTINFO.Valid || vp->Stepping != SteppingReason.None
            || (vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW | vmcb->Save.RFLAGS & RflagsTf) != 0)
            return false;
        vp->Gpr[Gpr.Rax] = vmcb->Save.RAX;
        if (code == VMEXIT_MSR)
            return vmcb->Control.EXITINFO1 == MsrInterceptInfo.Read && ShortRdmsr(vp, vmcb);
        if (code == VMEXIT_CPUID)
            return ShortCpuid(vp, vmcb);
        return code == VMEXIT_IOIO ? ShortPort(vp, vmcb) : ShortCall(vp, vmcb);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortCpuid(VirtualProcessor* vp, Vmcb* vmcb) => ShortExits<SvmBackend>.TryCpuid(vp) && Continue(vp, vmcb, Behind(vmcb, 2));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortRdmsr(VirtualProcessor* vp, Vmcb* vmcb) => ShortExits<SvmBackend>.TryReadMsr(vp) && Continue(vp, vmcb, Behind(vmcb, 2));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortCall(VirtualProcessor* vp, Vmcb* vmcb) => HypercallDispatch<SvmBackend>.TryRefuse(vp) && Continue(vp, vmcb, Behind(vmcb, 3));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ShortPort(VirtualProcessor* vp, Vmcb* vmcb)
    {
        ShortExits<SvmBackend>.Port(vp, new IoInterceptInfo(vmcb->Control.EXITINFO1).IsIn);
        return Continue(vp, vmcb, vmcb->Control.EXITINFO2);
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
