// The root's end: says where and why, with registers and a backtrace for `tools symbolize`, and stops the processor.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class RootPanic
{
    private const int MaximumFrames = 32;
    private static bool stopping;

    [RuntimeImport("*", "root_panic_trap"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void Trap(byte* text, int length);

    /// <summary>For what cannot happen, and for what the root cannot live without.</summary>
    public static void Stop(ReadOnlySpan<byte> text)
    {
        fixed (byte* start = text) Trap(start, text.Length);
    }

    /// <summary>Ends here from every exception; the two traps of entry.asm are exceptions as well.</summary>
    public static void Stop(InterruptFrame* frame)
    {
        Instructions.Cli();
        if (!stopping) // a fault while telling about a fault: what is told is told
        {
            stopping = true;
            ConsoleOutput.BeginPanic();
            WriteReason(frame);
            WriteRegisters(frame);
            WriteBacktrace(frame);
        }
        while (true) Instructions.Hlt();
    }

    private static void WriteReason(InterruptFrame* frame)
    {
        byte* buffer = stackalloc byte[256];
        TextWriter line = new(buffer, 256);
        line.Text("PANIC root: "u8);
        if (frame->Vector == ExceptionVector.UD && frame->Rip == RootImage.Layout->PanicTrap)
            line.Text(new ReadOnlySpan<byte>((void*)frame->Rcx, (int)frame->Rdx));
        else if (frame->Vector == ExceptionVector.UD && frame->Rip == RootImage.Layout->FailFast)
            line.Text(FailFastReason(frame->Rcx));
        else
            WriteException(ref line, frame);
        ConsoleOutput.PanicLine(line.Written);
    }

    private static void WriteException(ref TextWriter line, InterruptFrame* frame)
    {
        ulong address = Instructions.ReadCr2();
        if (frame->Vector is ExceptionVector.DF or ExceptionVector.PF && (address & ~0xFFFUL) == RootImage.Layout->StackGuard) line.Text("stack overflow, "u8);
        line.Text("exception "u8).Decimal(frame->Vector).Text(" error "u8).Hex(frame->ErrorCode);
        if (frame->Vector == ExceptionVector.PF) line.Text(" address "u8).Hex(address);
    }

    // Numbers of the corelib's ThrowHelpers.
    private static ReadOnlySpan<byte> FailFastReason(ulong reason) => reason switch
    {
        1 => "index out of range"u8,
        2 => "arithmetic overflow"u8,
        3 => "division by zero"u8,
        4 => "null reference"u8,
        _ => "an operation that the corelib lacks"u8,
    };

    private static void WriteRegisters(InterruptFrame* frame)
    {
        byte* buffer = stackalloc byte[256];
        TextWriter line = new(buffer, 256);
        line.Text("  rip "u8).Hex(frame->Rip).Text(" rsp "u8).Hex(frame->Rsp).Text(" rflags "u8).Hex(frame->Rflags).Text(" cr3 "u8).Hex(Instructions.ReadCr3());
        ConsoleOutput.PanicLine(line.Written);
        line.Length = 0;
        line.Text("  rax "u8).Hex(frame->Rax).Text(" rbx "u8).Hex(frame->Rbx).Text(" rcx "u8).Hex(frame->Rcx).Text(" rdx "u8).Hex(frame->Rdx);
        ConsoleOutput.PanicLine(line.Written);
        line.Length = 0;
        line.Text("  rsi "u8).Hex(frame->Rsi).Text(" rdi "u8).Hex(frame->Rdi).Text(" rbp "u8).Hex(frame->Rbp).Text(" r8 "u8).Hex(frame->R8).Text(" r9 "u8).Hex(frame->R9);
        ConsoleOutput.PanicLine(line.Written);
        line.Length = 0;
        line.Text("  r10 "u8).Hex(frame->R10).Text(" r11 "u8).Hex(frame->R11).Text(" r12 "u8).Hex(frame->R12)
            .Text(" r13 "u8).Hex(frame->R13).Text(" r14 "u8).Hex(frame->R14).Text(" r15 "u8).Hex(frame->R15);
        ConsoleOutput.PanicLine(line.Written);
    }

    private static void WriteBacktrace(InterruptFrame* frame)
    {
        byte* buffer = stackalloc byte[64];
        TextWriter line = new(buffer, 64);
        StackUnwinder walk = new((byte*)RootImage.Layout->ImageBase, RootImage.Functions, RootImage.FunctionCount,
            RootImage.Layout->StackGuard + 0x1000, RootImage.Layout->StackTop);
        Restart(ref walk, frame);
        for (int i = 0; i < MaximumFrames && walk.TryStep(); i++)
        {
            if (walk.Rip >= RootImage.Layout->EntryStart && walk.Rip < RootImage.Layout->EntryEnd) break;
            line.Length = 0;
            line.Text("  from "u8).Hex(walk.Rip);
            ConsoleOutput.PanicLine(line.Written);
            if (walk.Rip == RootImage.Layout->InterruptReturn) Restart(ref walk, (InterruptFrame*)(walk.Rsp + InterruptFrame.OffsetAtCall));
        }
    }

    /// <summary>Goes on with what an exception or interrupt had interrupted.</summary>
    private static void Restart(ref StackUnwinder walk, InterruptFrame* frame)
    {
        walk.Rip = frame->Rip;
        walk.Rsp = frame->Rsp;
        walk.SetRegister(3, frame->Rbx);
        walk.SetRegister(5, frame->Rbp);
        walk.SetRegister(6, frame->Rsi);
        walk.SetRegister(7, frame->Rdi);
        ulong* high = &frame->R8;
        for (int number = 8; number < 16; number++) walk.SetRegister(number, high[number - 8]);
    }
}
