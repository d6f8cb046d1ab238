// Port instructions against an independent decoder.
using System;
using Iced.Intel;
using Lamina.X64.Decode;
using Xunit;

namespace Lamina.Tests.Host.Decode;

public class IoInstructionTests
{
    private static readonly byte[] Opcodes = [0x6C, 0x6D, 0x6E, 0x6F, 0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF];

    [Fact]
    public void AgreesWithTheReferenceDecoder()
    {
        Random random = new(3);
        Span<byte> bytes = stackalloc byte[24];
        for (int i = 0; i < 100_000; i++)
        {
            ProcessorMode mode = RandomCode.Modes[i & 3];
            RandomCode.Fill(random, mode, bytes);
            int position = bytes.IndexOf((byte)0x0F);
            bytes[position >= 0 ? position : random.Next(3)] = Opcodes[random.Next(Opcodes.Length)];
            Instruction reference = RandomCode.Reference(bytes, mode);
            bool isIo = reference.Mnemonic is Mnemonic.In or Mnemonic.Out or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd
                or Mnemonic.Outsb or Mnemonic.Outsw or Mnemonic.Outsd;
            if (reference.IsInvalid)
            {
                continue;
            }
            string text = $"{mode} {Convert.ToHexString(bytes)} {reference}";
            Assert.True(isIo == IoInstruction.TryDecode(bytes, mode, out IoInstruction io), text);
            if (isIo)
            {
                Compare(reference, io, mode, text);
            }
        }
    }

    private static void Compare(in Instruction reference, in IoInstruction io, ProcessorMode mode, string text)
    {
        bool isString = reference.IsStringInstruction;
        bool input = reference.Mnemonic is Mnemonic.In or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd;
        Register data = reference.Op0Register is Register.AL or Register.AX or Register.EAX ? reference.Op0Register : reference.Op1Register;
        int size = reference.Mnemonic switch
        {
            Mnemonic.Insb or Mnemonic.Outsb => 1,
            Mnemonic.Insw or Mnemonic.Outsw => 2,
            Mnemonic.Insd or Mnemonic.Outsd => 4,
            _ => data.GetSize(),
        };
        Assert.True(io.Length == reference.Length && io.IsInput == input && io.IsString == isString && io.Size == size, text);
        Assert.True(io.IsRepeated == (isString && (reference.HasRepPrefix || reference.HasRepnePrefix)), text);
        bool immediate = reference.Op0Kind == OpKind.Immediate8 || reference.Op1Kind == OpKind.Immediate8;
        Assert.True(io.HasImmediatePort == immediate && io.ImmediatePort == (immediate ? reference.Immediate8 : 0), text);
        if (isString)
        {
            Register segment = input ? Register.ES : reference.MemorySegment;
            Assert.True(RandomCode.SameSegment(segment, io.Segment, mode), text);
            int addressSize = (input ? reference.Op0Kind : reference.Op1Kind) switch
            {
                OpKind.MemoryESDI or OpKind.MemorySegSI => 2,
                OpKind.MemoryESEDI or OpKind.MemorySegESI => 4,
                _ => 8,
            };
            Assert.Equal(addressSize, io.AddressSize);
        }
    }
}
