// Payloads of the messages by which the hypervisor tells a parent what its child's processor did. TLFS, "Intercept Message Formats"
// ("HV_X64_INTERCEPT_MESSAGE_HEADER" and the messages after it).

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>HV_INTERCEPT_ACCESS_TYPE.</summary>
public static class HvInterceptAccessType
{
    public const byte HvInterceptAccessRead = 0;
    public const byte HvInterceptAccessWrite = 1;
    public const byte HvInterceptAccessExecute = 2;
}

/// <summary>HV_X64_VP_EXECUTION_STATE, 16 bits.</summary>
public readonly struct HvX64VpExecutionState(ushort value)
{
    public readonly ushort Value = value;

    /// <summary>Bits 1:0.</summary>
    public byte Cpl => (byte)(Value & 3);
    public bool Cr0Pe => BitField.IsSet(Value, 2);
    public bool Cr0Am => BitField.IsSet(Value, 3);
    public bool EferLma => BitField.IsSet(Value, 4);
    public bool DebugActive => BitField.IsSet(Value, 5);
    public bool InterruptionPending => BitField.IsSet(Value, 6);
    public bool InterruptShadow => BitField.IsSet(Value, 12);

    /// <summary>All that an intercept says, at once: CR0's bits 0 and 18 and EFER's bit 10 are moved to their places.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static HvX64VpExecutionState Of(byte cpl, ulong cr0, ulong efer, bool interruptionPending) =>
        new((ushort)((uint)cpl & 3 | (uint)cr0 << 2 & 1 << 2 | (uint)cr0 >> 15 & 1 << 3 | (uint)efer >> 6 & 1 << 4 | (interruptionPending ? 1u : 0) << 6));

    public HvX64VpExecutionState WithCpl(byte cpl) => new((ushort)BitField.Insert(Value, 1, 0, cpl));
    public HvX64VpExecutionState WithCr0Pe(bool on) => new((ushort)BitField.WithBit(Value, 2, on));
    public HvX64VpExecutionState WithCr0Am(bool on) => new((ushort)BitField.WithBit(Value, 3, on));
    public HvX64VpExecutionState WithEferLma(bool on) => new((ushort)BitField.WithBit(Value, 4, on));
    public HvX64VpExecutionState WithDebugActive(bool on) => new((ushort)BitField.WithBit(Value, 5, on));
    public HvX64VpExecutionState WithInterruptionPending(bool on) => new((ushort)BitField.WithBit(Value, 6, on));
    public HvX64VpExecutionState WithInterruptShadow(bool on) => new((ushort)BitField.WithBit(Value, 12, on));
}

/// <summary>HV_X64_INTERCEPT_MESSAGE_HEADER, 40 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64InterceptMessageHeader
{
    public VpIndex VpIndex;

    /// <summary>Bits 3:0 the instruction's length, 0 where unknown; bits 7:4 CR8.</summary>
    public byte InstructionLengthAndCr8;

    /// <summary>A constant of <see cref="HvInterceptAccessType"/>.</summary>
    public byte InterceptAccessType;
    public HvX64VpExecutionState ExecutionState;
    public HvX64SegmentRegister CsSegment;
    public ulong Rip;
    public ulong Rflags;

    public readonly byte InstructionLength => (byte)(InstructionLengthAndCr8 & 0xF);
    public readonly byte Cr8 => (byte)(InstructionLengthAndCr8 >> 4);
}

/// <summary>HV_X64_IO_PORT_ACCESS_INFO, 8 bits.</summary>
public readonly struct HvX64IoPortAccessInfo(byte value)
{
    public readonly byte Value = value;

    /// <summary>Bits 2:0: 1, 2 or 4 bytes.</summary>
    public byte AccessSize => (byte)(Value & 7);

    /// <summary>Bit 3: INS or OUTS.</summary>
    public bool StringOp => BitField.IsSet(Value, 3);

    /// <summary>Bit 4.</summary>
    public bool RepPrefix => BitField.IsSet(Value, 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public HvX64IoPortAccessInfo(byte accessSize, bool stringOp, bool repPrefix)
        : this((byte)(accessSize & 7 | (stringOp ? 8 : 0) | (repPrefix ? 16 : 0))) { }
}

/// <summary>HV_X64_IO_PORT_INTERCEPT_MESSAGE, 128 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvX64IoPortInterceptMessage
{
    public HvX64InterceptMessageHeader Header;
    public ushort PortNumber;
    public HvX64IoPortAccessInfo AccessInfo;
    public byte InstructionByteCount;
    public uint Reserved;
    public ulong Rax;
    public fixed byte InstructionBytes[16];
    public HvX64SegmentRegister DsSegment;
    public HvX64SegmentRegister EsSegment;
    public ulong Rcx;
    public ulong Rsi;
    public ulong Rdi;
}

/// <summary>HV_X64_MEMORY_ACCESS_INFO, 8 bits.</summary>
public readonly struct HvX64MemoryAccessInfo(byte value)
{
    public readonly byte Value = value;

    /// <summary>Bit 0: GuestVirtualAddress is valid.</summary>
    public bool GvaValid => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: that address translates to GuestPhysicalAddress, else the access was to a page table.</summary>
    public bool GvaGpaValid => BitField.IsSet(Value, 1);
    public bool HypercallOutputPending => BitField.IsSet(Value, 2);
    public bool TlbLocked => BitField.IsSet(Value, 3);

    public HvX64MemoryAccessInfo(bool gvaValid, bool gvaGpaValid) : this((byte)((gvaValid ? 1 : 0) | (gvaGpaValid ? 2 : 0))) { }
}

/// <summary>HV_CACHE_TYPE: as in the PAT.</summary>
public static class HvCacheType
{
    public const uint HvCacheTypeUncached = 0;
    public const uint HvCacheTypeWriteCombining = 1;
    public const uint HvCacheTypeWriteThrough = 4;
    public const uint HvCacheTypeWriteProtected = 5;
    public const uint HvCacheTypeWriteBack = 6;
}

/// <summary>HV_X64_MEMORY_INTERCEPT_MESSAGE, 80 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvX64MemoryInterceptMessage
{
    public HvX64InterceptMessageHeader Header;

    /// <summary>A constant of <see cref="HvCacheType"/>.</summary>
    public uint CacheType;
    public byte InstructionByteCount;
    public HvX64MemoryAccessInfo MemoryAccessInfo;
    public byte TprPriority;
    public byte Reserved1;
    public VirtualAddress GuestVirtualAddress;
    public GuestPhysicalAddress GuestPhysicalAddress;
    public fixed byte InstructionBytes[16];
}

/// <summary>HV_X64_MSR_INTERCEPT_MESSAGE, 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64MsrInterceptMessage
{
    public HvX64InterceptMessageHeader Header;
    public uint MsrNumber;
    public uint Reserved;
    public ulong Rdx;
    public ulong Rax;
}

/// <summary>HV_X64_CPUID_INTERCEPT_MESSAGE, 104 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64CpuidInterceptMessage
{
    public HvX64InterceptMessageHeader Header;
    public ulong Rax;
    public ulong Rcx;
    public ulong Rdx;
    public ulong Rbx;

    /// <summary>What the hypervisor would have returned.</summary>
    public ulong DefaultResultRax;
    public ulong DefaultResultRcx;
    public ulong DefaultResultRdx;
    public ulong DefaultResultRbx;
}

/// <summary>HV_X64_EXCEPTION_INTERCEPT_MESSAGE, 240 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvX64ExceptionInterceptMessage
{
    public HvX64InterceptMessageHeader Header;
    public ushort ExceptionVector;

    /// <summary>HV_X64_EXCEPTION_INFO: bit 0 ErrorCodeValid, bit 1 SoftwareException.</summary>
    public byte ExceptionInfo;
    public byte InstructionByteCount;
    public uint ErrorCode;

    /// <summary>For #PF the faulting address.</summary>
    public ulong ExceptionParameter;
    public ulong Reserved;
    public fixed byte InstructionBytes[16];
    public HvX64SegmentRegister DsSegment;
    public HvX64SegmentRegister SsSegment;
    public ulong Rax;
    public ulong Rcx;
    public ulong Rdx;
    public ulong Rbx;
    public ulong Rsp;
    public ulong Rbp;
    public ulong Rsi;
    public ulong Rdi;
    public ulong R8;
    public ulong R9;
    public ulong R10;
    public ulong R11;
    public ulong R12;
    public ulong R13;
    public ulong R14;
    public ulong R15;
}

/// <summary>HV_X64_HALT_MESSAGE: HLT was executed.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64HaltMessage
{
    public HvX64InterceptMessageHeader Header;
}

/// <summary>HV_X64_UNRECOVERABLE_EXCEPTION_MESSAGE: a triple fault.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64UnrecoverableExceptionMessage
{
    public HvX64InterceptMessageHeader Header;
}

/// <summary>HV_X64_INVALID_VP_REGISTER_MESSAGE: the processor's registers do not make a state that can run.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64InvalidVpRegisterMessage
{
    public VpIndex VpIndex;
    public uint Reserved;
}

/// <summary>HV_X64_APIC_EOI_MESSAGE: the end of a level-triggered interrupt; the VP is not suspended.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64ApicEoiMessage
{
    public VpIndex VpIndex;
    public uint InterruptVector;
}

/// <summary>HV_X64_SIPI_INTERCEPT_MESSAGE.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64SipiInterceptMessage
{
    public HvX64InterceptMessageHeader Header;
    public VpIndex TargetVpIndex;
    public uint InterruptVector;
}

/// <summary>HV_X64_INTERRUPTION_DELIVERABLE_MESSAGE: the notification that HvX64RegisterDeliverabilityNotifications asked for.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvX64InterruptionDeliverableMessage
{
    public HvX64InterceptMessageHeader Header;

    /// <summary>A constant of <see cref="HvX64PendingInterruptionType"/>.</summary>
    public byte DeliverableType;
    public byte Reserved0;
    public ushort Reserved1;
    public uint Reserved2;
}

/// <summary>HV_X64_HYPERCALL_INTERCEPT_MESSAGE, 208 bytes: a call that the parent asked to see.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct HvX64HypercallInterceptMessage
{
    public HvX64InterceptMessageHeader Header;
    public ulong Rax;
    public ulong Rbx;
    public ulong Rcx;
    public ulong Rdx;
    public ulong R8;
    public ulong Rsi;
    public ulong Rdi;
    public fixed ulong XmmRegisters[12];

    /// <summary>Bit 0: the caller is isolated.</summary>
    public uint Flags;
    public uint Reserved0;
    public uint Reserved1;
    public uint Reserved2;
}

/// <summary>Payload of HvMessageTypeOpaqueIntercept.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvOpaqueInterceptMessage
{
    public VpIndex VpIndex;
}
