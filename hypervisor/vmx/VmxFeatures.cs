// Which VMX features this processor has: what is required, what is used where it is there, and the control words that follow.
using System;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Hypervisor.Vmx;

internal static unsafe class VmxFeatures
{
    private const uint EcxVmx = 1 << 5, ExtEdxRdtscp = 1 << 27, Leaf7EbxInvpcid = 1 << 10;
    private const byte WriteBack = 6;

    private const uint RequiredPin = PinBasedControls.ExternalInterruptExiting | PinBasedControls.NmiExiting | PinBasedControls.VirtualNmis;
    private const uint RequiredPrimary = PrimaryControls.UseTscOffsetting | PrimaryControls.HltExiting | PrimaryControls.MwaitExiting | PrimaryControls.RdpmcExiting
        | PrimaryControls.UseTprShadow | PrimaryControls.UnconditionalIoExiting | PrimaryControls.UseMsrBitmaps | PrimaryControls.MonitorExiting
        | PrimaryControls.ActivateSecondaryControls;
    /// <summary>Switched on and off as interrupts wait, and off once a guest uses its debug registers.</summary>
    private const uint DynamicPrimary = PrimaryControls.InterruptWindowExiting | PrimaryControls.NmiWindowExiting | PrimaryControls.MovDrExiting;
    private const uint RequiredExit = ExitControls.SaveDebugControls | ExitControls.HostAddressSpaceSize | ExitControls.LoadIa32Pat | ExitControls.SaveIa32Efer | ExitControls.LoadIa32Efer;
    private const uint RequiredEntry = EntryControls.LoadDebugControls | EntryControls.LoadIa32Pat | EntryControls.LoadIa32Efer;

    private static class Words
    {
        internal static ulong Basic, EptVpid;
        internal static bool DeliversInterrupts;
        internal static uint Pin, Primary, Secondary, Exit, Entry;
    }

    internal static uint RevisionIdentifier => new VmxBasic(Words.Basic).RevisionIdentifier;
    internal static EptVpidCapabilities Ept => new(Words.EptVpid);

    // Control words as every virtual processor starts with them, child's settings.
    internal static uint Pin => Words.Pin;
    internal static uint Primary => Words.Primary;
    internal static uint Secondary => Words.Secondary;
    internal static uint Exit => Words.Exit;
    internal static uint Entry => Words.Entry;
    /// <summary>x2APIC mode virtualised, with APIC registers and interrupt delivery.</summary>
    internal static bool DeliversInterrupts => Words.DeliversInterrupts;
    /// <summary>
    /// Whether a request that the processor has been told of waits while the guest has interrupts off. Bochs delivers it when an external interrupt
    /// comes meanwhile (docs/decisions/0010).
    /// </summary>
    internal static bool KeepsRequestsBack => !AcpiTables.IsMachineBochs;
    /// <summary>Whether NMIs stay blocked when one guest had them blocked and another is entered, which has not: Bochs (docs/decisions/0010).</summary>
    internal static bool LeaksNmiBlocking => AcpiTables.IsMachineBochs;
    internal static bool HasVpid => (Words.Secondary & SecondaryControls.EnableVpid) != 0;

    /// <summary>Under Bochs an entry with IF clear keeps external interrupts from exiting: guests are left by timer now and then (docs/decisions/0010).</summary>
    private static bool NeedsPreemptionTimer => AcpiTables.IsMachineBochs;
    internal static bool UsesPreemptionTimer => (Words.Pin & PinBasedControls.ActivateVmxPreemptionTimer) != 0;

    /// <summary>A millisecond in ticks of the preemption timer.</summary>
    internal static uint PreemptionTicks => (uint)(Clock.FromMicroseconds(1000) >> new VmxMisc(Instructions.RdMsr(Msr.IA32_VMX_MISC)).PreemptionTimerRate);

    /// <summary>Capability MSR of a control word: the TRUE one where there is one.</summary>
    internal static ControlCapability Capability(uint msr) =>
        new(Instructions.RdMsr(new VmxBasic(Words.Basic).HasTrueControls ? msr - Msr.IA32_VMX_PINBASED_CTLS + Msr.IA32_VMX_TRUE_PINBASED_CTLS : msr));

    internal static bool Check()
    {
        if (!Core.Preflight.Require("Intel VMX (CPUID 1 ECX[5])"u8, Core.Preflight.HasLeafBit(1, 2, EcxVmx)))
            return false;
        FeatureControl control = new(Instructions.RdMsr(Msr.IA32_FEATURE_CONTROL));
        bool complete = Core.Preflight.Require("VMX not disabled by firmware (IA32_FEATURE_CONTROL[2,0])"u8, !control.Lock || control.VmxOutsideSmx);
        VmxBasic basic = new(Words.Basic = Instructions.RdMsr(Msr.IA32_VMX_BASIC));
        complete &= Core.Preflight.Require("VMCS of at most a page, write-back (IA32_VMX_BASIC)"u8, basic.RegionSize <= 4096 && basic.MemoryType == WriteBack);
        complete &= CheckPrimary();
        complete &= CheckSecondary();
        complete &= CheckSwitches();
        return complete;
    }

    private static bool CheckPrimary()
    {
        ControlCapability pin = Capability(Msr.IA32_VMX_PINBASED_CTLS), primary = Capability(Msr.IA32_VMX_PROCBASED_CTLS);
        Words.Pin = pin.Adjust(RequiredPin | (NeedsPreemptionTimer ? PinBasedControls.ActivateVmxPreemptionTimer : 0));
        Words.Primary = primary.Adjust(RequiredPrimary);
        bool complete = Core.Preflight.Require("external-interrupt exiting, NMI exiting, virtual NMIs (IA32_VMX_PINBASED_CTLS)"u8,
            pin.Missing(RequiredPin) == 0 && pin.Forced(RequiredPin, PinBasedControls.Default1) == 0);
        complete &= Core.Preflight.Require("TPR shadow, MSR bitmaps, TSC offsetting, interrupt and NMI windows, exits by HLT and I/O (IA32_VMX_PROCBASED_CTLS)"u8,
            primary.Missing(RequiredPrimary | DynamicPrimary) == 0);
        // Only the TRUE MSRs say that accesses to CR3 need not exit; every processor with EPT has them.
        complete &= Core.Preflight.Require("no exits but those asked for (IA32_VMX_BASIC[55], IA32_VMX_TRUE_PROCBASED_CTLS)"u8,
            primary.Forced(RequiredPrimary, PrimaryControls.Default1) == 0);
        return complete;
    }

    private static bool CheckSecondary()
    {
        const uint required = SecondaryControls.EnableEpt | SecondaryControls.UnrestrictedGuest;
        // Instructions that raise #UD in a guest unless a control enables them, where CPUID has them.
        uint instructions = (Core.Preflight.HasLeafBit(0x80000001, 3, ExtEdxRdtscp) ? SecondaryControls.EnableRdtscp : 0)
            | (Core.Preflight.HasLeafBit(7, 1, Leaf7EbxInvpcid) ? SecondaryControls.EnableInvpcid : 0);
        bool present = (Words.Primary & PrimaryControls.ActivateSecondaryControls) != 0;
        ControlCapability secondary = new(present ? Instructions.RdMsr(Msr.IA32_VMX_PROCBASED_CTLS2) : 0);
        bool hasEpt = Core.Preflight.Require("EPT (IA32_VMX_PROCBASED_CTLS2[33])"u8, secondary.Missing(SecondaryControls.EnableEpt) == 0);
        bool complete = hasEpt;
        complete &= Core.Preflight.Require("unrestricted guest (IA32_VMX_PROCBASED_CTLS2[39])"u8, secondary.Missing(SecondaryControls.UnrestrictedGuest) == 0);
        complete &= Core.Preflight.Require("RDTSCP and INVPCID in guests where CPUID has them (IA32_VMX_PROCBASED_CTLS2[35, 44])"u8, secondary.Missing(instructions) == 0);
        if (hasEpt)
            Words.EptVpid = Instructions.RdMsr(Msr.IA32_VMX_EPT_VPID_CAP);
        complete &= Core.Preflight.Require("EPT of four levels in write-back memory, INVEPT (IA32_VMX_EPT_VPID_CAP)"u8,
            Ept.PageWalkLength4 && Ept.WriteBackMemoryType && Ept.INVEPT && Ept.AllContextINVEPT);
        // Firmware may have SGX on, and an enclave's pages are the machine's.
        uint optional = SecondaryControls.WbinvdExiting | SecondaryControls.EnableEnclsExiting | (Ept.INVVPID && Ept.AllContextINVVPID ? SecondaryControls.EnableVpid : 0);
        Words.DeliversInterrupts = secondary.Missing(SecondaryControls.VirtualizeX2ApicMode | SecondaryControls.ApicRegisterVirtualization
            | SecondaryControls.VirtualInterruptDelivery) == 0;
        Words.Secondary = secondary.Adjust(required | instructions | optional);
        return complete;
    }

    private static bool CheckSwitches()
    {
        ControlCapability exit = Capability(Msr.IA32_VMX_EXIT_CTLS), entry = Capability(Msr.IA32_VMX_ENTRY_CTLS);
        Words.Exit = exit.Adjust(RequiredExit | (UsesPreemptionTimer ? ExitControls.SaveVmxPreemptionTimerValue : 0));
        Words.Entry = entry.Adjust(RequiredEntry);
        return Core.Preflight.Require("PAT, EFER and debug controls switched by exits and entries (IA32_VMX_EXIT_CTLS, IA32_VMX_ENTRY_CTLS)"u8,
            exit.Missing(RequiredExit) == 0 && entry.Missing(RequiredEntry | EntryControls.Ia32eModeGuest) == 0);
    }

    /// <summary>What an entry checks a VMCS against.</summary>
    internal static EntryLimits Limits() => new()
    {
        Pin = Capability(Msr.IA32_VMX_PINBASED_CTLS),
        Primary = Capability(Msr.IA32_VMX_PROCBASED_CTLS),
        Secondary = new(Instructions.RdMsr(Msr.IA32_VMX_PROCBASED_CTLS2)),
        Exit = Capability(Msr.IA32_VMX_EXIT_CTLS),
        Entry = Capability(Msr.IA32_VMX_ENTRY_CTLS),
        Cr0Fixed0 = Instructions.RdMsr(Msr.IA32_VMX_CR0_FIXED0),
        Cr0Fixed1 = Instructions.RdMsr(Msr.IA32_VMX_CR0_FIXED1),
        Cr4Fixed0 = Instructions.RdMsr(Msr.IA32_VMX_CR4_FIXED0),
        Cr4Fixed1 = Instructions.RdMsr(Msr.IA32_VMX_CR4_FIXED1),
        AddressBits = GuestTableLimits.AddressBits,
    };

    /// <summary>One line: what of the optional features is used.</summary>
    internal static void Report()
    {
        byte* buffer = stackalloc byte[160];
        TextWriter line = new(buffer, 160);
        line.Text("hypervisor: VMX with EPT"u8).Text(Ept.Page1G ? " 1G"u8 : ""u8).Text(Ept.Page2M ? " 2M"u8 : ""u8).Text(" 4K"u8);
        line.Text(HasVpid ? ", VPID"u8 : ""u8).Text((Secondary & SecondaryControls.WbinvdExiting) != 0 ? ", WBINVD exiting"u8 : ""u8)
            .Text((Secondary & SecondaryControls.EnableInvpcid) != 0 ? ", INVPCID"u8 : ""u8).Text(DeliversInterrupts ? ", virtual-interrupt delivery"u8 : ""u8)
            .Text(UsesPreemptionTimer ? ", preemption timer (Bochs)"u8 : ""u8);
        DebugConsole.Line(line.Written);
    }
}
