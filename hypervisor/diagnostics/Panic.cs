// The end of the machine: says what happened, leaves an epitaph, stops. For what "cannot happen", never for what a guest can cause.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Hypervisor.Core;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Hypervisor.Diagnostics;

public static unsafe class Panic
{
    [RuntimeImport("*", "core_stop"), MethodImpl(MethodImplOptions.InternalCall)] internal static extern void StopProcessor();

    /// <summary>Not 0: nobody stops the machine yet.</summary>
    [RuntimeImport("*", "core_claim_stop"), MethodImpl(MethodImplOptions.InternalCall)] private static extern uint TryClaim();

    /// <summary>Stops with a line of text.</summary>
    public static void Stop(ReadOnlySpan<byte> text)
    {
        Instructions.Cli();
        if (TryClaim() != 0)
        {
            PhysicalApic.StopOthers();
            byte* buffer = stackalloc byte[512];
            TextWriter line = new(buffer, 512);
            line.Text("PANIC hypervisor: "u8).Text(text);
            DebugConsole.Line(line.Written);
            Epitaph.Leave(line.Written);
            Backtrace((ulong)&text);
        }
        StopProcessor();
    }

    /// <summary>Stops with the registers of an exception in the core.</summary>
    public static void Stop(InterruptFrame* frame)
    {
        Instructions.Cli();
        if (TryClaim() != 0)
        {
            PhysicalApic.StopOthers();
            byte* buffer = stackalloc byte[1024];
            TextWriter line = new(buffer, 1024);
            line.Text("PANIC hypervisor: exception "u8).Decimal(frame->Vector).Text(" error "u8).Hex(frame->ErrorCode)
                .Text(" rip "u8).Hex(frame->Rip).Text(" cr2 "u8).Hex(Instructions.ReadCr2());
            DebugConsole.Line(line.Written);
            Epitaph.Leave(line.Written);
            line.Length = 0;
            line.Text("  rax "u8).Hex(frame->Rax).Text(" rbx "u8).Hex(frame->Rbx).Text(" rcx "u8).Hex(frame->Rcx).Text(" rdx "u8).Hex(frame->Rdx)
                .Text(" rsi "u8).Hex(frame->Rsi).Text(" rdi "u8).Hex(frame->Rdi).Text(" rbp "u8).Hex(frame->Rbp).Text(" rsp "u8).Hex(frame->Rsp).Line()
                .Text("  r8 "u8).Hex(frame->R8).Text(" r9 "u8).Hex(frame->R9).Text(" r10 "u8).Hex(frame->R10).Text(" r11 "u8).Hex(frame->R11)
                .Text(" r12 "u8).Hex(frame->R12).Text(" r13 "u8).Hex(frame->R13).Text(" r14 "u8).Hex(frame->R14).Text(" r15 "u8).Hex(frame->R15);
            DebugConsole.Line(line.Written);
            Backtrace(frame->Rsp);
        }
        StopProcessor();
    }

    /// <summary>
    /// Words on the stack that lie in the core's code, newest first: return addresses and a few stale ones. `tools symbolize` names them.
    /// Compiled code keeps no frame pointers, and unwinding tables would need more code than this is worth here.
    /// </summary>
    private static void Backtrace(ulong stack)
    {
        byte* buffer = stackalloc byte[1024];
        TextWriter line = new(buffer, 1024);
        line.Text("  stack:"u8);
        ulong end = (stack | 0xFFF) + 1;
        int found = 0;
        for (ulong at = stack & ~7UL; at < end && found < 24; at += 8)
        {
            ulong value = *(ulong*)at;
            if (value - CoreAddressSpace.ImageBase >= 0x1000 && value - CoreAddressSpace.ImageBase < 0x100000)
            {
                line.Text(" "u8).Hex(value);
                found++;
            }
        }
        DebugConsole.Line(line.Written);
    }

    /// <summary>A violated bound, overflow or an unexpanded intrinsic in compiled code.</summary>
    [RuntimeExport("lamina_fail_fast")]
    private static void FailFast(ulong reason)
    {
        byte* buffer = stackalloc byte[64];
        TextWriter line = new(buffer, 64);
        line.Text("check failed, reason "u8).Decimal(reason);
        Stop(line.Written);
    }
}
