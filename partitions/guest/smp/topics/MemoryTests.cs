// Memory that all processors write at once: nothing gets lost, and spinning ends.
using System.Threading;
using Lamina.X64;

namespace Lamina.Guest.Smp;

public static unsafe class MemoryTests
{
    private const ulong Milliseconds = 400;
    private const int Words = 512;

    private static SpinLock spinLock;
    private static TicketLock ticketLock;
    private static long atomic;
    private static ulong guarded;
    private static uint compared;

    public static void Run()
    {
        Check.Run("memory.atomic-add"u8, &AtomicAdd);
        Check.Run("memory.compare-exchange"u8, &CompareExchange);
        Check.Run("memory.spin-lock"u8, &Spin);
        Check.Run("memory.ticket-lock"u8, &Ticket);
        Check.Run("memory.patterns"u8, &Patterns);
    }

    private static ulong Done
    {
        get
        {
            ulong done = 0;
            for (int i = 0; i < Processors.Count; i++) done += Processors.At(i)->Progress;
            return done;
        }
    }

    private static void AtomicAdd()
    {
        atomic = 0;
        Crew.Run(&AddAtomically);
        Check.Equal("sum"u8, (ulong)atomic, Done);
    }

    private static void AddAtomically(Processor* processor)
    {
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (rounds.Next())
            for (int i = 0; i < 1000; i++) Interlocked.ExchangeAdd(ref atomic, 1);
        processor->Progress = rounds.Begun * 1000;
    }

    private static void CompareExchange()
    {
        compared = 0;
        Crew.Run(&AddByCompareExchange);
        Check.Equal("sum"u8, compared, (uint)Done);
    }

    private static void AddByCompareExchange(Processor* processor)
    {
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (rounds.Next())
            for (int i = 0; i < 100; i++)
            {
                uint seen;
                do seen = Volatile.Read(ref compared);
                while (Interlocked.CompareExchange(ref compared, seen + 1, seen) != seen);
            }
        processor->Progress = rounds.Begun * 100;
    }

    private static void Spin()
    {
        guarded = 0;
        spinLock = default;
        Crew.Run(&AddUnderSpinLock);
        Check.Equal("sum"u8, guarded, Done);
    }

    private static void AddUnderSpinLock(Processor* processor)
    {
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (!Crew.HasFailed && rounds.Next())
        {
            if (!spinLock.TryAcquire()) { Crew.Fail("no turn after"u8, rounds.Begun); return; }
            Volatile.Write(ref guarded, Volatile.Read(ref guarded) + 1);
            spinLock.Release();
            processor->Progress++;
        }
    }

    // In strict order: with more processors than the machine has, the next one is often one that waits for a processor, and those who spin say so.
    private static void Ticket()
    {
        guarded = 0;
        ticketLock = default;
        ulong start = Instructions.RdTsc();
        Crew.Run(&AddUnderTicketLock);
        Check.Equal("sum"u8, guarded, Done);
        if (guarded != 0) Crew.Note("turns of a ticket lock, each"u8, (Instructions.RdTsc() - start) / guarded, "ticks"u8);
    }

    private static void AddUnderTicketLock(Processor* processor)
    {
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (!Crew.HasFailed && rounds.Next())
        {
            if (!ticketLock.TryAcquire()) { Crew.Fail("no turn after"u8, rounds.Begun); return; }
            Volatile.Write(ref guarded, Volatile.Read(ref guarded) + 1);
            for (int i = 0; i < 20; i++) Instructions.Pause();
            ticketLock.Release();
            processor->Progress++;
        }
    }

    private static void Patterns() => Crew.Run(&WriteAndVerify);

    private static void WriteAndVerify(Processor* processor)
    {
        ulong* page = (ulong*)processor->Scratch;
        Rounds rounds = new(ulong.MaxValue, Milliseconds);
        while (!Crew.HasFailed && rounds.Next())
        {
            ulong pattern = rounds.Begun * 0x9E3779B97F4A7C15 + processor->Index;
            for (int i = 0; i < Words; i++) Volatile.Write(ref page[i], pattern + (ulong)i);
            for (int i = 0; i < Words; i++)
                if (Volatile.Read(ref page[i]) != pattern + (ulong)i) Crew.Fail("a word is wrong, round"u8, rounds.Begun);
        }
    }
}
