// What a logical processor of the machine did, from the core's counters, and the difference of two readings.
namespace Lamina.Root.Worker;

/// <summary>What a logical processor did, as of a moment. Times in 100 ns.</summary>
public struct ProcessorReading
{
    public ulong Time, Run, Switches, Halts, Interrupts;

    public readonly ProcessorReading Since(in ProcessorReading earlier) => new()
    {
        Time = Time - earlier.Time,
        Run = Run - earlier.Run,
        Switches = Switches - earlier.Switches,
        Halts = Halts - earlier.Halts,
        Interrupts = Interrupts - earlier.Interrupts,
    };
}
