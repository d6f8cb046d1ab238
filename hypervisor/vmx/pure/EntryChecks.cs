// Which of an entry's checks a VMCS fails, in the manual's words: the processor says no more than that one failed.
// SDM 3C, "VM Entries", in its order: controls, host state, guest state. Checks of features that are never switched on are left out.
using System;

namespace Lamina.Hypervisor.Vmx;

/// <summary>Where the checks read fields: the processor's current VMCS, or a test's own.</summary>
public interface IVmcsReader
{
    ulong Read(ushort field);
}

/// <summary>What the checks compare with: capabilities of the processor.</summary>
public struct EntryLimits
{
    public ControlCapability Pin, Primary, Secondary, Exit, Entry;
    public ulong Cr0Fixed0, Cr0Fixed1, Cr4Fixed0, Cr4Fixed1;
    public byte AddressBits;
    /// <summary>VTPR, which is in no field but in the virtual APIC's page.</summary>
    public byte TaskPriority;
}

public static partial class EntryChecks<TReader> where TReader : struct, IVmcsReader
{
    private const ulong PageMask = 0xFFF;
    private const ulong Pe = 1, Pg = 1UL << 31, Pae = 1 << 5, Pcide = 1 << 17, Lme = 1 << 8, Lma = 1 << 10;

    /// <summary>The first check that fails; "none that is known here" when all that are repeated here hold.</summary>
    public static ReadOnlySpan<byte> FirstViolation(TReader vmcs, in EntryLimits limits)
    {
        ReadOnlySpan<byte> violation = Controls(vmcs, limits);
        if (violation.Length == 0) violation = EntryEvent(vmcs);
        if (violation.Length == 0) violation = HostState(vmcs, limits);
        if (violation.Length == 0) violation = GuestControlRegisters(vmcs, limits);
        if (violation.Length == 0) violation = GuestSegments(vmcs);
        if (violation.Length == 0) violation = GuestRest(vmcs);
        return violation.Length == 0 ? "none that is known here"u8 : violation;
    }

    private static bool Has(ulong word, uint bit) => (word & bit) != 0;
    private static bool Fits(uint word, ControlCapability capability) => (word & capability.MustBeOne) == capability.MustBeOne && capability.Missing(word) == 0;

    // SDM 3C, "Checks on VMX Controls".
    private static ReadOnlySpan<byte> Controls(TReader vmcs, in EntryLimits limits)
    {
        uint primary = (uint)vmcs.Read(VmcsField.PrimaryProcessorBasedVmExecutionControls), pin = (uint)vmcs.Read(VmcsField.PinBasedVmExecutionControls);
        uint secondary = Has(primary, PrimaryControls.ActivateSecondaryControls) ? (uint)vmcs.Read(VmcsField.SecondaryProcessorBasedVmExecutionControls) : 0;
        if (!Fits(pin, limits.Pin)) return "pin-based VM-execution controls"u8;
        if (!Fits(primary, limits.Primary)) return "primary processor-based VM-execution controls"u8;
        if (secondary != 0 && !Fits(secondary, limits.Secondary)) return "secondary processor-based VM-execution controls"u8;
        if (vmcs.Read(VmcsField.Cr3TargetCount) > 4) return "CR3-target count"u8;
        if (Has(primary, PrimaryControls.UseIoBitmaps)
            && (!IsPage(vmcs.Read(VmcsField.AddressOfIoBitmapA), limits) || !IsPage(vmcs.Read(VmcsField.AddressOfIoBitmapB), limits))) return "I/O-bitmap addresses"u8;
        if (Has(primary, PrimaryControls.UseMsrBitmaps) && !IsPage(vmcs.Read(VmcsField.AddressOfMsrBitmaps), limits)) return "MSR-bitmap address"u8;
        if (Has(primary, PrimaryControls.UseTprShadow))
        {
            if (!IsPage(vmcs.Read(VmcsField.VirtualApicAddress), limits)) return "virtual-APIC address"u8;
            if (!Has(secondary, SecondaryControls.VirtualInterruptDelivery) && vmcs.Read(VmcsField.TprThreshold) > 15) return "TPR threshold: bits 31:4"u8;
            if (!Has(secondary, SecondaryControls.VirtualInterruptDelivery | SecondaryControls.VirtualizeApicAccesses)
                && vmcs.Read(VmcsField.TprThreshold) > (uint)(limits.TaskPriority >> 4)) return "TPR threshold above the task priority"u8;
        }
        else if (Has(secondary, SecondaryControls.VirtualizeX2ApicMode | SecondaryControls.ApicRegisterVirtualization | SecondaryControls.VirtualInterruptDelivery))
            return "virtual APIC without TPR shadow"u8;
        if (!Has(pin, PinBasedControls.NmiExiting) && Has(pin, PinBasedControls.VirtualNmis)) return "virtual NMIs without NMI exiting"u8;
        if (!Has(pin, PinBasedControls.VirtualNmis) && Has(primary, PrimaryControls.NmiWindowExiting)) return "NMI-window exiting without virtual NMIs"u8;
        if (Has(secondary, SecondaryControls.VirtualizeX2ApicMode) && Has(secondary, SecondaryControls.VirtualizeApicAccesses)) return "x2APIC mode and APIC accesses both virtualized"u8;
        if (Has(secondary, SecondaryControls.VirtualInterruptDelivery) && !Has(pin, PinBasedControls.ExternalInterruptExiting))
            return "virtual-interrupt delivery without external-interrupt exiting"u8;
        if (Has(secondary, SecondaryControls.EnableVpid) && vmcs.Read(VmcsField.VirtualProcessorIdentifier) == 0) return "VPID of 0"u8;
        if (Has(secondary, SecondaryControls.UnrestrictedGuest) && !Has(secondary, SecondaryControls.EnableEpt)) return "unrestricted guest without EPT"u8;
        if (Has(secondary, SecondaryControls.EnableEpt) && !IsEptPointer(vmcs.Read(VmcsField.EptPointer), limits)) return "EPT pointer"u8;
        if (!Fits((uint)vmcs.Read(VmcsField.VmExitControls), limits.Exit)) return "VM-exit controls"u8;
        return Fits((uint)vmcs.Read(VmcsField.VmEntryControls), limits.Entry) ? default : "VM-entry controls"u8;
    }

    private static bool IsPage(ulong address, in EntryLimits limits) => (address & PageMask) == 0 && address >> limits.AddressBits == 0;

    private static bool IsEptPointer(ulong pointer, in EntryLimits limits) =>
        (pointer & 7) is 0 or 6 && (pointer >> 3 & 7) == 3 && (pointer & 0xF80) == 0 && pointer >> limits.AddressBits == 0;

    // SDM 3C, "VM-Entry Control Fields": the event to be injected.
    private static ReadOnlySpan<byte> EntryEvent(TReader vmcs)
    {
        InterruptionInformation entry = new((uint)vmcs.Read(VmcsField.VmEntryInterruptionInformation), (uint)vmcs.Read(VmcsField.VmEntryExceptionErrorCode));
        if (!entry.Valid) return default;
        if (entry.Type is 1 or InterruptionInformation.OtherEvent) return "interruption type"u8;
        if (entry.Type == InterruptionInformation.Nmi && entry.Vector != 2 || entry.Type == InterruptionInformation.HardwareException && entry.Vector > 31)
            return "interruption vector"u8;
        if (entry.DeliverErrorCode != entry.ForMode((vmcs.Read(VmcsField.GuestCr0) & Pe) != 0).DeliverErrorCode) return "interruption: deliver-error-code bit"u8;
        if ((entry.Information & 0x7FFFF000) != 0) return "interruption: reserved bits"u8;
        if (entry.DeliverErrorCode && entry.ErrorCode >> 16 != 0) return "VM-entry exception error code"u8;
        return entry.IsOfInstruction && vmcs.Read(VmcsField.VmEntryInstructionLength) is 0 or > 15 ? "VM-entry instruction length"u8 : default;
    }

    // SDM 3C, "Checks on the Host-State Area".
    private static ReadOnlySpan<byte> HostState(TReader vmcs, in EntryLimits limits)
    {
        if (!IsFixed(vmcs.Read(VmcsField.HostCr0), limits.Cr0Fixed0, limits.Cr0Fixed1)) return "host CR0"u8;
        if (!IsFixed(vmcs.Read(VmcsField.HostCr4), limits.Cr4Fixed0, limits.Cr4Fixed1) || (vmcs.Read(VmcsField.HostCr4) & Pae) == 0) return "host CR4"u8;
        if (vmcs.Read(VmcsField.HostCr3) >> limits.AddressBits != 0) return "host CR3"u8;
        for (ushort field = VmcsField.HostEsSelector; field <= VmcsField.HostTrSelector; field += 2)
            if ((vmcs.Read(field) & 7) != 0) return "host selectors: RPL and TI"u8;
        if (vmcs.Read(VmcsField.HostCsSelector) == 0) return "host CS selector"u8;
        if (vmcs.Read(VmcsField.HostTrSelector) == 0) return "host TR selector"u8;
        for (ushort field = VmcsField.HostFsBase; field <= VmcsField.HostIa32SysenterEip; field += 2)
            if (!Canonical.Is(vmcs.Read(field))) return "host bases and SYSENTER registers: canonical"u8;
        if (!IsPat(vmcs.Read(VmcsField.HostIa32Pat))) return "host IA32_PAT"u8;
        if ((vmcs.Read(VmcsField.HostIa32Efer) & (Lma | Lme)) != (Lma | Lme)) return "host IA32_EFER"u8;
        if (!Has(vmcs.Read(VmcsField.VmExitControls), ExitControls.HostAddressSpaceSize)) return "host address-space size"u8;
        return Canonical.Is(vmcs.Read(VmcsField.HostRip)) ? default : "host RIP"u8;
    }

    private static bool IsFixed(ulong value, ulong fixed0, ulong fixed1) => (value & fixed0) == fixed0 && (value & ~fixed1) == 0;

    private static bool IsPat(ulong value)
    {
        for (int i = 0; i < 8; i++, value >>= 8)
            if ((value & 0xFF) is 2 or 3 or > 7) return false;
        return true;
    }
}
