// What EXITINFO1 says, exit by exit. APM 2, "Intercept Operation" and the sections on single intercepts.

using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Hypervisor.Svm;

/// <summary>EXITINFO1 of VMEXIT_IOIO; EXITINFO2 is the RIP of the next instruction. APM 2, "IOIO Intercepts".</summary>
public readonly struct IoInterceptInfo(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0, TYPE: IN or INS.</summary>
    public bool IsIn => BitField.IsSet(Value, 0);

    /// <summary>Bit 2, STR: INS or OUTS.</summary>
    public bool IsString => BitField.IsSet(Value, 2);

    /// <summary>Bit 3, REP.</summary>
    public bool HasRepPrefix => BitField.IsSet(Value, 3);

    /// <summary>Bits 6:4, SZ8, SZ16, SZ32: 1, 2 or 4 bytes.</summary>
    public byte OperandSize => (byte)(Value >> 4 & 7);

    /// <summary>Of one byte, and no string.</summary>
    public bool IsSingleByte => (Value & 0x74) == 0x10;

    /// <summary>Bits 6:2 as HV_X64_IO_PORT_ACCESS_INFO has them: the size in front.</summary>
    public HvX64IoPortAccessInfo Access
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new((byte)(Value >> 4 & 7 | (Value & 0xC) << 1));
    }

    /// <summary>Bits 9:7, A16, A32, A64: 2, 4 or 8 bytes.</summary>
    public byte AddressSize => (byte)((Value >> 7 & 7) << 1);

    /// <summary>Bits 12:10, SEG: effective segment of OUTS (0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS); feature DecodeAssists.</summary>
    public byte Segment => (byte)(Value >> 10 & 7);

    /// <summary>Bits 31:16.</summary>
    public ushort Port => (ushort)(Value >> 16);
}

/// <summary>EXITINFO1 of VMEXIT_NPF: a page fault error code, and at which stage. APM 2, "Nested versus Guest Page Faults, Fault Ordering".</summary>
public readonly struct NestedPageFaultInfo(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0: the nested translation was present.</summary>
    public bool Present => BitField.IsSet(Value, 0);

    /// <summary>Bit 1: a write. Guest page-table walks count as writes.</summary>
    public bool Write => BitField.IsSet(Value, 1);

    /// <summary>Bit 2: always one for an access of a guest: nested tables are walked as user.</summary>
    public bool User => BitField.IsSet(Value, 2);

    /// <summary>Bit 3: a reserved bit of a nested entry is set: a defect of the hypervisor's.</summary>
    public bool ReservedBitSet => BitField.IsSet(Value, 3);

    /// <summary>Bit 4.</summary>
    public bool InstructionFetch => BitField.IsSet(Value, 4);

    /// <summary>Bit 32: at the final address, the guest's own walk being done.</summary>
    public bool AtFinalAddress => BitField.IsSet(Value, 32);

    /// <summary>Bit 33: at one of the guest's page-table pages.</summary>
    public bool InGuestPageTable => BitField.IsSet(Value, 33);
}

/// <summary>EXITINFO1 of VMEXIT_CRn_* and VMEXIT_DRn_*, feature DecodeAssists. APM 2, "MOV CRx/DRx Intercepts".</summary>
public readonly struct CrInterceptInfo(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 3:0: number of the general register.</summary>
    public byte GprNumber => (byte)(Value & 0xF);

    /// <summary>Bit 63: MOV CRx, not LMSW, SMSW or CLTS.</summary>
    public bool IsMov => BitField.IsSet(Value, 63);
}

/// <summary>EXITINFO1 of VMEXIT_MSR.</summary>
public static class MsrInterceptInfo
{
    public const ulong Read = 0;
    public const ulong Write = 1;
}

/// <summary>EXITINFO2 of VMEXIT_TASK_SWITCH; EXITINFO1 is the selector. APM 2, "Task Switch Intercepts".</summary>
public readonly struct TaskSwitchInfo(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 31:0, valid with <see cref="HasErrorCode"/>.</summary>
    public uint ErrorCode => (uint)Value;

    /// <summary>Bit 36.</summary>
    public bool ByIret => BitField.IsSet(Value, 36);

    /// <summary>Bit 38.</summary>
    public bool ByFarJump => BitField.IsSet(Value, 38);

    /// <summary>Bit 44.</summary>
    public bool HasErrorCode => BitField.IsSet(Value, 44);
}
