// Takes an instruction apart into prefixes, opcode, ModRM, displacement and immediate, without asking what it means.
using System;

namespace Lamina.X64.Decode;

/// <summary>Where an opcode byte was found.</summary>
public enum OpcodeSpace : byte
{
    OneByte,
    Escape0F,
    Escape0F38,
    Escape0F3A,
}

/// <summary>
/// The parts of one instruction. Understands legacy and REX encodings; VEX, EVEX and XOP are answered as undecodable.
/// Near branches have the 32-bit displacement in long mode that Intel gives them whatever the prefixes.
/// </summary>
public ref struct InstructionParts
{
    /// <summary>The architecture's limit; longer instructions raise #GP.</summary>
    public const int MaximumLength = 15;

    private ReadOnlySpan<byte> bytes;
    private int position;

    public ProcessorMode Mode { get; private set; }
    public bool Lock { get; private set; }
    public bool RepeatF2 { get; private set; }
    public bool RepeatF3 { get; private set; }
    public bool OperandSizePrefix { get; private set; }
    public bool AddressSizePrefix { get; private set; }
    public bool HasSegmentOverride { get; private set; }

    /// <summary>The override that counts: in long mode only FS and GS do.</summary>
    public SegmentRegister SegmentOverride { get; private set; }

    /// <summary>The REX byte, 0 when there is none.</summary>
    public byte Rex { get; private set; }

    public OpcodeSpace Space { get; private set; }
    public byte Opcode { get; private set; }
    public bool HasModRM { get; private set; }
    public byte ModRM { get; private set; }

    /// <summary>The SIB byte when <see cref="HasSib"/>.</summary>
    public byte Sib { get; private set; }
    public bool HasSib { get; private set; }

    /// <summary>Sign-extended displacement, or the whole of a memory offset (A0–A3).</summary>
    public ulong Displacement { get; private set; }

    /// <summary>Sign-extended immediate of up to eight bytes; of two immediates the first.</summary>
    public ulong Immediate { get; private set; }

    /// <summary>Bytes of the whole instruction.</summary>
    public readonly int Length => position;

    /// <summary>Operand size in bytes for an opcode that knows 2, 4 and 8.</summary>
    public readonly int OperandSize => (Rex & 8) != 0 ? 8 : (Mode >= ProcessorMode.Protected32) != OperandSizePrefix ? 4 : 2;

    /// <summary>Address size in bytes.</summary>
    public readonly int AddressSize => Mode switch
    {
        ProcessorMode.Long64 => AddressSizePrefix ? 4 : 8,
        ProcessorMode.Protected32 => AddressSizePrefix ? 2 : 4,
        _ => AddressSizePrefix ? 4 : 2,
    };

    public readonly int ModField => ModRM >> 6;
    public readonly int RegField => ((ModRM >> 3) & 7) | ((Rex & 4) << 1);
    public readonly int RmField => (ModRM & 7) | ((Rex & 1) << 3);

    /// <summary>Reads at most 15 bytes; false when the bytes end early or are no instruction that this parser knows.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, ProcessorMode mode, out InstructionParts parts)
    {
        parts = default;
        parts.bytes = bytes.Length > MaximumLength ? bytes.Slice(0, MaximumLength) : bytes;
        parts.Mode = mode;
        return parts.ReadPrefixes() && parts.ReadOpcode() && parts.ReadRest();
    }

    /// <summary>Prefixes in any order and number; leaves the byte after them in <see cref="Opcode"/>.</summary>
    private bool ReadPrefixes()
    {
        while (TryByte(out byte value))
        {
            if (Mode == ProcessorMode.Long64 && (value & 0xF0) == 0x40)
            {
                Rex = value;
                continue;
            }
            if (!TakePrefix(value))
            {
                Opcode = value;
                return true;
            }
            Rex = 0; // REX counts only right before the opcode
        }
        return false;
    }

    private bool TakePrefix(byte value)
    {
        switch (value)
        {
            case 0x26:
            case 0x2E:
            case 0x36:
            case 0x3E:
                return TakeSegment((SegmentRegister)((value >> 3) & 3), counts: Mode != ProcessorMode.Long64);
            case 0x64:
            case 0x65:
                return TakeSegment((SegmentRegister)(value - 0x60), counts: true);
            case 0x66:
                return OperandSizePrefix = true;
            case 0x67:
                return AddressSizePrefix = true;
            case 0xF0:
                return Lock = true;
            case 0xF2: // of the two, the last one counts
                RepeatF3 = false;
                return RepeatF2 = true;
            case 0xF3:
                RepeatF2 = false;
                return RepeatF3 = true;
            default:
                return false;
        }
    }

    private bool TakeSegment(SegmentRegister segment, bool counts)
    {
        if (counts)
        {
            HasSegmentOverride = true;
            SegmentOverride = segment;
        }
        return true;
    }

    private bool ReadOpcode()
    {
        if (Opcode != 0x0F)
        {
            return true;
        }
        if (!TryByte(out byte second))
        {
            return false;
        }
        Opcode = second;
        Space = OpcodeSpace.Escape0F;
        if (second is not (0x38 or 0x3A))
        {
            return true;
        }
        Space = second == 0x38 ? OpcodeSpace.Escape0F38 : OpcodeSpace.Escape0F3A;
        bool read = TryByte(out byte third);
        Opcode = third;
        return read;
    }

    private bool ReadRest()
    {
        OpcodeForm form = Space switch
        {
            OpcodeSpace.OneByte => OpcodeMap.OneByte(Opcode, Mode == ProcessorMode.Long64),
            OpcodeSpace.Escape0F => OpcodeMap.TwoByte(Opcode),
            OpcodeSpace.Escape0F38 => OpcodeForm.ModRM,
            _ => OpcodeForm.ModRMImmediate8,
        };
        switch (form)
        {
            case OpcodeForm.Plain:
                return true;
            case OpcodeForm.ModRM:
                return ReadModRM() && ReadOddCases();
            case OpcodeForm.ModRMImmediate8:
                return ReadModRM() && ReadImmediate(1);
            case OpcodeForm.ModRMImmediateZ:
                return ReadModRM() && ReadImmediate(ImmediateZBytes);
            case OpcodeForm.Group3Byte:
                return ReadModRM() && ((ModRM & 0x30) != 0 || ReadImmediate(1));
            case OpcodeForm.Group3:
                return ReadModRM() && ((ModRM & 0x30) != 0 || ReadImmediate(ImmediateZBytes));
            case OpcodeForm.RegisterOnly:
                HasModRM = true;
                bool read = TryByte(out byte modRM);
                ModRM = (byte)(modRM | 0xC0);
                return read;
            case OpcodeForm.MemoryOffset:
                bool offset = TryNumber(AddressSize, signed: false, out ulong value);
                Displacement = value;
                return offset;
            default:
                return ReadImmediate(ImmediateBytes(form));
        }
    }

    private readonly int ImmediateZBytes => OperandSize == 2 ? 2 : 4;

    private readonly int ImmediateBytes(OpcodeForm form) => form switch
    {
        OpcodeForm.Immediate8 => 1,
        OpcodeForm.Immediate16 => 2,
        OpcodeForm.ImmediateZ => ImmediateZBytes,
        OpcodeForm.ImmediateV => OperandSize,
        OpcodeForm.NearBranch => Mode == ProcessorMode.Long64 ? 4 : ImmediateZBytes,
        OpcodeForm.FarPointer => ImmediateZBytes + 2,
        OpcodeForm.Enter => 3,
        _ => 0,
    };

    /// <summary>ModRM opcodes that other encodings share or that a prefix turns into something with immediates.</summary>
    private bool ReadOddCases()
    {
        if (Space == OpcodeSpace.OneByte)
        {
            // Outside long mode VEX and EVEX hide in the register forms of LES, LDS and BOUND; XOP in POP's unused ones.
            bool vector = (Opcode is 0xC4 or 0xC5 or 0x62 && ModField == 3) || (Opcode == 0x8F && (ModRM & 0x38) != 0);
            return !vector;
        }
        if (Space == OpcodeSpace.Escape0F && Opcode == 0x78 && (OperandSizePrefix || RepeatF2))
        {
            return ReadImmediate(2); // EXTRQ, INSERTQ: two bytes
        }
        return Space != OpcodeSpace.Escape0F || Opcode != 0xB8 || RepeatF3; // POPCNT only
    }

    private bool ReadModRM()
    {
        HasModRM = true;
        if (!TryByte(out byte modRM))
        {
            return false;
        }
        ModRM = modRM;
        int mod = modRM >> 6;
        int rm = modRM & 7;
        if (mod == 3)
        {
            return true;
        }
        if (AddressSize == 2)
        {
            return ReadDisplacement(mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
        }
        if (rm == 4)
        {
            HasSib = true;
            if (!TryByte(out byte sib))
            {
                return false;
            }
            Sib = sib;
            rm = sib & 7;
        }
        return ReadDisplacement(mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0);
    }

    private bool ReadDisplacement(int size)
    {
        bool read = TryNumber(size, signed: true, out ulong value);
        Displacement = value;
        return read;
    }

    private bool ReadImmediate(int size)
    {
        bool read = TryNumber(size, signed: true, out ulong value);
        Immediate = value;
        return read && size > 0;
    }

    private bool TryByte(out byte value)
    {
        value = 0;
        if (position >= bytes.Length)
        {
            return false;
        }
        value = bytes[position++];
        return true;
    }

    private bool TryNumber(int size, bool signed, out ulong value)
    {
        value = 0;
        if (bytes.Length - position < size)
        {
            return false;
        }
        for (int i = 0; i < size; i++)
        {
            value |= (ulong)bytes[position++] << (8 * i);
        }
        if (signed && size is > 0 and < 8)
        {
            int shift = 64 - 8 * size;
            value = (ulong)((long)(value << shift) >> shift);
        }
        return true;
    }
}
