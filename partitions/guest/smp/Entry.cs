// The order of events of the guest with several processors: find them, run all tests, print the sum, end by the debug-exit port.
using System;
using System.Runtime;
using Lamina.Text;

namespace Lamina.Guest.Smp;

public static unsafe class Entry
{
    /// <summary>Called by start.asm with what the boot loader left in EAX and EBX.</summary>
    [RuntimeExport("guest_main")]
    private static void Main(uint magic, uint information)
    {
        Machine.Initialize(magic, information);
        Processors.Initialize();
        Introduce();
        if (HvCpuid.IsPresent)
        {
            Hypercalls.Enable();
            Processors.CanCall = true;
        }
        Rounds.AreFew = IsWord("short"u8);
        StartTests.Run();
        if (IsWord("busy"u8)) Busy.Run();
        if (IsWord("spin"u8)) Spin.Run();
        if (Wants("ipi"u8)) IpiTests.Run();
        if (Wants("wake"u8)) WakeTests.Run();
        if (Wants("tlb"u8)) TlbTests.Run();
        if (Wants("clock"u8)) ClockTests.Run();
        if (Wants("timer"u8)) TimerTests.Run();
        if (Wants("memory"u8)) MemoryTests.Run();
        if (Wants("registers"u8)) RegisterTests.Run();
        if (Wants("start"u8)) StartTests.RunLast();
        if (Wants("x2apic"u8)) IpiTests.RunX2Apic();
        Check.Summary("smp"u8);
        Machine.Leave(Check.Failures == 0 ? 0u : 1u);
    }

    private static bool IsWord(ReadOnlySpan<byte> word) => BootInformation.LastWord.SequenceEqual(word);

    /// <summary>A topic is run when the command line's last word names it, or none.</summary>
    private static bool Wants(ReadOnlySpan<byte> topic) => BootInformation.LastWord.Length == 0 || IsWord("short"u8) || IsWord(topic);

    private static void Introduce()
    {
        byte* buffer = stackalloc byte[128];
        var line = new TextWriter(buffer, 128);
        line.Text("smp: "u8).Decimal((ulong)Processors.Count).Text(" processors, "u8).Decimal(BootInformation.MemoryEnd >> 20).Text(" MiB, TSC "u8)
            .Decimal(Clock.TscHz / 1000).Text(" kHz, "u8).Text(HvCpuid.IsPresent ? "Hyper-V interface"u8 : "bare machine"u8);
        Serial.Line(line.Written);
    }
}
