// Values and flags against the processor that runs the tests: each instruction is executed for real and compared.
using System;
using System.Runtime.InteropServices;
using Lamina.X64.Decode;
using Xunit;

namespace Lamina.Tests.Host.Decode;

/// <summary>A fact that needs to run its own machine code.</summary>
public sealed class NativeFactAttribute : FactAttribute
{
    public NativeFactAttribute()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            Skip = "skipped: executes machine code, which this test sets up on Linux x64 only";
        }
    }
}

public unsafe class MmioExecutionTests
{
    private const ulong StatusFlags = 0x8D5;
    private const int Cells = 64; // quadwords of memory on either side of the operand

    private struct State
    {
        public ulong Rflags, Rax, Rcx, Pointer;
    }

    [DllImport("libc", SetLastError = true)]
    private static extern nint mmap(nint address, nuint length, int protection, int flags, int file, nint offset);

    [DllImport("libc")]
    private static extern int munmap(nint address, nuint length);

    private static readonly ulong[] Interesting =
        [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, long.MaxValue, 1UL << 63, ulong.MaxValue];

    private static ulong Value(Random random) => random.Next(2) == 0
        ? Interesting[random.Next(Interesting.Length)]
        : (ulong)random.NextInt64(long.MinValue, long.MaxValue);

    /// <summary>Opcode bytes, ModRM reg field, immediate bytes; the operand is [RBX + 8], the register is RCX.</summary>
    private static byte[] Encode(Random random, out bool bits)
    {
        int prefix = random.Next(4); // none, 66, REX.W, REX
        (byte[] opcode, int reg, int immediate) = Choose(random, prefix, out bits);
        using System.IO.MemoryStream code = new();
        if (prefix == 1)
        {
            code.WriteByte(0x66);
        }
        if (prefix >= 2)
        {
            code.WriteByte(prefix == 2 ? (byte)0x48 : (byte)0x40);
        }
        code.Write(opcode);
        code.WriteByte((byte)(0x43 | (reg << 3)));
        code.WriteByte(8);
        for (int i = 0; i < immediate; i++)
        {
            code.WriteByte((byte)random.Next(256));
        }
        return code.ToArray();
    }

    private static (byte[] Opcode, int Reg, int Immediate) Choose(Random random, int prefix, out bool bits)
    {
        int z = prefix == 1 ? 2 : 4;
        int wide = random.Next(2);
        // CL or CX/ECX/RCX, and without REX sometimes CH.
        int register = prefix < 2 && wide == 0 && random.Next(2) == 0 ? 5 : 1;
        bits = false;
        switch (random.Next(13))
        {
            case 0: return ([(byte)(8 * random.Next(8) + 2 * random.Next(2) + wide)], register, 0);
            case 1: return ([(byte)(0x80 + wide)], random.Next(8), wide == 0 ? 1 : z);
            case 2: return ([0x83], random.Next(8), 1);
            case 3: return ([(byte)(0x84 + wide)], register, 0);
            case 4: return ([(byte)(0x86 + 2 * random.Next(3) + wide)], register, 0); // XCHG, MOV both ways
            case 5: return ([(byte)(0xC6 + wide)], 0, wide == 0 ? 1 : z);
            case 6: return ([(byte)(0xF6 + wide)], 0, wide == 0 ? 1 : z);
            case 7: return ([(byte)(0xF6 + wide)], 2 + random.Next(2), 0);
            case 8: return ([(byte)(0xFE + wide)], random.Next(2), 0);
            case 9: return ([0x0F, (byte)(0xB0 + 16 * random.Next(2) + wide)], register, 0);
            case 10: return ([0x0F, (byte)(random.Next(2) == 0 ? 0xB6 + wide : 0xBE + wide)], 1, 0);
            case 11:
                bits = true;
                return ([0x0F, 0xBA], 4 + random.Next(4), 1);
            default:
                bits = true;
                return ([0x0F, (byte)(0xA3 + 8 * random.Next(4))], 1, 0);
        }
    }

    [NativeFact]
    public void ExecutesLikeTheProcessor()
    {
        const int pages = 65536;
        byte* code = (byte*)mmap(0, pages, 7, 0x22, -1, 0);
        Assert.NotEqual(-1, (nint)code);
        ulong* memory = stackalloc ulong[2 * Cells];
        Random random = new(11);
        for (int i = 0; i < 200_000; i++)
        {
            byte[] instruction = Encode(random, out bool bits);
            for (int cell = 0; cell < 2 * Cells; cell++)
            {
                memory[cell] = Value(random);
            }
            State state = new()
            {
                Rflags = 2 | ((ulong)random.Next() & StatusFlags),
                Rax = random.Next(3) == 0 ? memory[Cells] : Value(random),
                Rcx = bits ? (ulong)random.NextInt64(-2000, 2000) : Value(random),
                Pointer = (ulong)(memory + Cells - 1),
            };
            // Fresh bytes each time: no stale instructions to worry about before the buffer wraps.
            byte* at = code + i * 64 % pages;
            Check(instruction, at, memory, state);
        }
        munmap((nint)code, pages);
    }

    private static void Check(byte[] instruction, byte* at, ulong* memory, State state)
    {
        string text = Convert.ToHexString(instruction);
        Assert.True(MmioInstruction.TryDecode(instruction, ProcessorMode.Long64, out MmioInstruction decoded), text);
        Assert.Equal(instruction.Length, decoded.Length);
        State before = state;
        ulong* registers = stackalloc ulong[16];
        registers[0] = state.Rax;
        registers[1] = state.Rcx;
        registers[3] = state.Pointer;
        ulong* expected = stackalloc ulong[2 * Cells];
        new Span<ulong>(memory, 2 * Cells).CopyTo(new Span<ulong>(expected, 2 * Cells));

        ulong offset = decoded.EffectiveOffset(registers, 0) - (ulong)memory;
        Assert.True(offset + decoded.Size <= 16 * Cells, $"{text}: outside, {(long)offset}");
        byte* cell = (byte*)expected + offset;
        ulong flags = state.Rflags;
        ulong read = 0;
        Buffer.MemoryCopy(cell, &read, 8, decoded.ReadsMemory ? decoded.Size : 0);
        bool writes = decoded.Execute(registers, ref flags, read, out ulong result);
        Assert.Equal(decoded.WritesMemory, writes);
        Buffer.MemoryCopy(&result, cell, 8, writes ? decoded.Size : 0);

        Run(instruction, at, ref state);
        bool same = new ReadOnlySpan<ulong>(memory, 2 * Cells).SequenceEqual(new ReadOnlySpan<ulong>(expected, 2 * Cells));
        Assert.True(same && registers[0] == state.Rax && registers[1] == state.Rcx,
            $"{text} ({decoded.Operation}): RAX {before.Rax:X}, RCX {before.Rcx:X}, memory {read:X}: memory same {same}, RAX {registers[0]:X} not {state.Rax:X}, RCX {registers[1]:X} not {state.Rcx:X}");
        ulong defined = StatusFlags & ~Undefined(decoded.Operation);
        Assert.True(((flags ^ state.Rflags) & defined) == 0, $"{text} ({decoded.Operation}): flags {flags:X} not {state.Rflags:X}; RAX {before.Rax:X}, RCX {before.Rcx:X}, memory {read:X}");
    }

    private static ulong Undefined(MmioOperation operation) => operation switch
    {
        MmioOperation.And or MmioOperation.Or or MmioOperation.Xor or MmioOperation.Test => 0x10, // AF
        >= MmioOperation.BitTest and <= MmioOperation.BitTestComplement => 0x894, // OF SF AF PF
        _ => 0,
    };

    /// <summary>push rbx; mov rbx,rdi; load flags, RAX, RCX, pointer; the instruction; store them; pop rbx; ret.</summary>
    private static void Run(byte[] instruction, byte* at, ref State state)
    {
        ReadOnlySpan<byte> before = [0x53, 0x57, 0x48, 0x8B, 0x47, 0x08, 0x48, 0x8B, 0x4F, 0x10, 0x48, 0x8B, 0x5F, 0x18, 0xFF, 0x37, 0x9D];
        ReadOnlySpan<byte> after = [0x5F, 0x48, 0x89, 0x47, 0x08, 0x48, 0x89, 0x4F, 0x10, 0x9C, 0x8F, 0x07, 0x5B, 0xC3];
        Span<byte> target = new(at, 64);
        before.CopyTo(target);
        instruction.CopyTo(target[before.Length..]);
        after.CopyTo(target[(before.Length + instruction.Length)..]);
        fixed (State* pointer = &state)
        {
            ((delegate* unmanaged[Cdecl]<State*, void>)at)(pointer);
        }
    }

    [Theory]
    [InlineData("F348AB", 8, 0x1000UL, 3UL)] // REP STOSQ
    [InlineData("F3AA", 1, 0x1000UL, 5UL)] // REP STOSB
    [InlineData("66AB", 2, 0x1000UL, 9UL)] // STOSW
    [InlineData("67F3AB", 4, 0x1_FFFF_FFFCUL, 2UL)] // REP STOSD with 32-bit addresses: wraps at 4 GiB
    public void StoreStringStepsLikeTheManual(string code, int size, ulong rdi, ulong rcx)
    {
        Assert.True(MmioInstruction.TryDecode(Convert.FromHexString(code), ProcessorMode.Long64, out MmioInstruction stos));
        ulong* registers = stackalloc ulong[16];
        new Span<ulong>(registers, 16).Clear();
        registers[0] = 0x1122_3344_5566_7788;
        registers[1] = rcx;
        registers[7] = rdi;
        ulong mask = stos.AddressSize == 4 ? 0xFFFF_FFFF : ulong.MaxValue;
        for (ulong i = 0; i < (stos.IsRepeated ? rcx : 1); i++)
        {
            Assert.False(stos.IsStringFinished(registers));
            Assert.Equal((rdi + i * (ulong)size) & mask, stos.EffectiveOffset(registers, 0));
            ulong flags = 2;
            Assert.True(stos.Execute(registers, ref flags, 0, out ulong value));
            Assert.Equal(size == 8 ? registers[0] : registers[0] & ((1UL << (8 * size)) - 1), value);
            Assert.Equal(!stos.IsRepeated || i == rcx - 1, stos.AdvanceString(registers, flags));
        }
        Assert.Equal(stos.IsRepeated ? 0 : rcx, registers[1]);
    }

    [Fact]
    public void MoveStringGoesDownWithTheDirectionFlag()
    {
        Assert.True(MmioInstruction.TryDecode([0xF3, 0xA5], ProcessorMode.Protected32, out MmioInstruction movs));
        ulong* registers = stackalloc ulong[16];
        (registers[1], registers[6], registers[7]) = (2, 0x100, 0x200);
        Assert.Equal((0x100UL, 0x200UL), (movs.StringSourceOffset(registers), movs.EffectiveOffset(registers, 0)));
        Assert.False(movs.AdvanceString(registers, 1 << 10));
        Assert.True(movs.AdvanceString(registers, 1 << 10));
        Assert.Equal((0UL, 0xF8UL, 0x1F8UL), (registers[1], registers[6], registers[7]));
    }
}
