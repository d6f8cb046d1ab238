// Weight, cap and reserve from lamina.json and from the console to the core; "top".
using System;
using System.Collections.Generic;
using System.Linq;
using Lamina.Abi;
using Lamina.Root.Kernel;
using Lamina.Root.Worker;
using Lamina.Text;
using Xunit;
using static Lamina.Abi.HvPartitionPropertyCode;

namespace Lamina.Tests.Host.Worker;

[Collection("worker")]
public sealed unsafe class VmSchedulingTests : IDisposable
{
    private const string Vms = """
        { "vms": [
          { "name": "tiny", "memory": "4M", "kernel": "tiny.bin", "processors": 2, "weight": 300, "cap": 50, "reserve": 20 },
          { "name": "other", "memory": "4M", "kernel": "tiny.bin", "reserve": 70 } ] }
        """;

    public VmSchedulingTests() => WorkerHost.BootRoot(Vms);

    public void Dispose()
    {
        WorkerHost.Command("vm turnoff tiny");
        WorkerHost.Command("vm turnoff other");
    }

    private static void Check(params (uint Code, ulong Value)[] expected)
    {
        foreach ((uint code, ulong value) in expected) Assert.Equal(value, FakeCore.Child.Properties[code]);
    }

    [Fact]
    public void Settings_reach_the_core_at_the_start_and_while_the_vm_runs()
    {
        WorkerHost.Command("vm start tiny");
        Check((HvPartitionPropertyCpuWeight, 300), (HvPartitionPropertyCpuCap, 0x8000), (HvPartitionPropertyCpuReserve, 13107));
        Assert.Contains("VM tiny: weight 300, cap 50 %, reserve 20 %", WorkerHost.Command("vm show tiny"));
        Assert.Equal(["VM tiny: weight 10000, cap 50 %, reserve 20 %"], WorkerHost.Command("vm set tiny weight 10000"));
        Assert.Equal(["VM tiny: weight 10000, cap 100 %, reserve 20 %"], WorkerHost.Command("vm set tiny cap 100"));
        Assert.Equal(["VM tiny: weight 10000, cap 100 %, reserve 0 %"], WorkerHost.Command("vm set tiny reserve 0"));
        Check((HvPartitionPropertyCpuWeight, 10000), (HvPartitionPropertyCpuCap, 0x10000), (HvPartitionPropertyCpuReserve, 0));
        // They stay for the next start.
        WorkerHost.Command("vm turnoff tiny");
        WorkerHost.Command("vm set tiny cap 30");
        WorkerHost.Command("vm start tiny");
        Check((HvPartitionPropertyCpuWeight, 10000), (HvPartitionPropertyCpuCap, 19660));
    }

    [Theory]
    [InlineData("weight 0", "weight is 1 to 10000")]
    [InlineData("weight 10001", "weight is 1 to 10000")]
    [InlineData("cap 0", "cap is 1 to 100 percent of each processor")]
    [InlineData("cap 101", "cap is 1 to 100 percent of each processor")]
    [InlineData("cap 19", "cap must not be below its reserve")]
    [InlineData("reserve 101", "reserve is 0 to 100 percent of each processor")]
    [InlineData("reserve 51", "reserve must not exceed its cap")]
    public void What_is_out_of_range_changes_nothing(string words, string why)
    {
        WorkerHost.Command("vm start tiny");
        Assert.Equal(["VM tiny: " + why], WorkerHost.Command("vm set tiny " + words));
        Check((HvPartitionPropertyCpuWeight, 300), (HvPartitionPropertyCpuCap, 0x8000), (HvPartitionPropertyCpuReserve, 13107));
        Assert.Contains("VM tiny: weight 300, cap 50 %, reserve 20 %", WorkerHost.Command("vm show tiny"));
    }

    [Fact]
    public void Reserves_that_do_not_fit_are_not_promised()
    {
        WorkerHost.Command("vm start tiny");
        Assert.Equal(["VM other: not enough processor for its reserve: needs 70 % of one, 60 % are not reserved"], WorkerHost.Command("vm start other"));
        Assert.Equal(1, FakeCore.ChildCount);
        Assert.Equal(["VM other: weight 100, cap 100 %, reserve 60 %"], WorkerHost.Command("vm set other reserve 60"));
        Assert.Contains("VM other: started", WorkerHost.Command("vm start other"));
        Assert.Equal(["VM tiny: not enough processor for its reserve: needs 42 % of one, 40 % are not reserved"], WorkerHost.Command("vm set tiny reserve 21"));
    }

    [Fact]
    public void Top_says_what_was_used_in_its_time()
    {
        WorkerHost.Command("vm start tiny");
        Assert.Empty(WorkerHost.Command("top 4"));
        int before = ConsoleOutput.Lines.Count;
        WorkerHost.Wait(3999);
        Assert.Equal(before, ConsoleOutput.Lines.Count);
        WorkerHost.Wait(1);
        List<string> lines = ConsoleOutput.Lines.Skip(before).ToList();
        Assert.Equal("NAME                    VP  RUN       WAIT      DISPATCHES   WEIGHT   CAP     RESERVE", lines[0]);
        Assert.Equal("tiny                    0   0.0 %     0.0 %     0            300      50 %    20 %", lines[1]);
        Assert.Equal("tiny                    1   0.0 %     0.0 %     0            300      50 %    20 %", lines[2]);
        Assert.StartsWith("(root)                  0 ", lines[3]);
        Assert.Equal("processor 0 over 4000 ms: busy 100.0 %, idle 0.0 %, 0 switches, 0 halts, 0 interrupts", lines[4]);
        Assert.Equal("processor 1 over 4000 ms: busy 50.0 %, idle 50.0 %, 0 switches, 0 halts, 0 interrupts", lines[5]);
        Assert.Equal(6, lines.Count);
    }

    [Fact]
    public void Usage_is_a_difference_of_counters_and_shares_are_rounded()
    {
        HvStatsPage page;
        new Span<ulong>(&page, 512).Clear();
        page.Counters[HvStatsVpCounters.VpTotalRunTime] = 1000;
        page.Counters[HvStatsVpCounters.VpWaitingForCpuTime] = 500;
        page.Counters[HvStatsVpCounters.VpLogicalProcessorDispatches] = 7;
        Lamina.Root.Hypercalls.VpStats stats = default;
        stats.Add(&page);
        ProcessorUsage usage = ProcessorUsage.From(in stats).Since(new ProcessorUsage { Run = 143, Wait = 499, Dispatches = 1 });
        Assert.Equal((857UL, 1UL, 6UL), (usage.Run, usage.Wait, usage.Dispatches));
        byte* buffer = stackalloc byte[64];
        var line = new TextWriter(buffer, 64);
        line.Share(1429, 10000).Text(" "u8).Share(9996, 10000).Text(" "u8).Share(1, 0);
        Assert.Equal("14.3 % 100.0 % 0.0 %", System.Text.Encoding.ASCII.GetString(line.Written));
    }
}
