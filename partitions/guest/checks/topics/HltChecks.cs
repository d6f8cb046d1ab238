// Halting and waking, and the instructions after which interrupts wait.
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class HltChecks
{
    private const byte Vector = 0x52, TimerVector = 0x71;

    public static void Run()
    {
        Check.Run("hlt.wakes-by-apic-timer"u8, &WakesByApicTimer);
        Check.RunHv("hlt.wakes-by-direct-timer"u8, &WakesByDirectTimer);
        Check.Run("hlt.pending-interrupt"u8, &PendingInterrupt);
        Check.Run("hlt.many-times"u8, &ManyTimes);
        Check.Run("hlt.wakes-by-nmi"u8, &WakesByNmi);
        Check.Run("nmi.at-once"u8, &NmiAtOnce);
        Check.RunHv("hlt.guest-idle-register"u8, &GuestIdle);
        Check.Run("shadow.sti"u8, &StiShadow);
        Check.Run("shadow.sti-before-cpuid"u8, &StiBeforeCpuid);
        Check.Run("shadow.sti-before-device"u8, &StiBeforeDevice);
        Check.Run("shadow.sti-before-apic-page"u8, &StiBeforeApicPage);
    }

    private static void WakesByApicTimer()
    {
        LocalApic.StartTimer(TimerVector, 0, 500_000);
        RunState state = new();
        state.Run(Code.StiHlt);
        Check.Returned("HLT"u8, state);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 1);
    }

    private static void WakesByDirectTimer()
    {
        SyntheticTimer.StartDirect(0, TimerVector, Clock.Reference + 20_000);
        RunState state = new();
        state.Run(Code.StiHlt);
        Check.Returned("HLT"u8, state);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 1);
    }

    // The timer is the way out should the pending interrupt be lost.
    private static void PendingInterrupt()
    {
        LocalApic.StartTimer(TimerVector, 0, 0x08000000);
        LocalApic.SendSelf(Vector);
        RunState state = new();
        state.Run(Code.StiHlt);
        Check.Equal("interrupts that ended HLT"u8, Interrupts.Count(Vector), 1);
        Check.Equal("timer interrupts"u8, Interrupts.Count(TimerVector), 0);
    }

    private static void ManyTimes()
    {
        for (uint i = 1; i <= 50; i++)
        {
            LocalApic.StartTimer(TimerVector, 0, 20_000);
            RunState state = new();
            state.Run(Code.StiHlt);
            if (!Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), i)) return;
        }
    }

    // An NMI that is pending before HLT ends it although interrupts are disabled; here it comes before, and the timer ends HLT.
    private static void WakesByNmi()
    {
        const byte nmi = 2;
        LocalApic.StartTimer(TimerVector, 0, 100_000);
        LocalApic.SendNmiToSelf();
        RunState state = new();
        state.Run(Code.StiHlt);
        Check.Equal("NMIs"u8, Interrupts.Count(nmi), 1);
    }

    // Behind every one the processor is let to the others, who have NMIs of their own in service: theirs must not keep this one's waiting.
    private static void NmiAtOnce()
    {
        const byte nmi = 2;
        for (uint i = 1; i <= 20; i++)
        {
            LocalApic.SendNmiToSelf();
            CpuidLeafValue.Read(1);
            if (!Check.Equal("NMIs"u8, Interrupts.Count(nmi), i)) return;
            LocalApic.StartTimer(TimerVector, 0, 50_000);
            RunState state = new();
            state.Run(Code.StiHlt);
        }
    }

    // Reading the register halts, whatever RFLAGS.IF says. TLFS, "Guest Idle State".
    private static void GuestIdle()
    {
        if (!HvCpuid.Has(PartitionPrivileges.AccessGuestIdleMsr)) { Check.Skip("no privilege"u8); return; }
        ulong due = Clock.Reference + 20_000;
        SyntheticTimer.StartDirect(0, TimerVector, due);
        RunState state = new() { Rcx = HvMsr.HV_X64_MSR_GUEST_IDLE };
        state.Run(Code.RdMsr);
        ulong woke = Clock.Reference;
        if (!Check.Returned("the read"u8, state)) return;
        Check.That(woke >= due, "it came back before the interrupt"u8);
        Check.Equal("interrupts delivered while disabled"u8, Interrupts.Count(TimerVector), 0);
        Check.That(Interrupts.Wait(TimerVector), "the interrupt was lost"u8);
    }

    private static void StiShadow()
    {
        LocalApic.SendSelf(Vector);
        RunState state = new();
        state.Run(Code.StiShadow);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 1);
        Check.Equal("EAX when the interrupt came"u8, Interrupts.LastRax, 1);
    }

    private static void StiBeforeCpuid()
    {
        RunState state = new();
        ExpectBehind(ref state, Code.StiCpuid, Code.AfterStiCpuid);
    }

    /// <summary>
    /// The interrupt comes behind the instruction after STI. TCG forgets the shadow when a physical interrupt falls into it, which under load happens:
    /// three times in a row it does not.
    /// </summary>
    private static void ExpectBehind(ref RunState state, Code code, Code after)
    {
        const int tries = 3;
        for (int i = 1; i <= tries; i++)
        {
            uint before = Interrupts.Count(Vector);
            LocalApic.SendSelf(Vector);
            state.Run(code);
            uint came = Interrupts.Count(Vector) - before;
            if (i < tries && (came != 1 || Interrupts.LastRip != RunState.AddressOf(after))) continue;
            Check.Equal("interrupts"u8, came, 1);
            Check.Equal("RIP when the interrupt came"u8, Interrupts.LastRip, RunState.AddressOf(after));
            return;
        }
    }

    private static void StiBeforeDevice() => StiBeforeLoad(0xFEC00000);

    private static void StiBeforeApicPage()
    {
        if (LocalApic.IsX2Apic) Check.Skip("in x2APIC mode"u8);
        else StiBeforeLoad(ApicBase.DefaultAddress + ApicRegisters.LocalApicVersion);
    }

    private static void StiBeforeLoad(ulong address)
    {
        RunState state = new() { Rsi = address };
        ExpectBehind(ref state, Code.StiLoad, Code.AfterStiLoad);
    }
}
