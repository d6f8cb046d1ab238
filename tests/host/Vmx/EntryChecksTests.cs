// The namer of refused entries: a VMCS that is in order passes, and each mistake gets the name of its check.
using System.Collections.Generic;
using System.Text;
using Lamina.Hypervisor.Vmx;
using Xunit;
using static Lamina.Hypervisor.Vmx.VmcsField;

namespace Lamina.Tests.Host.Vmx;

public sealed class EntryChecksTests
{
    private readonly struct Vmcs(Dictionary<ushort, ulong> fields) : IVmcsReader
    {
        public ulong Read(ushort field) => fields.GetValueOrDefault(field);
    }

    // Capabilities of a processor of today, as bits that may be one over bits that must be.
    private static EntryLimits Limits => new()
    {
        Pin = new(0x0000_00FF_0000_0016), Primary = new(0xFFF9_FFFE_0400_6172), Secondary = new(0x0000_FFFF_0000_0000),
        Exit = new(0x01FF_FFFF_0003_6DFB), Entry = new(0x0003_FFFF_0000_11FB),
        Cr0Fixed0 = 0x8000_0021, Cr0Fixed1 = 0xFFFF_FFFF, Cr4Fixed0 = 0x2000, Cr4Fixed1 = 0x37_67FF, AddressBits = 40, TaskPriority = 0x5F,
    };

    private static Dictionary<ushort, ulong> LongMode()
    {
        Dictionary<ushort, ulong> fields = new()
        {
            [PinBasedVmExecutionControls] = 0x3F, [PrimaryProcessorBasedVmExecutionControls] = 0xB5A0_6DFA, [SecondaryProcessorBasedVmExecutionControls] = 0xEA,
            [VmExitControls] = 0x003F_6FFF, [VmEntryControls] = 0x0000_D3FF, [AddressOfMsrBitmaps] = 0x1000, [VirtualApicAddress] = 0x2000,
            [VmcsField.EptPointer] = 0x301E, [VirtualProcessorIdentifier] = 1, [VmcsLinkPointer] = ulong.MaxValue,
            [HostCr0] = 0x8001_0033, [HostCr3] = 0x4000, [HostCr4] = 0x2620, [HostCsSelector] = 8, [HostSsSelector] = 16, [HostDsSelector] = 16, [HostEsSelector] = 16,
            [HostTrSelector] = 24, [HostTrBase] = 0xFFFF_FFFF_8000_0000, [HostGdtrBase] = 0xFFFF_FFFF_8000_1000, [HostIdtrBase] = 0xFFFF_FFFF_8000_2000,
            [HostIa32Pat] = 0x0007_0406_0007_0406, [HostIa32Efer] = 0xD00, [HostRip] = 0xFFFF_FFFF_8000_3000,
            [GuestCr0] = 0x8001_0033, [GuestCr3] = 0x5000, [GuestCr4] = 0x2620, [GuestDr7] = 0x400, [GuestIa32Pat] = 0x0007_0406_0007_0406, [GuestIa32Efer] = 0xD00,
            [GuestRip] = 0xFFFF_FFFF_8100_0000, [GuestRsp] = 0x7000, [GuestRflags] = 2,
            [GuestTrAccessRights] = 0x8B, [GuestTrLimit] = 0x67, [GuestLdtrAccessRights] = 0x1_0000, [GuestGdtrLimit] = 0xFF, [GuestIdtrLimit] = 0xFFF,
        };
        for (int segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            fields[(ushort)(GuestEsAccessRights + 2 * segment)] = segment == SegmentIndex.Cs ? 0xA09Bu : 0xC093u;
            fields[(ushort)(GuestEsLimit + 2 * segment)] = 0xFFFF_FFFF;
        }
        return fields;
    }

    private static Dictionary<ushort, ulong> RealMode()
    {
        Dictionary<ushort, ulong> fields = LongMode();
        fields[VmEntryControls] = 0x0000_D1FF;
        fields[GuestCr0] = 0x20;
        fields[GuestCr4] = 0x2000;
        fields[GuestIa32Efer] = 0;
        fields[GuestRip] = 0xFFF0;
        for (int segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            fields[(ushort)(GuestEsAccessRights + 2 * segment)] = segment == SegmentIndex.Cs ? 0x9Bu : 0x93u;
            fields[(ushort)(GuestEsLimit + 2 * segment)] = 0xFFFF;
        }
        return fields;
    }

    private static string FirstViolation(Dictionary<ushort, ulong> fields) => Encoding.UTF8.GetString(EntryChecks<Vmcs>.FirstViolation(new Vmcs(fields), Limits));

    [Fact] public void A_long_mode_guest_passes() => Assert.Equal("none that is known here", FirstViolation(LongMode()));
    [Fact] public void A_real_mode_guest_passes() => Assert.Equal("none that is known here", FirstViolation(RealMode()));

    [Theory]
    // Controls
    [InlineData(PinBasedVmExecutionControls, 0x29UL, "pin-based VM-execution controls")]
    [InlineData(PrimaryProcessorBasedVmExecutionControls, 0xB5A0_0000UL, "primary processor-based VM-execution controls")]
    [InlineData(SecondaryProcessorBasedVmExecutionControls, 0x1_00EAUL, "secondary processor-based VM-execution controls")]
    [InlineData(Cr3TargetCount, 5UL, "CR3-target count")]
    [InlineData(AddressOfMsrBitmaps, 0x1001UL, "MSR-bitmap address")]
    [InlineData(VirtualApicAddress, 0x100_0000_0000UL, "virtual-APIC address")]
    [InlineData(TprThreshold, 16UL, "TPR threshold: bits 31:4")]
    [InlineData(TprThreshold, 5UL, "none that is known here")]
    [InlineData(TprThreshold, 6UL, "TPR threshold above the task priority")]
    [InlineData(VirtualProcessorIdentifier, 0UL, "VPID of 0")]
    [InlineData(SecondaryProcessorBasedVmExecutionControls, 0xE8UL, "unrestricted guest without EPT")]
    [InlineData(VmcsField.EptPointer, 0x3016UL, "EPT pointer")]
    [InlineData(VmcsField.EptPointer, 0x3001UL, "EPT pointer")]
    [InlineData(VmExitControls, 0x0UL, "VM-exit controls")]
    [InlineData(VmEntryControls, 0x0UL, "VM-entry controls")]
    // Event
    [InlineData(VmEntryInterruptionInformation, 0x8000_0130UL, "interruption type")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_0203UL, "interruption vector")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_0320UL, "interruption vector")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_030DUL, "interruption: deliver-error-code bit")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_0B06UL, "interruption: deliver-error-code bit")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_1306UL, "interruption: reserved bits")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_0480UL, "VM-entry instruction length")]
    [InlineData(VmEntryInterruptionInformation, 0x8000_0030UL, "guest RFLAGS: IF, with an external interrupt")]
    // Host
    [InlineData(HostCr0, 0x8001_0013UL, "host CR0")]
    [InlineData(HostCr4, 0x620UL, "host CR4")]
    [InlineData(HostCr3, 0x100_0000_0000UL, "host CR3")]
    [InlineData(HostFsSelector, 3UL, "host selectors: RPL and TI")]
    [InlineData(HostCsSelector, 0UL, "host CS selector")]
    [InlineData(HostTrSelector, 0UL, "host TR selector")]
    [InlineData(HostIdtrBase, 0x8000_0000_0000UL, "host bases and SYSENTER registers: canonical")]
    [InlineData(HostIa32Pat, 2UL, "host IA32_PAT")]
    [InlineData(HostIa32Efer, 0x100UL, "host IA32_EFER")]
    [InlineData(HostRip, 0x8000_0000_0000UL, "host RIP")]
    // Guest registers
    [InlineData(GuestCr0, 0x8001_0013UL, "guest CR0")]
    [InlineData(GuestCr0, 0x8000_0020UL, "guest CR0: PG without PE")]
    [InlineData(GuestCr4, 0x620UL, "guest CR4")]
    [InlineData(GuestCr4, 0x2600UL, "IA-32e mode guest: CR0.PG and CR4.PAE")]
    [InlineData(GuestCr3, 0x100_0000_0000UL, "guest CR3")]
    [InlineData(GuestDr7, 0x1_0000_0400UL, "guest DR7")]
    [InlineData(GuestIa32SysenterEsp, 0x8000_0000_0000UL, "guest SYSENTER registers: canonical")]
    [InlineData(GuestIa32Pat, 0xFFUL, "guest IA32_PAT")]
    [InlineData(GuestIa32Efer, 0x1D00UL, "guest IA32_EFER: reserved bits")]
    [InlineData(GuestIa32Efer, 0x900UL, "guest IA32_EFER: LMA and IA-32e mode guest")]
    [InlineData(GuestIa32Efer, 0x400UL, "guest IA32_EFER: LMA and LME")]
    // Segments
    [InlineData(GuestTrSelector, 4UL, "guest TR selector: TI")]
    [InlineData(GuestCsBase, 0x1_0000_0000UL, "guest CS: base")]
    [InlineData(GuestCsAccessRights, 0xA093UL, "none that is known here")] // real mode's type: unrestricted guests may
    [InlineData(GuestCsAccessRights, 0xA097UL, "guest CS: type")]
    [InlineData(GuestCsAccessRights, 0xA0FBUL, "guest CS: DPL")]
    [InlineData(GuestCsAccessRights, 0xE09BUL, "guest CS: L and D/B")]
    [InlineData(GuestCsAccessRights, 0xA08BUL, "guest CS: S")]
    [InlineData(GuestCsAccessRights, 0xA01BUL, "guest CS: P")]
    [InlineData(GuestCsAccessRights, 0xA19BUL, "guest CS: reserved bits")]
    [InlineData(GuestCsLimit, 0xFFFF_0000UL, "guest CS: limit and granularity")]
    [InlineData(GuestSsAccessRights, 0xC09BUL, "guest SS: type")]
    [InlineData(GuestDsAccessRights, 0xC092UL, "guest DS: type")]
    [InlineData(GuestEsAccessRights, 0xC099UL, "guest ES: type")]
    [InlineData(GuestFsBase, 0x8000_0000_0000UL, "guest FS: base")]
    [InlineData(GuestGsAccessRights, 0xC013UL, "guest GS: P")]
    [InlineData(GuestTrAccessRights, 0x89UL, "guest TR: not a busy TSS")]
    [InlineData(GuestTrAccessRights, 0x83UL, "guest TR: not a busy TSS")]
    [InlineData(GuestTrAccessRights, 0x0BUL, "guest TR: access rights")]
    [InlineData(GuestTrLimit, 0x10_0067UL, "guest TR: limit and granularity")]
    [InlineData(GuestTrBase, 0x8000_0000_0000UL, "guest TR: base")]
    [InlineData(GuestLdtrAccessRights, 0x8BUL, "guest LDTR: access rights")]
    [InlineData(GuestGdtrLimit, 0x1_0000UL, "guest GDTR")]
    [InlineData(GuestIdtrBase, 0x8000_0000_0000UL, "guest IDTR")]
    // The rest
    [InlineData(GuestRip, 0x8000_0000_0000UL, "guest RIP")]
    [InlineData(GuestRflags, 0UL, "guest RFLAGS: reserved bits")]
    [InlineData(GuestActivityState, 1UL, "guest activity state")]
    [InlineData(GuestInterruptibilityState, 0x20UL, "guest interruptibility: reserved bits")]
    [InlineData(GuestInterruptibilityState, 3UL, "guest interruptibility: STI and MOV SS")]
    [InlineData(GuestInterruptibilityState, 1UL, "guest interruptibility: STI without IF")]
    [InlineData(GuestInterruptibilityState, 4UL, "guest interruptibility: SMI")]
    [InlineData(GuestPendingDebugExceptions, 0x20UL, "guest pending debug exceptions: reserved bits")]
    [InlineData(VmcsLinkPointer, 0UL, "VMCS link pointer")]
    public void A_mistake_has_a_name(ushort field, ulong value, string expected)
    {
        Dictionary<ushort, ulong> fields = LongMode();
        fields[field] = value;
        Assert.Equal(expected, FirstViolation(fields));
    }

    [Fact]
    public void Mistakes_of_two_fields_have_a_name()
    {
        Assert.Equal("guest pending debug exceptions: BS", With(LongMode(), (GuestInterruptibilityState, 2), (GuestRflags, 0x102)));
        Assert.Equal("guest interruptibility: NMI while blocked", With(LongMode(), (GuestInterruptibilityState, 8), (VmEntryInterruptionInformation, 0x8000_0202)));
        Assert.Equal("guest interruptibility: external interrupt in a shadow",
            With(LongMode(), (GuestInterruptibilityState, 1), (GuestRflags, 0x202), (VmEntryInterruptionInformation, 0x8000_0030)));
        Assert.Equal("VM-entry exception error code", With(LongMode(), (VmEntryInterruptionInformation, 0x8000_0B0D), (VmEntryExceptionErrorCode, 0x1_0000)));
        Assert.Equal("interruption: deliver-error-code bit", With(RealMode(), (VmEntryInterruptionInformation, 0x8000_0B0D)));
        Assert.Equal("guest RIP", With(RealMode(), (GuestRip, 0x1_0000_0000)));
        Assert.Equal("guest RFLAGS: VM", With(RealMode(), (GuestRflags, 0x2_0002), (GuestEsAccessRights, 0xF3), (GuestCsAccessRights, 0xF3), (GuestSsAccessRights, 0xF3),
            (GuestDsAccessRights, 0xF3), (GuestFsAccessRights, 0xF3), (GuestGsAccessRights, 0xF3)));
        Assert.Equal("virtual-8086 segment: access rights", With(RealMode(), (GuestRflags, 0x2_0002)));
        Assert.Equal("guest CR4: PCIDE outside IA-32e mode", With(RealMode(), (GuestCr4, 0x2_2000)));
        Assert.Equal("guest SS: DPL", With(RealMode(), (GuestCsAccessRights, 0xFB), (GuestSsAccessRights, 0xF3)));
        Assert.Equal("NMI-window exiting without virtual NMIs", With(LongMode(), (PinBasedVmExecutionControls, 0x1F), (PrimaryProcessorBasedVmExecutionControls, 0xB5E0_6DFA)));
        Assert.Equal("virtual NMIs without NMI exiting", With(LongMode(), (PinBasedVmExecutionControls, 0x37)));
        Assert.Equal("x2APIC mode and APIC accesses both virtualized", With(LongMode(), (SecondaryProcessorBasedVmExecutionControls, 0xFB)));
    }

    private static string With(Dictionary<ushort, ulong> fields, params (ushort Field, ulong Value)[] changes)
    {
        foreach ((ushort field, ulong value) in changes)
            fields[field] = value;
        return FirstViolation(fields);
    }
}
