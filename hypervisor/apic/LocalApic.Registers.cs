// Guest accesses: the xAPIC page, the x2APIC MSRs and TLFS's APIC MSRs.
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Hypervisor.Apic;

public unsafe partial struct LocalApic
{
    // One bit per register (offset / 16). SDM 3A, "Local APIC Register Address Map" and "x2APIC Register Address Space".
    private const ulong ServiceBanks = 0x000000FFFFFF0000;
    private const ulong LocalVectors = 1UL << 0x2F | 0x3FUL << 0x32;
    private const ulong X2ApicReadable = 1UL << 0x02 | 1UL << 0x03 | 1UL << 0x08 | 1UL << 0x0A | 1UL << 0x0D | 1UL << 0x0F
        | ServiceBanks | 1UL << 0x28 | LocalVectors | 1UL << 0x30 | 1UL << 0x38 | 1UL << 0x39 | 1UL << 0x3E;
    private const ulong XApicKnown = X2ApicReadable | 1UL << 0x09 | 1UL << 0x0B | 1UL << 0x0C | 1UL << 0x0E | 1UL << 0x31;

    // Bits of each LVT entry that software sets; delivery status (12) and remote IRR (14) are read-only and ignored.
    private const uint LvtTimerBits = 0x000700FF, LvtLintBits = 0x0001A7FF, LvtErrorBits = 0x000100FF, LvtOtherBits = 0x000107FF;
    private const uint LvtReadOnlyBits = 1u << 12 | 1u << 14;
    // Vector, software enable and focus processor checking, which is ignored.
    private const uint SpuriousBits = 0x3FF;
    // ICR bits 31:20, 17:16 and 13 are reserved; 12 (delivery status in an xAPIC) is ignored.
    private const uint CommandReservedBits = 0xFFF32000, CommandBits = 0x000CCFFF;

    /// <summary>Whether RDMSR of an x2APIC register reads one.</summary>
    public static bool IsReadableInX2Apic(uint msr) => msr - Msr.X2ApicFirst < 64 && IsIn(X2ApicReadable, (msr - Msr.X2ApicFirst) << 4);

    /// <summary>
    /// Reads the register page. <paramref name="offset"/> is any byte offset below 4096; the addressed byte comes out in
    /// bits 7:0. False: not in xAPIC mode, so the page is not the APIC's. An unknown register may raise an error's interrupt.
    /// </summary>
    public bool TryReadMmio(uint offset, ulong now, out uint value, out ApicEffect effect)
    {
        value = 0;
        effect = ApicEffect.None;
        if (!IsXApic) return false;
        uint register = offset & 0xFF0;
        if (!IsIn(XApicKnown, register)) effect = ApicEffect.InterruptsChangedIf(RaiseError(ApicError.IllegalRegisterAddress));
        else if ((offset & 0xC) == 0) value = ReadRegister(register, now) >> (int)((offset & 3) * 8);
        return true;
    }

    /// <summary>Writes the register page, 32 bits at a 16-byte boundary; anything else is ignored. False: not in xAPIC mode.</summary>
    public bool TryWriteMmio(uint offset, uint value, ulong now, out ApicEffect effect)
    {
        effect = ApicEffect.None;
        if (!IsXApic) return false;
        if ((offset & 0xF) != 0) return true;
        switch (offset)
        {
            case ApicRegisters.EOI:
                effect = EndOfInterrupt();
                return true;
            case ApicRegisters.InterruptCommandLow:
                SetRegister(offset, value & CommandBits);
                effect = SendCommand(IcrCommand.FromXApic(value, Register(ApicRegisters.InterruptCommandHigh)));
                return true;
            case ApicRegisters.InterruptCommandHigh: SetRegister(offset, value & 0xFF000000); return true;
            case ApicRegisters.LogicalDestination: SetRegister(offset, value & 0xFF000000); return true;
            case ApicRegisters.DestinationFormat: SetRegister(offset, value | 0x0FFFFFFF); return true;
            // The APIC ID is read-only: interrupts are routed by it.
            case ApicRegisters.LocalApicId: return true;
        }
        if (!IsIn(XApicKnown, offset)) effect = ApicEffect.InterruptsChangedIf(RaiseError(ApicError.IllegalRegisterAddress));
        else effect = WriteRegister(offset, value, now);
        return true;
    }

    /// <summary>Reads IA32_APIC_BASE, IA32_TSC_DEADLINE, an x2APIC MSR or one of TLFS's APIC MSRs. False: inject #GP.</summary>
    public bool TryReadMsr(uint msr, ulong now, out ulong value)
    {
        value = 0;
        switch (msr)
        {
            case Msr.IA32_APIC_BASE:
                value = _base;
                return true;
            case Msr.IA32_TSC_DEADLINE:
                value = ReadTscDeadline(now);
                return (_features & ApicFeatures.TscDeadline) != 0;
            case HvMsr.HV_X64_MSR_ICR:
                value = ReadCommand();
                return IsEnabled;
            case HvMsr.HV_X64_MSR_TPR:
                value = TaskPriority;
                return IsEnabled;
        }
        if (msr - Msr.X2ApicFirst > 0x3F || !IsX2Apic) return false;
        if (msr == Msr.IA32_X2APIC_ICR)
        {
            value = ReadCommand();
            return true;
        }
        uint register = (msr - Msr.X2ApicFirst) << 4;
        if (!IsIn(X2ApicReadable, register)) return false;
        value = ReadRegister(register, now);
        return true;
    }

    /// <summary>Writes one of the same MSRs. False: read-only, reserved bits, wrong mode; inject #GP.</summary>
    public bool TryWriteMsr(uint msr, ulong value, ulong now, out ApicEffect effect)
    {
        effect = ApicEffect.None;
        switch (msr)
        {
            case Msr.IA32_X2APIC_EOI:
                if (value != 0 || !IsX2Apic) return false;
                effect = EndOfInterrupt();
                return true;
            case Msr.IA32_X2APIC_ICR:
                if ((value & CommandReservedBits) != 0 || !IsX2Apic) return false;
                effect = WriteCommand(value);
                return true;
            case Msr.IA32_TSC_DEADLINE:
                if ((_features & ApicFeatures.TscDeadline) == 0) return false;
                effect = WriteTscDeadline(value, now);
                return true;
            case HvMsr.HV_X64_MSR_EOI:
                if (value >> 32 != 0 || !IsEnabled) return false;
                effect = EndOfInterrupt();
                return true;
            case HvMsr.HV_X64_MSR_ICR:
                if (!IsEnabled) return false;
                if (IsX2Apic && (value & CommandReservedBits) != 0) return false;
                effect = WriteCommand(value);
                return true;
            case HvMsr.HV_X64_MSR_TPR:
                if (value > 0xFF || !IsEnabled) return false;
                effect = WriteTaskPriority((uint)value);
                return true;
            case Msr.IA32_APIC_BASE:
                return TryWriteApicBase(value, out effect);
        }
        if (msr - Msr.X2ApicFirst > 0x3F || !IsX2Apic || value >> 32 != 0) return false;
        return TryWriteX2Apic((msr - Msr.X2ApicFirst) << 4, (uint)value, now, out effect);
    }

    private bool TryWriteX2Apic(uint register, uint value, ulong now, out ApicEffect effect)
    {
        effect = ApicEffect.None;
        uint allowed;
        switch (register)
        {
            case ApicRegisters.TaskPriority: allowed = 0xFF; break;
            case ApicRegisters.SpuriousInterruptVector: allowed = SpuriousBits; break;
            case ApicRegisters.ErrorStatus: allowed = 0; break;
            case ApicRegisters.InitialCount: allowed = 0xFFFFFFFF; break;
            case ApicRegisters.DivideConfiguration: allowed = 0xB; break;
            case ApicRegisters.LvtTimer:
                allowed = LvtTimerBits | LvtReadOnlyBits;
                ApicTimerMode mode = (ApicTimerMode)new LocalVectorTableEntry(value).TimerMode;
                if (mode == ApicTimerMode.Reserved) return false;
                if (mode == ApicTimerMode.TscDeadline && (_features & ApicFeatures.TscDeadline) == 0) return false;
                break;
            case ApicRegisters.SelfIpi:
                if (value > 0xFF) return false;
                effect = value < FirstLegalVector
                    ? ApicEffect.InterruptsChangedIf(RaiseError(ApicError.SendIllegalVector))
                    : ApicEffect.InterruptsChangedIf(Assert((byte)value, false));
                return true;
            default:
                if (!IsIn(LocalVectors, register)) return false;
                allowed = LocalVectorBits(register) | LvtReadOnlyBits;
                break;
        }
        if ((value & ~allowed) != 0) return false;
        effect = WriteRegister(register, value, now);
        return true;
    }

    private readonly uint ReadRegister(uint register, ulong now)
    {
        if (register == ApicRegisters.CurrentCount) return ReadCurrentCount(now);
        if (register == ApicRegisters.ProcessorPriority) return ProcessorPriority;
        return Register(register);
    }

    // What both access modes write alike; reserved bits are dropped here, a read-only register is left alone.
    private ApicEffect WriteRegister(uint register, uint value, ulong now)
    {
        switch (register)
        {
            case ApicRegisters.TaskPriority: return WriteTaskPriority(value & 0xFF);
            case ApicRegisters.SpuriousInterruptVector: return WriteSpuriousVector(value & SpuriousBits, now);
            case ApicRegisters.ErrorStatus:
                SetRegister(register, _pendingErrors);
                _pendingErrors = 0;
                return ApicEffect.None;
            case ApicRegisters.InitialCount: return WriteInitialCount(value, now);
            case ApicRegisters.DivideConfiguration: return WriteDivideConfiguration(value & 0xB, now);
            case ApicRegisters.LvtTimer:
                value &= (_features & ApicFeatures.TscDeadline) != 0 ? LvtTimerBits : LvtTimerBits & ~(1u << 18);
                return WriteLvtTimer(WithForcedMask(value), now);
        }
        if (IsIn(LocalVectors, register)) SetRegister(register, WithForcedMask(value & LocalVectorBits(register)));
        return ApicEffect.None;
    }

    private ApicEffect WriteTaskPriority(uint value)
    {
        SetRegister(ApicRegisters.TaskPriority, value);
        return ApicEffect.InterruptsChangedIf(_highestRequest >= 0);
    }

    // SDM 3A, "Local APIC State After It Has Been Software Disabled": requests stay, the local vectors are masked.
    private ApicEffect WriteSpuriousVector(uint value, ulong now)
    {
        bool disable = (value & SoftwareEnableBit) == 0;
        bool expired = disable && Expire(now);
        SetRegister(ApicRegisters.SpuriousInterruptVector, value);
        if (!disable) return ApicEffect.InterruptsChangedIf(_highestRequest >= 0);
        MaskLocalVectors();
        return ApicEffect.TimerChanged.And(ApicEffect.InterruptsChangedIf(expired));
    }

    // A command as one 64-bit register, in whichever layout the mode has.
    private ApicEffect WriteCommand(ulong value)
    {
        SetRegister(ApicRegisters.InterruptCommandLow, (uint)value & CommandBits);
        uint high = (uint)(value >> 32);
        if (IsX2Apic)
        {
            SetRegister(ApicRegisters.InterruptCommandHigh, high);
            return SendCommand(new IcrCommand(value));
        }
        SetRegister(ApicRegisters.InterruptCommandHigh, high & 0xFF000000);
        return SendCommand(IcrCommand.FromXApic((uint)value, high));
    }

    private readonly ulong ReadCommand() =>
        ((ulong)Register(ApicRegisters.InterruptCommandHigh) << 32) | Register(ApicRegisters.InterruptCommandLow);

    private static uint LocalVectorBits(uint register) => register switch
    {
        ApicRegisters.LvtLint0 or ApicRegisters.LvtLint1 => LvtLintBits,
        ApicRegisters.LvtError => LvtErrorBits,
        ApicRegisters.LvtTimer => LvtTimerBits,
        _ => LvtOtherBits,
    };

    private readonly uint WithForcedMask(uint lvt) => IsSoftwareEnabled ? lvt : lvt | LvtMaskBit;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsIn(ulong set, uint register) => register <= ApicRegisters.SelfIpi && ((set >> (int)(register >> 4)) & 1) != 0;
}
