// Processors come up by INIT and start-up IPIs, know who they are, and are stopped by INIT. SDM 3A, "MP Initialization Protocol".
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

public static unsafe class StartTests
{
    public static void Run()
    {
        Check.Run("start.all-come-up"u8, &AllComeUp);
        Check.Run("start.apic-id"u8, &ApicId);
        Check.RunHv("start.vp-index"u8, &VpIndex);
        Check.Run("start.jobs"u8, &Jobs);
    }

    /// <summary>Ends what processors do, so it comes when all else has been seen.</summary>
    public static void RunLast()
    {
        Check.Run("start.startup-ignored-while-running"u8, &StartupIgnored);
        Check.Run("start.init-stops"u8, &InitStops);
        Check.Run("start.init-stops-halted"u8, &InitStopsHalted);
        Check.Run("start.all-at-once"u8, &AllAtOnce);
        Check.Run("start.again-and-again"u8, &AgainAndAgain);
        Check.Run("start.bootstrap-flag"u8, &BootstrapFlag);
    }

    private static void AllComeUp()
    {
        for (int i = 1; i < Processors.Count; i++)
            if (!Check.That(Processors.Start(Processors.At(i)), "one does not come up"u8)) return;
        for (int i = 1; i < Processors.Count; i++) Check.Equal("starts"u8, Processors.At(i)->Starts, 1);
        for (int i = 1; i < Processors.Count; i++) Check.Equal("page it was started at"u8, Processors.At(i)->StartPage, Processors.FirstPage);
    }

    private static void ApicId() => Crew.Run(&CompareApicId);

    private static void CompareApicId(Processor* processor)
    {
        Crew.Equal("ID register"u8, LocalApic.Id, processor->ApicId);
        Crew.Equal("initial APIC ID of CPUID"u8, CpuidLeafValue.Read(1).Ebx >> 24, processor->ApicId);
        if (HvCpuid.IsPresent) Crew.Equal("x2APIC ID of CPUID"u8, CpuidLeafValue.Read(0xB).Edx, processor->ApicId);
    }

    private static void VpIndex() => Crew.Run(&CompareVpIndex);

    private static void CompareVpIndex(Processor* processor) =>
        Crew.Equal("VP index"u8, Instructions.RdMsr(HvMsr.HV_X64_MSR_VP_INDEX), processor->Index);

    // Each takes up many small jobs from its halted state.
    private static void Jobs()
    {
        if (!Crew.HasOthers) return;
        Crew.Begin();
        Rounds rounds = new(2000, 500);
        while (rounds.Next())
        {
            Processors.GiveOthers(&CountOne);
            if (!Check.That(Processors.AwaitOthers(), "a job was not done"u8)) return;
        }
        for (int i = 1; i < Processors.Count; i++) Check.Equal("jobs"u8, Processors.At(i)->Progress, rounds.Begun);
        Crew.Note("rounds of jobs"u8, rounds.Begun, "rounds"u8);
    }

    private static void CountOne(Processor* processor) => processor->Progress++;

    private static void Count(Processor* processor)
    {
        while (!Crew.IsStopped) Volatile.Write(ref processor->Progress, processor->Progress + 1);
    }

    private static ulong ProgressIn(Processor* processor, ulong milliseconds)
    {
        ulong before = Volatile.Read(ref processor->Progress);
        Patience patience = new(milliseconds);
        while (!patience.IsOver) { }
        return Volatile.Read(ref processor->Progress) - before;
    }

    private static void StartupIgnored()
    {
        if (!Crew.HasOthers) return;
        Crew.Start(&Count);
        if (!Crew.WaitForProgress()) return;
        for (int i = 1; i < Processors.Count; i++)
        {
            uint starts = Processors.At(i)->Starts;
            Processors.SendStartup(Processors.At(i), Processors.SecondPage);
            Check.That(!Processors.WaitForStart(Processors.At(i), starts, 10), "it started again"u8);
        }
        Crew.End();
        for (int i = 1; i < Processors.Count; i++) Check.That(Processors.At(i)->Progress > 0, "it has lost its work"u8);
    }

    private static void InitStops()
    {
        if (!Crew.HasOthers) return;
        for (int i = 1; i < Processors.Count; i++)
        {
            Processor* processor = Processors.At(i);
            Crew.Begin();
            Processors.Give(processor, &Count);
            Patience patience = new(Clock.Patience);
            while (Volatile.Read(ref processor->Progress) == 0)
                if (!Check.That(!patience.IsOver, "it does not begin"u8)) return;
            uint starts = processor->Starts;
            Processors.SendInit(processor);
            ProgressIn(processor, 20); // a processor that executes elsewhere may need a moment
            Check.Equal("progress after INIT"u8, ProgressIn(processor, 20), 0);
            processor->Job = null;
            Processors.SendStartup(processor, Processors.SecondPage);
            if (!Check.That(Processors.WaitForStart(processor, starts), "it does not start again"u8)) return;
            Check.Equal("page it was started at"u8, processor->StartPage, Processors.SecondPage);
        }
    }

    private static void InitStopsHalted()
    {
        if (!Crew.HasOthers) return;
        for (int i = 1; i < Processors.Count; i++)
        {
            Processor* processor = Processors.At(i);
            Crew.Begin();
            uint starts = processor->Starts;
            Processors.SendInit(processor);
            Processors.Give(processor, &CountOne);
            Check.Equal("jobs done after INIT"u8, ProgressIn(processor, 10), 0);
            processor->Job = null;
            Processors.SendStartup(processor, Processors.FirstPage);
            if (!Check.That(Processors.WaitForStart(processor, starts), "it does not start again"u8)) return;
        }
    }

    private static void AllAtOnce()
    {
        if (!Crew.HasOthers) return;
        uint* starts = stackalloc uint[Processors.Maximum];
        for (int i = 1; i < Processors.Count; i++) starts[i] = Processors.At(i)->Starts;
        LocalApic.Send(InterruptCommand.Of(DeliveryMode.INIT, 0).WithDestinationShorthand(InterruptCommand.AllExcludingSelf));
        LocalApic.Send(InterruptCommand.Of(DeliveryMode.StartUp, (byte)Processors.FirstPage).WithDestinationShorthand(InterruptCommand.AllExcludingSelf));
        for (int i = 1; i < Processors.Count; i++)
            if (!Check.That(Processors.WaitForStart(Processors.At(i), starts[i]), "one does not come up"u8)) Processors.Start(Processors.At(i));
    }

    // Whatever it is doing: counting, taking interrupts, halting.
    private static void AgainAndAgain()
    {
        if (!Crew.HasOthers) return;
        Crew.Start(&Count);
        Rounds rounds = new(200, 1000);
        while (rounds.Next())
        {
            int i = 1 + (int)(Processors.At(0)->Random() % (uint)(Processors.Count - 1));
            if (!Check.That(Processors.Start(Processors.At(i), rounds.Begun % 2 == 0 ? Processors.FirstPage : Processors.SecondPage), "one does not come up"u8)) break;
            if (rounds.Begun % 3 != 0) Processors.Give(Processors.At(i), &Count);
        }
        Crew.End();
        Crew.Note("starts again"u8, rounds.Begun, "rounds"u8);
    }

    private static void BootstrapFlag() => Crew.Run(&CompareBootstrapFlag);

    private static void CompareBootstrapFlag(Processor* processor)
    {
        ApicBase value = new(Instructions.RdMsr(Msr.IA32_APIC_BASE));
        if (value.BSP != (processor->Index == 0)) Crew.Fail("APIC base"u8, value.Value);
    }
}
