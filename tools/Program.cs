// The one program behind build.ps1: verbs and their options.
using System;
using System.CommandLine;
using System.Linq;
using System.Threading.Tasks;
using Lamina.Tools.Bench;
using Lamina.Tools.Build;
using Lamina.Tools.Guest;
using Lamina.Tools.Run;
using Lamina.Tools.Symbolize;
using Lamina.Tools.Test;

namespace Lamina.Tools;

/// <summary>Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is missing on this machine, 124 out of time, 130 interrupted.</summary>
public static class Program
{
    public static async Task<int> Main(string[] arguments)
    {
        // What follows "--" belongs to the emulator; the parser need not understand it.
        int split = Array.IndexOf(arguments, "--");
        string[] extra = split < 0 ? [] : arguments[(split + 1)..];
        var root = new RootCommand("Lamina: builds, boots and tests the hypervisor.")
        {
            BuildCommand(), RunCommand(extra), TestCommand(), GuestCommand(), SymbolizeCommand(),
            ImageCommand(), BenchCommand(),
        };
        try
        {
            return await root.Parse(split < 0 ? arguments : arguments[..split])
                .InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Failure failure)
        {
            foreach (string line in failure.Message.Split('\n'))
                Report.Error("error: " + line);
            return failure.ExitCode;
        }
    }

    private static Command BuildCommand()
    {
        var names = new Argument<string[]>("image") { Description = "Images to make (default: all): " + string.Join(", ", ImageTable.All.Select(i => i.Name)), Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("build", "All images into out/, the size table, the symbol maps.") { names };
        command.SetAction(async parsed =>
        {
            await BuildVerb.RunAsync(Workspace.Find(), parsed.GetValue(names));
            return 0;
        });
        return command;
    }

    private static Command RunCommand(string[] extra)
    {
        var cpu = new Option<string>("--cpu") { Description = "auto (what this machine's KVM nests, else amd), amd (in QEMU), intel (in Bochs, or in QEMU by KVM), or a processor model of the emulator", DefaultValueFactory = _ => "auto" };
        var accel = new Option<string>("--accel") { Description = "auto, kvm, tcg or bochs", DefaultValueFactory = _ => "auto" };
        var firmware = new Option<string>("--firmware") { Description = "uefi, or bios: GRUB and lamina.mb2 (default: uefi in QEMU, bios in Bochs)" };
        var boot = new Option<string>("--boot") { Description = "What it boots from: disc (BIOS), disk or usb (lamina.img), net (TFTP, UEFI); default: a FAT volume, or the disc" };
        var smp = new Option<int>("--smp") { Description = "Processors", DefaultValueFactory = _ => 1 };
        var memory = new Option<string>("--memory") { Description = "Memory of the machine", DefaultValueFactory = _ => "2G" };
        var config = new Option<string>("--config") { Description = "A lamina.json; the files that it names are looked up beside it. Without it: the reference guest" };
        var disk = new Option<string[]>("--disk") { Description = "A disk of the machine: FILE[,kind=virtio|nvme|ahci][,format=raw|qcow2][,readonly][,overlay]; may be repeated" };
        var headless = new Option<bool>("--headless") { Description = "Do not attach the terminal" };
        var until = new Option<string>("--until") { Description = "Exit 0 when the serial log matches this regular expression" };
        var fail = new Option<string>("--fail") { Description = "Exit 1 when it matches this one" };
        var timeout = new Option<double>("--timeout") { Description = "Seconds; exit 124 when they are over" };
        var serial = new Option<string>("--serial") { Description = "File for the serial log" };
        var screenshot = new Option<string>("--screenshot") { Description = "PNG file for the screen as it is at the end" };
        var command = new Command("run", "Boots in an emulator and attaches the terminal. After --: arguments for the emulator.")
            { cpu, accel, firmware, boot, smp, memory, disk, config, headless, until, fail, timeout, serial, screenshot };
        command.SetAction(parsed => RunVerb.RunAsync(Workspace.Find(), new RunOptions
        {
            Machine = new MachineOptions
            {
                Cpu = parsed.GetValue(cpu), Accel = parsed.GetValue(accel), Firmware = parsed.GetValue(firmware), Boot = parsed.GetValue(boot),
                Processors = parsed.GetValue(smp), Memory = parsed.GetValue(memory), Extra = extra,
                Disks = (parsed.GetValue(disk) ?? []).Select(MachineDisk.Parse).ToArray(),
            },
            Config = parsed.GetValue(config), Headless = parsed.GetValue(headless), Until = parsed.GetValue(until), Fail = parsed.GetValue(fail),
            Timeout = parsed.GetValue(timeout), SerialFile = parsed.GetValue(serial), Screenshot = parsed.GetValue(screenshot),
        }));
        return command;
    }

    private static Command TestCommand()
    {
        var filter = new Option<string>("--filter") { Description = "Only tests whose name contains this text" };
        var command = new Command("test", "Builds, then runs host tests and boot tests; the last line counts them.") { filter };
        command.SetAction(parsed => TestVerb.RunAsync(Workspace.Find(), parsed.GetValue(filter)));
        return command;
    }

    private static Command GuestCommand()
    {
        var refresh = new Option<bool>("--refresh") { Description = "Look for newer versions" };
        var command = new Command("guest", "Fetches and builds the reference guest material into a cache.") { refresh };
        command.SetAction(async parsed =>
        {
            await ReferenceGuest.RunVerbAsync(Workspace.Find(), parsed.GetValue(refresh));
            return 0;
        });
        return command;
    }

    private static Command ImageCommand()
    {
        var config = new Option<string>("--config") { Description = "A lamina.json; the files that it names are looked up beside it. Without it: the reference guest, in its initrd" };
        var data = new Option<string>("--data") { Description = "Size of the volume for disk images of VMs", DefaultValueFactory = _ => "64M" };
        var command = new Command("image", "out/lamina.img, for a USB stick, and out/pxe/, for a TFTP server.") { config, data };
        command.SetAction(async parsed =>
        {
            await ImageVerb.RunAsync(Workspace.Find(), parsed.GetValue(config), parsed.GetValue(data));
            return 0;
        });
        return command;
    }

    private static Command SymbolizeCommand()
    {
        var addresses = new Argument<string[]>("address") { Description = "Addresses (hexadecimal); none: a panic's text is read from standard input", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("symbolize", "Addresses of a panic to function, file and line.") { addresses };
        command.SetAction(async parsed =>
        {
            await SymbolizeVerb.RunAsync(Workspace.Find(), parsed.GetValue(addresses));
            return 0;
        });
        return command;
    }

    private static Command BenchCommand()
    {
        var against = new Option<string>("--against") { Description = "Peers to run the same guests under, in the same emulator: kvm, xen, or kvm,xen", DefaultValueFactory = _ => "" };
        var wall = new Option<bool>("--wall") { Description = "Also by the clock on the wall" };
        var json = new Option<string>("--json") { Description = "File for the results" };
        var compare = new Option<string>("--compare") { Description = "A file that --json wrote: exit 1 when what is counted differs by more than 1 %" };
        var docs = new Option<bool>("--docs") { Description = "Renew docs/benchmarks.md, .json and .svg" };
        var command = new Command("bench", "The measurements, in an emulator that counts instructions, as a table.") { against, wall, json, compare, docs };
        command.SetAction(parsed => BenchVerb.RunAsync(Workspace.Find(), new BenchOptions
        {
            Against = parsed.GetValue(against).Split(',', StringSplitOptions.RemoveEmptyEntries), Wall = parsed.GetValue(wall),
            Json = parsed.GetValue(json), Compare = parsed.GetValue(compare), Documents = parsed.GetValue(docs),
        }));
        return command;
    }
}
