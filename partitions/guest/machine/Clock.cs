// The TSC as the measure of all waiting, and the clocks it is calibrated by.
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class Clock
{
    /// <summary>How long a check waits for what must come, in ms: emulators on busy machines are slow, and waiting ends early.</summary>
    public const ulong Patience = 3000;
    private const ulong DefaultHz = 1_000_000_000;

    private static ulong tscHz;

    public static ulong TscHz => tscHz == 0 ? DefaultHz : tscHz;

    /// <summary>By the hypervisor's word, else by the ACPI timer, else a guess.</summary>
    public static void Initialize()
    {
        if (HvCpuid.IsPresent && Msrs.TryRead(HvMsr.HV_X64_MSR_TSC_FREQUENCY, out ulong hz) && hz != 0) tscHz = hz;
        else if (PmTimer.IsPresent) tscHz = PmTimer.MeasureTsc(20);
    }

    public static ulong Ticks(ulong milliseconds) => TscHz / 1000 * milliseconds;
    public static ulong TicksOfMicroseconds(ulong microseconds) => TscHz / 1000 * microseconds / 1000;
    public static ulong ToMicroseconds(ulong ticks) => ticks / (TscHz / 1_000_000);

    public static void Spin(ulong microseconds)
    {
        ulong start = Instructions.RdTsc(), limit = TicksOfMicroseconds(microseconds);
        while (Instructions.RdTsc() - start < limit) Instructions.Pause();
    }

    /// <summary>
    /// Reads another clock and the TSC at one time. A processor that others use, too, may pause between two readings: of up to
    /// twenty pairs the closest counts.
    /// </summary>
    public static ulong ReadTogether(delegate*<ulong> read, out ulong tsc)
    {
        ulong best = ulong.MaxValue, value = 0, close = TicksOfMicroseconds(20);
        tsc = 0;
        for (int i = 0; i < 20 && best > close; i++)
        {
            ulong before = Instructions.RdTsc(), now = read(), distance = Instructions.RdTsc() - before;
            if (distance >= best) continue;
            best = distance;
            value = now;
            tsc = before + distance / 2;
        }
        return value;
    }

    /// <summary>The hypervisor's reference counter, 100 ns.</summary>
    public static ulong Reference => Instructions.RdMsr(HvMsr.HV_X64_MSR_TIME_REF_COUNT);
    public static ulong ReadReference() => Reference;
}
