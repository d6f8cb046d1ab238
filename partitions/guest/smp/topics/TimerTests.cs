// Every processor's own timers at the same time. TLFS, "Synthetic Timers".
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest.Smp;

public static unsafe class TimerTests
{
    private const byte Vector = 0xED, SintVector = 0x67;
    private const uint Sint = 4;
    private const ulong Millisecond = 10_000;

    public static void Run()
    {
        Check.RunHv("timer.direct"u8, &Direct);
        Check.RunHv("timer.direct-periodic"u8, &Periodic);
        Check.RunHv("timer.message"u8, &Message);
        Check.Run("timer.apic"u8, &Apic);
    }

    private static void Direct() => Crew.Run(&DirectOnEach);
    private static void Periodic() => Crew.Run(&PeriodicOnEach);
    private static void Message() => Crew.Run(&MessageOnEach);
    private static void Apic() => Crew.Run(&ApicOnEach);

    // Halted until it comes: another timer far behind it is the way out.
    private static bool Sleep(Processor* processor, byte vector, uint count)
    {
        Patience patience = new(Clock.Patience);
        while (processor->Count(vector) < count)
        {
            Instructions.StiHlt();
            Instructions.Cli();
            if (patience.IsOver) return false;
        }
        return true;
    }

    private static void StartGuard() => LocalApic.StartTimer(0x6E, LocalApic.PeriodicBit, 0x0400_0000);

    private static void DirectOnEach(Processor* processor)
    {
        StartGuard();
        for (uint i = 1; i <= 100 && !Crew.HasFailed; i++)
        {
            ulong due = Clock.Reference + Millisecond / 2 + processor->Random() % Millisecond;
            SyntheticTimer.StartDirect(i % 4, Vector, due);
            if (!Sleep(processor, Vector, i)) { Crew.Fail("it did not come, round"u8, i); break; }
            ulong now = Clock.Reference;
            if (now < due) Crew.Fail("it came early by"u8, due - now);
        }
        LocalApic.StopTimer();
    }

    private static void PeriodicOnEach(Processor* processor)
    {
        const uint wanted = 50;
        ulong start = Clock.Reference;
        SyntheticTimer.Start(0, SyntheticTimer.Direct(Vector).WithPeriodic(true), 2 * Millisecond);
        bool came = Sleep(processor, Vector, wanted);
        ulong passed = Clock.Reference - start;
        Instructions.WrMsr(SyntheticTimer.Config(0), 0);
        if (!came) Crew.Fail("too few came"u8, processor->Count(Vector));
        else if (passed < (2 * wanted - 1) * Millisecond) Crew.Fail("fifty came within"u8, passed);
    }

    private static void MessageOnEach(Processor* processor)
    {
        HvMessage* slot = (HvMessage*)(processor->Messages + Sint * SynicLimits.HV_MESSAGE_SIZE);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, processor->Messages | 1);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, 1);
        slot->Header.MessageType = 0;
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SINT0 + Sint, Synic.Vector(SintVector).Value);
        StartGuard();
        for (uint i = 1; i <= 50 && !Crew.HasFailed; i++)
        {
            ulong due = Clock.Reference + Millisecond / 2 + processor->Random() % Millisecond;
            SyntheticTimer.Start(i % 4, SyntheticTimer.ByMessage((byte)Sint), due);
            if (!Sleep(processor, SintVector, i)) { Crew.Fail("it did not come, round"u8, i); break; }
            HvTimerMessagePayload* payload = (HvTimerMessagePayload*)slot->Payload;
            Crew.Equal("type"u8, Volatile.Read(ref slot->Header.MessageType), HvMessageType.HvMessageTimerExpired);
            Crew.Equal("timer"u8, payload->TimerIndex, i % 4);
            Crew.Equal("expiration"u8, payload->ExpirationTime, due);
            if (payload->DeliveryTime < due) Crew.Fail("it came early by"u8, due - payload->DeliveryTime);
            Volatile.Write(ref slot->Header.MessageType, 0u);
            Interlocked.MemoryBarrier();
            if ((Volatile.Read(ref slot->Header.MessageFlags) & HvMessageHeader.MessagePending) != 0) Instructions.WrMsr(HvMsr.HV_X64_MSR_EOM, 0);
        }
        LocalApic.StopTimer();
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SINT0 + Sint, SintMsr.Reset.Value);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SCONTROL, 0);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_SIMP, 0);
    }

    private static void ApicOnEach(Processor* processor)
    {
        const byte vector = 0x6D;
        for (uint i = 1; i <= 100 && !Crew.HasFailed; i++)
        {
            LocalApic.StartTimer(vector, 0, 50_000 + processor->Random() % 100_000);
            Patience patience = new(Clock.Patience);
            Instructions.Sti();
            if ((i & 1) != 0) while (processor->Count(vector) < i && !patience.IsOver) { }
            Instructions.Cli();
            if ((i & 1) == 0) Sleep(processor, vector, i);
            if (processor->Count(vector) < i) Crew.Fail("it did not come, round"u8, i);
        }
        LocalApic.StopTimer();
    }
}
