// Bits of the five control words. SDM 3C, "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control Fields".

namespace Lamina.Hypervisor.Vmx;

/// <summary>SDM 3C, "Pin-Based VM-Execution Controls".</summary>
public static class PinBasedControls
{
    public const uint ExternalInterruptExiting = 1u << 0;
    public const uint NmiExiting = 1u << 3;
    public const uint VirtualNmis = 1u << 5;
    public const uint ActivateVmxPreemptionTimer = 1u << 6;
    public const uint ProcessPostedInterrupts = 1u << 7;

    /// <summary>Bits that are one on processors without the TRUE capability MSRs; their zero setting has no meaning here.</summary>
    public const uint Default1 = 1u << 1 | 1u << 2 | 1u << 4;
}

/// <summary>SDM 3C, "Processor-Based VM-Execution Controls", primary.</summary>
public static class PrimaryControls
{
    public const uint InterruptWindowExiting = 1u << 2;
    public const uint UseTscOffsetting = 1u << 3;
    public const uint HltExiting = 1u << 7;
    public const uint InvlpgExiting = 1u << 9;
    public const uint MwaitExiting = 1u << 10;
    public const uint RdpmcExiting = 1u << 11;
    public const uint RdtscExiting = 1u << 12;
    public const uint Cr3LoadExiting = 1u << 15;
    public const uint Cr3StoreExiting = 1u << 16;
    public const uint ActivateTertiaryControls = 1u << 17;
    public const uint Cr8LoadExiting = 1u << 19;
    public const uint Cr8StoreExiting = 1u << 20;
    public const uint UseTprShadow = 1u << 21;
    public const uint NmiWindowExiting = 1u << 22;
    public const uint MovDrExiting = 1u << 23;
    public const uint UnconditionalIoExiting = 1u << 24;
    public const uint UseIoBitmaps = 1u << 25;
    public const uint MonitorTrapFlag = 1u << 27;
    public const uint UseMsrBitmaps = 1u << 28;
    public const uint MonitorExiting = 1u << 29;
    public const uint PauseExiting = 1u << 30;
    public const uint ActivateSecondaryControls = 1u << 31;

    /// <summary>As above. The two CR3 controls are of that class, too, and must be able to be zero: see the preflight.</summary>
    public const uint Default1 = 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 13 | 1u << 14 | 1u << 26;
}

/// <summary>SDM 3C, "Processor-Based VM-Execution Controls", secondary.</summary>
public static class SecondaryControls
{
    public const uint VirtualizeApicAccesses = 1u << 0;
    public const uint EnableEpt = 1u << 1;
    public const uint DescriptorTableExiting = 1u << 2;
    public const uint EnableRdtscp = 1u << 3;
    public const uint VirtualizeX2ApicMode = 1u << 4;
    public const uint EnableVpid = 1u << 5;
    public const uint WbinvdExiting = 1u << 6;
    public const uint UnrestrictedGuest = 1u << 7;
    public const uint ApicRegisterVirtualization = 1u << 8;
    public const uint VirtualInterruptDelivery = 1u << 9;
    public const uint PauseLoopExiting = 1u << 10;
    public const uint RdrandExiting = 1u << 11;
    public const uint EnableInvpcid = 1u << 12;
    public const uint EnableVmFunctions = 1u << 13;
    public const uint VmcsShadowing = 1u << 14;
    public const uint EnableEnclsExiting = 1u << 15;
    public const uint RdseedExiting = 1u << 16;
    public const uint EnablePml = 1u << 17;
    public const uint EptViolationVe = 1u << 18;
    public const uint ConcealVmxFromPt = 1u << 19;
    public const uint EnableXsavesXrstors = 1u << 20;
    public const uint ModeBasedExecuteControlForEpt = 1u << 22;
    public const uint UseTscScaling = 1u << 25;
    public const uint EnableUserWaitAndPause = 1u << 26;
}

/// <summary>SDM 3C, "VM-Exit Controls", primary.</summary>
public static class ExitControls
{
    public const uint SaveDebugControls = 1u << 2;
    public const uint HostAddressSpaceSize = 1u << 9;
    public const uint LoadIa32PerfGlobalCtrl = 1u << 12;
    public const uint AcknowledgeInterruptOnExit = 1u << 15;
    public const uint SaveIa32Pat = 1u << 18;
    public const uint LoadIa32Pat = 1u << 19;
    public const uint SaveIa32Efer = 1u << 20;
    public const uint LoadIa32Efer = 1u << 21;
    public const uint SaveVmxPreemptionTimerValue = 1u << 22;
    public const uint ClearIa32Bndcfgs = 1u << 23;

    /// <summary>As in <see cref="PinBasedControls.Default1"/>.</summary>
    public const uint Default1 = 0x00036DFB;
}

/// <summary>SDM 3C, "VM-Entry Controls".</summary>
public static class EntryControls
{
    public const uint LoadDebugControls = 1u << 2;
    public const uint Ia32eModeGuest = 1u << 9;
    public const uint EntryToSmm = 1u << 10;
    public const uint DeactivateDualMonitorTreatment = 1u << 11;
    public const uint LoadIa32PerfGlobalCtrl = 1u << 13;
    public const uint LoadIa32Pat = 1u << 14;
    public const uint LoadIa32Efer = 1u << 15;
    public const uint LoadIa32Bndcfgs = 1u << 16;

    /// <summary>As in <see cref="PinBasedControls.Default1"/>.</summary>
    public const uint Default1 = 0x000011FB;
}
