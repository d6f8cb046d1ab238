// What the backend keeps of a virtual processor beside its VMCS: a copy of the fields that the core asks for, and what no VMCS holds.
using System;
using System.Runtime.InteropServices;

namespace Lamina.Hypervisor.Vmx;

/// <summary>
/// Index of a field's copy in <see cref="VmxState.Fields"/>. The copy is read once after an exit, when somebody asks, and written back once before
/// the entry, when somebody changed it: VMREAD and VMWRITE are slow, and work on the processor's current VMCS only.
/// </summary>
public static class CachedField
{
    public const int Rip = 0, Rflags = 1, Interruptibility = 2, InstructionLength = 3, SsAccessRights = 4, CsAccessRights = 5, Efer = 6, Cr0 = 7;
    public const int Rsp = 8, Cr3 = 9, Cr4 = 10, Dr7 = 11, Pat = 12, SysenterCs = 13, SysenterEsp = 14, SysenterEip = 15, PendingDebugExceptions = 16;
    public const int Cr0ReadShadow = 17, PrimaryControls = 18, SecondaryControls = 19, ExceptionBitmap = 20, TprThreshold = 21, TscOffset = 22, EntryControls = 23;
    public const int Pdpte0 = 24;
    public const int ExitQualification = 28, GuestPhysicalAddress = 29;
    public const int GdtrBase = 30, GdtrLimit = 31, IdtrBase = 32, IdtrLimit = 33;
    /// <summary>Selector, base, limit of ES, CS, SS, DS, FS, GS, LDTR, TR in this order; then access rights of those that have not been named.</summary>
    public const int Selector = 34, Base = 42, Limit = 50, OtherAccessRights = 58;
    public const int Count = 64;

    /// <summary>Encodings, in the order of the indices.</summary>
    public static ReadOnlySpan<ushort> Encodings => [
        VmcsField.GuestRip, VmcsField.GuestRflags, VmcsField.GuestInterruptibilityState, VmcsField.VmExitInstructionLength,
        VmcsField.GuestSsAccessRights, VmcsField.GuestCsAccessRights, VmcsField.GuestIa32Efer, VmcsField.GuestCr0,
        VmcsField.GuestRsp, VmcsField.GuestCr3, VmcsField.GuestCr4, VmcsField.GuestDr7, VmcsField.GuestIa32Pat,
        VmcsField.GuestIa32SysenterCs, VmcsField.GuestIa32SysenterEsp, VmcsField.GuestIa32SysenterEip, VmcsField.GuestPendingDebugExceptions,
        VmcsField.Cr0ReadShadow, VmcsField.PrimaryProcessorBasedVmExecutionControls, VmcsField.SecondaryProcessorBasedVmExecutionControls,
        VmcsField.ExceptionBitmap, VmcsField.TprThreshold, VmcsField.TscOffset, VmcsField.VmEntryControls,
        VmcsField.GuestPdpte0, VmcsField.GuestPdpte1, VmcsField.GuestPdpte2, VmcsField.GuestPdpte3,
        VmcsField.ExitQualification, VmcsField.GuestPhysicalAddress,
        VmcsField.GuestGdtrBase, VmcsField.GuestGdtrLimit, VmcsField.GuestIdtrBase, VmcsField.GuestIdtrLimit,
        VmcsField.GuestEsSelector, VmcsField.GuestCsSelector, VmcsField.GuestSsSelector, VmcsField.GuestDsSelector,
        VmcsField.GuestFsSelector, VmcsField.GuestGsSelector, VmcsField.GuestLdtrSelector, VmcsField.GuestTrSelector,
        VmcsField.GuestEsBase, VmcsField.GuestCsBase, VmcsField.GuestSsBase, VmcsField.GuestDsBase,
        VmcsField.GuestFsBase, VmcsField.GuestGsBase, VmcsField.GuestLdtrBase, VmcsField.GuestTrBase,
        VmcsField.GuestEsLimit, VmcsField.GuestCsLimit, VmcsField.GuestSsLimit, VmcsField.GuestDsLimit,
        VmcsField.GuestFsLimit, VmcsField.GuestGsLimit, VmcsField.GuestLdtrLimit, VmcsField.GuestTrLimit,
        VmcsField.GuestEsAccessRights, VmcsField.GuestDsAccessRights, VmcsField.GuestFsAccessRights, VmcsField.GuestGsAccessRights,
        VmcsField.GuestLdtrAccessRights, VmcsField.GuestTrAccessRights];

    /// <summary>Fields that a guest cannot change while it runs (EFER.LMA goes with CR0.PG, changes of which exit): their copies outlive an exit.</summary>
    public const ulong Persistent = 1UL << Pat | 1UL << Cr0ReadShadow | 1UL << PrimaryControls | 1UL << SecondaryControls | 1UL << ExceptionBitmap
        | 1UL << TprThreshold | 1UL << TscOffset | 1UL << Efer | 1UL << EntryControls;

    /// <summary>What the world switch reads at every exit but those by external interrupts.</summary>
    public const ulong OfInstruction = 1UL << Rip | 1UL << Rflags | 1UL << Interruptibility | 1UL << InstructionLength;
    /// <summary>What vmx_read_mode fetches in one go.</summary>
    public const ulong OfMode = 1UL << SsAccessRights | 1UL << CsAccessRights | 1UL << Cr0;

    /// <summary>Index of a segment's access rights; segments are numbered as instructions and TLFS order them.</summary>
    public static int AccessRightsOf(int segment) => segment switch
    {
        SegmentIndex.Cs => CsAccessRights,
        SegmentIndex.Ss => SsAccessRights,
        SegmentIndex.Es => OtherAccessRights,
        _ => OtherAccessRights + segment - 2,
    };
}

/// <summary>ES, CS, SS, DS, FS, GS, LDTR, TR.</summary>
public static class SegmentIndex
{
    public const int Es = 0, Cs = 1, Ss = 2, Ds = 3, Fs = 4, Gs = 5, Ldtr = 6, Tr = 7;
}

/// <summary>One page of the partition's account, at <c>VirtualProcessor.BackendState</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct VmxState
{
    // ---- vmx.asm knows these offsets (tests/host/Vmx checks them) ----

    /// <summary>By <see cref="CachedField"/>.</summary>
    public fixed ulong Fields[CachedField.Count];
    /// <summary>Of the last exit: exit reason and IDT-vectoring information.</summary>
    public ulong ExitReason, IdtVectoringInformation;
    /// <summary>0 until the first VMLAUNCH, and again after VMCLEAR.</summary>
    public ulong IsLaunched;

    // ---- The backend's own ----

    /// <summary>Copies that are as the VMCS, or newer; and those that are newer.</summary>
    public ulong Valid, Dirty;

    /// <summary>Event for the next entry, an <see cref="InterruptionInformation"/>, and the length of the instruction that caused it.</summary>
    public ulong PendingEvent;
    public uint PendingLength;
    /// <summary>The event is an offered interrupt, which may still be withdrawn.</summary>
    public bool IsOffer;
    /// <summary>A non-maskable interrupt waits for a shadow to end in which the NMI window may be open.</summary>
    public bool NmiWaitsForInterruptWindow;
    /// <summary>The blocking by NMI that its exits report may be its own: it was entered with it, or an NMI was injected since.</summary>
    public bool MayBlockNmis;
    /// <summary>The processor delivers interrupts by itself out of the virtual-APIC page; and it may have done so since the APIC's cached state was refreshed.</summary>
    public bool IsDelegated, IsApicStale;
    /// <summary>EOI-exit bitmap in the VMCS.</summary>
    public fixed ulong EoiExits[4];
    /// <summary>CR0, CR3, CR4 or EFER was set from outside: PDPTEs are loaded anew where the guest uses them.</summary>
    public bool PdptesStale;
    /// <summary>CR4 read shadow in the VMCS.</summary>
    public ulong Cr4ReadShadow;

    /// <summary>Registers that no VMCS holds, while another virtual processor runs.</summary>
    public ulong Star, Lstar, Cstar, Sfmask, KernelGsBase, Cr2, Dr6;
}
