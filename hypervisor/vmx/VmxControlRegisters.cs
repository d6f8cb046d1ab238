// CR0, CR4 and EFER between what the guest sees and what the processor holds. SDM 3C, "Guest/Host Masks and Read Shadows for CR0 and CR4".
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    private const ulong Cr0Pe = 1, Cr0Et = 1 << 4, Cr0Ne = 1 << 5, Cr0Nw = 1 << 29, Cr0Cd = 1 << 30, Cr0Pg = 1UL << 31;
    private const ulong Cr4Mce = 1 << 6, Cr4La57 = 1 << 12;
    private const ulong Cr4Pae = ControlRegisterRules.Cr4Pae, Cr4Pcide = ControlRegisterRules.Cr4Pcide;
    private const ulong EferSce = 1, EferLme = 1 << 8, EferLma = 1 << 10, EferNxe = 1 << 11;

    /// <summary>
    /// CR0.NE must be one in VMX operation; CD and NW would be the machine's own caches. PG is the guest's, but changes of it exit, seldom as they are: EFER.LMA
    /// goes with it, so that EFER stays known. The guest sees its own values of these in the read shadow, everything else of CR0 is its own.
    /// </summary>
    private const ulong Cr0HostBits = Cr0Ne | Cr0Nw | Cr0Cd | Cr0Pg;

    /// <summary>What a guest finds missing in CPUID, and VMXE, which must be one: zero to the guest, and writing one is #GP.</summary>
    private static ulong Cr4Hidden => ~CpuidPolicy.GuestCr4Mask | Cr4La57;

    /// <summary>
    /// With those, MCE: a machine check that finds it off would shut the machine down instead of reaching the core. It is on, and the guest sees its own in the
    /// read shadow.
    /// </summary>
    private static ulong Cr4HostBits => Cr4Hidden | Cr4Mce;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong GetCr0(VirtualProcessor* vp) => Read(vp, CachedField.Cr0) & ~Cr0HostBits | Read(vp, CachedField.Cr0ReadShadow) & Cr0HostBits;
    // Of copies that are valid.
    private static ulong GuestCr0(VmxState* state) => state->Fields[CachedField.Cr0] & ~Cr0HostBits | state->Fields[CachedField.Cr0ReadShadow] & Cr0HostBits;
    private static ulong GuestCr4(VmxState* state) => state->Fields[CachedField.Cr4] & ~Cr4HostBits | state->Cr4ReadShadow;
    public static ulong GetCr3(VirtualProcessor* vp) => Read(vp, CachedField.Cr3);
    public static ulong GetCr4(VirtualProcessor* vp) => Read(vp, CachedField.Cr4) & ~Cr4HostBits | StateOf(vp)->Cr4ReadShadow;
    public static ulong GetEfer(VirtualProcessor* vp) => Read(vp, CachedField.Efer);

    private static void SetCr0(VirtualProcessor* vp, ulong value)
    {
        Write(vp, CachedField.Cr0, value & ~(Cr0Nw | Cr0Cd) | Cr0Ne | Cr0Et);
        Write(vp, CachedField.Cr0ReadShadow, value | Cr0Et);
        StateOf(vp)->PdptesStale = true;
    }

    private static void SetCr4(VirtualProcessor* vp, ulong value)
    {
        VmxState* state = StateOf(vp);
        Write(vp, CachedField.Cr4, value | Cr4Vmxe | Cr4Mce);
        state->PdptesStale = true;
        ulong shadow = value & Cr4Mce;
        if (state->Cr4ReadShadow == shadow)
            return;
        state->Cr4ReadShadow = shadow;
        MakeCurrent(vp);
        VmWrite(VmcsField.Cr4ReadShadow, shadow);
    }

    /// <summary>EFER, and with it the entry control that must agree with its LMA.</summary>
    private static void SetEfer(VirtualProcessor* vp, ulong value)
    {
        Write(vp, CachedField.Efer, value);
        ulong controls = Read(vp, CachedField.EntryControls) & ~(ulong)EntryControls.Ia32eModeGuest;
        Write(vp, CachedField.EntryControls, (value & EferLma) != 0 ? controls | EntryControls.Ia32eModeGuest : controls);
        StateOf(vp)->PdptesStale = true;
    }

    /// <summary>TR holds a 16-bit TSS, with which there is no way into IA-32e mode. SDM 3A, "Initializing IA-32e Mode".</summary>
    private static bool IsTask16(VirtualProcessor* vp) => new SegmentAccessRights((uint)Read(vp, CachedField.AccessRightsOf(SegmentIndex.Tr))).Type == 3;

    /// <summary>A MOV to CR0 that changes bits of ours. SDM 3A, "Control Registers"; SDM 2B, "MOV—Move to/from Control Registers".</summary>
    private static void WriteCr0(VirtualProcessor* vp, ulong value)
    {
        ulong before = GetCr0(vp), efer = GetEfer(vp), cr4 = GetCr4(vp);
        bool pages = (value & Cr0Pg) != 0, paged = (before & Cr0Pg) != 0, code64 = new SegmentAccessRights((uint)Read(vp, CachedField.CsAccessRights)).Long;
        bool refused = value >> 32 != 0 || pages && (value & Cr0Pe) == 0 || (value & Cr0Nw) != 0 && (value & Cr0Cd) == 0
            || !pages && (cr4 & Cr4Pcide) != 0
            || pages && !paged && (efer & EferLme) != 0 && ((cr4 & Cr4Pae) == 0 || code64 || IsTask16(vp))
            || !pages && paged && (efer & EferLma) != 0 && code64;
        if (refused)
        {
            InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        if (pages != paged && (efer & EferLme) != 0)
            SetEfer(vp, pages ? efer | EferLma : efer & ~EferLma);
        SetCr0(vp, value);
        FlushAddressSpace(vp);
        CompleteInstruction(vp);
    }

    /// <summary>A MOV to CR4 that changes bits of ours.</summary>
    private static void WriteCr4(VirtualProcessor* vp, ulong value)
    {
        ulong allowed = ~Cr4Hidden & Instructions.RdMsr(Msr.IA32_VMX_CR4_FIXED1);
        if (!ControlRegisterRules.MayWriteCr4(GetCr4(vp), value, allowed, GetCr3(vp), (GetEfer(vp) & EferLma) != 0))
        {
            InjectException(vp, GeneralProtection, true, 0);
            return;
        }
        SetCr4(vp, value);
        FlushAddressSpace(vp);
        CompleteInstruction(vp);
    }

    private static void FlushAddressSpace(VirtualProcessor* vp)
    {
        if (VmxFeatures.HasVpid)
            InvVpid(VmxFeatures.Ept.SingleContextINVVPID ? InvalidationType.SingleContext : InvalidationType.AllContexts, vp->Index + 1);
    }

    /// <summary>
    /// With EPT the four entries that PAE paging starts from are part of the VMCS: the processor loads them when the guest writes CR3, and
    /// somebody must when CR3 or the mode was set from outside.
    /// </summary>
    // SDM 3A, "PDPTE Registers".
    private static void LoadPdptes(VirtualProcessor* vp)
    {
        const ulong tableMask = 0xFFFFFFE0;
        StateOf(vp)->PdptesStale = false;
        if ((Read(vp, CachedField.Cr0) & Cr0Pg) == 0 || (Read(vp, CachedField.Cr4) & Cr4Pae) == 0 || (GetEfer(vp) & EferLma) != 0)
            return;
        ulong* entries = stackalloc ulong[4];
        bool read = GuestPages<VmxBackend>.TryCopyIn(vp->Partition, GetCr3(vp) & tableMask, entries, 32);
        // An entry that the processor would refuse is none: the guest's next access is a page fault, the entry no failure.
        for (int i = 0; i < 4; i++)
            Write(vp, CachedField.Pdpte0 + i, read && PdpteRules.IsValid(entries[i], GuestTableLimits.AddressBits) ? entries[i] : 0);
    }
}
