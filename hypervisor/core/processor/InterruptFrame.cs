// What the interrupt entry points of entry.asm leave on the stack.
using System.Runtime.InteropServices;

namespace Lamina.Hypervisor.Core;

/// <summary>Lowest address first: the order of the pushes, backwards.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct InterruptFrame
{
    public ulong R15, R14, R13, R12, R11, R10, R9, R8, Rdi, Rsi, Rbp, Rbx, Rdx, Rcx, Rax;
    public ulong Vector;
    /// <summary>0 for vectors that have none.</summary>
    public ulong ErrorCode;
    public ulong Rip, Cs, Rflags, Rsp, Ss;
}
