// The checks guest's order of events: settle in, run all checks, print the sum, end by the debug-exit port.
using System;
using System.Runtime;
using Lamina.Text;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class Entry
{
    private const ushort DebugExitPort = 0xF4;

    /// <summary>Called by start.asm with what the boot loader left in EAX and EBX.</summary>
    [RuntimeExport("guest_main")]
    private static void Main(uint magic, uint information)
    {
        MaskLegacyInterrupts();
        Serial.Initialize();
        DescriptorTables.Initialize();
        LocalApic.Initialize();
        BootInformation.Initialize(magic, information);
        Clock.Initialize();
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
        Check.Summary();
        Leave(Check.Failures == 0 ? 0u : 1u);
    }

    /// <summary>An exception outside of any check: there is no way on.</summary>
    public static void Die(InterruptFrame* frame)
    {
        byte* buffer = stackalloc byte[96];
        var line = new TextWriter(buffer, 96);
        line.Text("FAIL guest exception "u8).Decimal(frame->Vector).Text(" error "u8).Hex(frame->ErrorCode).Text(" at "u8).Hex(frame->Rip);
        Serial.Line(line.Written);
        Leave(2);
    }

    // A bare machine has 8259s, whose vectors are those of exceptions; where there are none, the writes vanish.
    private static void MaskLegacyInterrupts()
    {
        Instructions.Out8(0x21, 0xFF);
        Instructions.Out8(0xA1, 0xFF);
    }

    private static void Leave(uint code)
    {
        Instructions.Out32(DebugExitPort, code);
        while (true)
        {
            Instructions.Cli();
            Instructions.Hlt();
        }
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

/// <summary>What the Multiboot loader said.</summary>
public static unsafe class BootInformation
{
    private const uint LoaderMagic = 0x2BADB002, HasMemory = 1;
    private const ulong DefaultEnd = 16 << 20;

    /// <summary>End of the memory that starts at 1 MiB.</summary>
    public static ulong MemoryEnd { get; private set; }

    public static bool IsMultiboot { get; private set; }

    public static void Initialize(uint magic, uint information)
    {
        IsMultiboot = magic == LoaderMagic;
        uint* info = (uint*)(ulong)information;
        MemoryEnd = IsMultiboot && (info[0] & HasMemory) != 0 ? (1UL << 20) + ((ulong)info[2] << 10) : DefaultEnd;
    }
}
