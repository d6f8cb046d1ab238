// What a virtual processor has used, from the core's counters, and the difference of two readings as a row of "top".
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Text;

namespace Lamina.Root.Worker;

/// <summary>Times in 100 ns.</summary>
public struct ProcessorUsage
{
    public ulong Run, Wait, Dispatches;

    public static ProcessorUsage From(in VpStats stats) => new()
    {
        Run = stats[HvStatsVpCounters.VpTotalRunTime],
        Wait = stats[HvStatsVpCounters.VpWaitingForCpuTime],
        Dispatches = stats[HvStatsVpCounters.VpLogicalProcessorDispatches],
    };

    public readonly ProcessorUsage Since(in ProcessorUsage earlier) =>
        new() { Run = Run - earlier.Run, Wait = Wait - earlier.Wait, Dispatches = Dispatches - earlier.Dispatches };
}

public static class UsageText
{
    public const int VpColumn = 24, RunColumn = 28, WaitColumn = 38, DispatchesColumn = 48, WeightColumn = 61, CapColumn = 70, ReserveColumn = 78;

    public static ref TextWriter Header(this ref TextWriter line) => ref line.Text("NAME"u8).Column(VpColumn).Text("VP"u8).Column(RunColumn).Text("RUN"u8).Column(WaitColumn)
        .Text("WAIT"u8).Column(DispatchesColumn).Text("DISPATCHES"u8).Column(WeightColumn).Text("WEIGHT"u8).Column(CapColumn).Text("CAP"u8).Column(ReserveColumn).Text("RESERVE"u8);

    /// <summary>"14.3 %": a part of a time.</summary>
    public static ref TextWriter Share(this ref TextWriter line, ulong part, ulong whole)
    {
        ulong thousandths = whole == 0 ? 0 : (part * 1000 + whole / 2) / whole;
        return ref line.Decimal(thousandths / 10).Char((byte)'.').Decimal(thousandths % 10).Text(" %"u8);
    }

    /// <summary>The columns of a virtual processor, behind its name and number.</summary>
    public static ref TextWriter Usage(this ref TextWriter line, in ProcessorUsage usage, ulong elapsed)
    {
        line.Column(RunColumn).Share(usage.Run, elapsed).Column(WaitColumn).Share(usage.Wait, elapsed).Column(DispatchesColumn).Decimal(usage.Dispatches);
        return ref line;
    }
}
