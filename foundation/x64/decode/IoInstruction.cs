// Port instructions, for intercepts on processors that leave their details out.
using System;

namespace Lamina.X64.Decode;

/// <summary>IN, OUT, INS and OUTS.</summary>
public readonly struct IoInstruction
{
    private IoInstruction(in InstructionParts parts)
    {
        byte opcode = parts.Opcode;
        Length = (byte)parts.Length;
        IsString = opcode is >= 0x6C and <= 0x6F;
        IsInput = IsString ? opcode <= 0x6D : (opcode & 2) == 0;
        Size = (byte)((opcode & 1) == 0 ? 1 : Math.Min(parts.OperandSize, 4));
        IsRepeated = IsString && (parts.RepeatF2 || parts.RepeatF3);
        HasImmediatePort = opcode is >= 0xE4 and <= 0xE7;
        ImmediatePort = HasImmediatePort ? (byte)parts.Immediate : (byte)0;
        AddressSize = (byte)parts.AddressSize;
        Segment = IsInput ? SegmentRegister.ES : parts.HasSegmentOverride ? parts.SegmentOverride : SegmentRegister.DS;
    }

    /// <summary>Bytes of the whole instruction.</summary>
    public byte Length { get; }
    public bool IsInput { get; }

    /// <summary>Bytes per transfer: 1, 2 or 4.</summary>
    public byte Size { get; }
    public bool IsString { get; }
    public bool IsRepeated { get; }

    /// <summary>The port is in the instruction; otherwise in DX.</summary>
    public bool HasImmediatePort { get; }
    public byte ImmediatePort { get; }

    /// <summary>For strings: size in bytes of rSI, rDI and rCX.</summary>
    public byte AddressSize { get; }

    /// <summary>For strings: segment of the memory operand, ES for INS.</summary>
    public SegmentRegister Segment { get; }

    public static bool TryDecode(ReadOnlySpan<byte> bytes, ProcessorMode mode, out IoInstruction instruction)
    {
        instruction = default;
        if (!InstructionParts.TryParse(bytes, mode, out InstructionParts parts) || parts.Space != OpcodeSpace.OneByte || parts.Lock
            || parts.Opcode is not ((>= 0x6C and <= 0x6F) or (>= 0xE4 and <= 0xE7) or (>= 0xEC and <= 0xEF)))
        {
            return false;
        }
        instruction = new IoInstruction(in parts);
        return true;
    }
}
