// A VM's serial port on the management console: prefixed lines while nobody is connected, raw bytes while someone is.
using System;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class GuestConsole
{
    /// <summary>How long a guest must print nothing before its unfinished line is printed: 100 ms.</summary>
    private const ulong PartialLineDelay = 1_000_000;

    /// <summary>Bytes that the guest's UART has sent.</summary>
    public static void OnOutput(Vm* vm, ReadOnlySpan<byte> bytes, bool isConnected)
    {
        if (isConnected) ConsoleOutput.Raw(bytes);
        VmMachine* machine = vm->Machine;
        for (int i = 0; i < bytes.Length; i++)
        {
            if (machine->Output.Append(bytes[i]) != LineEvent.Complete) continue;
            if (!isConnected) PrintLine(vm);
            machine->Output.Next();
        }
        if (isConnected) machine->Output.MarkShown();
        machine->OutputSinceDeadline = true;
        if (machine->Output.HasUnprinted && machine->OutputDeadline == 0) Arm(machine, ReferenceClock.Now);
    }

    /// <summary>The deadline of an unfinished line: while the guest goes on printing, it is put off.</summary>
    public static void OnQuiet(Vm* vm, ulong now)
    {
        if (vm->Machine->OutputSinceDeadline && vm->Machine->Output.HasUnprinted) Arm(vm->Machine, now);
        else Flush(vm);
    }

    /// <summary>Prints what of an unfinished line was not printed yet.</summary>
    public static void Flush(Vm* vm)
    {
        vm->Machine->OutputDeadline = 0;
        if (!vm->Machine->Output.HasUnprinted) return;
        PrintLine(vm);
        vm->Machine->Output.MarkShown();
    }

    private static void Arm(VmMachine* machine, ulong now)
    {
        machine->OutputSinceDeadline = false;
        machine->OutputDeadline = now + PartialLineDelay;
        VmWorker.Schedule(machine->OutputDeadline);
    }

    /// <summary>Someone connects: he sees the line that the guest has begun.</summary>
    public static void ShowUnfinished(Vm* vm)
    {
        ConsoleOutput.Raw(vm->Machine->Output.Unfinished);
        vm->Machine->Output.MarkShown();
        vm->Machine->OutputDeadline = 0;
    }

    /// <summary>"NAME| text".</summary>
    private static void PrintLine(Vm* vm)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text(vm->Name).Text("| "u8).Text(vm->Machine->Output.Line);
        ConsoleOutput.Line(line.Written);
    }
}
