// Encodings of the VMCS's fields. SDM 3D, appendix "Field Encoding in VMCS", in the order of its tables.

namespace Lamina.Hypervisor.Vmx;

/// <summary>
/// A field's encoding, as VMREAD and VMWRITE take it: bit 0 access to the upper half of a 64-bit field, bits 9:1 index, bits 11:10 type
/// (0 control, 1 exit information, 2 guest state, 3 host state), bits 14:13 width (0 16 bits, 1 64 bits, 2 32 bits, 3 natural).
/// </summary>
public static class VmcsField
{
    // 16-bit control fields
    public const ushort VirtualProcessorIdentifier = 0x0000;
    public const ushort PostedInterruptNotificationVector = 0x0002;
    public const ushort EptpIndex = 0x0004;

    // 16-bit guest-state fields
    public const ushort GuestEsSelector = 0x0800;
    public const ushort GuestCsSelector = 0x0802;
    public const ushort GuestSsSelector = 0x0804;
    public const ushort GuestDsSelector = 0x0806;
    public const ushort GuestFsSelector = 0x0808;
    public const ushort GuestGsSelector = 0x080A;
    public const ushort GuestLdtrSelector = 0x080C;
    public const ushort GuestTrSelector = 0x080E;
    public const ushort GuestInterruptStatus = 0x0810;
    public const ushort PmlIndex = 0x0812;

    // 16-bit host-state fields
    public const ushort HostEsSelector = 0x0C00;
    public const ushort HostCsSelector = 0x0C02;
    public const ushort HostSsSelector = 0x0C04;
    public const ushort HostDsSelector = 0x0C06;
    public const ushort HostFsSelector = 0x0C08;
    public const ushort HostGsSelector = 0x0C0A;
    public const ushort HostTrSelector = 0x0C0C;

    // 64-bit control fields
    public const ushort AddressOfIoBitmapA = 0x2000;
    public const ushort AddressOfIoBitmapB = 0x2002;
    public const ushort AddressOfMsrBitmaps = 0x2004;
    public const ushort VmExitMsrStoreAddress = 0x2006;
    public const ushort VmExitMsrLoadAddress = 0x2008;
    public const ushort VmEntryMsrLoadAddress = 0x200A;
    public const ushort ExecutiveVmcsPointer = 0x200C;
    public const ushort PmlAddress = 0x200E;
    public const ushort TscOffset = 0x2010;
    public const ushort VirtualApicAddress = 0x2012;
    public const ushort ApicAccessAddress = 0x2014;
    public const ushort PostedInterruptDescriptorAddress = 0x2016;
    public const ushort VmFunctionControls = 0x2018;
    public const ushort EptPointer = 0x201A;
    public const ushort EoiExitBitmap0 = 0x201C;
    public const ushort EoiExitBitmap1 = 0x201E;
    public const ushort EoiExitBitmap2 = 0x2020;
    public const ushort EoiExitBitmap3 = 0x2022;
    public const ushort EptpListAddress = 0x2024;
    public const ushort VmreadBitmapAddress = 0x2026;
    public const ushort VmwriteBitmapAddress = 0x2028;
    public const ushort VirtualizationExceptionInformationAddress = 0x202A;
    public const ushort XssExitingBitmap = 0x202C;
    public const ushort EnclsExitingBitmap = 0x202E;
    public const ushort TscMultiplier = 0x2032;

    // 64-bit read-only data field
    public const ushort GuestPhysicalAddress = 0x2400;

    // 64-bit guest-state fields
    public const ushort VmcsLinkPointer = 0x2800;
    public const ushort GuestIa32Debugctl = 0x2802;
    public const ushort GuestIa32Pat = 0x2804;
    public const ushort GuestIa32Efer = 0x2806;
    public const ushort GuestIa32PerfGlobalCtrl = 0x2808;
    public const ushort GuestPdpte0 = 0x280A;
    public const ushort GuestPdpte1 = 0x280C;
    public const ushort GuestPdpte2 = 0x280E;
    public const ushort GuestPdpte3 = 0x2810;
    public const ushort GuestIa32Bndcfgs = 0x2812;

    // 64-bit host-state fields
    public const ushort HostIa32Pat = 0x2C00;
    public const ushort HostIa32Efer = 0x2C02;
    public const ushort HostIa32PerfGlobalCtrl = 0x2C04;

    // 32-bit control fields
    public const ushort PinBasedVmExecutionControls = 0x4000;
    public const ushort PrimaryProcessorBasedVmExecutionControls = 0x4002;
    public const ushort ExceptionBitmap = 0x4004;
    public const ushort PageFaultErrorCodeMask = 0x4006;
    public const ushort PageFaultErrorCodeMatch = 0x4008;
    public const ushort Cr3TargetCount = 0x400A;
    public const ushort VmExitControls = 0x400C;
    public const ushort VmExitMsrStoreCount = 0x400E;
    public const ushort VmExitMsrLoadCount = 0x4010;
    public const ushort VmEntryControls = 0x4012;
    public const ushort VmEntryMsrLoadCount = 0x4014;
    public const ushort VmEntryInterruptionInformation = 0x4016;
    public const ushort VmEntryExceptionErrorCode = 0x4018;
    public const ushort VmEntryInstructionLength = 0x401A;
    public const ushort TprThreshold = 0x401C;
    public const ushort SecondaryProcessorBasedVmExecutionControls = 0x401E;
    public const ushort PleGap = 0x4020;
    public const ushort PleWindow = 0x4022;

    // 32-bit read-only data fields
    public const ushort VmInstructionError = 0x4400;
    public const ushort ExitReason = 0x4402;
    public const ushort VmExitInterruptionInformation = 0x4404;
    public const ushort VmExitInterruptionErrorCode = 0x4406;
    public const ushort IdtVectoringInformation = 0x4408;
    public const ushort IdtVectoringErrorCode = 0x440A;
    public const ushort VmExitInstructionLength = 0x440C;
    public const ushort VmExitInstructionInformation = 0x440E;

    // 32-bit guest-state fields
    public const ushort GuestEsLimit = 0x4800;
    public const ushort GuestCsLimit = 0x4802;
    public const ushort GuestSsLimit = 0x4804;
    public const ushort GuestDsLimit = 0x4806;
    public const ushort GuestFsLimit = 0x4808;
    public const ushort GuestGsLimit = 0x480A;
    public const ushort GuestLdtrLimit = 0x480C;
    public const ushort GuestTrLimit = 0x480E;
    public const ushort GuestGdtrLimit = 0x4810;
    public const ushort GuestIdtrLimit = 0x4812;
    public const ushort GuestEsAccessRights = 0x4814;
    public const ushort GuestCsAccessRights = 0x4816;
    public const ushort GuestSsAccessRights = 0x4818;
    public const ushort GuestDsAccessRights = 0x481A;
    public const ushort GuestFsAccessRights = 0x481C;
    public const ushort GuestGsAccessRights = 0x481E;
    public const ushort GuestLdtrAccessRights = 0x4820;
    public const ushort GuestTrAccessRights = 0x4822;
    public const ushort GuestInterruptibilityState = 0x4824;
    public const ushort GuestActivityState = 0x4826;
    public const ushort GuestSmbase = 0x4828;
    public const ushort GuestIa32SysenterCs = 0x482A;
    public const ushort VmxPreemptionTimerValue = 0x482E;

    // 32-bit host-state field
    public const ushort HostIa32SysenterCs = 0x4C00;

    // Natural-width control fields
    public const ushort Cr0GuestHostMask = 0x6000;
    public const ushort Cr4GuestHostMask = 0x6002;
    public const ushort Cr0ReadShadow = 0x6004;
    public const ushort Cr4ReadShadow = 0x6006;
    public const ushort Cr3TargetValue0 = 0x6008;
    public const ushort Cr3TargetValue1 = 0x600A;
    public const ushort Cr3TargetValue2 = 0x600C;
    public const ushort Cr3TargetValue3 = 0x600E;

    // Natural-width read-only data fields
    public const ushort ExitQualification = 0x6400;
    public const ushort IoRcx = 0x6402;
    public const ushort IoRsi = 0x6404;
    public const ushort IoRdi = 0x6406;
    public const ushort IoRip = 0x6408;
    public const ushort GuestLinearAddress = 0x640A;

    // Natural-width guest-state fields
    public const ushort GuestCr0 = 0x6800;
    public const ushort GuestCr3 = 0x6802;
    public const ushort GuestCr4 = 0x6804;
    public const ushort GuestEsBase = 0x6806;
    public const ushort GuestCsBase = 0x6808;
    public const ushort GuestSsBase = 0x680A;
    public const ushort GuestDsBase = 0x680C;
    public const ushort GuestFsBase = 0x680E;
    public const ushort GuestGsBase = 0x6810;
    public const ushort GuestLdtrBase = 0x6812;
    public const ushort GuestTrBase = 0x6814;
    public const ushort GuestGdtrBase = 0x6816;
    public const ushort GuestIdtrBase = 0x6818;
    public const ushort GuestDr7 = 0x681A;
    public const ushort GuestRsp = 0x681C;
    public const ushort GuestRip = 0x681E;
    public const ushort GuestRflags = 0x6820;
    public const ushort GuestPendingDebugExceptions = 0x6822;
    public const ushort GuestIa32SysenterEsp = 0x6824;
    public const ushort GuestIa32SysenterEip = 0x6826;

    // Natural-width host-state fields
    public const ushort HostCr0 = 0x6C00;
    public const ushort HostCr3 = 0x6C02;
    public const ushort HostCr4 = 0x6C04;
    public const ushort HostFsBase = 0x6C06;
    public const ushort HostGsBase = 0x6C08;
    public const ushort HostTrBase = 0x6C0A;
    public const ushort HostGdtrBase = 0x6C0C;
    public const ushort HostIdtrBase = 0x6C0E;
    public const ushort HostIa32SysenterEsp = 0x6C10;
    public const ushort HostIa32SysenterEip = 0x6C12;
    public const ushort HostRsp = 0x6C14;
    public const ushort HostRip = 0x6C16;
}
