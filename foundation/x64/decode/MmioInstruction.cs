// Decodes the instructions with which compilers and kernels touch device memory.
using System;

namespace Lamina.X64.Decode;

/// <summary>
/// One instruction with a memory operand, in terms that a device emulation needs: what it does, how many bytes, which
/// register or immediate, and from what the address is computed. Registers are arrays of sixteen in encoding order
/// (RAX RCX RDX RBX RSP RBP RSI RDI R8–R15).
/// </summary>
public unsafe partial struct MmioInstruction
{
    /// <summary><see cref="Base"/> or <see cref="Index"/> when there is none.</summary>
    public const byte NoRegister = 0xFF;

    public MmioOperation Operation { get; private set; }

    /// <summary>Bytes of the memory operand: 1, 2, 4 or 8.</summary>
    public byte Size { get; private set; }

    /// <summary>Bytes of the register operand; differs from <see cref="Size"/> only where the value is extended.</summary>
    public byte RegisterSize { get; private set; }

    /// <summary>Memory is the first operand (for Compare and Test, too, which then write nothing).</summary>
    public bool MemoryIsDestination { get; private set; }

    public MmioOperand Operand { get; private set; }

    /// <summary>Number of the register operand.</summary>
    public byte Register { get; private set; }

    /// <summary>The register operand is AH, CH, DH or BH: bits 15:8 of <see cref="Register"/>.</summary>
    public bool RegisterIsHighByte { get; private set; }

    /// <summary>Sign-extended to 64 bits.</summary>
    public ulong Immediate { get; private set; }
    public bool IsLocked { get; private set; }

    /// <summary>A string instruction with REP.</summary>
    public bool IsRepeated { get; private set; }

    /// <summary>Bytes of the whole instruction.</summary>
    public byte Length { get; private set; }

    /// <summary>Bytes of an address: 2, 4 or 8.</summary>
    public byte AddressSize { get; private set; }

    /// <summary>Segment of the address, or of the source of a string instruction, whose destination is always in ES. In long mode only FS and GS have a base.</summary>
    public SegmentRegister Segment { get; private set; }
    public byte Base { get; private set; }
    public byte Index { get; private set; }

    /// <summary>The index counts shifted left by this.</summary>
    public byte IndexShift { get; private set; }

    /// <summary>Sign-extended displacement, or a whole memory offset.</summary>
    public ulong Displacement { get; private set; }

    /// <summary>The address counts from the next instruction.</summary>
    public bool IsRipRelative { get; private set; }

    public readonly bool IsString => Operation >= MmioOperation.StoreString;

    public readonly bool ReadsMemory =>
        Operation != MmioOperation.StoreString && !(Operation == MmioOperation.Move && MemoryIsDestination);

    public readonly bool WritesMemory =>
        MemoryIsDestination && Operation is not (MmioOperation.Compare or MmioOperation.Test or MmioOperation.BitTest);

    /// <summary>A move of four bytes, which changes neither flags nor anything but its destination.</summary>
    public readonly bool IsMove32 => Operation == MmioOperation.Move && Size == 4;

    private readonly bool IsBitTest => Operation is >= MmioOperation.BitTest and <= MmioOperation.BitTestComplement;

    /// <summary>False for register forms, truncated bytes and everything that is not in <see cref="MmioOperation"/>.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, ProcessorMode mode, out MmioInstruction instruction)
    {
        instruction = default;
        if (!InstructionParts.TryParse(bytes, mode, out InstructionParts parts) || (parts.HasModRM && parts.ModField == 3))
        {
            return false;
        }
        instruction.Length = (byte)parts.Length;
        instruction.AddressSize = (byte)parts.AddressSize;
        instruction.IsLocked = parts.Lock;
        instruction.Base = instruction.Index = NoRegister;
        bool known = parts.Space switch
        {
            OpcodeSpace.OneByte => instruction.DecodeOneByte(ref parts),
            OpcodeSpace.Escape0F => instruction.DecodeTwoByte(ref parts),
            _ => false,
        };
        if (known)
        {
            instruction.DecodeAddress(ref parts);
        }
        return known && (!parts.Lock || instruction.IsLockable);
    }

    /// <summary>LOCK before anything else raises #UD.</summary>
    private readonly bool IsLockable => WritesMemory && !IsString && Operation != MmioOperation.Move;

    private bool DecodeOneByte(ref InstructionParts parts)
    {
        byte opcode = parts.Opcode;
        switch (opcode)
        {
            case < 0x40 when (opcode & 7) < 4:
                return TakeRegister(ref parts, (MmioOperation)(opcode >> 3), memoryFirst: (opcode & 2) == 0);
            case 0x63 when parts.Mode == ProcessorMode.Long64:
                return TakeExtension(ref parts, MmioOperation.MoveSignExtend, Math.Min(parts.OperandSize, 4));
            case >= 0x80 and <= 0x83:
                return TakeImmediate(ref parts, (MmioOperation)(parts.RegField & 7));
            case 0x84 or 0x85:
                return TakeRegister(ref parts, MmioOperation.Test, memoryFirst: true);
            case 0x86 or 0x87:
                return TakeRegister(ref parts, MmioOperation.Exchange, memoryFirst: true);
            case >= 0x88 and <= 0x8B:
                return TakeRegister(ref parts, MmioOperation.Move, memoryFirst: opcode < 0x8A);
            case >= 0xA0 and <= 0xA3:
                return TakeAccumulator(ref parts, MmioOperation.Move, memoryFirst: opcode >= 0xA2);
            case 0xA4 or 0xA5:
                return TakeString(ref parts, MmioOperation.MoveString);
            case 0xAA or 0xAB:
                return TakeString(ref parts, MmioOperation.StoreString);
            case 0xAC or 0xAD:
                return TakeString(ref parts, MmioOperation.LoadString);
            case 0xC6 or 0xC7:
                return (parts.RegField & 7) == 0 && TakeImmediate(ref parts, MmioOperation.Move);
            case 0xF6 or 0xF7:
                return DecodeGroup3(ref parts);
            case 0xFE or 0xFF:
                return (parts.RegField & 7) < 2
                    && TakeMemoryOnly(ref parts, (parts.RegField & 7) == 0 ? MmioOperation.Increment : MmioOperation.Decrement);
            default:
                return false;
        }
    }

    private bool DecodeGroup3(ref InstructionParts parts) => (parts.RegField & 7) switch
    {
        0 or 1 => TakeImmediate(ref parts, MmioOperation.Test),
        2 => TakeMemoryOnly(ref parts, MmioOperation.Not),
        3 => TakeMemoryOnly(ref parts, MmioOperation.Negate),
        _ => false,
    };

    private bool DecodeTwoByte(ref InstructionParts parts)
    {
        switch (parts.Opcode)
        {
            case 0xA3 or 0xAB or 0xB3 or 0xBB:
                return TakeRegister(ref parts, BitOperation(parts.Opcode >> 3), memoryFirst: true);
            case 0xBA when (parts.RegField & 4) != 0:
                return TakeImmediate(ref parts, BitOperation(parts.RegField), wide: true);
            case 0xB0 or 0xB1:
                return TakeRegister(ref parts, MmioOperation.CompareExchange, memoryFirst: true);
            case 0xC0 or 0xC1:
                return TakeRegister(ref parts, MmioOperation.ExchangeAdd, memoryFirst: true);
            case 0xB6 or 0xB7:
                return TakeExtension(ref parts, MmioOperation.MoveZeroExtend, parts.Opcode - 0xB5);
            case 0xBE or 0xBF:
                return TakeExtension(ref parts, MmioOperation.MoveSignExtend, parts.Opcode - 0xBD);
            case 0xC3 when !parts.OperandSizePrefix && !parts.RepeatF2 && !parts.RepeatF3: // MOVNTI: 4 or 8 bytes in every mode
                return TakeNonTemporal(ref parts);
            default:
                return false;
        }
    }

    // BT, BTS, BTR, BTC: in this order in the 0F map and in group 8.
    private static MmioOperation BitOperation(int number) => (MmioOperation)((int)MmioOperation.BitTest + (number & 3));

    private bool Take(ref InstructionParts parts, MmioOperation operation, bool memoryFirst, int size)
    {
        Operation = operation;
        MemoryIsDestination = memoryFirst;
        Size = RegisterSize = (byte)size;
        return true;
    }

    private static int SizeByOpcode(ref InstructionParts parts) => (parts.Opcode & 1) == 0 ? 1 : parts.OperandSize;

    private bool TakeRegister(ref InstructionParts parts, MmioOperation operation, bool memoryFirst)
    {
        bool bitTest = operation is >= MmioOperation.BitTest and <= MmioOperation.BitTestComplement;
        Take(ref parts, operation, memoryFirst, bitTest ? parts.OperandSize : SizeByOpcode(ref parts));
        SetRegister(ref parts);
        return true;
    }

    private bool TakeNonTemporal(ref InstructionParts parts)
    {
        Take(ref parts, MmioOperation.Move, memoryFirst: true, (parts.Rex & 8) != 0 ? 8 : 4);
        SetRegister(ref parts);
        return true;
    }

    private bool TakeExtension(ref InstructionParts parts, MmioOperation operation, int memorySize)
    {
        Take(ref parts, operation, memoryFirst: false, memorySize);
        RegisterSize = (byte)parts.OperandSize;
        SetRegister(ref parts);
        return true;
    }

    private bool TakeImmediate(ref InstructionParts parts, MmioOperation operation, bool wide = false)
    {
        Take(ref parts, operation, memoryFirst: true, wide ? parts.OperandSize : SizeByOpcode(ref parts));
        Operand = MmioOperand.Immediate;
        Immediate = parts.Immediate;
        return true;
    }

    private bool TakeMemoryOnly(ref InstructionParts parts, MmioOperation operation) =>
        Take(ref parts, operation, memoryFirst: true, SizeByOpcode(ref parts));

    private bool TakeAccumulator(ref InstructionParts parts, MmioOperation operation, bool memoryFirst)
    {
        Operand = MmioOperand.Register; // number 0
        return Take(ref parts, operation, memoryFirst, SizeByOpcode(ref parts));
    }

    private bool TakeString(ref InstructionParts parts, MmioOperation operation)
    {
        IsRepeated = parts.RepeatF2 || parts.RepeatF3;
        Operand = operation == MmioOperation.MoveString ? MmioOperand.None : MmioOperand.Register;
        return Take(ref parts, operation, memoryFirst: operation != MmioOperation.LoadString, SizeByOpcode(ref parts));
    }

    private void SetRegister(ref InstructionParts parts)
    {
        Operand = MmioOperand.Register;
        Register = (byte)parts.RegField;
        RegisterIsHighByte = RegisterSize == 1 && parts.Rex == 0 && Register >= 4;
        if (RegisterIsHighByte)
        {
            Register -= 4;
        }
    }

    private void DecodeAddress(ref InstructionParts parts)
    {
        Displacement = parts.Displacement;
        if (parts.HasModRM && AddressSize == 2)
        {
            DecodeAddress16(ref parts);
        }
        else if (parts.HasModRM)
        {
            DecodeAddress32(ref parts);
        }
        // Stack segment for whatever is based on rSP or rBP; R12 and R13 only look alike.
        bool stack = Base is 4 or 5;
        Segment = parts.HasSegmentOverride ? parts.SegmentOverride : stack ? SegmentRegister.SS : SegmentRegister.DS;
    }

    private void DecodeAddress32(ref InstructionParts parts)
    {
        int low = parts.HasSib ? parts.Sib & 7 : parts.ModRM & 7;
        if (parts.HasSib)
        {
            int index = ((parts.Sib >> 3) & 7) | ((parts.Rex & 2) << 2);
            Index = index == 4 ? NoRegister : (byte)index;
            IndexShift = (byte)(parts.Sib >> 6);
        }
        if (parts.ModField == 0 && low == 5)
        {
            IsRipRelative = !parts.HasSib && parts.Mode == ProcessorMode.Long64;
            return;
        }
        Base = (byte)(low | ((parts.Rex & 1) << 3));
    }

    private void DecodeAddress16(ref InstructionParts parts)
    {
        const byte BX = 3, BP = 5, SI = 6, DI = 7;
        int rm = parts.ModRM & 7;
        Base = rm switch
        {
            0 or 1 or 7 => BX,
            2 or 3 => BP,
            4 => SI,
            5 => DI,
            _ => parts.ModField == 0 ? NoRegister : BP,
        };
        Index = rm < 4 ? (rm & 1) == 0 ? SI : DI : NoRegister;
    }
}
