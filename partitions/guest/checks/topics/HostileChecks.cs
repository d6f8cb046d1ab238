// What a guest must not be able to do to the machine: each check survives only if the hypervisor does.
using System.Threading;
using Lamina.Abi;
using Lamina.X64;

namespace Lamina.Guest;

public static unsafe class HostileChecks
{
    private const byte TimerVector = 0x61;

    public static void Run()
    {
        Check.RunHv("hostile.deadline-beyond-the-end"u8, &DeadlineBeyondTheEnd);
        Check.RunHv("hostile.deadline-across-the-wrap"u8, &DeadlineAcrossTheWrap);
        Check.RunHv("hostile.stimer-beyond-the-end"u8, &StimerBeyondTheEnd);
        Check.Run("hostile.debug-registers-over-interrupt"u8, &DebugRegistersOverInterrupt);
    }

    // What an interrupt brings about in the hypervisor must not put an older value back.
    private static void DebugRegistersOverInterrupt()
    {
        ulong target = GuestPages.Buffer + 8;
        Instructions.WriteDr0(target);
        LocalApic.StartTimer(TimerVector, 0, 1000);
        Interrupts.Wait(TimerVector);
        Check.Equal("DR0"u8, Instructions.ReadDr0(), target);
        Instructions.WriteDr0(0);
    }

    // The host's counter is far ahead of the guest's: the guest's last tick is beyond the host's last tick, not in the past.
    private static void DeadlineBeyondTheEnd()
    {
        ulong before = Instructions.RdTsc();
        Instructions.WrMsr(Msr.IA32_TIME_STAMP_COUNTER, 0);
        ArmDeadline(ulong.MaxValue - 10);
        Interrupts.Open(1000);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 0);
        LocalApic.StopTimer();
        Instructions.WrMsr(Msr.IA32_TIME_STAMP_COUNTER, Instructions.RdTsc() + before);
    }

    private static void DeadlineAcrossTheWrap()
    {
        ulong before = Instructions.RdTsc(), ticks = Clock.Ticks(5);
        Instructions.WrMsr(Msr.IA32_TIME_STAMP_COUNTER, 0 - ticks);
        ArmDeadline(ulong.MaxValue - 1);
        Interrupts.Open(15_000);
        Check.That(Interrupts.Count(TimerVector) <= 1, "more than one interrupt"u8);
        LocalApic.StopTimer();
        Instructions.WrMsr(Msr.IA32_TIME_STAMP_COUNTER, Instructions.RdTsc() + ticks + before);
    }

    private static void StimerBeyondTheEnd()
    {
        ulong before = Instructions.RdTsc();
        Instructions.WrMsr(Msr.IA32_TIME_STAMP_COUNTER, 0);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, GuestPages.ReferenceTsc | 1);
        ReferenceTscPage* page = (ReferenceTscPage*)GuestPages.ReferenceTsc;
        ulong last = Instructions.MultiplyHigh(ulong.MaxValue - 1_000_000, Volatile.Read(ref page->TscScale)) + (ulong)Volatile.Read(ref page->TscOffset);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_REFERENCE_TSC, 0);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_STIMER0_CONFIG, SyntheticTimer.Direct(TimerVector).WithAutoEnable(true).Value);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_STIMER0_COUNT, last);
        Interrupts.Open(1000);
        Check.Equal("interrupts"u8, Interrupts.Count(TimerVector), 0);
        Instructions.WrMsr(HvMsr.HV_X64_MSR_STIMER0_CONFIG, 0);
        Instructions.WrMsr(Msr.IA32_TIME_STAMP_COUNTER, Instructions.RdTsc() + before);
    }

    private static void ArmDeadline(ulong tsc)
    {
        LocalApic.Write(ApicRegisters.LvtTimer, TimerVector | LocalApic.TscDeadlineBit);
        Instructions.WrMsr(Msr.IA32_TSC_DEADLINE, tsc);
    }
}
