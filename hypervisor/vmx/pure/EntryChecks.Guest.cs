// The checks on the guest-state area. SDM 3C, "Checks on the Guest State Area".
using System;

namespace Lamina.Hypervisor.Vmx;

public static partial class EntryChecks<TReader>
{
    private const ulong RflagsVm = 1 << 17, RflagsIf = 1 << 9, RflagsTf = 1 << 8;

    // "Checks on Guest Control Registers, Debug Registers, and MSRs".
    private static ReadOnlySpan<byte> GuestControlRegisters(TReader vmcs, in EntryLimits limits)
    {
        bool unrestricted = Has(vmcs.Read(VmcsField.SecondaryProcessorBasedVmExecutionControls), SecondaryControls.UnrestrictedGuest);
        bool longMode = Has(vmcs.Read(VmcsField.VmEntryControls), EntryControls.Ia32eModeGuest);
        ulong cr0 = vmcs.Read(VmcsField.GuestCr0), cr4 = vmcs.Read(VmcsField.GuestCr4), efer = vmcs.Read(VmcsField.GuestIa32Efer);
        if (!IsFixed(cr0, unrestricted ? limits.Cr0Fixed0 & ~(Pe | Pg) : limits.Cr0Fixed0, limits.Cr0Fixed1)) return "guest CR0"u8;
        if ((cr0 & Pg) != 0 && (cr0 & Pe) == 0) return "guest CR0: PG without PE"u8;
        if (!IsFixed(cr4, limits.Cr4Fixed0, limits.Cr4Fixed1)) return "guest CR4"u8;
        if (longMode && ((cr0 & Pg) == 0 || (cr4 & Pae) == 0)) return "IA-32e mode guest: CR0.PG and CR4.PAE"u8;
        if (!longMode && (cr4 & Pcide) != 0) return "guest CR4: PCIDE outside IA-32e mode"u8;
        if (vmcs.Read(VmcsField.GuestCr3) >> limits.AddressBits != 0) return "guest CR3"u8;
        if (vmcs.Read(VmcsField.GuestDr7) >> 32 != 0) return "guest DR7"u8;
        if (!Canonical.Is(vmcs.Read(VmcsField.GuestIa32SysenterEsp)) || !Canonical.Is(vmcs.Read(VmcsField.GuestIa32SysenterEip))) return "guest SYSENTER registers: canonical"u8;
        if (!IsPat(vmcs.Read(VmcsField.GuestIa32Pat))) return "guest IA32_PAT"u8;
        if ((efer & ~(1UL | Lme | Lma | 1UL << 11)) != 0) return "guest IA32_EFER: reserved bits"u8;
        if ((efer & Lma) != 0 != longMode) return "guest IA32_EFER: LMA and IA-32e mode guest"u8;
        return (cr0 & Pg) != 0 && (efer & Lma) != 0 != ((efer & Lme) != 0) ? "guest IA32_EFER: LMA and LME"u8 : default;
    }

    private static SegmentAccessRights Rights(TReader vmcs, int segment) => new((uint)vmcs.Read((ushort)(VmcsField.GuestEsAccessRights + 2 * segment)));

    // "Checks on Guest Segment Registers".
    private static ReadOnlySpan<byte> GuestSegments(TReader vmcs)
    {
        bool virtual8086 = (vmcs.Read(VmcsField.GuestRflags) & RflagsVm) != 0, longMode = Has(vmcs.Read(VmcsField.VmEntryControls), EntryControls.Ia32eModeGuest);
        if ((vmcs.Read(VmcsField.GuestTrSelector) & 4) != 0) return "guest TR selector: TI"u8;
        if (!Rights(vmcs, SegmentIndex.Ldtr).Unusable && (vmcs.Read(VmcsField.GuestLdtrSelector) & 4) != 0) return "guest LDTR selector: TI"u8;
        for (int segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            ReadOnlySpan<byte> violation = virtual8086 ? Virtual8086Segment(vmcs, segment) : OrdinarySegment(vmcs, segment, longMode);
            if (violation.Length != 0) return violation;
        }
        return SystemSegments(vmcs, longMode);
    }

    private static ReadOnlySpan<byte> Virtual8086Segment(TReader vmcs, int segment)
    {
        ulong selector = vmcs.Read((ushort)(VmcsField.GuestEsSelector + 2 * segment)), segmentBase = vmcs.Read((ushort)(VmcsField.GuestEsBase + 2 * segment));
        if (segmentBase != selector << 4) return "virtual-8086 segment: base"u8;
        if (vmcs.Read((ushort)(VmcsField.GuestEsLimit + 2 * segment)) != 0xFFFF) return "virtual-8086 segment: limit"u8;
        return Rights(vmcs, segment).Value == 0xF3 ? default : "virtual-8086 segment: access rights"u8;
    }

    private static ReadOnlySpan<byte> OrdinarySegment(TReader vmcs, int segment, bool longMode)
    {
        SegmentAccessRights rights = Rights(vmcs, segment);
        ulong segmentBase = vmcs.Read((ushort)(VmcsField.GuestEsBase + 2 * segment));
        bool isCode = segment == SegmentIndex.Cs;
        if (segment is SegmentIndex.Fs or SegmentIndex.Gs ? !Canonical.Is(segmentBase) : segmentBase >> 32 != 0 && (isCode || !rights.Unusable)) return NameOf(segment, 0);
        if (isCode)
            return CodeSegment(vmcs, rights, longMode);
        if (segment == SegmentIndex.Ss && StackPrivilege(vmcs, rights) is { Length: not 0 } privilege)
            return privilege;
        if (rights.Unusable)
            return default;
        if (segment == SegmentIndex.Ss ? rights.Type is not (3 or 7) : (rights.Type & 1) == 0 || rights.Type >= 8 && (rights.Type & 2) == 0) return NameOf(segment, 1);
        return Common(vmcs, segment, rights);
    }

    private static ReadOnlySpan<byte> CodeSegment(TReader vmcs, SegmentAccessRights rights, bool longMode)
    {
        // 3, a writable data segment, is what real mode leaves there: unrestricted guests may have it.
        if (rights.Unusable || rights.Type is not (3 or 9 or 11 or 13 or 15)) return NameOf(SegmentIndex.Cs, 1);
        byte stackDpl = Rights(vmcs, SegmentIndex.Ss).Dpl;
        if (rights.Type == 3 ? rights.Dpl != 0 : rights.Type < 12 ? rights.Dpl != stackDpl : rights.Dpl > stackDpl) return "guest CS: DPL"u8;
        if (longMode && rights.Long && rights.DefaultBig) return "guest CS: L and D/B"u8;
        return Common(vmcs, SegmentIndex.Cs, rights);
    }

    private static ReadOnlySpan<byte> StackPrivilege(TReader vmcs, SegmentAccessRights rights)
    {
        bool real = (vmcs.Read(VmcsField.GuestCr0) & Pe) == 0 || Rights(vmcs, SegmentIndex.Cs).Type == 3;
        return real && rights.Dpl != 0 ? "guest SS: DPL"u8 : default;
    }

    private static ReadOnlySpan<byte> Common(TReader vmcs, int segment, SegmentAccessRights rights)
    {
        if (!rights.NonSystem) return NameOf(segment, 2);
        if (!rights.Present) return NameOf(segment, 3);
        if (!rights.ReservedBitsAreZero) return NameOf(segment, 4);
        return IsLimit((uint)vmcs.Read((ushort)(VmcsField.GuestEsLimit + 2 * segment)), rights) ? default : NameOf(segment, 5);
    }

    private static bool IsLimit(uint limit, SegmentAccessRights rights) =>
        ((limit & 0xFFF) == 0xFFF || !rights.Granularity) && (limit >> 20 == 0 || rights.Granularity);

    private static ReadOnlySpan<byte> SystemSegments(TReader vmcs, bool longMode)
    {
        SegmentAccessRights task = Rights(vmcs, SegmentIndex.Tr), local = Rights(vmcs, SegmentIndex.Ldtr);
        if (task.Unusable || !(task.Type == 11 || task.Type == 3 && !longMode)) return "guest TR: not a busy TSS"u8;
        if (task.NonSystem || !task.Present || !task.ReservedBitsAreZero) return "guest TR: access rights"u8;
        if (!IsLimit((uint)vmcs.Read(VmcsField.GuestTrLimit), task)) return "guest TR: limit and granularity"u8;
        if (!Canonical.Is(vmcs.Read(VmcsField.GuestTrBase))) return "guest TR: base"u8;
        if (!local.Unusable)
        {
            if (local.Type != 2 || local.NonSystem || !local.Present || !local.ReservedBitsAreZero) return "guest LDTR: access rights"u8;
            if (!IsLimit((uint)vmcs.Read(VmcsField.GuestLdtrLimit), local)) return "guest LDTR: limit and granularity"u8;
            if (!Canonical.Is(vmcs.Read(VmcsField.GuestLdtrBase))) return "guest LDTR: base"u8;
        }
        // "Checks on Guest Descriptor-Table Registers".
        if (!Canonical.Is(vmcs.Read(VmcsField.GuestGdtrBase)) || vmcs.Read(VmcsField.GuestGdtrLimit) >> 16 != 0) return "guest GDTR"u8;
        return !Canonical.Is(vmcs.Read(VmcsField.GuestIdtrBase)) || vmcs.Read(VmcsField.GuestIdtrLimit) >> 16 != 0 ? "guest IDTR"u8 : default;
    }

    // "Checks on Guest RIP, RFLAGS, and SSP", "Checks on Guest Non-Register State".
    private static ReadOnlySpan<byte> GuestRest(TReader vmcs)
    {
        bool longMode = Has(vmcs.Read(VmcsField.VmEntryControls), EntryControls.Ia32eModeGuest);
        ulong rip = vmcs.Read(VmcsField.GuestRip), rflags = vmcs.Read(VmcsField.GuestRflags);
        if (longMode && Rights(vmcs, SegmentIndex.Cs).Long ? !Canonical.Is(rip) : rip >> 32 != 0) return "guest RIP"u8;
        if ((rflags & ~0x3F7FD7UL) != 0 || (rflags & 2) == 0) return "guest RFLAGS: reserved bits"u8;
        if ((rflags & RflagsVm) != 0 && (longMode || (vmcs.Read(VmcsField.GuestCr0) & Pe) == 0)) return "guest RFLAGS: VM"u8;
        InterruptionInformation entry = new((uint)vmcs.Read(VmcsField.VmEntryInterruptionInformation), 0);
        bool interrupt = entry.Valid && entry.Type == InterruptionInformation.ExternalInterrupt, nmi = entry.Valid && entry.Type == InterruptionInformation.Nmi;
        if (interrupt && (rflags & RflagsIf) == 0) return "guest RFLAGS: IF, with an external interrupt"u8;
        ulong activity = vmcs.Read(VmcsField.GuestActivityState), blocking = vmcs.Read(VmcsField.GuestInterruptibilityState);
        if (activity != 0) return "guest activity state"u8;
        if (blocking >> 5 != 0) return "guest interruptibility: reserved bits"u8;
        if ((blocking & InterruptibilityState.Shadow) == InterruptibilityState.Shadow) return "guest interruptibility: STI and MOV SS"u8;
        if ((blocking & InterruptibilityState.BlockingBySti) != 0 && (rflags & RflagsIf) == 0) return "guest interruptibility: STI without IF"u8;
        if (interrupt && (blocking & InterruptibilityState.Shadow) != 0) return "guest interruptibility: external interrupt in a shadow"u8;
        if (nmi && (blocking & (InterruptibilityState.BlockingByMovSs | InterruptibilityState.BlockingByNmi)) != 0) return "guest interruptibility: NMI while blocked"u8;
        if ((blocking & InterruptibilityState.BlockingBySmi) != 0) return "guest interruptibility: SMI"u8;
        ulong pending = vmcs.Read(VmcsField.GuestPendingDebugExceptions);
        if ((pending & ~0x1500FUL) != 0) return "guest pending debug exceptions: reserved bits"u8;
        bool stepping = (rflags & RflagsTf) != 0 && (vmcs.Read(VmcsField.GuestIa32Debugctl) & 2) == 0;
        if ((blocking & InterruptibilityState.Shadow) != 0 && (pending & PendingDebugExceptions.BS) != 0 != stepping) return "guest pending debug exceptions: BS"u8;
        return vmcs.Read(VmcsField.VmcsLinkPointer) == ulong.MaxValue ? default : "VMCS link pointer"u8;
    }

    private static ReadOnlySpan<byte> NameOf(int segment, int check) => segment switch
    {
        SegmentIndex.Es => Texts("guest ES: base"u8, "guest ES: type"u8, "guest ES: S"u8, "guest ES: P"u8, "guest ES: reserved bits"u8, "guest ES: limit and granularity"u8, check),
        SegmentIndex.Cs => Texts("guest CS: base"u8, "guest CS: type"u8, "guest CS: S"u8, "guest CS: P"u8, "guest CS: reserved bits"u8, "guest CS: limit and granularity"u8, check),
        SegmentIndex.Ss => Texts("guest SS: base"u8, "guest SS: type"u8, "guest SS: S"u8, "guest SS: P"u8, "guest SS: reserved bits"u8, "guest SS: limit and granularity"u8, check),
        SegmentIndex.Ds => Texts("guest DS: base"u8, "guest DS: type"u8, "guest DS: S"u8, "guest DS: P"u8, "guest DS: reserved bits"u8, "guest DS: limit and granularity"u8, check),
        SegmentIndex.Fs => Texts("guest FS: base"u8, "guest FS: type"u8, "guest FS: S"u8, "guest FS: P"u8, "guest FS: reserved bits"u8, "guest FS: limit and granularity"u8, check),
        _ => Texts("guest GS: base"u8, "guest GS: type"u8, "guest GS: S"u8, "guest GS: P"u8, "guest GS: reserved bits"u8, "guest GS: limit and granularity"u8, check),
    };

    private static ReadOnlySpan<byte> Texts(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, ReadOnlySpan<byte> c, ReadOnlySpan<byte> d, ReadOnlySpan<byte> e, ReadOnlySpan<byte> f, int index) =>
        index switch { 0 => a, 1 => b, 2 => c, 3 => d, 4 => e, _ => f };
}
