// What the interrupt stubs of entry.asm leave on the stack.
using System.Runtime.InteropServices;

namespace Lamina.Root.Kernel;

/// <summary>Lowest address first: the general registers by their numbers in machine code (RSP's place being the processor's), then vector and frame.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct InterruptFrame
{
    public ulong Rax, Rcx, Rdx, Rbx, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15;
    public ulong Vector;

    /// <summary>0 for vectors that have none.</summary>
    public ulong ErrorCode;
    public ulong Rip, Cs, Rflags, Rsp, Ss;

    /// <summary>Bytes between the stack pointer at the stub's call into C# and the frame.</summary>
    public const ulong OffsetAtCall = 0x80;
}
