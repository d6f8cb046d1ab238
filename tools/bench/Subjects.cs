// The machines that are measured: Lamina, the bare world switch, the bare emulator, and the peers.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Lamina.Tools.Run;

namespace Lamina.Tools.Bench;

/// <summary>What one machine yielded: rows by name, and what it has no value for, with the reason.</summary>
public sealed record Findings(IReadOnlyDictionary<string, double> Values, IReadOnlyDictionary<string, string> Absent);

/// <summary>Runs the machines one after the other.</summary>
public sealed class Subjects(BenchMaterial material, BenchMachine machine, Workspace workspace)
{
    /// <summary>What the guest's kernel is told everywhere; what its console is called depends on the machine.</summary>
    private static string CommandLine(string console) => $"console={console} -- s";

    private static MachineOptions Bare(string kernel, string initrd = null, string commandLine = null, string memory = "2G") => new()
    {
        Accel = "tcg", Memory = memory, DirectKernel = kernel, DirectInitrd = initrd, DirectCommandLine = commandLine,
        Extra = [.. BenchMachine.Counting, "-device", "isa-debug-exit,iobase=0xf4"],
    };

    /// <summary>The least there could be.</summary>
    public async Task<CostLines> LimitAsync() => CostLines.Parse((await machine.RunAsync("limit", Bare(material.Limit, memory: "64M"), null, "DONE cost", 60)).Text);

    public async Task<CostLines> KvmCostAsync()
    {
        BenchLog log = await machine.RunAsync("kvm", Bare(await material.KernelAsync(), await material.KvmInitrdAsync(CommandLine("ttyS0")), "console=ttyS0 quiet"), null, "BENCH-DONE|BENCH-FAILED", 600);
        return CostLines.Parse(log.Text);
    }

    public async Task<CostLines> XenCostAsync()
    {
        string xen = await material.XenAsync(), kernel = await material.XenKernelAsync(), initrd = await material.XenInitrdAsync(CommandLine("hvc0"));
        BenchLog log = await machine.RunAsync("xen", Bare(xen, $"{kernel} console=hvc0 quiet,{initrd}",
            "console=com1 com1=115200,8n1,0x3f8,0 guest_loglvl=all console_timestamps=raw dom0_mem=768M dom0_max_vcpus=1 smap=0 smep=0"), null, "BENCH-DONE|BENCH-FAILED", 600);
        return CostLines.Parse(log.Text);
    }
}
