// Time: how fast the TSC and the APIC timer run, and reference time (100 ns units) from the TSC.
using Lamina.Hypervisor.Diagnostics;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Hypervisor.Core;

public static unsafe class Clock
{
    /// <summary>Frequency that virtual APIC timers run at; what HV_X64_MSR_APIC_FREQUENCY says.</summary>
    public const uint VirtualApicHz = 200_000_000;
    private const ulong PmTimerHz = 3_579_545;
    private const ulong CalibrationTicks = PmTimerHz / 50; // 20 ms

    private static ulong tscHz, apicHz, apicPerTsc, referencePerTsc;

    public static ulong TscHz => tscHz;
    /// <summary>TSC ticks per slice of the given length.</summary>
    public static ulong FromMicroseconds(ulong microseconds) => tscHz / 1_000_000 * microseconds;

    /// <summary>A number of TSC ticks in units of 100 ns, rounded down.</summary>
    public static ulong ToReferenceTicks(ulong tscTicks) => Instructions.MultiplyHigh(tscTicks, referencePerTsc);

    public static ulong Now => Instructions.RdTsc();

    public static void Initialize()
    {
        Calibrate();
        uint* registers = stackalloc uint[4];
        // SDM 2A, "CPUID": leaf 15H gives the exact ratio to the crystal where the processor knows it.
        Instructions.Cpuid(0, 0, registers);
        if (registers[0] >= 0x15)
        {
            Instructions.Cpuid(0x15, 0, registers);
            if (registers[0] != 0 && registers[1] != 0 && registers[2] != 0)
                tscHz = (ulong)registers[2] * registers[1] / registers[0];
        }
        referencePerTsc = Instructions.Divide128(Synic.ReferenceTime.TicksPerSecond, 0, tscHz);
        apicPerTsc = Instructions.Divide128(apicHz, 0, tscHz < apicHz + 1 ? apicHz + 1 : tscHz);
    }

    private static void Calibrate()
    {
        if (!AcpiTables.TryGetPmTimer(out ushort port, out uint mask))
            Panic.Stop("require: ACPI PM timer (FADT PM_TMR_BLK) to measure the TSC by"u8);
        PhysicalApic.StartCalibration();
        Reading first = ReadTogether(port, mask);
        while (((Instructions.In32(port) - first.Pm) & mask) < CalibrationTicks) { }
        Reading last = ReadTogether(port, mask);
        uint elapsed = (last.Pm - first.Pm) & mask;
        ulong tscTicks = last.Tsc - first.Tsc;
        ulong apicTicks = last.Apic - first.Apic;
        PhysicalApic.SetTimer(ulong.MaxValue, 0);
        tscHz = tscTicks * PmTimerHz / elapsed;
        apicHz = apicTicks * PmTimerHz / elapsed;
    }

    private struct Reading
    {
        public uint Pm, Apic;
        public ulong Tsc;
    }

    // The three counters at one time. Firmware (SMIs) or an emulator's host may hold the processor up between two of them,
    // for milliseconds: of several readings the quickest is taken.
    private static Reading ReadTogether(ushort port, uint mask)
    {
        const int attempts = 16;
        Reading best = default;
        ulong shortest = ulong.MaxValue;
        for (int i = 0; i < attempts; i++)
        {
            ulong before = Instructions.RdTscOrdered();
            uint pm = Instructions.In32(port) & mask, apic = PhysicalApic.CalibrationTicks;
            ulong took = Instructions.RdTscOrdered() - before;
            if (took >= shortest)
                continue;
            shortest = took;
            best.Pm = pm;
            best.Apic = apic;
            best.Tsc = before + took / 2;
        }
        return best;
    }

    /// <summary>APIC timer ticks for a distance in TSC ticks: rounded up, at least 1, and cut off at the counter's width.</summary>
    public static uint ToApicTicks(ulong tscTicks)
    {
        if (tscTicks >> 40 != 0)
            return uint.MaxValue;
        ulong ticks = Instructions.MultiplyHigh(tscTicks, apicPerTsc) + 1;
        return ticks > uint.MaxValue ? uint.MaxValue : (uint)ticks;
    }

    /// <summary>Reference time of a partition, in 100 ns.</summary>
    public static ulong ReferenceTime(Partition* partition) => partition->Time.FromTsc(Instructions.RdTsc() + partition->TscOffset);

    /// <summary>The first host TSC value at which a partition's reference time is at least <paramref name="reference"/>; MaxValue for never.</summary>
    public static ulong ToTsc(Partition* partition, ulong reference, ulong now)
    {
        ulong guest = partition->Time.ToTsc(reference);
        // A guest whose counter wraps has reference time run backwards: what the two disagree upon never comes, rather than at once and for ever.
        if (guest <= now + partition->TscOffset && partition->Time.FromTsc(now + partition->TscOffset) < reference)
            return ulong.MaxValue;
        return GuestDeadline.ToHost(guest, partition->TscOffset, now);
    }

    public static void Report()
    {
        byte* buffer = stackalloc byte[96];
        TextWriter line = new(buffer, 96);
        line.Text("hypervisor: TSC "u8).Decimal(tscHz / 1000).Text(" kHz, APIC timer "u8).Decimal(apicHz / 1000).Text(" kHz"u8)
            .Text(PhysicalApic.UsesTscDeadline ? ", TSC deadline"u8 : ", one-shot"u8);
        DebugConsole.Line(line.Written);
    }
}
