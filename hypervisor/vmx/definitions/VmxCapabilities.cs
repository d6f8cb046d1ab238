// What the processor's VMX can do. SDM 3D, appendix "VMX Capability Reporting Facility".

using Lamina.Abi;

namespace Lamina.Hypervisor.Vmx;

/// <summary>IA32_VMX_BASIC.</summary>
public readonly struct VmxBasic(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 30:0: what VMXON region and VMCS begin with.</summary>
    public uint RevisionIdentifier => (uint)Value & 0x7FFFFFFF;

    /// <summary>Bits 44:32, in bytes, at most 4096.</summary>
    public uint RegionSize => (uint)(Value >> 32) & 0x1FFF;

    /// <summary>Bit 48: physical addresses of VMX structures have at most 32 bits.</summary>
    public bool Is32BitAddresses => BitField.IsSet(Value, 48);

    /// <summary>Bits 53:50: the memory type for VMX structures; 6 is write-back.</summary>
    public byte MemoryType => (byte)(Value >> 50 & 0xF);

    /// <summary>Bit 54: INS and OUTS exits have instruction information.</summary>
    public bool HasInsOutsInformation => BitField.IsSet(Value, 54);

    /// <summary>Bit 55: the TRUE capability MSRs are there, and default-1 controls may be zero.</summary>
    public bool HasTrueControls => BitField.IsSet(Value, 55);
}

/// <summary>IA32_VMX_MISC.</summary>
public readonly struct VmxMisc(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 4:0: the preemption timer counts down whenever this bit of the TSC changes.</summary>
    public byte PreemptionTimerRate => (byte)(Value & 0x1F);

    /// <summary>Bit 5: exits store IA32_EFER.LMA in the "IA-32e mode guest" control.</summary>
    public bool StoresLma => BitField.IsSet(Value, 5);

    /// <summary>Bit 6: activity state HLT.</summary>
    public bool HasActivityHlt => BitField.IsSet(Value, 6);

    /// <summary>Bits 24:16.</summary>
    public ushort Cr3TargetCount => (ushort)(Value >> 16 & 0x1FF);

    /// <summary>Bit 30: an entry may inject with an instruction length of 0.</summary>
    public bool AllowsLengthZero => BitField.IsSet(Value, 30);
}

/// <summary>IA32_VMX_EPT_VPID_CAP.</summary>
public readonly struct EptVpidCapabilities(ulong value)
{
    public readonly ulong Value = value;

    public bool ExecuteOnly => BitField.IsSet(Value, 0);
    public bool PageWalkLength4 => BitField.IsSet(Value, 6);
    public bool WriteBackMemoryType => BitField.IsSet(Value, 14);
    public bool Page2M => BitField.IsSet(Value, 16);
    public bool Page1G => BitField.IsSet(Value, 17);
    public bool INVEPT => BitField.IsSet(Value, 20);
    public bool AccessedAndDirtyFlags => BitField.IsSet(Value, 21);
    public bool SingleContextINVEPT => BitField.IsSet(Value, 25);
    public bool AllContextINVEPT => BitField.IsSet(Value, 26);
    public bool INVVPID => BitField.IsSet(Value, 32);
    public bool SingleContextINVVPID => BitField.IsSet(Value, 41);
    public bool AllContextINVVPID => BitField.IsSet(Value, 42);
}

/// <summary>One capability MSR of a control word: bits 31:0 the allowed 0-settings (one: must be one), bits 63:32 the allowed 1-settings.</summary>
public readonly struct ControlCapability(ulong value)
{
    public readonly ulong Value = value;

    public uint MustBeOne => (uint)Value;
    public uint MayBeOne => (uint)(Value >> 32);

    /// <summary>Of <paramref name="wanted"/> what the processor does not have.</summary>
    public uint Missing(uint wanted) => wanted & ~MayBeOne;

    /// <summary>Bits that the processor insists on although they are neither wanted nor without meaning.</summary>
    public uint Forced(uint wanted, uint meaningless) => MustBeOne & ~(wanted | meaningless);

    /// <summary>The control word: what is wanted and there, and what must be.</summary>
    // SDM 3D, "Reserved Controls and Default Settings".
    public uint Adjust(uint wanted) => wanted & MayBeOne | MustBeOne;
}

/// <summary>The EPT pointer. SDM 3C, "Extended-Page-Table Pointer (EPTP)".</summary>
public static class EptPointer
{
    private const ulong WriteBack = 6, WalkLength4 = 3UL << 3;

    /// <summary>
    /// For a root table. Accessed and dirty flags stay off: nothing reads them (entries are made with both set), and with them every walk of a
    /// guest's tables would count as a write, so that a guest could not have its tables in memory that it may only read.
    /// </summary>
    public static ulong Make(ulong rootTable) => rootTable | WalkLength4 | WriteBack;
}

/// <summary>Types of INVEPT and INVVPID. SDM 3C, "INVEPT—Invalidate Translations Derived from EPT", "INVVPID—…".</summary>
public static class InvalidationType
{
    public const ulong IndividualAddress = 0, SingleContext = 1, AllContexts = 2;
}
