// The console's commands about VMs, carried out.
using System;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmCommands
{
    private const ulong TicksPerSecond = ReferenceClock.TicksPerSecond;

    /// <summary>False: the line is no command about VMs.</summary>
    public static bool TryRun(ReadOnlySpan<byte> text)
    {
        VmCommand command = VmCommand.Parse(text);
        switch (command.Verb)
        {
            case VmVerb.None: return false;
            case VmVerb.List: List(); return true;
            case VmVerb.Wrong: PrintUsage(command.Usage); return true;
        }
        Vm* vm = VmWorker.Find(command.Name);
        if (vm == null) { PrintUnknown(command.Name); return true; }
        switch (command.Verb)
        {
            case VmVerb.Start: VmWorker.Start(vm); break;
            case VmVerb.Stop: Stop(vm); break;
            case VmVerb.Restart: VmWorker.Restart(vm); break;
            case VmVerb.Suspend: VmLifecycle.Pause(vm); break;
            case VmVerb.Resume: VmLifecycle.Resume(vm); break;
            case VmVerb.Connect: VmWorker.Connect(vm); break;
            case VmVerb.Show: Show(vm); break;
            case VmVerb.Cycle: CycleDriver.Begin(vm, command.Count, command.Milliseconds); break;
        }
        return true;
    }

    private static void Stop(Vm* vm)
    {
        if (CycleDriver.IsTesting(vm)) CycleDriver.Cancel();
        if (vm->Machine == null) VmLog.Line(vm, "is off"u8);
        else VmWorker.End(vm, VmEnd.Stopped);
    }

    private static void List()
    {
        const int stateColumn = 24, processorsColumn = 34, memoryColumn = 46, uptimeColumn = 57;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("NAME"u8).Column(stateColumn).Text("STATE"u8).Column(processorsColumn).Text("PROCESSORS"u8)
            .Column(memoryColumn).Text("MEMORY"u8).Column(uptimeColumn).Text("UPTIME"u8);
        ConsoleOutput.Line(line.Written);
        for (int i = 0; i < VmWorker.Count; i++)
        {
            Vm* vm = VmWorker.Get(i);
            line = new TextWriter(buffer, VmLog.LineCapacity);
            line.Text(vm->Name).Char((byte)' ').Column(stateColumn).Text(VmWords.Name(vm->State)).Column(processorsColumn).Decimal((ulong)vm->Config->Processors)
                .Column(memoryColumn).Decimal(vm->Config->Memory >> 20).Text(" MiB"u8).Column(uptimeColumn);
            AppendUptime(ref line, vm);
            ConsoleOutput.Line(line.Written);
        }
    }

    private static void AppendUptime(ref TextWriter line, Vm* vm)
    {
        ulong seconds = vm->IsActive ? (ReferenceClock.Now - vm->StartedAt) / TicksPerSecond : 0;
        ulong days = seconds / 86400;
        if (days != 0) line.Decimal(days).Char((byte)'.');
        line.DecimalPadded(seconds / 3600 % 24, 2, (byte)'0').Char((byte)':').DecimalPadded(seconds / 60 % 60, 2, (byte)'0')
            .Char((byte)':').DecimalPadded(seconds % 60, 2, (byte)'0');
    }

    private static void Show(Vm* vm)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text(VmWords.Name(vm->State)).Text(", "u8).Decimal((ulong)vm->Config->Processors).Text(" processors, "u8)
            .Decimal(vm->Config->Memory >> 20).Text(" MiB, started "u8).Decimal(vm->Runs).Text(" times, last end: "u8).Text(VmWords.Name(vm->LastEnd));
        if (vm->LastEnd == VmEnd.Exited) line.Text(" with code "u8).Decimal(vm->ExitCode);
        ConsoleOutput.Line(line.Written);
        if (vm->IsActive) ShowMachine(vm, buffer);
        MsrIntercept.PrintLastWords(vm);
    }

    private static void ShowMachine(Vm* vm, byte* buffer)
    {
        VmMachine* machine = vm->Machine;
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("partition "u8).Decimal(machine->Account.Id.Value).Text(", up "u8);
        AppendUptime(ref line, vm);
        line.Text(", "u8).Decimal(machine->Account.DepositedPages).Text(" pages deposited, memory in "u8).Decimal((ulong)machine->PieceCount).Text(" pieces"u8);
        ConsoleOutput.Line(line.Written);
        InterceptCounters counters = machine->Counters;
        line = VmLog.Begin(vm, buffer);
        line.Decimal(counters.Total).Text(" intercepts: "u8).Decimal(counters.Port).Text(" port, "u8).Decimal(counters.Memory).Text(" memory, "u8)
            .Decimal(counters.Msr).Text(" MSR, "u8).Decimal(counters.Eoi).Text(" end of interrupt, "u8).Decimal(counters.Other).Text(" other"u8);
        ConsoleOutput.Line(line.Written);
    }

    private static void PrintUsage(ReadOnlySpan<byte> usage)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("usage: "u8).Text(usage);
        ConsoleOutput.Line(line.Written);
    }

    private static void PrintUnknown(ReadOnlySpan<byte> name)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("there is no VM \""u8).Printable(name).Text("\""u8);
        ConsoleOutput.Line(line.Written);
    }
}
