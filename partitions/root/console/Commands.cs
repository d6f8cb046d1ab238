// The words of the management console that concern the machine; those about VMs are the worker's.
using System;
using Lamina.Drivers.Bus.Edu;
using Lamina.Drivers.Bus.Pci;
using Lamina.Root.Worker;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class Commands
{
    private const int LineBytes = 160;
    private static EduTest<DriverHost> messageTest;

    /// <summary>Runs one line; its output is lines on the console.</summary>
    public static void Execute(ReadOnlySpan<byte> line)
    {
        line = Trim(line);
        if (line.Length == 0) return;
        if (!TryExecute(line) && !VmWorker.TryCommand(line)) ReportUnknown(line);
    }

    private static bool TryExecute(ReadOnlySpan<byte> line)
    {
        if (line.SequenceEqual("help"u8)) Help();
        else if (line.SequenceEqual("version"u8)) Version();
        else if (line.SequenceEqual("memory"u8)) Memory();
        else if (line.SequenceEqual("devices"u8)) Devices();
        else if (line.SequenceEqual("disks"u8)) DiskCommands.List();
        else if (line.SequenceEqual("log"u8)) MachineLog.Print();
        else if (line.SequenceEqual("test msi"u8)) TestMessage();
        else if (line.SequenceEqual("test timer"u8)) TimerTest.Start();
        else if (line.StartsWith("test disk "u8)) DiskCommands.Test(line.Slice(10));
        else if (line.StartsWith("panic"u8)) return PanicTest.TryRun(Trim(line.Slice(5)));
        else if (line.SequenceEqual("reboot"u8)) MachinePower.Reboot();
        else if (line.SequenceEqual("poweroff"u8)) PowerOff();
        else return false;
        return true;
    }

    private static void Help()
    {
        ConsoleOutput.Line("help                  this list"u8);
        ConsoleOutput.Line("version               what is running"u8);
        ConsoleOutput.Line("memory                free and total pages of 4 KiB"u8);
        ConsoleOutput.Line("devices               PCI functions"u8);
        ConsoleOutput.Line("disks                 disks and their partitions, and who uses them"u8);
        ConsoleOutput.Line("log                   the last lines of output again"u8);
        ConsoleOutput.Line("vm list               virtual machines and their states"u8);
        ConsoleOutput.Line("vm start NAME         and so: restart, suspend, resume, show"u8);
        ConsoleOutput.Line("vm stop NAME          asks the guest to shut down, turns it off after a minute; vm turnoff NAME: at once"u8);
        ConsoleOutput.Line("vm stats NAME         exits, signals and requests, and how they relate"u8);
        ConsoleOutput.Line("vm set NAME weight N  relative, 1 to 10000; or cap N, reserve N: percent of each of its processors"u8);
        ConsoleOutput.Line("top [SECONDS]         who uses the processors: run and wait shares of VMs and root, and their settings"u8);
        ConsoleOutput.Line("vm adddisk NAME DISK  DISK: device:NAME, image:VOLUME:/PATH or path:FILE, then readonly; vm removedisk NAME LUN"u8);
        ConsoleOutput.Line("vm connect NAME       goes to its serial port; Ctrl-] comes back"u8);
        ConsoleOutput.Line("test msi              a device's message reaches its driver (QEMU's edu device)"u8);
        ConsoleOutput.Line("test disk NAME        reads it; BYTES: how much; write: writes on it, for scratch disks"u8);
        ConsoleOutput.Line("test timer            a timer comes, and in time"u8);
        ConsoleOutput.Line("test cycle NAME COUNT starts and stops a VM again and again, and counts pages"u8);
        ConsoleOutput.Line("panic [KIND]          stops the root, to try that out: stack, null, code, data"u8);
        ConsoleOutput.Line("reboot                restarts the machine"u8);
        ConsoleOutput.Line("poweroff              switches the machine off"u8);
    }

    private static void Version()
    {
        byte* buffer = stackalloc byte[LineBytes];
        TextWriter line = new(buffer, LineBytes);
        uint* registers = stackalloc uint[4];
        Instructions.Cpuid(Abi.CpuidLeaf.HvVersion, 0, registers);
        line.Text("version: Lamina, hypervisor "u8).Decimal(registers[1] >> 16).Text("."u8).Decimal(registers[1] & 0xFFFF).Text("."u8).Decimal(registers[0]);
        ConsoleOutput.Line(line.Written);
    }

    private static void Memory()
    {
        byte* buffer = stackalloc byte[LineBytes];
        TextWriter line = new(buffer, LineBytes);
        line.Text("memory: "u8).Decimal(PhysicalMemory.FreePageCount).Text(" pages free of "u8).Decimal(PhysicalMemory.TotalPageCount);
        ConsoleOutput.Line(line.Written);
    }

    private static void Devices()
    {
        byte* buffer = stackalloc byte[LineBytes];
        foreach (PciFunction function in PciBus.Functions)
        {
            TextWriter line = new(buffer, LineBytes);
            line.HexDigits(function.Address.Segment, 4).Text(":"u8).HexDigits(function.Address.Bus, 2).Text(":"u8).HexDigits(function.Address.Device, 2)
                .Text("."u8).HexDigits(function.Address.Function, 1).Text("  "u8).HexDigits(function.VendorId, 4).Text(":"u8).HexDigits(function.DeviceId, 4)
                .Text("  "u8).Text(PciClass.NameOf(function.BaseClass, function.Subclass));
            ConsoleOutput.Line(line.Written);
        }
    }

    private static void TestMessage()
    {
        fixed (EduTest<DriverHost>* test = &messageTest) EduTest<DriverHost>.Start(test);
    }

    private static void PowerOff()
    {
        MachinePower.PowerOff();
        ConsoleOutput.Line("poweroff: this machine does not say how"u8);
    }

    private static void ReportUnknown(ReadOnlySpan<byte> text)
    {
        byte* buffer = stackalloc byte[LineEditor.Capacity + 40];
        TextWriter line = new(buffer, LineEditor.Capacity + 40);
        line.Printable(text).Text(": no such command; help lists them"u8);
        ConsoleOutput.Line(line.Written);
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text)
    {
        int start = 0, end = text.Length;
        while (start < end && text[start] == ' ') start++;
        while (end > start && text[end - 1] == ' ') end--;
        return text.Slice(start, end - start);
    }
}
