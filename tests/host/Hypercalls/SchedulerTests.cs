// What a guest's timers and sleeps cost others.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Xunit;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class SchedulerTests : IDisposable
{
    private const ulong Microsecond = Clock.TscHz / 1_000_000, InterruptFlag = 1 << 9;
    private readonly TestMachine machine;
    private readonly Partition* child;
    private readonly VirtualProcessor* vp;

    private static LogicalProcessor* Processor => LogicalProcessor.Current;

    /// <summary>The root runs, a child's processor sleeps with interrupts disabled.</summary>
    public SchedulerTests(TestMachine machine)
    {
        this.machine = machine;
        child = machine.CreateChild(60);
        vp = machine.CreateVp(child);
        Assert.True(vp->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _));
        vp->SuspendReasons = SuspendReason.Halt;
        vp->Work = 0;
        FakeBackend.State(vp)->Rflags &= ~InterruptFlag;
    }

    public void Dispose()
    {
        Processor->Running = machine.RootVp;
        Processor->Timers.Disarm(&Processor->SliceTimer);
        machine.RootVp->Work = 0;
        machine.Destroy(child);
    }

    private void StartPeriodicTimers()
    {
        for (uint timer = 0; timer < 4; timer++)
        {
            StimerConfigMsr config = new StimerConfigMsr(0).WithPeriodic(true).WithAutoEnable(true).WithDirectMode(true).WithApicVector((byte)(0x80 + timer));
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_STIMER0_CONFIG + 2 * timer, config.Value));
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(vp, HvMsr.HV_X64_MSR_STIMER0_COUNT + 2 * timer, 1));
        }
    }

    /// <summary>Physical interrupts of so many milliseconds.</summary>
    private static int Interrupts(ulong milliseconds)
    {
        int count = 0;
        for (ulong end = Clock.Now + milliseconds * 1000 * Microsecond; PhysicalApic.Deadline < end; count++)
        {
            Lamina.X64.Instructions.Tsc = Math.Max(Lamina.X64.Instructions.Tsc, PhysicalApic.Deadline);
            PhysicalApic.Deadline = ulong.MaxValue; // one shot
            Timers<FakeBackend>.Expire(Processor);
        }
        return count;
    }

    [Theory]
    [InlineData(SuspendReason.Halt, 101)]
    [InlineData(SuspendReason.Halt | SuspendReason.Explicit, 101)]
    [InlineData(SuspendReason.Explicit, 1)]
    [InlineData(0u, 1)]
    public void TimersOfOneThatDoesNotRunCostOthersLittle(uint reasons, int most)
    {
        StartPeriodicTimers();
        vp->SuspendReasons = reasons;
        Assert.InRange(Interrupts(1000), 1, most);
        Assert.True(vp->Apic.IsRequested(0x80));
        // Its turn: the deadlines are its own again.
        Assert.NotEqual(0u, vp->Work & EntryWork.Timers);
    }

    [Fact]
    public void TimersThatRequestNothingCostOthersLittleEither()
    {
        StartPeriodicTimers();
        Assert.True(vp->Apic.TryWriteMmio(0xF0, 0xFF, 0, out _)); // software-disabled
        Assert.InRange(Interrupts(1000), 1, 1001);
        Assert.False(vp->Apic.IsRequested(0x80));
    }

    [Fact]
    public void TimersOfOneThatRunsComeAsTheyShould()
    {
        vp->SuspendReasons = 0;
        Processor->Running = vp;
        StartPeriodicTimers();
        Assert.InRange(Interrupts(10), 900, 5000);
    }

    [Fact]
    public void WhoWakesLeavesTheOtherItsShortestTurn()
    {
        VirtualProcessor* running = machine.CreateVp(child, 1);
        running->SuspendReasons = 0;
        running->Work = 0;
        ulong now = Clock.Now;
        Assert.True(Processor->Queue.TryWake(&running->Scheduling, now));
        Assert.True(Processor->Queue.Take(now) == &running->Scheduling);
        running->DispatchTsc = now;
        running->Scheduling.VirtualTime = Processor->Queue.MinimumVirtualTime + 1_000_000_000;
        Processor->Running = running;

        Scheduler<FakeBackend>.Resume(vp, SuspendReason.Halt);
        Assert.Equal(0u, running->Work & EntryWork.Reschedule);
        Assert.InRange(Processor->SliceTimer.Deadline, now + 20 * Microsecond, now + 21 * Microsecond);
        Lamina.X64.Instructions.Tsc = Processor->SliceTimer.Deadline;
        Timers<FakeBackend>.Expire(Processor);
        Assert.NotEqual(0u, running->Work & EntryWork.Reschedule);

        Processor->Running = machine.RootVp;
        Processor->Queue.Remove(&vp->Scheduling, Clock.Now);
    }

    [Fact]
    public void WhatIsRequestedAlreadyEndsAHaltThatTheParentSets()
    {
        vp->SuspendReasons = SuspendReason.Explicit;
        FakeBackend.State(vp)->Rflags |= InterruptFlag;
        Assert.True(vp->Apic.Assert(0x70, false));
        var halt = new HvRegisterAssoc(HvRegisterName.HvRegisterInternalActivityState, new HvInternalActivityRegister(0).WithHaltSuspend(true).Value);
        Assert.True(machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HvCallSetVpRegisters, new() { PartitionId = new(child->Id), VpIndex = new(0) }, [halt]).Status.IsSuccess);
        Assert.Equal(SuspendReason.Explicit, vp->SuspendReasons);
    }
}
