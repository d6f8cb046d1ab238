// The root's own virtual local APIC, through its x2APIC registers. SDM 3A, "Extended XAPIC (x2APIC)".
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static class LocalApic
{
    public const byte SpuriousVector = 0xFF;

    /// <summary>Enters x2APIC mode (by way of xAPIC mode: the direct step is invalid) and lets every priority through.</summary>
    public static void Initialize()
    {
        ApicBase apicBase = new ApicBase(Instructions.RdMsr(Msr.IA32_APIC_BASE)).WithEN(true);
        Instructions.WrMsr(Msr.IA32_APIC_BASE, apicBase.Value);
        Instructions.WrMsr(Msr.IA32_APIC_BASE, apicBase.WithEXTD(true).Value);
        Instructions.WrMsr(Msr.IA32_X2APIC_TPR, 0);
        SpuriousInterruptVector spurious = new SpuriousInterruptVector(0).WithVector(SpuriousVector).WithApicSoftwareEnable(true);
        Instructions.WrMsr(Msr.IA32_X2APIC_SIVR, spurious.Value);
    }

    public static void EndOfInterrupt() => Instructions.WrMsr(Msr.IA32_X2APIC_EOI, 0);
}
