// Instruction lengths against an independent decoder, and what hostile bytes may not do.
using System;
using Iced.Intel;
using Lamina.X64.Decode;
using Xunit;

namespace Lamina.Tests.Host.Decode;

public class InstructionLengthTests
{
    [Theory]
    [InlineData(ProcessorMode.Real16)]
    [InlineData(ProcessorMode.Protected16)]
    [InlineData(ProcessorMode.Protected32)]
    [InlineData(ProcessorMode.Long64)]
    public void AgreesWithTheReferenceDecoder(ProcessorMode mode)
    {
        Random random = new(20261122 + (int)mode);
        Span<byte> bytes = stackalloc byte[24];
        int compared = 0;
        for (int i = 0; i < 150_000; i++)
        {
            RandomCode.Fill(random, mode, bytes);
            Instruction reference = RandomCode.Reference(bytes, mode);
            bool known = InstructionLength.TryGet(bytes, mode, out int length);
            if (reference.IsInvalid)
            {
                Assert.InRange(length, 0, 15);
                continue;
            }
            bool expected = reference.Encoding is EncodingKind.Legacy or EncodingKind.D3NOW;
            if (expected != known || (known && length != reference.Length))
            {
                Assert.Fail($"{mode} {Convert.ToHexString(bytes)}: {reference} ({reference.Code}) has {reference.Length}, got {known} {length}");
            }
            compared += known ? 1 : 0;
            for (int cut = 0; cut < length; cut++)
            {
                Assert.False(InstructionLength.TryGet(bytes[..cut], mode, out _));
            }
        }
        Assert.InRange(compared, 60_000, 150_000);
    }

    [Fact]
    public void EveryOpcodeOfBothMapsIsCovered()
    {
        byte[] bytes = new byte[16];
        foreach (ProcessorMode mode in RandomCode.Modes)
        {
            for (int code = 0; code < 0x10000; code++)
            {
                for (int map = 0; map < 2; map++)
                {
                    Array.Clear(bytes);
                    bytes[0] = 0x0F;
                    bytes[map] = (byte)(code >> 8);
                    bytes[map + 1] = (byte)code;
                    Instruction reference = RandomCode.Reference(bytes, mode);
                    if (!reference.IsInvalid && reference.Encoding is EncodingKind.Legacy or EncodingKind.D3NOW)
                    {
                        Assert.True(InstructionLength.TryGet(bytes, mode, out int length), $"{mode} {Convert.ToHexString(bytes)} {reference}");
                        Assert.Equal(reference.Length, length);
                    }
                }
            }
        }
    }

    [Fact]
    public void AnyBytesOfAnyLengthAreHarmless()
    {
        Random random = new(7);
        byte[] bytes = new byte[32];
        for (int i = 0; i < 500_000; i++)
        {
            int size = random.Next(bytes.Length + 1);
            Span<byte> code = bytes.AsSpan(0, size);
            random.NextBytes(code);
            ProcessorMode mode = RandomCode.Modes[i & 3];
            bool known = InstructionLength.TryGet(code, mode, out int length);
            Assert.True(known ? length is >= 1 and <= 15 && length <= size : length == 0);
            bool mmio = MmioInstruction.TryDecode(code, mode, out MmioInstruction instruction);
            Assert.True(!mmio || (known && instruction.Length == length));
            bool io = IoInstruction.TryDecode(code, mode, out IoInstruction port);
            Assert.True(!io || (known && port.Length == length));
        }
    }

    [Fact]
    public void FifteenBytesAreTheLimit()
    {
        byte[] bytes = new byte[16];
        bytes.AsSpan().Fill(0x66);
        bytes[14] = 0x90;
        Assert.True(InstructionLength.TryGet(bytes, ProcessorMode.Long64, out int length));
        Assert.Equal(15, length);
        bytes[14] = 0x66;
        bytes[15] = 0x90;
        Assert.False(InstructionLength.TryGet(bytes, ProcessorMode.Long64, out _));
    }

    [Theory]
    [InlineData("0FA2", 2)] // CPUID
    [InlineData("0F32", 2)] // RDMSR
    [InlineData("0F30", 2)] // WRMSR
    [InlineData("F4", 1)] // HLT
    [InlineData("0F01D9", 3)] // VMMCALL
    [InlineData("0F01C1", 3)] // VMCALL
    [InlineData("0F22C0", 3)] // MOV CR0, RAX
    [InlineData("440F22C0", 4)] // MOV CR8, RAX
    [InlineData("0F01F9", 3)] // RDTSCP
    [InlineData("F390", 2)] // PAUSE
    [InlineData("0F08", 2)] // INVD
    [InlineData("0F09", 2)] // WBINVD
    [InlineData("0F0138", 3)] // INVLPG [RAX]
    [InlineData("0F01D1", 3)] // XSETBV
    [InlineData("EC", 1)] // IN AL, DX
    [InlineData("66ED", 2)] // IN AX, DX
    [InlineData("E621", 2)] // OUT 21h, AL
    [InlineData("F36E", 2)] // REP OUTSB
    public void InterceptedInstructionsHaveTheLengthOfTheManual(string code, int expected)
    {
        Assert.True(InstructionLength.TryGet(Convert.FromHexString(code), ProcessorMode.Long64, out int length));
        Assert.Equal(expected, length);
    }
}
