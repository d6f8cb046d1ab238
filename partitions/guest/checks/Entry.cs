// The checks guest's order of events: settle in, run all checks, print the sum, end by the debug-exit port.
using System;
using System.Runtime;
using Lamina.Text;

namespace Lamina.Guest;

public static unsafe class Entry
{
    /// <summary>Called by start.asm with what the boot loader left in EAX and EBX.</summary>
    [RuntimeExport("guest_main")]
    private static void Main(uint magic, uint information)
    {
        Machine.Initialize(magic, information);
        Introduce();
        // What has to be tried before hypercalls are enabled comes first, what cannot be undone last.
        HypercallChecks.RunEarly();
        CpuidChecks.Run();
        MsrChecks.Run();
        ExceptionChecks.Run();
        PortChecks.Run();
        MemoryChecks.Run();
        DeviceChecks.Run();
        ApicChecks.Run();
        HltChecks.Run();
        TimeChecks.Run();
        HypercallChecks.Run();
        SynicChecks.Run();
        SyntheticTimerChecks.Run();
        RegisterChecks.Run();
        HostileChecks.Run();
        ApicChecks.RunX2Apic();
        HypercallChecks.RunLast();
        Check.Summary("checks"u8);
        Machine.Leave(Check.Failures == 0 ? 0u : 1u);
    }

    private static void Introduce()
    {
        byte* buffer = stackalloc byte[128];
        var line = new TextWriter(buffer, 128);
        line.Text("checks: "u8).Decimal(BootInformation.MemoryEnd >> 20).Text(" MiB, TSC "u8).Decimal(Clock.TscHz / 1000).Text(" kHz, "u8)
            .Text(HvCpuid.IsPresent ? "Hyper-V interface"u8 : "bare machine"u8);
        Serial.Line(line.Written);
    }
}
