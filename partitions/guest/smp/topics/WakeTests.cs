// Interrupts that come just when a processor halts: none may be slept over.
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

/// <summary>
/// Round by round one processor says that it is about to halt, and another sends an interrupt a random moment later: before the HLT, in it, or while it
/// is being carried out. Whoever does not wake is found out by time.
/// </summary>
public static unsafe class WakeTests
{
    private const byte Vector = 0x61, AnswerVector = 0x62, Nmi = 2;
    private const ulong MostRounds = 10_000, Milliseconds = 1500;
    private const uint MostPauses = 400;

    private static bool byCall, byNmi, idles;

    public static void Run()
    {
        Check.Run("wake.hlt"u8, &ByInterrupt);
        Check.RunHv("wake.hlt-cluster-ipi"u8, &ByCall);
        Check.Run("wake.hlt-nmi"u8, &ByNmi);
        Check.RunHv("wake.guest-idle"u8, &WithIdleRegister);
        Check.Run("wake.both-halt"u8, &BothHalt);
        Check.Run("wake.all-at-once"u8, &AllAtOnce);
    }

    private static void ByInterrupt() => OneByOne("wake-ups from HLT"u8, false, false, false);
    private static void ByCall() => OneByOne("wake-ups by cluster IPI"u8, true, false, false);
    private static void ByNmi() => OneByOne("wake-ups by NMI"u8, false, true, false);

    private static void WithIdleRegister()
    {
        if (HvCpuid.Has(PartitionPrivileges.AccessGuestIdleMsr)) OneByOne("wake-ups from the idle register"u8, false, false, true);
        else Check.Skip("no privilege"u8);
    }

    private static byte Awaited => byNmi ? Nmi : Vector;

    /// <summary>Progress: rounds that it is about to halt in; Result: rounds it has woken in.</summary>
    private static void Halt(Processor* processor)
    {
        while (!Crew.IsStopped)
        {
            ulong round = processor->Progress + 1;
            Instructions.Cli();
            Volatile.Write(ref processor->Progress, round);
            for (uint i = processor->Random() % MostPauses; i > 0; i--) Instructions.Pause();
            while (processor->Count(Awaited) < round && !Crew.IsStopped)
            {
                if (idles) IdleOnce();
                else Instructions.StiHlt();
                Instructions.Cli();
            }
            Volatile.Write(ref processor->Result, round);
        }
    }

    // The read comes back with the interrupt requested, and it is taken behind it.
    private static void IdleOnce()
    {
        Instructions.RdMsr(HvMsr.HV_X64_MSR_GUEST_IDLE);
        Instructions.Sti();
        Instructions.Pause();
    }

    private static void OneByOne(System.ReadOnlySpan<byte> name, bool call, bool nmi, bool idle)
    {
        if (!Crew.HasOthers) return;
        byCall = call;
        byNmi = nmi;
        idles = idle;
        Crew.Start(&Halt);
        Processor* self = Processors.At(0);
        Rounds rounds = new(MostRounds, Milliseconds);
        ulong* sent = stackalloc ulong[Processors.Maximum];
        for (int i = 0; i < Processors.Count; i++) sent[i] = 0;
        ulong total = 0;
        bool lost = false;
        while (!lost && rounds.Next())
        {
            Processor* target = Processors.At(1 + (int)(rounds.Begun % (ulong)(Processors.Count - 1)));
            ulong round = ++sent[target->Index];
            if (!WaitFor(ref target->Progress, round)) { Check.Equal("begins round"u8, target->Progress, round); break; }
            for (uint i = self->Random() % MostPauses; i > 0; i--) Instructions.Pause();
            Send(target);
            lost = !WaitFor(ref target->Result, round);
            if (lost) Check.Fail("a processor did not wake in round "u8, round);
            total++;
        }
        // Those who wait for their next round are let go: stopped first, then woken.
        EndHalting();
        if (!lost)
            for (int i = 1; i < Processors.Count; i++) Check.Between("interrupts"u8, Processors.At(i)->Count(Awaited), sent[i], sent[i] + 1);
        Crew.Note(name, total, "rounds"u8);
    }

    private static void EndHalting()
    {
        Crew.Stop();
        for (int i = 1; i < Processors.Count; i++) Send(Processors.At(i));
        Crew.End();
    }

    private static bool WaitFor(ref ulong word, ulong value)
    {
        Patience patience = new(Clock.Patience);
        while (Volatile.Read(ref word) < value)
            if (patience.IsOver) return false;
        return true;
    }

    private static void Send(Processor* target)
    {
        if (byCall) Processors.Call(new HypercallInput(HypercallCode.HvCallSendSyntheticClusterIpi).WithFast(true).Value, Vector, 1ul << (int)target->Index);
        else LocalApic.SendTo(target->ApicId, InterruptCommand.Of(byNmi ? DeliveryMode.NMI : DeliveryMode.Fixed, byNmi ? (byte)0 : Vector));
    }

    // ---- Two that both sleep ----

    // Each halts until the other's interrupt is there; what wakes the first is the answer to its own.
    private static void BothHalt()
    {
        if (!Crew.HasOthers) return;
        Crew.Begin();
        byNmi = byCall = idles = false;
        Processors.SetHook(&Answer);
        Processor* self = Processors.At(0);
        Rounds rounds = new(MostRounds, Milliseconds);
        ulong start = Instructions.RdTsc();
        HaltGuard.Begin();
        while (rounds.Next())
        {
            Processor* target = Processors.At(1 + (int)(rounds.Begun % (ulong)(Processors.Count - 1)));
            Instructions.Cli();
            Send(target);
            while (self->Count(AnswerVector) < rounds.Begun && !HaltGuard.HasEnded)
            {
                Instructions.StiHlt();
                Instructions.Cli();
            }
            if (self->Count(AnswerVector) >= rounds.Begun) continue;
            Check.Fail("no answer in round "u8, rounds.Begun);
            break;
        }
        ulong ticks = Instructions.RdTsc() - start;
        HaltGuard.End();
        Processors.SetHook(null);
        if (rounds.Begun != 0) Crew.Note("IPI there and back, both halted"u8, ticks / rounds.Begun, "ticks"u8);
    }

    private static void Answer(Processor* processor, byte vector)
    {
        if (vector == Vector && processor->Index != 0)
            LocalApic.SendTo(Processors.At(0)->ApicId, InterruptCommand.Of(DeliveryMode.Fixed, AnswerVector));
    }

    // ---- Many at once ----

    private static void AllAtOnce()
    {
        if (!Crew.HasOthers) return;
        byNmi = byCall = idles = false;
        Crew.Start(&Halt);
        Rounds rounds = new(MostRounds / 10, Milliseconds);
        bool lost = false;
        while (!lost && rounds.Next())
        {
            for (int i = 1; i < Processors.Count; i++) lost |= !WaitFor(ref Processors.At(i)->Progress, rounds.Begun);
            for (uint i = Processors.At(0)->Random() % MostPauses; i > 0; i--) Instructions.Pause();
            LocalApic.Send(InterruptCommand.Of(DeliveryMode.Fixed, Vector).WithDestinationShorthand(InterruptCommand.AllExcludingSelf));
            for (int i = 1; i < Processors.Count; i++) lost |= !WaitFor(ref Processors.At(i)->Result, rounds.Begun);
            if (lost) Check.Fail("a processor did not wake in round "u8, rounds.Begun);
        }
        EndHalting();
        Crew.Note("wake-ups of all"u8, rounds.Begun, "rounds"u8);
    }
}

/// <summary>A timer of the APIC that ends a halt which nothing else would end.</summary>
public static class HaltGuard
{
    private const byte Vector = 0x6F;
    private static ulong start;

    public static void Begin()
    {
        start = Instructions.RdTsc();
        LocalApic.StartTimer(Vector, LocalApic.PeriodicBit, 0x0400_0000);
    }

    /// <summary>Halted for so long that nothing will come any more.</summary>
    public static bool HasEnded => Instructions.RdTsc() - start > Clock.Ticks(3 * Clock.Patience);

    public static void End() => LocalApic.StopTimer();
}
