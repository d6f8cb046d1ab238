// The console's commands about VMs, carried out.
using System;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmCommands
{
    /// <summary>False: the line is no command about VMs.</summary>
    public static bool TryRun(ReadOnlySpan<byte> text)
    {
        VmCommand command = VmCommand.Parse(text);
        switch (command.Verb)
        {
            case VmVerb.None: return false;
            case VmVerb.List: VmReport.List(); return true;
            case VmVerb.Top: Top.Begin(command.Count); return true;
            case VmVerb.Wrong: PrintUsage(command.Usage); return true;
        }
        Vm* vm = VmWorker.Find(command.Name);
        if (vm == null) { PrintUnknown(command.Name); return true; }
        switch (command.Verb)
        {
            case VmVerb.Start: VmWorker.Start(vm); break;
            case VmVerb.Stop: Stop(vm); break;
            case VmVerb.TurnOff: TurnOff(vm); break;
            case VmVerb.Restart: VmWorker.Restart(vm); break;
            case VmVerb.Suspend: VmLifecycle.Pause(vm); break;
            case VmVerb.Resume: VmLifecycle.Resume(vm); break;
            case VmVerb.Connect: VmWorker.Connect(vm); break;
            case VmVerb.Show: VmReport.Show(vm); break;
            case VmVerb.Stats: VmStats.Show(vm); break;
            case VmVerb.Set: VmScheduling.Set(vm, command.Setting, command.Count); break;
            case VmVerb.AddDisk: VmDisks.Add(vm, command.Disk, command.ReadOnly); break;
            case VmVerb.RemoveDisk: VmDisks.Remove(vm, command.Count); break;
            case VmVerb.Cycle: CycleDriver.Begin(vm, command.Count, command.Milliseconds); break;
        }
        return true;
    }

    /// <summary>Asks the guest; one that does not listen is turned off at once, as is one that was asked before.</summary>
    private static void Stop(Vm* vm)
    {
        if (CycleDriver.IsTesting(vm) || vm->Machine == null || !VmIntegration.TryStop(vm)) TurnOff(vm);
        else VmLog.Line(vm, "asked to shut down"u8);
    }

    private static void TurnOff(Vm* vm)
    {
        if (CycleDriver.IsTesting(vm)) CycleDriver.Cancel();
        if (vm->Machine == null) VmLog.Line(vm, "is off"u8);
        else VmWorker.End(vm, VmEnd.Stopped);
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
