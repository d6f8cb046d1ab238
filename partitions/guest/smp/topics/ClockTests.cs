// Time as all processors see it: the reference counter, the reference TSC page and the TSC never step back from one processor to the next.
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

public static unsafe class ClockTests
{
    private const ulong Milliseconds = 500, Rounding = 10;

    private static SpinLock spinLock;
    private static ulong last;
    private static delegate*<ulong> read;

    public static void Run()
    {
        Check.Run("clock.tsc-rises"u8, &Tsc);
        Check.RunHv("clock.counter-rises"u8, &Counter);
        Check.RunHv("clock.page-rises"u8, &Page);
        Check.RunHv("clock.page-and-counter-agree"u8, &Agree);
    }

    private static ReferenceTscPage* TscPage => (ReferenceTscPage*)GuestPages.ReferenceTsc;

    private static ulong ReadPage()
    {
        while (true)
        {
            uint sequence = Volatile.Read(ref TscPage->TscSequence);
            ulong time = Instructions.MultiplyHigh(Instructions.RdTscOrdered(), Volatile.Read(ref TscPage->TscScale)) + (ulong)Volatile.Read(ref TscPage->TscOffset);
            if (Volatile.Read(ref TscPage->TscSequence) == sequence) return time;
        }
    }

    private static ulong ReadTsc() => Instructions.RdTscOrdered();

    private static void Tsc() => Rise(&ReadTsc);
    private static void Counter() => Rise(&Clock.ReadReference);

    private static void Page()
    {
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, GuestPages.ReferenceTsc | 1);
        if (TscPage->TscSequence == ReferenceTscPage.InvalidSequence) Check.Skip("the page says that it is not valid"u8);
        else Rise(&ReadPage);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, 0);
    }

    private static void Rise(delegate*<ulong> clock)
    {
        read = clock;
        last = 0;
        spinLock = default;
        Crew.Run(&ReadInTurn);
        for (int i = 0; i < Processors.Count; i++) Check.That(Processors.At(i)->Progress > 0, "one never had its turn"u8);
    }

    private static void ReadInTurn(Processor* processor)
    {
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (!Crew.HasFailed && (rounds.Next() || processor->Progress == 0))
        {
            if (!spinLock.TryAcquire()) { Crew.Fail("no turn"u8, 0); return; }
            ulong now = read(), before = last;
            last = now;
            spinLock.Release();
            if (now < before) Crew.Fail("it went back by"u8, before - now);
            processor->Progress++;
        }
    }

    private static void Agree()
    {
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, GuestPages.ReferenceTsc | 1);
        if (TscPage->TscSequence == ReferenceTscPage.InvalidSequence) Check.Skip("the page says that it is not valid"u8);
        else Crew.Run(&Compare);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, 0);
    }

    private static void Compare(Processor* processor)
    {
        Rounds rounds = new(2000, Milliseconds);
        while (!Crew.HasFailed && rounds.Next())
        {
            ulong before = Clock.Reference, page = ReadPage(), after = Clock.Reference;
            if (page + Rounding < before) Crew.Fail("the page is behind the counter by"u8, before - page);
            if (page > after + Rounding) Crew.Fail("the page is before the counter by"u8, page - after);
        }
    }
}
