// Counters of virtual processors: summed up, subtracted from later ones, and put into words for the console.
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.Text;
using static Lamina.Abi.HvStatsVpCounters;

namespace Lamina.Root.Hypercalls;

/// <summary>
/// A reading. What a piece of work costs is the difference of two:
/// <code>VpStats before = default; before.Add(page); … VpStats cost = default; cost.Add(page); cost.Subtract(before); line.Stats(cost);</code>
/// </summary>
public unsafe struct VpStats
{
    /// <summary>Counters from this number on are no causes of entries into the core, nor anything else that this core counts.</summary>
    public const uint Limit = VpLocalIoTlbFlushCost + 1;

    private fixed ulong counters[(int)Limit];

    /// <summary>A counter by its number in <see cref="HvStatsVpCounters"/>.</summary>
    public readonly ulong this[uint counter] => counter < Limit ? counters[counter] : 0;

    /// <summary>Adds what a mapped page says now: of each of a VM's processors, for the VM.</summary>
    public void Add(HvStatsPage* page)
    {
        for (uint i = 0; i < Limit; i++) counters[i] += Volatile.Read(ref page->Counters[i]);
    }

    /// <summary>What has come since an earlier reading of the same processors.</summary>
    public void Subtract(in VpStats earlier)
    {
        for (uint i = 0; i < Limit; i++) counters[i] -= earlier.counters[i];
    }

    /// <summary>Entries into the core: each has one cause.</summary>
    public readonly ulong Entries
    {
        get
        {
            ulong sum = 0;
            foreach (byte cause in Causes) sum += counters[cause];
            return sum;
        }
    }

    /// <summary>Counters of which every entry raises exactly one, in the order in which they are shown.</summary>
    internal static ReadOnlySpan<byte> Causes => [
        (byte)VpHypercallsCount, (byte)VpMsrAccessesCount, (byte)VpApicEoiAccesses, (byte)VpApicTprAccesses, (byte)VpApicIpisSent, (byte)VpApicSelfIpisSent,
        (byte)VpApicMmioAccesses, (byte)VpIoInstructionsCount, (byte)VpNestedPageFaultInterceptsCount, (byte)VpPageFaultInterceptsCount,
        (byte)VpExternalInterruptsCount, (byte)VpPendingInterruptsCount, (byte)VpHltInstructionsCount, (byte)VpMwaitInstructionsCount,
        (byte)VpCpuidInstructionsCount, (byte)VpControlRegisterAccessesCount, (byte)VpOtherInterceptsCount];

    /// <summary>What followed from entries, and is shown behind them.</summary>
    internal static ReadOnlySpan<byte> Consequences => [
        (byte)VpVirtualInterrupts, (byte)VpIoInterceptMessages, (byte)VpMemoryInterceptMessages, (byte)VpOtherMessages];

    /// <summary>The counter's words on the console; empty for one that is not shown.</summary>
    internal static ReadOnlySpan<byte> NameOf(uint counter) => counter switch
    {
        VpHypercallsCount => "hypercalls"u8,
        VpMsrAccessesCount => "MSRs"u8,
        VpApicEoiAccesses => "APIC EOI"u8,
        VpApicTprAccesses => "APIC TPR"u8,
        VpApicIpisSent => "IPIs"u8,
        VpApicSelfIpisSent => "self-IPIs"u8,
        VpApicMmioAccesses => "other APIC accesses"u8,
        VpIoInstructionsCount => "I/O ports"u8,
        VpNestedPageFaultInterceptsCount => "GPA faults"u8,
        VpPageFaultInterceptsCount => "page faults"u8,
        VpExternalInterruptsCount => "external interrupts"u8,
        VpPendingInterruptsCount => "interrupt windows"u8,
        VpHltInstructionsCount => "HLT"u8,
        VpMwaitInstructionsCount => "MWAIT"u8,
        VpCpuidInstructionsCount => "CPUID"u8,
        VpControlRegisterAccessesCount => "control registers"u8,
        VpOtherInterceptsCount => "others"u8,
        VpVirtualInterrupts => "interrupts taken"u8,
        VpIoInterceptMessages => "I/O messages to the root"u8,
        VpMemoryInterceptMessages => "memory messages to the root"u8,
        VpOtherMessages => "other messages to the root"u8,
        _ => default,
    };
}

public static class VpStatsText
{
    /// <summary>What the longest text takes.</summary>
    public const int Capacity = 1024;

    /// <summary>"130 entries: hypercalls 123, MSRs 7; interrupts taken 5, other messages to the root 1": what is 0 is left out.</summary>
    public static ref TextWriter Stats(this ref TextWriter writer, in VpStats stats)
    {
        writer.Decimal(stats.Entries).Text(stats.Entries == 1 ? " entry"u8 : " entries"u8);
        Append(ref writer, stats, VpStats.Causes, ": "u8);
        Append(ref writer, stats, VpStats.Consequences, "; "u8);
        return ref writer;
    }

    private static void Append(ref TextWriter writer, in VpStats stats, ReadOnlySpan<byte> counters, ReadOnlySpan<byte> separator)
    {
        bool isFirst = true;
        foreach (byte counter in counters)
        {
            if (stats[counter] == 0) continue;
            writer.Text(isFirst ? separator : ", "u8).Text(VpStats.NameOf(counter)).Char((byte)' ').Decimal(stats[counter]);
            isFirst = false;
        }
    }
}
