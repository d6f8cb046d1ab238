// The one file that names the backends: which one this machine runs is decided once, here.
using System.Runtime;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Hypervisor.Svm;
using Lamina.Hypervisor.Vmx;

namespace Lamina.Hypervisor.Core;

public static unsafe class Vendor
{
    private const uint EcxVmx = 1 << 5;

    private static class Choice { internal static bool IsVmx; }

    /// <summary>Preflight of the backend that fits, then everything that is generic over it. Does not return.</summary>
    public static void Start(Lamina.Abi.BootHandover* handover)
    {
        Choice.IsVmx = Preflight.HasLeafBit(1, 2, EcxVmx);
        if (!(Choice.IsVmx ? VmxBackend.Preflight() : SvmBackend.Preflight()))
            Panic.Stop("require: a feature named above is missing"u8);
        if (Choice.IsVmx)
            CoreStart<VmxBackend>.Run(handover);
        else
            CoreStart<SvmBackend>.Run(handover);
    }

    /// <summary>A further processor is on its own stack (trampoline.asm). Does not return.</summary>
    [RuntimeExport("core_processor_main")]
    private static void StartProcessor()
    {
        if (Choice.IsVmx)
            CoreStart<VmxBackend>.RunProcessor();
        else
            CoreStart<SvmBackend>.RunProcessor();
    }

    [RuntimeExport("core_interrupt")]
    private static void OnInterrupt(InterruptFrame* frame)
    {
        if (Choice.IsVmx)
            HostInterrupts<VmxBackend>.Handle(frame);
        else
            HostInterrupts<SvmBackend>.Handle(frame);
    }
}
