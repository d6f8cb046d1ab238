// The machines that are measured, one after the other: Lamina, the bare world switch, the bare emulator, and the peers.
using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Lamina.Tools.Guest;
using Lamina.Tools.Run;

namespace Lamina.Tools.Bench;

/// <summary>Each method runs what it says and enters its rows.</summary>
public sealed class Subjects(BenchMaterial material, BenchMachine machine, Workspace workspace, BenchResults results)
{
    private const double Million = 1e6;
    private const int MachineMegabytes = 2048, GuestMegabytes = 512;
    // With what ends it: a line may come in pieces.
    private const string FreePages = @"^memory: (\d+) pages free of";
    private const string GuestEnded = "^VM guest: exit code";
    private const string LeastPort = "in-uart-least";
    private const string GuestUserspace = @"\bUSERSPACE ([0-9A-F]{16})", HostFinished = "BENCH-DONE|BENCH-FAILED";

    // The TSC at a kernel's first instruction where the emulator loads it, from the cost guest; what the firmware takes before.
    private ulong kernelEntry;

    /// <summary>What the guest's kernel is told everywhere; what its console is called depends on the machine.</summary>
    private static string CommandLine(string console) => $"console={console} -- s";

    private static MachineOptions Direct(string kernel, string initrd = null, string commandLine = null, bool counting = true) => new()
    {
        Accel = "tcg", Memory = MachineMegabytes + "M", DirectKernel = kernel, DirectInitrd = initrd, DirectCommandLine = commandLine,
        Extra = [.. counting ? BenchMachine.Counting : [], "-device", "isa-debug-exit,iobase=0xf4"],
    };

    /// <summary>The least there could be: the bare world switch, and the guest's kernel without any hypervisor.</summary>
    public async Task LimitAsync()
    {
        results.Add(Subject.Limit, CostLines.Parse((await machine.RunAsync("limit", Direct(material.Limit), null, "DONE cost", 60)).Text));
        CostLines bare = CostLines.Parse((await machine.RunAsync("bare-cost", Direct(material.CostGuest), null, "DONE cost", 60)).Text);
        kernelEntry = bare.Started;
        BenchLog boot = await machine.RunAsync("bare-boot", await BareBootAsync(counting: true), null, GuestUserspace, 120);
        results.Set("boot", Subject.Limit, (boot.RequireHex(GuestUserspace) - kernelEntry) / Million);
    }

    public async Task LaminaAsync()
    {
        string guest = $$"""{"name": "guest", "autostart": true, "processors": 1, "memory": "{{GuestMegabytes}}M", "initrd": "bench-guest.img", "com1": "console", "debugExit": true, """;
        await material.KernelAsync();
        await material.GuestInitrdAsync();
        BenchLog log = await LaminaAsync("lamina-cost", guest + "\"kernel\": \"guest-cost.elf\"}", GuestEnded);
        CostLines costs = CostLines.Parse(log.Text);
        results.Add(Subject.Lamina, costs);
        results.Set(LeastPort, Subject.Lamina, costs.Costs["in-uart"].Median);
        ulong toEntry = costs.Started - CoreStart(log);
        results.Set("host-memory", Subject.Lamina, MachineMegabytes - Number(log.Require(@"MiB of memory, (\d+) pages free")) / 256);

        log = await LaminaAsync("lamina-bus", BusGuest("cost"), GuestEnded);
        results.Add(Subject.Lamina, CostLines.Parse(log.Text + "\nENVIRONMENT bus\nSTART 0000000000000000\nDONE cost\n"));

        log = await LaminaAsync("lamina-boot", guest + $"\"kernel\": \"{BenchMaterial.GuestKernel.File}\", \"cmdline\": \"{CommandLine("ttyS0")}\"}}", FreePages,
            [
                (@"^guest\| USERSPACE", "memory\r"), (FreePages, "vm stats guest\r"), ("the root's \\d+ entries", "top 600\r"), (@"^processor 0 over \d+ ms", "vm stats guest\r"),
                ("since the last stats, the root's", "vm turnoff guest\r"), ("^VM guest: stopped", "memory\r"),
            ]);
        ulong powerOn = log.RequireHex(GuestUserspace) - CoreStart(log);
        results.Set("power-on", Subject.Lamina, powerOn / Million);
        results.Set("boot", Subject.Lamina, (powerOn - toEntry) / Million);
        SetAdded(Subject.Lamina);
        double[] free = Regex.Matches(log.Text, FreePages, RegexOptions.Multiline).Select(m => Number(m.Groups[1].Value)).ToArray();
        results.Set("vm-memory", Subject.Lamina, (free[^1] - free[0]) * 4 - GuestMegabytes * 1024);
        double seconds = Number(log.Require(@"^processor 0 over (\d+) ms")) / 1000;
        results.Set("idle", Subject.Lamina, Number(log.Require(@"since the last stats, its processors (\d+) entries")) / seconds);
        // The two commands typed meanwhile are in it, three entries a key.
        results.Set("idle-root", Subject.Lamina, Number(log.Require(@"since the last stats, the root's (\d+) entries")) / seconds);
    }

    /// <summary>Debian's kernel and QEMU. The guest's TSC is the machine's plus an offset that KVM shows.</summary>
    public async Task KvmAsync()
    {
        string kernel = await material.KernelAsync(), initrd = await material.KvmInitrdAsync(CommandLine("ttyS0"));
        BenchLog log = await machine.RunAsync("kvm", Direct(kernel, initrd, "console=ttyS0 quiet"), null, HostFinished, 600);
        string[] halves = log.Text.Split("LEAST-BEGIN");
        CostLines costs = CostLines.Parse(halves[0]), least = CostLines.Parse(halves[^1]);
        results.Add(Subject.Kvm, costs);
        results.Set(LeastPort, Subject.Kvm, least.Costs["in-uart"].Median);
        ulong userspace = log.RequireHex(GuestUserspace), offset = (ulong)long.Parse(log.Require(@"^OFFSET (-?\d+)"), CultureInfo.InvariantCulture);
        results.Set("boot", Subject.Kvm, (userspace - costs.Started) / Million);
        results.Set("power-on", Subject.Kvm, (userspace - offset - kernelEntry) / Million);
        SetAdded(Subject.Kvm);
        results.Set("vm-memory", Subject.Kvm, Number(log.Require(@"^OVERHEAD (\d+) KiB")));
        results.Set("host-memory", Subject.Kvm, MachineMegabytes - Number(log.Require(@"^AVAILABLE (\d+) KiB")) / 1024 - Megabytes(initrd));
        results.Set("idle", Subject.Kvm, Number(log.Require(@"^IDLE (\d+) exits")) / 4);
    }

    /// <summary>Xen with Debian as domain 0. Xen puts the machine's TSC before each line of its console, the guest's among them.</summary>
    public async Task XenAsync()
    {
        string initrd = await material.XenInitrdAsync(CommandLine("hvc0"));
        BenchLog log = await machine.RunAsync("xen", await XenMachineAsync(initrd, "", counting: true), null, HostFinished, 600);
        CostLines costs = CostLines.Parse(log.Text);
        results.Add(Subject.Xen, costs);
        results.Set("boot", Subject.Xen, (log.RequireHex(GuestUserspace) - costs.Started) / Million);
        results.Set("power-on", Subject.Xen, (log.RequireHex(@"^\(d\d+\) \[([0-9a-f]{16})\] USERSPACE") - kernelEntry) / Million);
        SetAdded(Subject.Xen);
        results.Set("vm-memory", Subject.Xen, Number(log.Require(@"^OVERHEAD (\d+) MiB")) * 1024);
        results.Set("host-memory", Subject.Xen, MachineMegabytes - Number(log.Require(@"^AVAILABLE (\d+) KiB")) / 1024 - Number(log.Require(@"^AVAILABLE \d+ KiB, (\d+) MiB")) - Megabytes(initrd));
        results.Skip("idle", Subject.Xen, "Xen counts no exits of a domain");
    }

    /// <param name="core">Bytes of the core, file and .bss, as the build counts them.</param>
    public async Task SizesAsync(long core, bool kvm, bool xen)
    {
        results.Set("core-size", Subject.Lamina, core / 1024.0);
        if (kvm)
            results.Set("core-size", Subject.Kvm, await material.KvmBytesAsync() / 1024.0);
        if (xen)
            results.Set("core-size", Subject.Xen, await material.XenBytesAsync() / 1024.0);
    }

    /// <summary>The same boots by the clock on the wall, not counting: what a person waits, in this emulator on this machine.</summary>
    public async Task WallAsync(bool kvm, bool xen)
    {
        results.Set("wall-boot", Subject.Limit, await TimeAsync("wall-bare", await BareBootAsync(counting: false), null));
        string config = WriteConfig("wall-lamina", $"{{\"name\": \"guest\", \"autostart\": true, \"memory\": \"{GuestMegabytes}M\", \"kernel\": \"{BenchMaterial.GuestKernel.File}\", \"initrd\": \"bench-guest.img\", \"cmdline\": \"{CommandLine("ttyS0")}\", \"com1\": \"console\"}}");
        results.Set("wall-boot", Subject.Lamina, await TimeAsync("wall-lamina", Lamina(), BootFiles.Collect(workspace, config)));
        BenchLog reads = await machine.RunAsync("wall-reads", Lamina(), BootFiles.Collect(workspace, WriteConfig("wall-reads", BusGuest("bench"))), GuestEnded, 120);
        results.Set("wall-read-1", Subject.Lamina, Number(reads.Require(@"\bBENCH read-depth-1\.requests (\d+)")));
        results.Set("wall-read-32", Subject.Lamina, Number(reads.Require(@"\bBENCH read-depth-32\.requests (\d+)")));
        if (kvm)
            results.Set("wall-boot", Subject.Kvm, await TimeAsync("wall-kvm", Direct(await material.KernelAsync(), await material.KvmInitrdAsync(CommandLine("ttyS0")), "console=ttyS0 quiet bench.wall", counting: false), null));
        if (xen)
            results.Set("wall-boot", Subject.Xen, await TimeAsync("wall-xen", await XenMachineAsync(await material.XenInitrdAsync(CommandLine("hvc0")), "bench.wall", counting: false), null));
    }

    private async Task<double> TimeAsync(string name, MachineOptions options, BootFiles files)
    {
        var clock = Stopwatch.StartNew();
        await machine.RunAsync(name, options, files, GuestUserspace, 300);
        return clock.Elapsed.TotalSeconds;
    }

    private async Task<MachineOptions> BareBootAsync(bool counting) =>
        Direct(await material.KernelAsync(), await material.GuestInitrdAsync(), CommandLine("ttyS0"), counting) with { Memory = GuestMegabytes + "M" };

    // From a BIOS, as the emulator starts the peers: what UEFI takes before is not Lamina's.
    private static MachineOptions Lamina() => new() { Accel = "tcg", Memory = MachineMegabytes + "M", Firmware = "bios" };

    // Without SMAP: domain 0 does not start on this emulator's. It costs Xen nothing.
    private async Task<MachineOptions> XenMachineAsync(string initrd, string more, bool counting) =>
        Direct(await material.XenAsync(), $"{await material.XenKernelAsync()} console=hvc0 quiet {more},{initrd}",
            "console=com1 com1=115200,8n1,0x3f8,0 guest_loglvl=all console_timestamps=raw dom0_mem=768M dom0_max_vcpus=1 smap=0 smep=0", counting);

    private Task<BenchLog> LaminaAsync(string name, string vm, string until, (string, string)[] script = null) =>
        machine.RunAsync(name, Lamina() with { Extra = BenchMachine.Counting }, BootFiles.Collect(workspace, WriteConfig(name, vm)), until, 300, script);

    // Its disk is a boot module of zeros: no device takes part.
    private string BusGuest(string word)
    {
        File.WriteAllBytes(Path.Combine(workspace.Cache, "bench-disk.img"), new byte[8 << 20]);
        return $$"""{"name": "guest", "autostart": true, "memory": "64M", "kernel": "guest-bus.bin", "cmdline": "{{word}}", "com1": "console", "debugExit": true, "disks": [{"path": "bench-disk.img"}]}""";
    }

    private string WriteConfig(string name, string vm)
    {
        string file = Path.Combine(workspace.Cache, $"bench-{name}.json");
        File.WriteAllText(file, "{ \"vms\": [ " + vm + " ] }\n");
        return file;
    }

    private void SetAdded(Subject subject)
    {
        if (results.Get("boot", Subject.Limit) is { } bare)
            results.Set("added", subject, results.Get("power-on", subject).Value - bare);
    }

    private static ulong CoreStart(BenchLog log) => ulong.Parse(log.Require(@"^hypervisor: Lamina core, TSC (\d+)"), CultureInfo.InvariantCulture);
    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
    private static double Megabytes(string file) => new FileInfo(file).Length / 1048576.0;
}
