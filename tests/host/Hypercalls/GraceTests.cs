// Who signals goes on for a moment before who was signaled takes the processor. docs/decisions/0008.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Xunit;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Hypercalls;

[Collection("core")]
public sealed unsafe class GraceTests(TestMachine machine) : IDisposable
{
    private const ulong Fast = 1 << 16, Grace = 50 * (Clock.TscHz / 1_000_000);
    private Partition* child;
    private VirtualProcessor* vp;

    private static LogicalProcessor* Processor => LogicalProcessor.Current;
    private bool MustLeave => (vp->Work & EntryWork.Reschedule) != 0;

    /// <summary>A child runs, the root sleeps and has a port for its signals.</summary>
    private void Begin()
    {
        child = machine.CreateChild(60);
        vp = machine.CreateVp(child);
        machine.EnableHypercalls(vp);
        Assert.True(machine.Call(HvCallCreatePort, new HvInputCreatePort
        {
            PortPartition = new(Partition.RootId), PortId = 3, ConnectionPartition = new(child->Id),
            PortInfo = new HvPortInfo { PortType = HvPortType.HvPortTypeEvent, TargetSint = 4, TargetVp = VpIndex.Any, FlagCount = 2 },
        }).IsSuccess);
        Assert.True(machine.Call(HvCallConnectPort, new HvInputConnectPort
        {
            ConnectionPartition = new(child->Id), ConnectionId = 1, PortPartition = new(Partition.RootId), PortId = 3,
            ConnectionInfo = new HvConnectionInfo { PortType = HvPortType.HvPortTypeEvent },
        }).IsSuccess);
        vp->SuspendReasons = 0;
        vp->Work = 0;
        vp->Scheduling.VirtualTime = machine.RootVp->Scheduling.VirtualTime + 1_000_000;
        vp->DispatchTsc = Clock.Now;
        Processor->Running = vp;
        machine.RootVp->SuspendReasons = SuspendReason.Halt;
        FakeBackend.State(machine.RootVp)->Rflags |= 1 << 9;
        Assert.True(machine.RootVp->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _));
    }

    private void Signal(ulong flag) => Assert.True(machine.Call(vp, HvCallSignalEvent | Fast, 1 | flag << 32, 0).Status.IsSuccess);

    public void Dispose()
    {
        Processor->Running = machine.RootVp;
        Processor->InGrace = false;
        Processor->Queue.Remove(&machine.RootVp->Scheduling, Clock.Now);
        Processor->Timers.Disarm(&Processor->SliceTimer);
        machine.RootVp->SuspendReasons = 0;
        FakeBackend.State(machine.RootVp)->Rflags &= ~(1UL << 9);
        for (uint vector = 16; vector < 256; vector++) machine.RootVp->Apic.Clear((byte)vector);
        new Span<byte>(TestMachine.At<byte>(machine.EventPage), 4096).Clear();
        machine.Call(HvCallDeletePort, new HvInputDeletePort { PortPartition = PartitionId.Self, PortId = 3 });
        machine.Destroy(child);
    }

    [Fact]
    public void TheSenderGoesOnUntilTheGraceEnds()
    {
        Begin();
        ulong before = Clock.Now;
        Signal(0);
        Assert.True(machine.RootVp->IsRunnable && machine.RootVp->Scheduling.IsQueued);
        Assert.False(MustLeave);
        ulong end = PhysicalApic.Deadline;
        Assert.InRange(end, before + Grace, Clock.Now + Grace);
        // More signals do not make it longer.
        Lamina.X64.Instructions.Tsc += Grace / 2;
        Signal(1);
        Assert.Equal((false, end), (MustLeave, PhysicalApic.Deadline));
        Lamina.X64.Instructions.Tsc += Grace;
        Timers<FakeBackend>.Expire(Processor);
        Assert.True(MustLeave);
        Assert.False(Processor->InGrace);
    }

    [Fact]
    public void AnotherInterruptEndsIt()
    {
        Begin();
        Signal(0);
        Interrupts<FakeBackend>.Assert(vp, 0x70, false);
        Assert.False(MustLeave);
        Interrupts<FakeBackend>.Assert(machine.RootVp, 0x70, false);
        Assert.True(MustLeave);
    }

    [Fact]
    public void WhoMustLeaveAnywayLeaves()
    {
        Begin();
        vp->Work |= EntryWork.Reschedule;
        Signal(0);
        Assert.True(MustLeave);
        Assert.False(Processor->InGrace);
    }

    [Fact]
    public void AnEarlierEndOfTheSliceStands()
    {
        Begin();
        ulong slice = Clock.Now + Grace / 4;
        Processor->Timers.Arm(&Processor->SliceTimer, slice);
        Signal(0);
        Assert.False(MustLeave);
        Assert.Equal(slice, Processor->SliceTimer.Deadline);
    }
}
