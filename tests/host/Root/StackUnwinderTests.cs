// The unwinder on stacks and tables made by hand, one operation of a prologue each.
using System;
using System.Linq;
using System.Runtime.InteropServices;
using CsCheck;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Root;

public sealed unsafe class StackUnwinderTests : IDisposable
{
    private const uint Function = 0x1000, Info = 0x100, Table = 0x80;
    private readonly byte* image = (byte*)NativeMemory.AllocZeroed(0x4000);
    private readonly ulong* stack = (ulong*)NativeMemory.AllocZeroed(64 * 8);

    public void Dispose()
    {
        NativeMemory.Free(image);
        NativeMemory.Free(stack);
    }

    /// <summary>One function at 0x1000..0x1100 with these unwind codes, newest operation first.</summary>
    private StackUnwinder Prepare(byte frame, params ushort[] codes)
    {
        *(RuntimeFunction*)(image + Table) = new RuntimeFunction { BeginAddress = Function, EndAddress = Function + 0x100, UnwindInfo = Info };
        byte* info = image + Info;
        info[0] = 1;
        info[2] = (byte)codes.Length;
        info[3] = frame;
        for (int i = 0; i < codes.Length; i++) ((ushort*)(info + 4))[i] = codes[i];
        return new StackUnwinder(image, (RuntimeFunction*)(image + Table), 1, (ulong)stack, (ulong)(stack + 64))
        {
            Rip = (ulong)image + Function + 0x50,
            Rsp = (ulong)stack,
        };
    }

    private static ushort Code(int offset, int operation, int operand) => (ushort)(offset | operation << 8 | operand << 12);

    private void Expect(StackUnwinder walk, int slot, string because)
    {
        stack[slot] = 0xC0DE;
        Assert.True(walk.TryStep(), because);
        Assert.Equal(0xC0DEUL, walk.Rip);
        Assert.Equal((ulong)(stack + slot + 1), walk.Rsp);
    }

    [Fact]
    public void A_leaf_has_only_its_return_address_on_the_stack()
    {
        StackUnwinder walk = Prepare(0);
        walk.Rip = (ulong)image + 0x3000;
        Expect(walk, 0, "no entry");
    }

    [Fact]
    public void Pushes_and_allocations_of_all_sizes()
    {
        Expect(Prepare(0, Code(4, 2, 4)), 5, "small: 5 * 8 bytes");
        Expect(Prepare(0, Code(4, 0, 3)), 1, "one push");
        Expect(Prepare(0, Code(9, 1, 0), 20), 20, "large, in units of 8");
        Expect(Prepare(0, Code(9, 1, 1), 160, 0), 20, "large, in bytes");
        Expect(Prepare(0, Code(9, 2, 0), Code(5, 0, 3), Code(2, 0, 6)), 3, "two pushes, then 8 bytes");
        Expect(Prepare(0, Code(9, 8, 6), 1, Code(5, 2, 2)), 3, "vector registers are passed over");
    }

    [Fact]
    public void Operations_after_the_instruction_pointer_have_not_happened()
    {
        StackUnwinder walk = Prepare(0, Code(0x20, 2, 4), Code(2, 0, 3));
        walk.Rip = (ulong)image + Function + 0x10;
        Expect(walk, 1, "only the push");
    }

    [Fact]
    public void A_frame_register_tells_where_the_stack_was_before_it_moved()
    {
        StackUnwinder walk = Prepare(5, Code(9, 3, 0), Code(5, 2, 1), Code(2, 0, 5)); // push rbp; sub rsp, 16; mov rbp, rsp
        walk.SetRegister(5, (ulong)(stack + 10));
        Expect(walk, 13, "10 + 2 + 1");
    }

    [Fact]
    public void Registers_that_were_pushed_serve_the_next_frame()
    {
        StackUnwinder walk = Prepare(0, Code(2, 0, 5));
        stack[0] = (ulong)(stack + 20); // the caller's rbp
        stack[1] = (ulong)image + Function + 0x50;
        Assert.True(walk.TryStep());
        image[Info + 3] = 5;
        *(ushort*)(image + Info + 4) = Code(2, 3, 0);
        Expect(walk, 20, "rbp came from the first frame");
    }

    [Fact]
    public void Garbage_ends_the_walk_and_is_read_nowhere_else() =>
        Gen.Select(Gen.Byte.Array[64], Gen.ULong.Array[64], Gen.ULong).Sample((info, words, rsp) =>
        {
            StackUnwinder walk = Prepare(0);
            for (int i = 0; i < info.Length; i++) image[Info + i] = (byte)(i == 0 ? info[i] & 7 : i == 2 ? info[i] % 28 : info[i]);
            for (int i = 0; i < 64; i++) stack[i] = words[i] % 3 == 0 ? (ulong)image + Function + words[i] % 0x100 : words[i];
            if (rsp % 2 == 0) walk.Rsp = rsp;
            for (int i = 0; i < 100 && walk.TryStep(); i++) { }
        });
}
