// The core's counters of the machine's processors.
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Root.Worker;

namespace Lamina.Root.Kernel;

public static unsafe class ProcessorCounters
{
    public const uint Maximum = 64;

    private struct Pages { public fixed ulong Numbers[(int)Maximum]; }
    private static class Storage { internal static Pages Pages; }

    /// <summary>Reads a processor's counters; false: there is no such processor, or the core does not show it.</summary>
    public static bool TryRead(uint index, out ProcessorReading reading)
    {
        reading = default;
        if (index >= Maximum || !StatsCalls.TryMapProcessor(VmWorker.Root, index, out ulong number)) return false;
        // The page lies in the core's memory, which the boot map keeps out of the root's tables.
        if (Storage.Pages.Numbers[index] != number && !AddressSpace.TryMapFirmware(number << PageCount.PageShift, PageCount.PageSize)) return false;
        Storage.Pages.Numbers[index] = number;
        ulong* counters = (ulong*)(number << PageCount.PageShift);
        reading.Time = counters[HvStatsLpCounters.LpGlobalTime];
        reading.Run = counters[HvStatsLpCounters.LpTotalRunTime];
        reading.Switches = counters[HvStatsLpCounters.LpContextSwitches];
        reading.Halts = counters[HvStatsLpCounters.LpProcessorHalts];
        reading.Interrupts = counters[HvStatsLpCounters.LpHardwareInterrupts] + counters[HvStatsLpCounters.LpInterProcessorInterrupts] + counters[HvStatsLpCounters.LpTimerInterrupts];
        return true;
    }
}
