// What the console says of VMs.
using Lamina.Drivers.Storage.Registry;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmReport
{
    private const ulong TicksPerSecond = ReferenceClock.TicksPerSecond;

    /// <summary>All VMs, a line each.</summary>
    public static void List()
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

    /// <summary>One VM: how it is, what it has, what its guest says of itself.</summary>
    public static void Show(Vm* vm)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text(VmWords.Name(vm->State)).Text(", "u8).Decimal((ulong)vm->Config->Processors).Text(" processors, "u8)
            .Decimal(vm->Config->Memory >> 20).Text(" MiB, started "u8).Decimal(vm->Runs).Text(" times, last end: "u8).Text(VmWords.Name(vm->LastEnd));
        if (vm->LastEnd == VmEnd.Exited) line.Text(" with code "u8).Decimal(vm->ExitCode);
        ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        VmScheduling.AppendTo(ref line, vm);
        ConsoleOutput.Line(line.Written);
        if (vm->IsActive) ShowMachine(vm, buffer);
        ShowDisks(vm, buffer);
        if (vm->IsActive && vm->Machine->Integration != null) ShowIntegration(vm, buffer);
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

    private static void ShowDisks(Vm* vm, byte* buffer)
    {
        for (int lun = 0; lun < VmDisks.Capacity; lun++)
        {
            DiskPlace* place = vm->DiskPlace(lun);
            if (!place->IsUsed) continue;
            TextWriter line = VmLog.Begin(vm, buffer);
            line.Text("disk "u8).Decimal((ulong)lun).Text(": "u8).Text(DiskPlace.Word(place->Source)).Text(" \""u8).Printable(place->Name).Text("\""u8);
            if (place->IsReadOnly) line.Text(", read-only"u8);
            if (vm->Machine != null && vm->Machine->Disks[lun]->State == VmDiskState.Open)
            {
                line.Text(", "u8);
                DiskText.Size(ref line, vm->Machine->Disks[lun]->Device->Limits.Bytes);
            }
            ConsoleOutput.Line(line.Written);
        }
    }

    private static void ShowIntegration(Vm* vm, byte* buffer)
    {
        IntegrationServices* services = &vm->Machine->Integration->Services;
        ulong now = ReferenceClock.Now;
        TextWriter line = VmLog.Begin(vm, buffer);
        services->Heartbeat.AppendTo(ref line, now);
        ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        services->Shutdown.AppendTo(ref line);
        ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        services->TimeSynchronization.AppendTo(ref line, now);
        ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        services->KeyValuePairs.AppendTo(ref line);
        ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        line.Text("guest "u8);
        if (services->KeyValuePairs.AppendSystemTo(ref line)) ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        line.Text("addresses "u8);
        if (services->KeyValuePairs.AppendAddressesTo(ref line)) ConsoleOutput.Line(line.Written);
    }
}
