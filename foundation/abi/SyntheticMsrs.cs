// Formats of the synthetic MSRs: one readonly structure over 64 bits each.
// TLFS, "Establishing the Hypercall Interface", "SynIC MSRs", "Synthetic Timers", "Partition Reference Time Enlightenment".

namespace Lamina.Abi;

/// <summary>HV_X64_MSR_GUEST_OS_ID: zero means that no guest has introduced itself. TLFS, "Reporting the Guest OS Identity".</summary>
public readonly struct GuestOsId(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 15:0.</summary>
    public ushort BuildNumber => (ushort)Value;

    /// <summary>Bits 47:16; Linux writes LINUX_VERSION_CODE there.</summary>
    public uint Version => (uint)BitField.Extract(Value, 47, 16);

    /// <summary>Bits 55:48, chosen by the vendor.</summary>
    public byte OsId => (byte)(Value >> 48);

    /// <summary>Bits 62:56, of an open-source system: 1 Linux, 2 FreeBSD, 3 Xen, 4 illumos.</summary>
    public byte OsType => (byte)BitField.Extract(Value, 62, 56);

    /// <summary>Bit 63.</summary>
    public bool IsOpenSource => BitField.IsSet(Value, 63);
}

/// <summary>HV_X64_MSR_HYPERCALL: where the hypercall page lies.</summary>
public readonly struct HypercallMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: the register is immutable until reset.</summary>
    public bool Locked => BitField.IsSet(Value, 1);

    /// <summary>Bits 63:12: guest page number.</summary>
    public ulong HypercallGpfn => Value >> 12;

    public HypercallMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public HypercallMsr WithLocked(bool on) => new(BitField.WithBit(Value, 1, on));
    public HypercallMsr WithHypercallGpfn(ulong pageNumber) => new(BitField.Insert(Value, 63, 12, pageNumber));
}

/// <summary>HV_X64_MSR_REFERENCE_TSC: where the reference TSC page lies.</summary>
public readonly struct ReferenceTscMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bits 63:12: guest page number.</summary>
    public ulong Gpfn => Value >> 12;

    public ReferenceTscMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public ReferenceTscMsr WithGpfn(ulong pageNumber) => new(BitField.Insert(Value, 63, 12, pageNumber));
}

/// <summary>HV_X64_MSR_VP_ASSIST_PAGE: where the VP assist page lies.</summary>
public readonly struct VpAssistPageMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bits 63:12: guest page number.</summary>
    public ulong Gpfn => Value >> 12;

    public VpAssistPageMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public VpAssistPageMsr WithGpfn(ulong pageNumber) => new(BitField.Insert(Value, 63, 12, pageNumber));
}

/// <summary>HV_X64_MSR_SCONTROL.</summary>
public readonly struct ScontrolMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: messages and events may be delivered.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    public ScontrolMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
}

/// <summary>HV_X64_MSR_SIMP: where the message page lies.</summary>
public readonly struct SimpMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bits 63:12: guest page number.</summary>
    public ulong BaseSimpGpfn => Value >> 12;

    public SimpMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public SimpMsr WithBaseSimpGpfn(ulong pageNumber) => new(BitField.Insert(Value, 63, 12, pageNumber));
}

/// <summary>HV_X64_MSR_SIEFP: where the event flags page lies.</summary>
public readonly struct SiefpMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bits 63:12: guest page number.</summary>
    public ulong BaseSiefpGpfn => Value >> 12;

    public SiefpMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public SiefpMsr WithBaseSiefpGpfn(ulong pageNumber) => new(BitField.Insert(Value, 63, 12, pageNumber));
}

/// <summary>HV_X64_MSR_SIRBP: where the root's event ring page lies.</summary>
public readonly struct SirbpMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bits 63:12: guest page number.</summary>
    public ulong BaseSirbpGpfn => Value >> 12;

    public SirbpMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public SirbpMsr WithBaseSirbpGpfn(ulong pageNumber) => new(BitField.Insert(Value, 63, 12, pageNumber));
}

/// <summary>HV_X64_MSR_SINT0..15: one synthetic interrupt source.</summary>
public readonly struct SintMsr(ulong value)
{
    /// <summary>Vectors below this one raise #GP unless the source is masked. TLFS, "SINTx Registers".</summary>
    public const byte FirstValidVector = 16;

    public readonly ulong Value = value;

    /// <summary>Bits 7:0.</summary>
    public byte Vector => (byte)Value;

    /// <summary>Bit 16.</summary>
    public bool Masked => BitField.IsSet(Value, 16);

    /// <summary>Bit 17: an implicit EOI follows delivery.</summary>
    public bool AutoEoi => BitField.IsSet(Value, 17);

    /// <summary>Bit 18: messages and flags arrive without an interrupt.</summary>
    public bool Polling => BitField.IsSet(Value, 18);

    /// <summary>Bit 19: delivered to the root as an intercept message.</summary>
    public bool AsIntercept => BitField.IsSet(Value, 19);

    /// <summary>Bit 20: a proxy for a device interrupt of the host.</summary>
    public bool Proxy => BitField.IsSet(Value, 20);

    /// <summary>What the register holds after reset: masked, vector 0.</summary>
    public static SintMsr Reset => new(1UL << 16);

    /// <summary>Neither masked nor polled.</summary>
    public bool Interrupts => (Value & (1UL << 16 | 1UL << 18)) == 0;

    public SintMsr WithVector(byte vector) => new(BitField.Insert(Value, 7, 0, vector));
    public SintMsr WithMasked(bool on) => new(BitField.WithBit(Value, 16, on));
    public SintMsr WithAutoEoi(bool on) => new(BitField.WithBit(Value, 17, on));
    public SintMsr WithPolling(bool on) => new(BitField.WithBit(Value, 18, on));
    public SintMsr WithAsIntercept(bool on) => new(BitField.WithBit(Value, 19, on));
    public SintMsr WithProxy(bool on) => new(BitField.WithBit(Value, 20, on));
}

/// <summary>HV_X64_MSR_STIMER0..3_CONFIG.</summary>
public readonly struct StimerConfigMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Enable => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: COUNT is a period, else an absolute reference time (100 ns).</summary>
    public bool Periodic => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: a halted processor need not be woken.</summary>
    public bool Lazy => BitField.IsSet(Value, 2);

    /// <summary>Bit 3: writing a COUNT other than zero enables the timer.</summary>
    public bool AutoEnable => BitField.IsSet(Value, 3);

    /// <summary>Bits 11:4: the vector of direct mode.</summary>
    public byte ApicVector => (byte)(Value >> 4);

    /// <summary>Bit 12: expiry asserts <see cref="ApicVector"/> instead of sending a message.</summary>
    public bool DirectMode => BitField.IsSet(Value, 12);

    /// <summary>Bits 19:16: the synthetic interrupt source of message mode; 0 makes the timer not enable.</summary>
    public byte SINTx => (byte)BitField.Extract(Value, 19, 16);

    public StimerConfigMsr WithEnable(bool on) => new(BitField.WithBit(Value, 0, on));
    public StimerConfigMsr WithPeriodic(bool on) => new(BitField.WithBit(Value, 1, on));
    public StimerConfigMsr WithLazy(bool on) => new(BitField.WithBit(Value, 2, on));
    public StimerConfigMsr WithAutoEnable(bool on) => new(BitField.WithBit(Value, 3, on));
    public StimerConfigMsr WithApicVector(byte vector) => new(BitField.Insert(Value, 11, 4, vector));
    public StimerConfigMsr WithDirectMode(bool on) => new(BitField.WithBit(Value, 12, on));
    public StimerConfigMsr WithSINTx(byte sint) => new(BitField.Insert(Value, 19, 16, sint));
}

/// <summary>HV_X64_MSR_CRASH_CTL. TLFS, "Guest Crash Enlightenment".</summary>
public readonly struct CrashCtlMsr(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 60:58: which pre-OS environment crashed.</summary>
    public byte PreOSId => (byte)BitField.Extract(Value, 60, 58);

    /// <summary>Bit 61: no dump will be written.</summary>
    public bool NoCrashDump => BitField.IsSet(Value, 61);

    /// <summary>Bit 62: P3 is the address of a text, P4 its length in bytes.</summary>
    public bool CrashMessage => BitField.IsSet(Value, 62);

    /// <summary>Bit 63: record the crash parameters.</summary>
    public bool CrashNotify => BitField.IsSet(Value, 63);

    /// <summary>What a read returns when the hypervisor takes a notification and a text.</summary>
    public static CrashCtlMsr Capabilities => new(3UL << 62);
}
