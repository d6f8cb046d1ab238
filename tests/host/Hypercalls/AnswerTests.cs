// A turn that an intercept does not end: the parent answers in between, and the turn goes on; and all that may come between.
using System;
using System.Linq;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Synic;
using Xunit;
using static Lamina.Abi.HvRegisterName;
using Instructions = Lamina.X64.Instructions;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class AnswerTests : IDisposable
{
    private const uint Sint = SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX;
    private readonly TestMachine machine;
    private readonly Partition* child;
    private readonly VirtualProcessor* vp;
    private readonly VirtualProcessor* other;

    private static LogicalProcessor* Processor => LogicalProcessor.Current;
    private VirtualProcessor* Root => machine.RootVp;

    /// <summary>The root waits for intercepts, the child's first virtual processor runs, its second one is suspended.</summary>
    public AnswerTests(TestMachine machine)
    {
        this.machine = machine;
        child = machine.CreateChild(90);
        vp = machine.CreateVp(child);
        other = machine.CreateVp(child, 1);
        // Others' tests may leave something that the root would not sleep over.
        while (Root->Apic.TryGetCandidate(out byte vector))
        {
            Root->Apic.Acknowledge(vector);
            Root->Apic.EndOfInterrupt();
        }
        while (machine.TakeMessage((int)Sint, out _)) { }
        Poll(true);
        Root->Work = 0;
        Scheduler<FakeBackend>.Resume(vp, SuspendReason.Explicit);
        Scheduler<FakeBackend>.Idle(Root);
        VirtualProcessor* entered = Root->IsRunnable ? Root : Enter(Root);
        if (entered == vp) return;
        Dispose();
        Assert.Fail("the root does not sleep");
    }

    public void Dispose()
    {
        Poll(false);
        Processor->Answering = Processor->Asking = null;
        Root->SuspendReasons = 0;
        Root->IdleWait = false;
        Processor->Queue.Remove(&Root->Scheduling, 0);
        Processor->Running = Processor->Loaded = Root;
        Processor->Timers.Disarm(&Processor->SliceTimer);
        Root->Work = 0;
        machine.TakeMessage((int)Sint, out _);
        machine.Destroy(child);
    }

    private void Poll(bool on) => Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_SINT0 + Sint, 0x40 | (on ? 1UL << 18 : 0)));

    /// <summary>What the world switch does behind an exit of a virtual processor: whom it enters next.</summary>
    private static VirtualProcessor* Enter(VirtualProcessor* exited)
    {
        while (exited->Work != 0) exited = Scheduler<FakeBackend>.PrepareEntry(exited);
        return exited;
    }

    private void Ask(ulong after)
    {
        Instructions.Tsc += after;
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Assert.True(Enter(vp) == Root);
        Assert.True(Root->IsRunnable && !Root->Scheduling.IsQueued && !vp->Scheduling.IsQueued);
    }

    private void Answer(ulong after, bool thenIdle, params (uint Name, ulong Value)[] registers)
    {
        Instructions.Tsc += after;
        Assert.True(machine.TakeMessage((int)Sint, out _));
        if (registers.Length == 0) registers = [(HvRegisterInterceptSuspend, 0)];
        Assert.True(machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HypercallCode.HvCallSetVpRegisters,
            new() { PartitionId = new(child->Id), VpIndex = new(0), Extension = thenIdle ? HvInputSetVpRegisters.ThenIdle : (byte)0 },
            registers.Select(r => new HvRegisterAssoc(r.Name, r.Value)).ToArray()).Status.IsSuccess);
    }

    private static ulong Ran(VirtualProcessor* of)
    {
        Scheduler<FakeBackend>.UpdateCounters(of);
        return of->Scheduling.RunTime;
    }

    // The clock of the host tests goes on a little with each reading.
    private const ulong Reading = 400;

    private static void Near(ulong expected, ulong ticks, ulong readings = Reading) => Assert.InRange(ticks, expected, expected + readings);

    [Fact]
    public void TheTurnGoesOnAndEachIsChargedItsOwnTime()
    {
        ulong child = Ran(vp), root = Ran(Root), wait = vp->Scheduling.WaitTime;
        for (int i = 0; i < 10; i++)
        {
            Ask(1000);
            Answer(5000, thenIdle: true);
            Assert.True(Enter(Root) == vp);
            Assert.True(Processor->Running == vp && Processor->Loaded == vp && !vp->Scheduling.IsQueued && Processor->Queue.IsEmpty);
            Instructions.Tsc += 300;
        }
        Near(child + 13_000, Ran(vp), 10 * Reading);
        Near(root + 50_000, Ran(Root), 10 * Reading);
        Assert.Equal(wait, vp->Scheduling.WaitTime);
    }

    [Fact]
    public void WhoWakesMeanwhileHasItsTurn()
    {
        ulong before = Ran(vp);
        vp->Scheduling.VirtualTime += 1_000_000_000;
        Ask(1000);
        other->SuspendReasons = SuspendReason.Explicit;
        Scheduler<FakeBackend>.Resume(other, SuspendReason.Explicit);
        Near(before + 1000, vp->Scheduling.RunTime);
        Answer(5000, thenIdle: true);
        Assert.True(Enter(Root) == other);
        Assert.True(vp->Scheduling.IsQueued);
        Near(before + 1000, Ran(vp));
    }

    [Fact]
    public void WhoHasItsAnswerWaitsWhileTheParentGoesOn()
    {
        ulong before = Ran(vp);
        Ask(1000);
        Answer(5000, thenIdle: false);
        Assert.True(Enter(Root) == Root);
        Assert.True(vp->Scheduling.IsQueued && Processor->Queue.Count == 1);
        Near(before + 1000, Ran(vp));
        Scheduler<FakeBackend>.Idle(Root);
        Assert.True(Enter(Root) == vp);
    }

    [Fact]
    public void AParentThatSleepsWithoutAnAnswerLeavesTheProcessorToOthers()
    {
        ulong before = Ran(vp);
        Ask(1000);
        Assert.True(machine.TakeMessage((int)Sint, out _));
        // As a wake-up that others have caused before.
        other->SuspendReasons = 0;
        Assert.True(Processor->Queue.TryWake(&other->Scheduling, Clock.Now));
        Scheduler<FakeBackend>.Idle(Root);
        Assert.True(Enter(Root) == other);
        Assert.False(vp->Scheduling.IsQueued || vp->IsRunnable);
        Near(before + 1000, Ran(vp));
        // The answer comes later: it wakes like anybody.
        Scheduler<FakeBackend>.Resume(vp, SuspendReason.Intercept);
        Assert.True(vp->Scheduling.IsQueued);
    }

    [Fact]
    public void ATurnThatIsOverMeanwhileIsOver()
    {
        other->SuspendReasons = 0;
        Assert.True(Processor->Queue.TryWake(&other->Scheduling, Clock.Now));
        vp->Scheduling.VirtualTime = other->Scheduling.VirtualTime + 1_000_000_000;
        // The timer that ends the turn runs: it goes on.
        Processor->Timers.Arm(&Processor->SliceTimer, Clock.Now + 20_000);
        Ask(1000);
        Answer(5000, thenIdle: true);
        Assert.True(Enter(Root) == vp);
        Ask(1000);
        Instructions.Tsc += 30_000;
        Timers<FakeBackend>.Expire(Processor);
        Assert.False(Processor->SliceTimer.IsArmed);
        Answer(5000, thenIdle: true);
        Assert.True(Enter(Root) == other);
        Assert.True(vp->Scheduling.IsQueued);
    }

    // What an exit delivers before it is looked at may wake somebody.
    [Fact]
    public void WhoIsPreemptedInTheExitOfItsInterceptDoesNotGoOn()
    {
        Processor->Timers.Arm(&Processor->SliceTimer, Clock.Now + 20_000_000);
        vp->Scheduling.VirtualTime += 1_000_000_000;
        Instructions.Tsc += Clock.FromMicroseconds(100);
        other->SuspendReasons = SuspendReason.Explicit;
        Scheduler<FakeBackend>.Resume(other, SuspendReason.Explicit);
        Assert.NotEqual(0u, vp->Work & EntryWork.Reschedule);
        Ask(0);
        Answer(1000, thenIdle: true);
        Assert.True(Processor->SliceTimer.IsArmed);
        Assert.True(Enter(Root) == other);
        Assert.True(vp->Scheduling.IsQueued);
    }

    // Another processor's request may be looked at between the intercept and the next entry.
    [Fact]
    public void WhoIsAboutToAnswerIsQueuedWhenSomebodyElseWakes()
    {
        Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
        Assert.True(Processor->Answering == Root && !Root->Scheduling.IsQueued);
        other->SuspendReasons = SuspendReason.Explicit;
        Scheduler<FakeBackend>.Resume(other, SuspendReason.Explicit);
        Assert.True(Processor->Answering == null && Root->Scheduling.IsQueued);
        Assert.True(Enter(vp) == Root);
        Answer(1000, thenIdle: true);
        Assert.True(vp->Scheduling.IsQueued && other->Scheduling.IsQueued);
    }

    [Fact]
    public void WhoIsSuspendedWithItsAnswerDoesNotGoOn()
    {
        other->SuspendReasons = 0;
        Assert.True(Processor->Queue.TryWake(&other->Scheduling, Clock.Now));
        Processor->Timers.Arm(&Processor->SliceTimer, Clock.Now + 20_000);
        Ask(1000);
        Answer(1000, thenIdle: true, (HvRegisterInterceptSuspend, 0), (HvRegisterExplicitSuspend, 1));
        Assert.True(Enter(Root) == other);
        Assert.False(vp->Scheduling.IsQueued);
        Scheduler<FakeBackend>.Resume(vp, SuspendReason.Explicit);
        Assert.True(vp->Scheduling.IsQueued);
    }

    [Fact]
    public void WhoIsDeletedWhileItAsksIsForgotten()
    {
        Ask(1000);
        Assert.True(machine.TakeMessage((int)Sint, out _));
        Assert.True(machine.Call(HypercallCode.HvCallDeleteVp, new HvInputDeleteVp { PartitionId = new(child->Id), VpIndex = new(0) }).IsSuccess);
        Assert.True(Processor->Asking == null && Processor->Answering == null);
        Assert.True(Enter(Root) == Root);
    }

    [Fact]
    public void ACapCountsTheTimeBeforeTheAnswer()
    {
        Processor->Queue.Change(&vp->Scheduling, 100, SchedulerEntity.WholeProcessor / 2, 0, Clock.Now);
        ulong before = vp->Scheduling.CapClock;
        Ask(1000);
        Answer(5000, thenIdle: true);
        Assert.True(Enter(Root) == vp);
        Assert.True(vp->Scheduling.CapClock >= before + 2000);
    }
}
