// Registers before and after a piece of code, and the exception that ended it.
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>Matches run.asm. General registers by their numbers in machine code, RFLAGS in the place of RSP.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct RunState
{
    public ulong Rax, Rcx, Rdx, Rbx, RFlags, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15;
    private ulong _code;
    /// <summary>The exception that ended the code; <see cref="None"/> when it returned.</summary>
    public ulong Vector;
    public ulong ErrorCode, FaultRip, FaultCr2;
    /// <summary>Area of FXSAVE, or of XSAVE if <see cref="Components"/> is not zero: loaded before, stored after. Null: not used.</summary>
    public byte* Area;
    public ulong Components;
    private ulong _previous;
    public ulong Stack;

    public const ulong None = 0x100;

    private static RunState* innermost;

    [RuntimeImport("*", "guest_run"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void Run(RunState* state, RunState** innermost);

    /// <summary>The run that an exception belongs to; null: none.</summary>
    public static RunState* Innermost => innermost;

    public static ulong AddressOf(Code code) => Layout.Instance->CodeTable[(int)code];

    public readonly bool Returned => Vector == None;

    /// <summary>Runs a piece. True: it returned.</summary>
    public bool Run(Code code) => RunAt(AddressOf(code));

    /// <summary>Calls an address.</summary>
    public bool RunAt(ulong address)
    {
        _code = address;
        if (RFlags == 0) RFlags = 2;
        fixed (RunState* state = &this) fixed (RunState** variable = &innermost) Run(state, variable);
        return Returned;
    }

    /// <summary>An exception ended the code: takes over what it left.</summary>
    public void TakeFault(InterruptFrame* frame)
    {
        fixed (RunState* state = &this)
        {
            ulong* to = (ulong*)state;
            ulong* from = (ulong*)frame;
            for (int i = 0; i < 4; i++) to[i] = from[i];
            for (int i = 5; i < 16; i++) to[i] = from[i - 1];
        }
        RFlags = frame->Rflags;
        Vector = frame->Vector;
        ErrorCode = frame->ErrorCode;
        FaultRip = frame->Rip;
        FaultCr2 = Instructions.ReadCr2();
    }
}

/// <summary>What the interrupt stubs leave on the stack, lowest address first.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct InterruptFrame
{
    public ulong Rax, Rcx, Rdx, Rbx, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15;
    public ulong Vector;
    /// <summary>0 for vectors that have none.</summary>
    public ulong ErrorCode;
    public ulong Rip, Cs, Rflags, Rsp, Ss;
}
