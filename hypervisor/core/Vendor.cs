// The one file that names a backend: which one this machine runs is decided once, here. SVM is the only one yet.
using System.Runtime;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Hypervisor.Svm;

namespace Lamina.Hypervisor.Core;

public static unsafe class Vendor
{
    private const uint EcxVmx = 1 << 5;

    /// <summary>Preflight of the backend that fits, then everything that is generic over it. Does not return.</summary>
    public static void Start(Lamina.Abi.BootHandover* handover)
    {
        if (!Preflight.HasLeafBit(0x80000001, 2, 1 << 2) && Preflight.HasLeafBit(1, 2, EcxVmx))
            Panic.Stop("require: AMD SVM; this processor has Intel VMX, whose backend is not in this version"u8);
        if (!SvmBackend.Preflight())
            Panic.Stop("require: a feature named above is missing"u8);
        CoreStart<SvmBackend>.Run(handover);
    }

    [RuntimeExport("core_interrupt")]
    private static void OnInterrupt(InterruptFrame* frame) => HostInterrupts<SvmBackend>.Handle(frame);
}
