// Values of virtual processor registers, as HvCallGetVpRegisters and HvCallSetVpRegisters carry them. TLFS, "Virtual Processor Register Formats".

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_REGISTER_VALUE: 16 bytes, read by the register's own width. Assigning a narrow part leaves the rest: start from default.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct HvRegisterValue
{
    [FieldOffset(0)] public ulong Reg64;
    [FieldOffset(8)] public ulong High64;
    [FieldOffset(0)] public uint Reg32;
    [FieldOffset(0)] public ushort Reg16;
    [FieldOffset(0)] public byte Reg8;
    [FieldOffset(0)] public HvX64FpControlStatusRegister FpControlStatus;
    [FieldOffset(0)] public HvX64XmmControlStatusRegister XmmControlStatus;
    [FieldOffset(0)] public HvX64SegmentRegister Segment;
    [FieldOffset(0)] public HvX64TableRegister Table;
    [FieldOffset(0)] public HvSuspendRegister ExplicitSuspend;
    [FieldOffset(0)] public HvSuspendRegister InterceptSuspend;
    [FieldOffset(0)] public HvInternalActivityRegister InternalActivity;
    [FieldOffset(0)] public HvX64InterruptStateRegister InterruptState;
    [FieldOffset(0)] public HvX64PendingInterruptionRegister PendingInterruption;
    [FieldOffset(0)] public HvX64PendingExceptionEvent PendingEvent;

    public HvRegisterValue(ulong value) : this() => Reg64 = value;
    public HvRegisterValue(HvX64SegmentRegister segment) : this() => Segment = segment;
    public HvRegisterValue(HvX64TableRegister table) : this() => Table = table;
}

/// <summary>A name with its value: one element of HvCallSetVpRegisters. 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvRegisterAssoc
{
    /// <summary>A constant of <see cref="HvRegisterName"/>.</summary>
    public uint Name;
    public uint Reserved1;
    public ulong Reserved2;
    public HvRegisterValue Value;

    public HvRegisterAssoc(uint name, HvRegisterValue value) : this()
    {
        Name = name;
        Value = value;
    }

    public HvRegisterAssoc(uint name, ulong value) : this(name, new HvRegisterValue(value)) { }
}

/// <summary>HV_X64_SEGMENT_REGISTER.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64SegmentRegister
{
    public ulong Base;

    /// <summary>In bytes, granularity already applied.</summary>
    public uint Limit;
    public ushort Selector;
    public HvX64SegmentAttributes Attributes;
}

/// <summary>Attributes of HV_X64_SEGMENT_REGISTER: the descriptor's bits 55:40, its limit bits (11:8 here) reserved.</summary>
public readonly struct HvX64SegmentAttributes(ushort value)
{
    public readonly ushort Value = value;

    /// <summary>Bits 3:0.</summary>
    public byte SegmentType => (byte)(Value & 0xF);

    /// <summary>Bit 4: code or data.</summary>
    public bool NonSystemSegment => BitField.IsSet(Value, 4);

    /// <summary>Bits 6:5.</summary>
    public byte DescriptorPrivilegeLevel => (byte)(Value >> 5 & 3);
    public bool Present => BitField.IsSet(Value, 7);
    public bool Available => BitField.IsSet(Value, 12);
    public bool Long => BitField.IsSet(Value, 13);
    public bool Default => BitField.IsSet(Value, 14);
    public bool Granularity => BitField.IsSet(Value, 15);
}

/// <summary>HV_X64_TABLE_REGISTER: GDTR or IDTR.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvX64TableRegister
{
    public fixed ushort Pad[3];
    public ushort Limit;
    public ulong Base;
}

/// <summary>HV_X64_FP_CONTROL_STATUS_REGISTER: as in the FXSAVE image.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64FpControlStatusRegister
{
    public ushort FpControl;
    public ushort FpStatus;
    public byte FpTag;
    public byte Reserved;
    public ushort LastFpOp;
    public ulong LastFpRip;
}

/// <summary>HV_X64_XMM_CONTROL_STATUS_REGISTER: as in the FXSAVE image.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64XmmControlStatusRegister
{
    public ulong LastFpRdp;
    public uint XmmStatusControl;
    public uint XmmStatusControlMask;
}

/// <summary>HV_EXPLICIT_SUSPEND_REGISTER and HV_INTERCEPT_SUSPEND_REGISTER.</summary>
public readonly struct HvSuspendRegister(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0.</summary>
    public bool Suspended => BitField.IsSet(Value, 0);
}

/// <summary>HV_INTERNAL_ACTIVITY_REGISTER.</summary>
public readonly struct HvInternalActivityRegister(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: waits for a startup IPI.</summary>
    public bool StartupSuspend => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: HLT.</summary>
    public bool HaltSuspend => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: HV_X64_MSR_GUEST_IDLE.</summary>
    public bool IdleSuspend => BitField.IsSet(Value, 2);

    public HvInternalActivityRegister WithStartupSuspend(bool on) => new(BitField.WithBit(Value, 0, on));
    public HvInternalActivityRegister WithHaltSuspend(bool on) => new(BitField.WithBit(Value, 1, on));
    public HvInternalActivityRegister WithIdleSuspend(bool on) => new(BitField.WithBit(Value, 2, on));
}

/// <summary>HV_X64_INTERRUPT_STATE_REGISTER.</summary>
public readonly struct HvX64InterruptStateRegister(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: STI or MOV SS blocks interrupts for one instruction.</summary>
    public bool InterruptShadow => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: an NMI has not returned yet.</summary>
    public bool NmiMasked => BitField.IsSet(Value, 1);

    public HvX64InterruptStateRegister WithInterruptShadow(bool on) => new(BitField.WithBit(Value, 0, on));
    public HvX64InterruptStateRegister WithNmiMasked(bool on) => new(BitField.WithBit(Value, 1, on));
}

/// <summary>HV_X64_PENDING_INTERRUPTION_TYPE.</summary>
public static class HvX64PendingInterruptionType
{
    public const byte HvX64PendingInterrupt = 0;
    public const byte HvX64PendingNmi = 2;
    public const byte HvX64PendingException = 3;
    public const byte HvX64PendingSoftwareInterrupt = 4;
    public const byte HvX64PendingPrivilegedSoftwareException = 5;
    public const byte HvX64PendingSoftwareException = 6;
}

/// <summary>HV_X64_PENDING_INTERRUPTION_REGISTER: what is delivered when the processor runs next.</summary>
public readonly struct HvX64PendingInterruptionRegister(ulong value)
{
    public readonly ulong Value = value;

    public bool InterruptionPending => BitField.IsSet(Value, 0);

    /// <summary>Bits 3:1, a constant of <see cref="HvX64PendingInterruptionType"/>.</summary>
    public byte InterruptionType => (byte)BitField.Extract(Value, 3, 1);
    public bool DeliverErrorCode => BitField.IsSet(Value, 4);

    /// <summary>Bits 8:5, for software interrupts and exceptions.</summary>
    public byte InstructionLength => (byte)BitField.Extract(Value, 8, 5);
    public bool NestedEvent => BitField.IsSet(Value, 9);

    /// <summary>Bits 31:16.</summary>
    public ushort InterruptionVector => (ushort)(Value >> 16);

    /// <summary>Bits 63:32.</summary>
    public uint ErrorCode => (uint)(Value >> 32);

    public HvX64PendingInterruptionRegister WithInterruptionPending(bool on) => new(BitField.WithBit(Value, 0, on));
    public HvX64PendingInterruptionRegister WithInterruptionType(byte type) => new(BitField.Insert(Value, 3, 1, type));
    public HvX64PendingInterruptionRegister WithDeliverErrorCode(bool on) => new(BitField.WithBit(Value, 4, on));
    public HvX64PendingInterruptionRegister WithInstructionLength(byte length) => new(BitField.Insert(Value, 8, 5, length));
    public HvX64PendingInterruptionRegister WithNestedEvent(bool on) => new(BitField.WithBit(Value, 9, on));
    public HvX64PendingInterruptionRegister WithInterruptionVector(ushort vector) => new(BitField.Insert(Value, 31, 16, vector));
    public HvX64PendingInterruptionRegister WithErrorCode(uint code) => new(BitField.Insert(Value, 63, 32, code));
}

/// <summary>HV_X64_PENDING_EXCEPTION_EVENT: HvRegisterPendingEvent0 with EventType 0. 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64PendingExceptionEvent
{
    /// <summary>Bit 0 EventPending, bits 3:1 EventType (0: exception), bit 8 DeliverErrorCode, bits 31:16 Vector.</summary>
    public uint Event;
    public uint ErrorCode;
    public ulong ExceptionParameter;

    public readonly bool EventPending => BitField.IsSet(Event, 0);
    public readonly byte EventType => (byte)BitField.Extract(Event, 3, 1);
    public readonly bool DeliverErrorCode => BitField.IsSet(Event, 8);
    public readonly ushort Vector => (ushort)(Event >> 16);

    /// <summary>An exception to be delivered when the processor runs next.</summary>
    public HvX64PendingExceptionEvent(byte vector, bool deliverErrorCode, uint errorCode, ulong parameter)
    {
        Event = 1u | (deliverErrorCode ? 1u << 8 : 0) | (uint)vector << 16;
        ErrorCode = errorCode;
        ExceptionParameter = parameter;
    }
}

/// <summary>HV_X64_DELIVERABILITY_NOTIFICATIONS_REGISTER: tell the parent once something could be delivered.</summary>
public readonly struct HvX64DeliverabilityNotificationsRegister(ulong value)
{
    public readonly ulong Value = value;

    public bool NmiNotification => BitField.IsSet(Value, 0);
    public bool InterruptNotification => BitField.IsSet(Value, 1);

    /// <summary>Bits 5:2.</summary>
    public byte InterruptPriority => (byte)BitField.Extract(Value, 5, 2);

    /// <summary>Bits 63:48, a bit for each SINT whose message slot should be free.</summary>
    public ushort Sints => (ushort)(Value >> 48);
}

/// <summary>HV_INITIAL_VP_CONTEXT, 224 bytes: registers of a processor that HvCallStartVirtualProcessor starts.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvInitialVpContext
{
    public ulong Rip;
    public ulong Rsp;
    public ulong Rflags;
    public HvX64SegmentRegister Cs;
    public HvX64SegmentRegister Ds;
    public HvX64SegmentRegister Es;
    public HvX64SegmentRegister Fs;
    public HvX64SegmentRegister Gs;
    public HvX64SegmentRegister Ss;
    public HvX64SegmentRegister Tr;
    public HvX64SegmentRegister Ldtr;
    public HvX64TableRegister Idtr;
    public HvX64TableRegister Gdtr;
    public ulong Efer;
    public ulong Cr0;
    public ulong Cr3;
    public ulong Cr4;
    public ulong MsrCrPat;
}
