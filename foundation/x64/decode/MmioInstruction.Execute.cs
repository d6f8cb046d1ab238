// Computes what a decoded instruction does: addresses, values, flags. Pure; the caller does the device accesses.
namespace Lamina.X64.Decode;

public unsafe partial struct MmioInstruction
{
    private const int Rax = 0;
    private const int Rcx = 1;
    private const int Rsi = 6;
    private const int Rdi = 7;
    private const ulong DirectionFlag = 1UL << 10;

    /// <summary>
    /// Offset in <see cref="Segment"/> of the memory operand; the caller adds the segment's base. For string instructions
    /// it is that of the destination in ES (of the source for LODS). <paramref name="nextRip"/> is RIP behind the instruction.
    /// </summary>
    public readonly ulong EffectiveOffset(ulong* registers, ulong nextRip)
    {
        if (IsString)
        {
            return Operation == MmioOperation.LoadString ? StringSourceOffset(registers) : registers[Rdi] & AddressMask;
        }
        ulong offset = Displacement;
        offset += Base == NoRegister ? 0 : registers[Base];
        offset += Index == NoRegister ? 0 : registers[Index] << IndexShift;
        offset += IsRipRelative ? nextRip : 0;
        if (IsBitTest && Operand == MmioOperand.Register)
        {
            // A bit number in a register reaches beyond the operand, both ways: it moves the operand.
            long bit = (long)SignExtend(registers[Register], Size);
            int shift = Size == 8 ? 6 : Size == 4 ? 5 : 4;
            offset += (ulong)((bit >> shift) * Size);
        }
        return offset & AddressMask;
    }

    /// <summary>For MOVS and LODS: offset of the source in <see cref="Segment"/>.</summary>
    public readonly ulong StringSourceOffset(ulong* registers) => registers[Rsi] & AddressMask;

    /// <summary>A repeated string instruction with nothing left to do.</summary>
    public readonly bool IsStringFinished(ulong* registers) => IsRepeated && (registers[Rcx] & AddressMask) == 0;

    /// <summary>Moves the string registers past one element; true when the instruction is then complete and RIP may move on.</summary>
    public readonly bool AdvanceString(ulong* registers, ulong rflags)
    {
        ulong step = (rflags & DirectionFlag) == 0 ? Size : 0UL - Size;
        if (Operation != MmioOperation.StoreString)
        {
            registers[Rsi] = Merge(registers[Rsi], registers[Rsi] + step, AddressSize);
        }
        if (Operation != MmioOperation.LoadString)
        {
            registers[Rdi] = Merge(registers[Rdi], registers[Rdi] + step, AddressSize);
        }
        if (!IsRepeated)
        {
            return true;
        }
        registers[Rcx] = Merge(registers[Rcx], registers[Rcx] - 1, AddressSize);
        return IsStringFinished(registers);
    }

    /// <summary>Value of the register or immediate operand, truncated to its size.</summary>
    public readonly ulong OperandValue(ulong* registers) => Operand switch
    {
        MmioOperand.Immediate => Immediate & MaskOf(Size),
        MmioOperand.Register => (registers[Register] >> (RegisterIsHighByte ? 8 : 0)) & MaskOf(RegisterSize),
        _ => 0,
    };

    /// <summary>
    /// Carries the instruction out on registers and flags. <paramref name="memory"/> is what was read when
    /// <see cref="ReadsMemory"/>. True when <paramref name="result"/> is to be written to memory. RIP and the string
    /// registers (<see cref="AdvanceString"/>) are the caller's.
    /// </summary>
    public readonly bool Execute(ulong* registers, ref ulong rflags, ulong memory, out ulong result)
    {
        MmioEffect effect = Evaluate(memory, OperandValue(registers), registers[Rax], rflags);
        rflags = effect.Rflags;
        if (effect.WritesRegister)
        {
            WriteRegister(registers, effect.Register);
        }
        if (effect.WritesAccumulator)
        {
            registers[Rax] = Merge(registers[Rax], effect.Accumulator, Size);
        }
        result = effect.Memory;
        return effect.WritesMemory;
    }

    private readonly void WriteRegister(ulong* registers, ulong value)
    {
        registers[Register] = RegisterIsHighByte
            ? (registers[Register] & ~0xFF00UL) | ((value & 0xFF) << 8)
            : Merge(registers[Register], value, RegisterSize);
    }

    /// <summary>New memory, register, accumulator and RFLAGS from the old ones. SDM 2, the instructions' "Operation" and "Flags Affected".</summary>
    public readonly MmioEffect Evaluate(ulong memory, ulong operand, ulong accumulator, ulong rflags)
    {
        ulong mask = MaskOf(Size);
        memory &= mask;
        MmioEffect effect = new() { Rflags = rflags };
        switch (Operation)
        {
            case MmioOperation.Move:
                effect.Set(MemoryIsDestination, MemoryIsDestination ? operand : memory);
                break;
            case MmioOperation.StoreString:
                effect.Set(true, operand);
                break;
            case MmioOperation.MoveString:
                effect.Set(true, memory);
                break;
            case MmioOperation.LoadString:
            case MmioOperation.MoveZeroExtend:
                effect.Set(false, memory);
                break;
            case MmioOperation.MoveSignExtend:
                effect.Set(false, SignExtend(memory, Size) & MaskOf(RegisterSize));
                break;
            case MmioOperation.Exchange:
                effect.Set(true, operand);
                effect.Set(false, memory);
                break;
            case MmioOperation.Not:
                effect.Set(true, ~memory & mask);
                break;
            case MmioOperation.BitTest:
            case MmioOperation.BitTestSet:
            case MmioOperation.BitTestReset:
            case MmioOperation.BitTestComplement:
                EvaluateBit(ref effect, memory, operand);
                break;
            case MmioOperation.ExchangeAdd:
                effect.Set(true, Arithmetic.Add(memory, operand, 0, Size, ref effect.Rflags));
                effect.Set(false, memory);
                break;
            case MmioOperation.CompareExchange:
                EvaluateCompareExchange(ref effect, memory, operand, accumulator & mask);
                break;
            default:
                EvaluateArithmetic(ref effect, memory, operand);
                break;
        }
        return effect;
    }

    private readonly void EvaluateArithmetic(ref MmioEffect effect, ulong memory, ulong operand)
    {
        ulong first = MemoryIsDestination ? memory : operand;
        ulong second = MemoryIsDestination ? operand : memory;
        ref ulong flags = ref effect.Rflags;
        ulong carry = flags & Arithmetic.CarryFlag;
        ulong result = Operation switch
        {
            MmioOperation.Add => Arithmetic.Add(first, second, 0, Size, ref flags),
            MmioOperation.AddWithCarry => Arithmetic.Add(first, second, carry, Size, ref flags),
            MmioOperation.Subtract or MmioOperation.Compare => Arithmetic.Subtract(first, second, 0, Size, ref flags),
            MmioOperation.SubtractWithBorrow => Arithmetic.Subtract(first, second, carry, Size, ref flags),
            MmioOperation.Negate => Arithmetic.Subtract(0, memory, 0, Size, ref flags),
            MmioOperation.Increment => Arithmetic.Add(memory, 1, 0, Size, ref flags),
            MmioOperation.Decrement => Arithmetic.Subtract(memory, 1, 0, Size, ref flags),
            MmioOperation.Or => Arithmetic.Logic(first | second, Size, ref flags),
            MmioOperation.Xor => Arithmetic.Logic(first ^ second, Size, ref flags),
            _ => Arithmetic.Logic(first & second, Size, ref flags), // And, Test
        };
        if (Operation is MmioOperation.Increment or MmioOperation.Decrement)
        {
            flags = (flags & ~Arithmetic.CarryFlag) | carry; // these two leave CF alone
        }
        if (Operation is not (MmioOperation.Compare or MmioOperation.Test))
        {
            effect.Set(MemoryIsDestination, result);
        }
    }

    private readonly void EvaluateBit(ref MmioEffect effect, ulong memory, ulong operand)
    {
        ulong bit = 1UL << (int)(operand & (ulong)(8 * Size - 1));
        effect.Rflags = (effect.Rflags & ~Arithmetic.CarryFlag) | ((memory & bit) != 0 ? Arithmetic.CarryFlag : 0);
        if (Operation != MmioOperation.BitTest)
        {
            effect.Set(true, Operation switch
            {
                MmioOperation.BitTestSet => memory | bit,
                MmioOperation.BitTestReset => memory & ~bit,
                _ => memory ^ bit,
            });
        }
    }

    // Memory is written either way, as the processor does it: with the old value when the comparison fails.
    private readonly void EvaluateCompareExchange(ref MmioEffect effect, ulong memory, ulong operand, ulong accumulator)
    {
        Arithmetic.Subtract(accumulator, memory, 0, Size, ref effect.Rflags);
        effect.Set(true, accumulator == memory ? operand : memory);
        effect.WritesAccumulator = accumulator != memory;
        effect.Accumulator = memory;
    }

    private readonly ulong AddressMask => MaskOf(AddressSize);

    private static ulong MaskOf(int size) => size == 8 ? ulong.MaxValue : (1UL << (8 * size)) - 1;

    private static ulong SignExtend(ulong value, int size)
    {
        int shift = 64 - 8 * size;
        return (ulong)((long)(value << shift) >> shift);
    }

    /// <summary>A register after a write of this size: four bytes clear the upper half, one and two keep the rest.</summary>
    private static ulong Merge(ulong old, ulong value, int size) => size switch
    {
        8 => value,
        4 => value & 0xFFFF_FFFF,
        _ => (old & ~MaskOf(size)) | (value & MaskOf(size)),
    };
}
