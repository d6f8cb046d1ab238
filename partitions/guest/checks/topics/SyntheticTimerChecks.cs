// The four synthetic timers, direct and by message. TLFS, "Synthetic Timers".
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class SyntheticTimerChecks
{
    private const byte Vector = 0xED, Sint = 4, SintVector = 0x64;
    private const ulong Millisecond = 10_000;

    public static void Run()
    {
        Check.RunHv("stimer.direct-one-shot"u8, &DirectOneShot);
        Check.RunHv("stimer.auto-enable"u8, &AutoEnable);
        Check.RunHv("stimer.enable-by-config"u8, &EnableByConfig);
        Check.RunHv("stimer.time-in-the-past"u8, &TimeInThePast);
        Check.RunHv("stimer.periodic"u8, &Periodic);
        Check.RunHv("stimer.count-zero-stops"u8, &CountZeroStops);
        Check.RunHv("stimer.config-stops"u8, &ConfigStops);
        Check.RunHv("stimer.reprogrammed"u8, &Reprogrammed);
        Check.RunHv("stimer.sint-0-not-enabled"u8, &Sint0NotEnabled);
        Check.RunHv("stimer.message"u8, &Message);
        Check.RunHv("stimer.message-waits-for-slot"u8, &MessageWaitsForSlot);
        Check.RunHv("stimer.message-periodic"u8, &MessagePeriodic);
        Check.RunHv("stimer.all-four"u8, &AllFour);
        Check.RunHv("stimer.lazy"u8, &Lazy);
        Check.RunHv("stimer.many-short"u8, &ManyShort);
    }

    private static void DirectOneShot()
    {
        for (uint timer = 0; timer < 4; timer++)
        {
            byte vector = (byte)(0xA0 + timer);
            ulong due = Clock.Reference + 2 * Millisecond;
            Instructions.WrMsr(SyntheticTimer.Config(timer), SyntheticTimer.Direct(vector).WithAutoEnable(true).Value);
            Instructions.WrMsr(SyntheticTimer.Count(timer), due);
            bool came = Interrupts.Wait(vector);
            ulong now = Clock.Reference;
            if (!Check.That(came, "it did not come"u8)) return;
            Check.That(now >= due, "it came early"u8);
            Check.That(!SyntheticTimer.IsEnabled(timer), "still enabled"u8);
            Interrupts.Open(500);
            Check.Equal("interrupts"u8, Interrupts.Count(vector), 1);
        }
    }

    private static void AutoEnable()
    {
        Instructions.WrMsr(SyntheticTimer.Config(0), SyntheticTimer.Direct(Vector).WithAutoEnable(true).Value);
        Check.That(!SyntheticTimer.IsEnabled(0), "enabled before a count"u8);
        Instructions.WrMsr(SyntheticTimer.Count(0), Clock.Reference + 1000 * Millisecond);
        Check.That(SyntheticTimer.IsEnabled(0), "not enabled by the count"u8);
        Check.Equal("config"u8, Instructions.RdMsr(SyntheticTimer.Config(0)), SyntheticTimer.Direct(Vector).WithAutoEnable(true).WithEnable(true).Value);
    }

    private static void EnableByConfig()
    {
        ulong due = Clock.Reference + Millisecond;
        Instructions.WrMsr(SyntheticTimer.Count(0), due);
        Instructions.WrMsr(SyntheticTimer.Config(0), SyntheticTimer.Direct(Vector).WithEnable(true).Value);
        Check.That(Interrupts.Wait(Vector), "it did not come"u8);
        Check.Equal("count"u8, Instructions.RdMsr(SyntheticTimer.Count(0)), due);
    }

    private static void TimeInThePast()
    {
        SyntheticTimer.StartDirect(0, Vector, 1);
        Check.That(Interrupts.Wait(Vector), "it did not come"u8);
        Check.That(!SyntheticTimer.IsEnabled(0), "still enabled"u8);
    }

    private static void Periodic()
    {
        ulong start = Clock.Reference;
        SyntheticTimer.Start(0, SyntheticTimer.Direct(Vector).WithPeriodic(true), 2 * Millisecond);
        Check.That(Interrupts.Wait(Vector, 10), "fewer than ten came"u8);
        ulong passed = Clock.Reference - start;
        Check.That(passed >= 19 * Millisecond, "ten came in less than nine and a half periods"u8);
        Check.That(SyntheticTimer.IsEnabled(0), "a periodic timer disabled itself"u8);
    }

    private static void CountZeroStops()
    {
        SyntheticTimer.Start(0, SyntheticTimer.Direct(Vector).WithPeriodic(true), Millisecond);
        Interrupts.Wait(Vector, 2);
        Instructions.WrMsr(SyntheticTimer.Count(0), 0);
        Check.That(!SyntheticTimer.IsEnabled(0), "still enabled"u8);
        Interrupts.Open(50);
        uint count = Interrupts.Count(Vector);
        Interrupts.Open(5000);
        Check.Equal("interrupts afterwards"u8, Interrupts.Count(Vector) - count, 0);
    }

    private static void ConfigStops()
    {
        SyntheticTimer.StartDirect(0, Vector, Clock.Reference + 20 * Millisecond);
        Instructions.WrMsr(SyntheticTimer.Config(0), 0);
        Interrupts.Open(25_000);
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 0);
    }

    private static void Reprogrammed()
    {
        ulong far = Clock.Reference + 100_000 * Millisecond;
        SyntheticTimer.StartDirect(0, Vector, far);
        Instructions.WrMsr(SyntheticTimer.Count(0), Clock.Reference + Millisecond);
        Check.That(Interrupts.Wait(Vector), "an earlier time does not count"u8);
        // Far enough off that the processor does not pause so long between the two writes.
        ulong first = Clock.Reference + 20 * Millisecond, later = first + 5 * Millisecond;
        Instructions.WrMsr(SyntheticTimer.Count(0), first);
        Instructions.WrMsr(SyntheticTimer.Count(0), later);
        Check.That(Interrupts.Wait(Vector, 2), "a later time did not come"u8);
        Check.That(Clock.Reference >= later, "the earlier time was kept"u8);
    }

    private static void Sint0NotEnabled()
    {
        Instructions.WrMsr(SyntheticTimer.Count(0), Clock.Reference + Millisecond);
        Instructions.WrMsr(SyntheticTimer.Config(0), SyntheticTimer.ByMessage(0).WithEnable(true).Value);
        Check.That(!SyntheticTimer.IsEnabled(0), "a timer on SINT 0 is enabled"u8);
    }

    private static void BeginMessages()
    {
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(SintVector));
    }

    private static void Message()
    {
        BeginMessages();
        ulong due = Clock.Reference + Millisecond;
        SyntheticTimer.Start(2, SyntheticTimer.ByMessage(Sint), due);
        if (!Check.That(Interrupts.Wait(SintVector), "no interrupt"u8)) return;
        HvMessage* slot = Synic.Slot(Sint);
        HvTimerMessagePayload* payload = (HvTimerMessagePayload*)slot->Payload;
        Check.Equal("type"u8, Synic.TypeIn(Sint), HvMessageType.HvMessageTimerExpired);
        Check.Equal("payload size"u8, slot->Header.PayloadSize, (ulong)sizeof(HvTimerMessagePayload));
        Check.Equal("timer"u8, payload->TimerIndex, 2);
        Check.Equal("expiration"u8, payload->ExpirationTime, due);
        Check.Between("delivery"u8, payload->DeliveryTime, due, Clock.Reference);
        Synic.Free(Sint);
    }

    private static void MessageWaitsForSlot()
    {
        BeginMessages();
        SyntheticTimer.Start(0, SyntheticTimer.ByMessage(Sint), Clock.Reference + Millisecond);
        if (!Check.That(Interrupts.Wait(SintVector), "the first did not come"u8)) return;
        SyntheticTimer.Start(1, SyntheticTimer.ByMessage(Sint), Clock.Reference + Millisecond);
        ulong start = Instructions.RdTsc();
        while (!Synic.IsPending(Sint) && Instructions.RdTsc() - start < Clock.Ticks(Clock.Patience)) Interrupts.Open(100);
        Check.That(Synic.IsPending(Sint), "not pending"u8);
        Check.Equal("interrupts while the slot is taken"u8, Interrupts.Count(SintVector), 1);
        Synic.Free(Sint);
        Check.That(Interrupts.Wait(SintVector, 2), "the second did not come after EOM"u8);
        Check.Equal("timer"u8, ((HvTimerMessagePayload*)Synic.Slot(Sint)->Payload)->TimerIndex, 1);
        Synic.Free(Sint);
    }

    private static void MessagePeriodic()
    {
        BeginMessages();
        SyntheticTimer.Start(0, SyntheticTimer.ByMessage(Sint).WithPeriodic(true), Millisecond);
        for (uint i = 0; i < 5; i++)
        {
            if (!Check.That(Synic.WaitForMessage(Sint), "a message is missing"u8)) return;
            Synic.Free(Sint);
        }
    }

    private static void AllFour()
    {
        ulong start = Clock.Reference;
        for (uint timer = 0; timer < 4; timer++) SyntheticTimer.StartDirect(timer, (byte)(0xB0 + timer), start + (4 - timer) * 2 * Millisecond);
        Check.That(Interrupts.Wait(0xB0), "the last did not come"u8);
        for (uint i = 0; i < 4; i++) Check.Equal("a vector in the order of times"u8, Interrupts.Logged(i), 0xB3 - i);
    }

    private static void Lazy()
    {
        SyntheticTimer.Start(0, SyntheticTimer.Direct(Vector).WithLazy(true), Clock.Reference + Millisecond);
        Check.That(new StimerConfigMsr(Instructions.RdMsr(SyntheticTimer.Config(0))).Lazy, "the bit is not kept"u8);
        // A lazy timer may come late, but not never: here the processor is busy.
        Check.That(Interrupts.Wait(Vector), "it did not come"u8);
    }

    private static void ManyShort()
    {
        for (uint i = 1; i <= 100; i++)
        {
            SyntheticTimer.StartDirect(0, Vector, Clock.Reference + 200);
            if (!Check.That(Interrupts.Wait(Vector, i), "one was lost"u8)) return;
        }
        Check.Equal("interrupts"u8, Interrupts.Count(Vector), 100);
    }
}
