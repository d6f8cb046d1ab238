// Reference counter, reference TSC page, frequencies. TLFS, "Partition Reference Time Enlightenment".
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class TimeChecks
{
    /// <summary>Reference units by which page and counter may differ: rounding of the scale.</summary>
    private const ulong Rounding = 10;

    public static void Run()
    {
        Check.RunHv("time.counter-rises"u8, &CounterRises);
        Check.RunHv("time.tsc-page"u8, &TscPage);
        Check.RunHv("time.tsc-page-agrees"u8, &TscPageAgrees);
        Check.RunHv("time.tsc-page-is-overlay"u8, &TscPageIsOverlay);
        Check.RunHv("time.tsc-frequency"u8, &TscFrequency);
        Check.RunHv("time.apic-frequency"u8, &ApicFrequency);
        Check.RunHv("time.vp-runtime"u8, &VpRuntime);
        Check.Run("time.tsc-rises"u8, &TscRises);
    }

    private static ReferenceTscPage* Page => (ReferenceTscPage*)GuestPages.ReferenceTsc;

    private static void Enable() => Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, GuestPages.ReferenceTsc | 1);
    private static void Disable() => Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, 0);

    /// <summary>As a guest reads it.</summary>
    private static ulong ReadPage()
    {
        while (true)
        {
            uint sequence = Volatile.Read(ref Page->TscSequence);
            ulong time = Instructions.MultiplyHigh(Instructions.RdTscOrdered(), Volatile.Read(ref Page->TscScale)) + (ulong)Volatile.Read(ref Page->TscOffset);
            if (Volatile.Read(ref Page->TscSequence) == sequence) return time;
        }
    }

    private static void CounterRises()
    {
        ulong last = Clock.Reference;
        for (int i = 0; i < 1000; i++)
        {
            ulong now = Clock.Reference;
            if (!Check.That(now >= last, "it went back"u8)) return;
            last = now;
        }
        ulong start = Clock.Reference;
        Clock.Spin(1000);
        Check.That(Clock.Reference > start, "it stands still"u8);
    }

    private static void TscPage()
    {
        Enable();
        Check.Equal("the register"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC), GuestPages.ReferenceTsc | 1);
        Check.That(Volatile.Read(ref Page->TscSequence) != ReferenceTscPage.InvalidSequence, "the sequence is 0: invalid"u8);
        Check.That(Volatile.Read(ref Page->TscScale) != 0, "the scale is 0"u8);
        Disable();
    }

    // Page between two counters, then counter between two pages.
    private static void TscPageAgrees()
    {
        Enable();
        for (int i = 0; i < 100; i++)
        {
            ulong before = Clock.Reference, page = ReadPage(), after = Clock.Reference;
            if (!Check.Between("page between two counters"u8, page, before - Rounding, after + Rounding)) break;
            before = ReadPage();
            ulong counter = Clock.Reference;
            after = ReadPage();
            if (!Check.Between("counter between two pages"u8, counter, before - Rounding, after + Rounding)) break;
        }
        Disable();
    }

    private static void TscPageIsOverlay()
    {
        *(ulong*)GuestPages.ReferenceTsc = 0x5555555555555555;
        Enable();
        ulong shown = Mmio.Read64(GuestPages.ReferenceTsc);
        Disable();
        Check.That(shown != 0x5555555555555555, "enabling shows what was there"u8);
    }

    private static void TscFrequency()
    {
        ulong hz = Instructions.RdMsr(HvMsr.HV_X64_MSR_TSC_FREQUENCY);
        ulong reference = Clock.ReadTogether(&Clock.ReadReference, out ulong tsc);
        Clock.Spin(20_000);
        ulong passed = Clock.ReadTogether(&Clock.ReadReference, out ulong ticks) - reference;
        ticks -= tsc;
        ulong measured = ticks * 10_000 / passed; // kHz
        Check.Between("kHz by the counter"u8, measured, hz / 1000 * 99 / 100, hz / 1000 * 101 / 100);
    }

    private static void ApicFrequency() =>
        Check.Between("Hz"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_APIC_FREQUENCY), 1_000_000, 10_000_000_000);

    private static void VpRuntime()
    {
        if (!HvCpuid.Has(PartitionPrivileges.AccessVpRunTimeMsr)) { Check.Skip("no privilege"u8); return; }
        ulong before = Instructions.RdMsr(HvMsr.HV_X64_MSR_VP_RUNTIME);
        Clock.Spin(5000);
        Check.That(Instructions.RdMsr(HvMsr.HV_X64_MSR_VP_RUNTIME) > before, "it stands still"u8);
    }

    private static void TscRises()
    {
        ulong last = Instructions.RdTsc();
        for (int i = 0; i < 1000; i++)
        {
            if (i % 10 == 0) CpuidLeafValue.Read(1);
            ulong now = Instructions.RdTsc();
            if (!Check.That(now >= last, "it went back"u8)) return;
            last = now;
        }
    }
}
