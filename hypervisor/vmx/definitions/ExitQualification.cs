// What the exit qualification says, exit by exit. SDM 3C, "Basic VM-Exit Information", tables "Exit Qualification for …".

using Lamina.Abi;

namespace Lamina.Hypervisor.Vmx;

/// <summary>Exit qualification for debug exceptions: the bits that the exception's delivery would set in DR6, which it has not done.</summary>
public readonly struct DebugExceptionQualification(ulong value)
{
    private const ulong Breakpoints = 0xF;

    /// <summary>DR6 bits that #DB replaces: B3 to B0 are written, BD, BS and RTM only ever set (RTM, bit 16, is inverted).</summary>
    private const ulong Sticky = 1UL << 13 | 1UL << 14;
    public readonly ulong Value = value;

    /// <summary>DR6 as the exception leaves it.</summary>
    public ulong Apply(ulong dr6)
    {
        ulong result = dr6 & ~Breakpoints | Value & (Breakpoints | Sticky);
        return (Value & 1UL << 16) != 0 ? result & ~(1UL << 16) : result;
    }
}

/// <summary>Exit qualification for control-register accesses.</summary>
public readonly struct ControlRegisterQualification(ulong value)
{
    public const byte MovToCr = 0, MovFromCr = 1, Clts = 2, Lmsw = 3;
    public readonly ulong Value = value;

    /// <summary>Bits 3:0.</summary>
    public byte Register => (byte)(Value & 0xF);

    /// <summary>Bits 5:4, one of the constants above.</summary>
    public byte AccessType => (byte)(Value >> 4 & 3);

    /// <summary>Bits 11:8: number of the general register of a MOV.</summary>
    public byte GeneralRegister => (byte)(Value >> 8 & 0xF);

    /// <summary>Bits 31:16: what LMSW would load.</summary>
    public ushort LmswSource => (ushort)(Value >> 16);
}

/// <summary>Exit qualification for I/O instructions.</summary>
public readonly struct IoInstructionQualification(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bits 2:0 hold the size less one: 1, 2 or 4 bytes.</summary>
    public byte Size => (byte)((Value & 7) + 1);

    /// <summary>Bit 3: IN or INS.</summary>
    public bool IsIn => BitField.IsSet(Value, 3);

    /// <summary>Bit 4: INS or OUTS.</summary>
    public bool IsString => BitField.IsSet(Value, 4);

    /// <summary>Bit 5.</summary>
    public bool HasRepPrefix => BitField.IsSet(Value, 5);

    /// <summary>Of one byte, and no string.</summary>
    public bool IsSingleByte => (Value & 0x17) == 0;

    public HvX64IoPortAccessInfo Access => new(Size, IsString, HasRepPrefix);

    /// <summary>Bit 6: the port is in the instruction, not in DX.</summary>
    public bool IsImmediate => BitField.IsSet(Value, 6);

    /// <summary>Bits 31:16.</summary>
    public ushort Port => (ushort)(Value >> 16);
}

/// <summary>Exit qualification for EPT violations.</summary>
public readonly struct EptViolationQualification(ulong value)
{
    public readonly ulong Value = value;

    /// <summary>Bit 0. Walks of guest paging structures count as reads, with accessed and dirty flags enabled as writes too.</summary>
    public bool Read => BitField.IsSet(Value, 0);

    /// <summary>Bit 1.</summary>
    public bool Write => BitField.IsSet(Value, 1);

    /// <summary>Bit 2.</summary>
    public bool InstructionFetch => BitField.IsSet(Value, 2);

    /// <summary>Bits 5:3: what all levels of the tables allow together: read, write, execute.</summary>
    public bool Readable => BitField.IsSet(Value, 3);
    public bool Writable => BitField.IsSet(Value, 4);
    public bool Executable => BitField.IsSet(Value, 5);

    /// <summary>Bit 7: the guest linear-address field is valid; it is not where MOV CR loads PDPTEs.</summary>
    public bool GuestLinearAddressValid => BitField.IsSet(Value, 7);

    /// <summary>Bit 8, valid with <see cref="GuestLinearAddressValid"/>: at the linear address's own translation, not in a walk to it.</summary>
    public bool AtFinalAddress => BitField.IsSet(Value, 8);

    /// <summary>Bit 12: the exit came while IRET had just unblocked NMIs.</summary>
    public bool NmiUnblockingDueToIret => BitField.IsSet(Value, 12);

    /// <summary>The access was the processor's own, to a paging structure of the guest.</summary>
    public bool InGuestPageTable => !(GuestLinearAddressValid && AtFinalAddress);
}

/// <summary>Exit qualification for task switches.</summary>
public readonly struct TaskSwitchQualification(ulong value)
{
    public const byte Call = 0, Iret = 1, Jmp = 2, TaskGate = 3;
    public readonly ulong Value = value;

    /// <summary>Bits 15:0: selector of the TSS.</summary>
    public ushort Selector => (ushort)Value;

    /// <summary>Bits 31:30, one of the constants above.</summary>
    public byte Source => (byte)(Value >> 30 & 3);
}

/// <summary>Exit qualification for APIC accesses by linear address.</summary>
public readonly struct ApicAccessQualification(ulong value)
{
    public const byte LinearRead = 0, LinearWrite = 1, LinearFetch = 2, LinearEventDelivery = 3, PhysicalEventDelivery = 10, PhysicalAccess = 15;
    public readonly ulong Value = value;

    /// <summary>Bits 11:0, valid for linear accesses.</summary>
    public ushort Offset => (ushort)(Value & 0xFFF);

    /// <summary>Bits 15:12, one of the constants above.</summary>
    public byte AccessType => (byte)(Value >> 12 & 0xF);
}
