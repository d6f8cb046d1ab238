// Memory operands against an independent decoder: operation, sizes, register, immediate, address.
using System;
using System.Collections.Generic;
using Iced.Intel;
using Lamina.X64.Decode;
using Xunit;

namespace Lamina.Tests.Host.Decode;

public unsafe class MmioInstructionTests
{
    private static readonly Dictionary<Mnemonic, MmioOperation> Operations = new()
    {
        [Mnemonic.Add] = MmioOperation.Add, [Mnemonic.Or] = MmioOperation.Or, [Mnemonic.Adc] = MmioOperation.AddWithCarry,
        [Mnemonic.Sbb] = MmioOperation.SubtractWithBorrow, [Mnemonic.And] = MmioOperation.And, [Mnemonic.Sub] = MmioOperation.Subtract,
        [Mnemonic.Xor] = MmioOperation.Xor, [Mnemonic.Cmp] = MmioOperation.Compare, [Mnemonic.Test] = MmioOperation.Test,
        [Mnemonic.Not] = MmioOperation.Not, [Mnemonic.Neg] = MmioOperation.Negate, [Mnemonic.Inc] = MmioOperation.Increment,
        [Mnemonic.Dec] = MmioOperation.Decrement, [Mnemonic.Mov] = MmioOperation.Move, [Mnemonic.Movnti] = MmioOperation.Move,
        [Mnemonic.Movzx] = MmioOperation.MoveZeroExtend, [Mnemonic.Movsx] = MmioOperation.MoveSignExtend,
        [Mnemonic.Movsxd] = MmioOperation.MoveSignExtend, [Mnemonic.Xchg] = MmioOperation.Exchange,
        [Mnemonic.Xadd] = MmioOperation.ExchangeAdd, [Mnemonic.Cmpxchg] = MmioOperation.CompareExchange,
        [Mnemonic.Bt] = MmioOperation.BitTest, [Mnemonic.Bts] = MmioOperation.BitTestSet, [Mnemonic.Btr] = MmioOperation.BitTestReset,
        [Mnemonic.Btc] = MmioOperation.BitTestComplement,
        [Mnemonic.Stosb] = MmioOperation.StoreString, [Mnemonic.Stosw] = MmioOperation.StoreString,
        [Mnemonic.Stosd] = MmioOperation.StoreString, [Mnemonic.Stosq] = MmioOperation.StoreString,
        [Mnemonic.Lodsb] = MmioOperation.LoadString, [Mnemonic.Lodsw] = MmioOperation.LoadString,
        [Mnemonic.Lodsd] = MmioOperation.LoadString, [Mnemonic.Lodsq] = MmioOperation.LoadString,
        [Mnemonic.Movsb] = MmioOperation.MoveString, [Mnemonic.Movsw] = MmioOperation.MoveString,
        [Mnemonic.Movsd] = MmioOperation.MoveString, [Mnemonic.Movsq] = MmioOperation.MoveString,
    };

    private static readonly byte[] OneByteOpcodes = [0x63, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0xA0, 0xA1, 0xA2, 0xA3,
        0xA4, 0xA5, 0xAA, 0xAB, 0xAC, 0xAD, 0xC6, 0xC7, 0xF6, 0xF7, 0xFE, 0xFF];
    private static readonly byte[] TwoByteOpcodes = [0xA3, 0xAB, 0xB3, 0xBB, 0xBA, 0xB0, 0xB1, 0xC0, 0xC1, 0xB6, 0xB7, 0xBE, 0xBF, 0xC3];

    [Theory]
    [InlineData(ProcessorMode.Real16)]
    [InlineData(ProcessorMode.Protected16)]
    [InlineData(ProcessorMode.Protected32)]
    [InlineData(ProcessorMode.Long64)]
    public void AgreesWithTheReferenceDecoder(ProcessorMode mode)
    {
        Random random = new(42 + (int)mode);
        Span<byte> bytes = stackalloc byte[24];
        int compared = 0;
        for (int i = 0; i < 150_000; i++)
        {
            FillLikely(random, mode, bytes);
            Instruction reference = RandomCode.Reference(bytes, mode);
            if (reference.IsInvalid)
            {
                continue;
            }
            bool known = MmioInstruction.TryDecode(bytes, mode, out MmioInstruction instruction);
            string text = $"{mode} {Convert.ToHexString(bytes)} {reference} ({reference.Code})";
            Assert.True(IsExpected(reference) == known, text);
            if (known)
            {
                Compare(random, reference, instruction, mode, text);
                compared++;
            }
        }
        Assert.InRange(compared, 40_000, 150_000);
    }

    private static void FillLikely(Random random, ProcessorMode mode, Span<byte> bytes)
    {
        RandomCode.Fill(random, mode, bytes);
        switch (random.Next(4))
        {
            case 0:
                break; // anything
            case 1:
                bytes[0] = (byte)random.Next(0x40);
                break;
            default:
                int start = random.Next(3);
                for (int i = 0; i < start; i++)
                {
                    bytes[i] = mode == ProcessorMode.Long64 && i == start - 1 ? (byte)(0x40 | random.Next(16)) : (byte)(random.Next(4) switch { 0 => 0x66, 1 => 0x67, 2 => 0xF3, _ => 0x64 });
                }
                if (random.Next(2) == 0)
                {
                    bytes[start++] = 0x0F;
                    bytes[start] = TwoByteOpcodes[random.Next(TwoByteOpcodes.Length)];
                }
                else
                {
                    bytes[start] = OneByteOpcodes[random.Next(OneByteOpcodes.Length)];
                }
                bytes[start + 1] &= (byte)(random.Next(8) == 0 ? 0xFF : 0x7F & ~(random.Next(2) << 6)); // mostly memory forms
                break;
        }
    }

    private static bool IsExpected(in Instruction reference)
    {
        bool memory = false;
        for (int i = 0; i < reference.OpCount; i++)
        {
            memory |= reference.GetOpKind(i) is OpKind.Memory or (>= OpKind.MemorySegSI and <= OpKind.MemoryESRDI);
        }
        bool segmentOrControl = reference.Code is Code.Mov_rm16_Sreg or Code.Mov_r32m16_Sreg or Code.Mov_r64m16_Sreg
            or Code.Mov_Sreg_rm16 or Code.Mov_Sreg_r32m16 or Code.Mov_Sreg_r64m16;
        // The SSE2 move has its mnemonic from the string move.
        return memory && !segmentOrControl && Operations.ContainsKey(reference.Mnemonic)
            && reference.Code is not (Code.Movsd_xmm_xmmm64 or Code.Movsd_xmmm64_xmm);
    }

    private static void Compare(Random random, in Instruction reference, in MmioInstruction actual, ProcessorMode mode, string text)
    {
        Assert.True(actual.Length == reference.Length && actual.Operation == Operations[reference.Mnemonic], text);
        Assert.True(actual.Size == reference.MemorySize.GetSize(), $"{text}: size {actual.Size}");
        Assert.True(actual.IsLocked == reference.HasLockPrefix, text);
        Assert.True(actual.IsRepeated == (reference.IsStringInstruction && (reference.HasRepPrefix || reference.HasRepnePrefix)), text);
        if (!reference.IsStringInstruction)
        {
            CompareOperands(reference, actual, text);
        }
        CompareAddress(random, reference, actual, mode, text);
    }

    private static void CompareOperands(in Instruction reference, in MmioInstruction actual, string text)
    {
        bool memoryFirst = reference.Op0Kind == OpKind.Memory;
        // TEST and XCHG are symmetric: the reference prints one order, the opcode has the other.
        bool symmetric = actual.Operation is MmioOperation.Exchange or MmioOperation.Test;
        Assert.True(symmetric ? actual.MemoryIsDestination : actual.MemoryIsDestination == memoryFirst, text);
        int other = memoryFirst ? 1 : 0;
        if (reference.OpCount == 1)
        {
            Assert.True(actual.Operand == MmioOperand.None, text);
        }
        else if (reference.GetOpKind(other) == OpKind.Register)
        {
            Register register = reference.GetOpRegister(other);
            bool high = register is >= Register.AH and <= Register.BH;
            int number = high ? register - Register.AH : register.GetNumber();
            Assert.True(actual.Operand == MmioOperand.Register && actual.RegisterIsHighByte == high && actual.Register == (high ? number : NumberOf(register)), $"{text}: {actual.Register}");
            Assert.True(actual.RegisterSize == register.GetSize(), text);
        }
        else
        {
            Assert.True(actual.Operand == MmioOperand.Immediate, text);
            ulong mask = actual.Size == 8 ? ulong.MaxValue : (1UL << (8 * actual.Size)) - 1;
            Assert.True((reference.GetImmediate(other) & mask & (IsBit(actual) ? 0xFFUL : ulong.MaxValue)) == (actual.Immediate & mask & (IsBit(actual) ? 0xFFUL : ulong.MaxValue)), text);
        }
    }

    private static bool IsBit(in MmioInstruction actual) => actual.Operation is >= MmioOperation.BitTest and <= MmioOperation.BitTestComplement;

    private static int NumberOf(Register register) => register.GetFullRegister().GetNumber();

    private static void CompareAddress(Random random, in Instruction reference, in MmioInstruction actual, ProcessorMode mode, string text)
    {
        ulong* registers = stackalloc ulong[16];
        for (int i = 0; i < 16; i++)
        {
            registers[i] = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        }
        MmioInstruction copy = actual;
        if (IsBit(copy) && copy.Operand == MmioOperand.Register)
        {
            return; // the reference decoder leaves the bit number out of the address; the processor test has it
        }
        int operand = 0;
        while (reference.GetOpKind(operand) is not (OpKind.Memory or (>= OpKind.MemorySegSI and <= OpKind.MemoryESRDI)))
        {
            operand++;
        }
        // The decoder ran at address 0: displacement of a RIP-relative operand is absolute in the reference already.
        ulong expected = Offset(reference, operand, registers);
        ulong offset = copy.EffectiveOffset(registers, (ulong)reference.Length);
        Assert.True(expected == offset, $"{text}: offset {offset:X} instead of {expected:X}");
        if (copy.Operation is MmioOperation.MoveString)
        {
            Assert.True(Offset(reference, 1, registers) == copy.StringSourceOffset(registers), text);
        }
        if (copy.Operation != MmioOperation.StoreString)
        {
            Assert.True(RandomCode.SameSegment(reference.MemorySegment, copy.Segment, mode), $"{text}: {copy.Segment}");
        }
    }

    private static ulong Offset(in Instruction reference, int operand, ulong* registers)
    {
        ulong[] values = new Span<ulong>(registers, 16).ToArray();
        return reference.GetVirtualAddress(operand, 0, (register, _, _) =>
        {
            ulong value = register.IsSegmentRegister() ? 0 : values[NumberOf(register)];
            int size = register.GetSize();
            return size == 8 ? value : value & ((1UL << (8 * size)) - 1);
        });
    }
}
