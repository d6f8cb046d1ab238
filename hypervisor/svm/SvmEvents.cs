// Interrupts and exceptions on their way into a guest. APM 2, "Event Injection", "Interrupt and Local APIC Support".
using Lamina.Abi;
using Lamina.Hypervisor.Core;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    private const ulong RflagsIf = 1 << 9;
    private const byte DoubleFault = 8;

    public static void UpdateExceptionIntercepts(VirtualProcessor* vp) =>
        StateOf(vp)->Control.InterceptExceptions = vp->Partition->ExceptionIntercepts | 1u << 18; // #MC, as from the start

    public static void InjectException(VirtualProcessor* vp, byte vector, bool hasErrorCode, uint errorCode)
    {
        Vmcb* vmcb = StateOf(vp);
        EventInjection pending = vmcb->Control.EVENTINJ;
        // Two contributory faults in a row are a double fault. SDM 3A, "Interrupt 8"; an interrupt that waited is requested again by its source.
        if (pending.Valid && pending.TYPE == EventInjection.Exception)
        {
            vmcb->Control.EVENTINJ = EventInjection.ForException(DoubleFault, 0);
            return;
        }
        if (pending.Valid && pending.TYPE == EventInjection.ExternalInterrupt)
            vp->Apic.Reinstate(pending.VECTOR);
        if (pending.Valid && pending.TYPE == EventInjection.Nmi)
            vp->NmiPending = true;
        vmcb->Control.EVENTINJ = hasErrorCode ? EventInjection.ForException(vector, errorCode) : EventInjection.ForException(vector);
    }

    public static bool HasPendingInjection(VirtualProcessor* vp) => StateOf(vp)->Control.EVENTINJ.Valid;

    public static bool TryInjectNmi(VirtualProcessor* vp)
    {
        VmcbControlArea* control = &StateOf(vp)->Control;
        // NMIs stay masked until IRET: its intercept is on exactly as long.
        if (control->EVENTINJ.Valid || (control->Intercept1 & VmcbIntercept1.IRET) != 0 || (control->InterruptShadow & InterruptState.INTERRUPT_SHADOW) != 0)
            return false;
        control->EVENTINJ = EventInjection.ForNmi();
        control->Intercept1 |= VmcbIntercept1.IRET;
        return true;
    }

    public static void InjectInterrupt(VirtualProcessor* vp, byte vector) => StateOf(vp)->Control.EVENTINJ = EventInjection.ForInterrupt(vector);

    public static void OfferInterrupt(VirtualProcessor* vp, byte vector, bool notify)
    {
        VmcbControlArea* control = &StateOf(vp)->Control;
        control->V_INTR = control->V_INTR.WithV_IRQ(vector != 0).WithV_INTR_PRIO((byte)(vector >> 4)).WithV_INTR_VECTOR(vector);
        control->Intercept1 = notify ? control->Intercept1 | VmcbIntercept1.VINTR : control->Intercept1 & ~VmcbIntercept1.VINTR;
    }

    public static bool IsOfferTaken(VirtualProcessor* vp) => !StateOf(vp)->Control.V_INTR.V_IRQ;

    public static bool IsInterruptible(VirtualProcessor* vp, byte vector)
    {
        Vmcb* vmcb = StateOf(vp);
        return (vmcb->Save.RFLAGS & RflagsIf) != 0 && (vmcb->Control.InterruptShadow & InterruptState.INTERRUPT_SHADOW) == 0
            && vector >> 4 > (vmcb->Control.V_INTR.V_TPR & 0xF);
    }

    public static byte GetTaskPriority(VirtualProcessor* vp) => (byte)(StateOf(vp)->Control.V_INTR.V_TPR << 4);
    public static void SetTaskPriority(VirtualProcessor* vp, byte value) =>
        StateOf(vp)->Control.V_INTR = StateOf(vp)->Control.V_INTR.WithV_TPR((byte)(value >> 4));
    public static void SetTscOffset(VirtualProcessor* vp, ulong offset) => StateOf(vp)->Control.TSC_OFFSET = offset;
}
