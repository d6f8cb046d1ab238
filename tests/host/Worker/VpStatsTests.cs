// The console's words for counters, and the typed calls that map their page.
using System;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Text;
using Xunit;
using static Lamina.Abi.HvStatsVpCounters;

namespace Lamina.Tests.Host.Worker;

[Collection("worker")]
public sealed unsafe class VpStatsTests
{
    private static string TextOf(in VpStats stats)
    {
        byte* buffer = stackalloc byte[VpStatsText.Capacity];
        var line = new TextWriter(buffer, VpStatsText.Capacity);
        line.Stats(stats);
        Assert.False(line.IsFull);
        return Encoding.UTF8.GetString(line.Written);
    }

    private static VpStats Read(params (uint Counter, ulong Value)[] values)
    {
        HvStatsPage page = default;
        foreach ((uint counter, ulong value) in values) page.Counters[counter] = value;
        VpStats stats = default;
        stats.Add(&page);
        return stats;
    }

    [Fact]
    public void Nothing_is_said_of_what_is_zero()
    {
        Assert.Equal("0 entries", TextOf(default));
        Assert.Equal("1 entry: CPUID 1", TextOf(Read((VpCpuidInstructionsCount, 1))));
        Assert.Equal("168 entries: hypercalls 123, MSRs 45", TextOf(Read((VpHypercallsCount, 123), (VpMsrAccessesCount, 45))));
        Assert.Equal("9 entries: APIC EOI 4, I/O ports 5; interrupts taken 6, I/O messages to the root 7",
            TextOf(Read((VpIoInstructionsCount, 5), (VpApicEoiAccesses, 4), (VpVirtualInterrupts, 6), (VpIoInterceptMessages, 7), (VpTotalRunTime, 99))));
        Assert.Equal("0 entries; interrupts taken 2", TextOf(Read((VpVirtualInterrupts, 2))));
    }

    [Fact]
    public void The_longest_text_fits() => Assert.InRange(TextOf(Read(Enumerable.Range(0, 512).Select(i => ((uint)i, ulong.MaxValue)).ToArray())).Length, 500, VpStatsText.Capacity - 1);

    [Fact]
    public void Every_counter_shown_has_a_name_of_its_own()
    {
        byte[] shown = [.. VpStats.Causes, .. VpStats.Consequences];
        string[] names = shown.Select(counter => Encoding.UTF8.GetString(VpStats.NameOf(counter))).ToArray();
        Assert.DoesNotContain("", names);
        Assert.Equal(shown.Length, shown.Distinct().Count());
        Assert.Equal(names.Length, names.Distinct().Count());
        for (uint i = 0; i < VpStats.Limit + 10; i++) Assert.Equal(shown.Contains((byte)i), VpStats.NameOf(i).Length != 0);
    }

    [Fact]
    public void Readings_are_summed_and_subtracted() => Gen.Select(Gen.ULong.Array[512], Gen.ULong.Array[512]).Sample((first, second) =>
    {
        HvStatsPage page;
        VpStats stats = default, earlier = default;
        new Span<ulong>(first).CopyTo(new Span<ulong>(&page, 512));
        stats.Add(&page);
        earlier.Add(&page);
        new Span<ulong>(second).CopyTo(new Span<ulong>(&page, 512));
        stats.Add(&page);
        for (uint i = 0; i < VpStats.Limit; i++) Assert.Equal(unchecked(first[i] + second[i]), stats[i]);
        stats.Subtract(earlier);
        for (uint i = 0; i < VpStats.Limit; i++) Assert.Equal(second[i], stats[i]);
        Assert.Equal(0UL, stats[VpStats.Limit]);
    }, iter: 200);

    [Fact]
    public void A_page_is_mapped_by_the_roots_means_and_reported_by_the_vms_name()
    {
        WorkerHost.BootRoot();
        WorkerHost.Command("vm start tiny");
        byte* name = stackalloc byte[4];
        "tiny"u8.CopyTo(new Span<byte>(name, 4));
        PartitionAccount root = new() { Id = PartitionId.Self, IsRoot = true }, account = new() { Id = new(FakeCore.ChildId), NameData = name, NameLength = 4 };
        // The root's account is empty, so that the table that a mapping may take has to be deposited first.
        FakePartition own = FakeCore.Root;
        own.Used.AddRange(own.Free);
        own.Free.Clear();
        Assert.True(StatsCalls.MapVp(&root, &account, new VpIndex(1), out ulong page).IsSuccess);
        Assert.Equal((FakeCore.Child.StatsPages[1], 64UL), (page, root.DepositedPages));
        Assert.True(StatsCalls.UnmapVp(&account, new VpIndex(1)).IsSuccess);
        Assert.Empty(FakeCore.Child.StatsPages);
        int lines = Lamina.Root.Kernel.ConsoleOutput.Lines.Count;
        Assert.True(StatsCalls.MapVp(&root, &account, new VpIndex(9), out page) == HvStatus.HV_STATUS_INVALID_VP_INDEX && page == 0);
        Assert.Equal(["VM tiny: HvCallMapStatsPage: HV_STATUS_INVALID_VP_INDEX"], Lamina.Root.Kernel.ConsoleOutput.Lines.Skip(lines));
        WorkerHost.Command("vm stop tiny");
    }
}
