// Random instruction bytes that reach every corner of the opcode maps, and the reference decoder to judge them.
using System;
using Iced.Intel;
using Lamina.X64.Decode;

namespace Lamina.Tests.Host.Decode;

internal static class RandomCode
{
    public static readonly ProcessorMode[] Modes = [ProcessorMode.Real16, ProcessorMode.Protected16, ProcessorMode.Protected32, ProcessorMode.Long64];

    private static readonly byte[] Prefixes = [0x66, 0x67, 0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65];

    /// <summary>Fills 24 bytes: some prefixes, maybe REX, an opcode from a random map, noise.</summary>
    public static void Fill(Random random, ProcessorMode mode, Span<byte> bytes)
    {
        random.NextBytes(bytes);
        int position = 0;
        int prefixes = random.Next(8) switch { < 3 => 0, < 6 => 1, 6 => 2, _ => random.Next(0, 12) };
        while (prefixes-- > 0)
        {
            bytes[position++] = Prefixes[random.Next(Prefixes.Length)];
        }
        if (mode == ProcessorMode.Long64 && random.Next(2) == 0)
        {
            bytes[position++] = (byte)(0x40 | random.Next(16));
        }
        switch (random.Next(8))
        {
            case < 3:
                break;
            case < 6:
                bytes[position] = 0x0F;
                break;
            case 6:
                bytes[position] = 0x0F;
                bytes[position + 1] = 0x38;
                break;
            default:
                bytes[position] = 0x0F;
                bytes[position + 1] = 0x3A;
                break;
        }
    }

    /// <summary>In long mode the four segments without a base are one.</summary>
    public static bool SameSegment(Register expected, SegmentRegister actual, ProcessorMode mode) =>
        expected == Register.ES + (int)actual
        || (mode == ProcessorMode.Long64 && expected is not (Register.FS or Register.GS) && actual < SegmentRegister.FS);

    public static Instruction Reference(ReadOnlySpan<byte> bytes, ProcessorMode mode)
    {
        int bitness = mode switch { ProcessorMode.Long64 => 64, ProcessorMode.Protected32 => 32, _ => 16 };
        Decoder decoder = Decoder.Create(bitness, bytes.ToArray());
        decoder.Decode(out Instruction instruction);
        return instruction;
    }
}
