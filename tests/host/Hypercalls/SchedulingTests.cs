// What the policy says, carried out: caps by the physical timer, reserves ahead of weights, statistics of both, and settings that change meanwhile.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Xunit;
using static Lamina.Abi.HypercallCode;
using static Lamina.Abi.HvPartitionPropertyCode;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class SchedulingTests : IDisposable
{
    private const ulong Millisecond = Clock.TscHz / 1000;
    private readonly TestMachine machine;
    private readonly Partition* child;
    private readonly VirtualProcessor* vp, sibling;

    private static LogicalProcessor* Processor => LogicalProcessor.Current;
    private static VirtualProcessor* Running => Processor->Running;

    /// <summary>A child of two processors, both runnable and one of them running; the root sleeps.</summary>
    public SchedulingTests(TestMachine machine)
    {
        this.machine = machine;
        child = machine.CreateChild(60);
        vp = machine.CreateVp(child);
        sibling = machine.CreateVp(child, 1);
        FakeBackend.WhileIdle = () => PassTime(Processor->Timers.NextDeadline);
        Scheduler<FakeBackend>.Resume(vp, SuspendReason.Explicit);
        Scheduler<FakeBackend>.Resume(sibling, SuspendReason.Explicit | SuspendReason.Startup);
        Scheduler<FakeBackend>.Suspend(machine.RootVp, SuspendReason.Halt);
        Scheduler<FakeBackend>.PrepareEntry(machine.RootVp);
    }

    public void Dispose()
    {
        FakeBackend.WhileIdle = null;
        if (!machine.RootVp->Scheduling.IsQueued) Scheduler<FakeBackend>.Resume(machine.RootVp, SuspendReason.Halt);
        Scheduler<FakeBackend>.PrepareEntry(Running);
        machine.Destroy(child);
        Processor->Timers.Disarm(&Processor->SliceTimer);
    }

    private void Set(uint code, ulong value) => Assert.True(machine.Call(HvCallSetPartitionProperty,
        new HvInputSetPartitionProperty { PartitionId = new(child->Id), PropertyCode = code, PropertyValue = value }).IsSuccess);

    private static void PassTime(ulong until)
    {
        Lamina.X64.Instructions.Tsc = Math.Max(Lamina.X64.Instructions.Tsc, until);
        Timers<FakeBackend>.Expire(Processor);
    }

    /// <summary>Time passes, with what the timer brings about; the share that each of the two ran.</summary>
    private (double First, double Second) Run(ulong milliseconds)
    {
        ulong end = Clock.Now + milliseconds * Millisecond, first = vp->Scheduling.RunTime, second = sibling->Scheduling.RunTime;
        while (Clock.Now < end)
        {
            PassTime(Math.Min(end, Processor->Timers.NextDeadline));
            Scheduler<FakeBackend>.PrepareEntry(Running);
        }
        return ((vp->Scheduling.RunTime - first) / (double)(milliseconds * Millisecond), (sibling->Scheduling.RunTime - second) / (double)(milliseconds * Millisecond));
    }

    [Fact]
    public void EqualsShareAndTheirTimesAreCounted()
    {
        (double first, double second) = Run(400);
        Assert.InRange(first, 0.48, 0.52);
        Assert.InRange(second, 0.48, 0.52);
        Assert.InRange(Counter(vp, HvStatsVpCounters.VpTotalRunTime), 1_900_000UL, 2_100_000UL);
        Assert.InRange(Counter(vp, HvStatsVpCounters.VpWaitingForCpuTime), 1_900_000UL, 2_100_000UL);
        Assert.InRange(Counter(vp, HvStatsVpCounters.VpLogicalProcessorDispatches), 40UL, 60UL);

        static ulong Counter(VirtualProcessor* one, uint counter) => one->Stats->Counters[counter];
    }

    [Fact]
    public void ACapHoldsForEachProcessorFromThenOnAndUntilItIsTaken()
    {
        Set(HvPartitionPropertyCpuCap, 0x10000 * 30 / 100);
        (double first, double second) = Run(1000);
        Assert.InRange(first, 0.28, 0.304);
        Assert.InRange(second, 0.28, 0.304);
        Set(HvPartitionPropertyCpuCap, 0);
        (first, second) = Run(400);
        Assert.InRange(first + second, 0.98, 1.01);
        Assert.False(vp->CapTimer.IsArmed || sibling->CapTimer.IsArmed);
    }

    [Fact]
    public void WhoWaitsForItsCapIsNotRunnableButByTime()
    {
        Set(HvPartitionPropertyCpuCap, 0x1000);
        Run(2);
        VirtualProcessor* one = vp->CapTimer.IsArmed ? vp : sibling;
        Assert.Equal(SuspendReason.Cap, one->SuspendReasons);
        Scheduler<FakeBackend>.Suspend(one, SuspendReason.Halt);
        Scheduler<FakeBackend>.Resume(one, SuspendReason.Halt);
        Assert.Equal((SuspendReason.Cap, false), (one->SuspendReasons, one->Scheduling.IsQueued));
        // Nor does it escape by sleeping over the moment.
        Assert.True(one->Scheduling.CapClock > Clock.Now);
    }

    [Fact]
    public void NobodyIsInterruptedWhereNothingHasToBeDecided()
    {
        // One that runs alone, without a cap: no timer, however long.
        Scheduler<FakeBackend>.Suspend(sibling, SuspendReason.Explicit);
        Run(20);
        Assert.Equal(ulong.MaxValue, Processor->Timers.NextDeadline);
    }

    [Fact]
    public void AnInterruptForTheRootTakesTheProcessorAtOnce()
    {
        Set(HvPartitionPropertyCpuReserve, 0x10000);
        Run(50);
        Assert.Equal(0u, Running->Work & EntryWork.Reschedule);
        Scheduler<FakeBackend>.Resume(machine.RootVp, SuspendReason.Halt);
        Assert.NotEqual(0u, Running->Work & EntryWork.Reschedule);
        Assert.True(Scheduler<FakeBackend>.PrepareEntry(Running) == machine.RootVp);
    }
}
