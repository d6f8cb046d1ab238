// Processors that execute in turns, as those of an emulator on one thread or of a machine that is a guest itself: each stands still for longer than the scheduler's periods.
using System;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Tests.Host.Hypercalls;
using Lamina.X64;
using Xunit;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Processors;

[Collection("core")]
public sealed unsafe class TurnsTests(TestMachine machine)
{
    private const uint AccountPages = 90;
    /// <summary>How long the other processors stand still.</summary>
    private static readonly ulong Turn = Clock.FromMicroseconds(100_000);

    /// <summary>Ends a turn in which nobody is to be run.</summary>
    private sealed class IdleException : Exception { }

    private sealed class Processor
    {
        public LogicalProcessor* Core;
        public VirtualProcessor* Next;
        public ulong Deadline = ulong.MaxValue;
        public bool IsKicked;
    }

    private Processor[] processors;
    private ulong[] ran;
    private Partition* child;

    [Theory]
    [InlineData(2, 3, new uint[] { 100 })]
    [InlineData(2, 5, new uint[] { 100 })]
    [InlineData(2, 4, new uint[] { 50, 100, 400 })]
    [InlineData(4, 7, new uint[] { 100 })]
    [InlineData(4, 9, new uint[] { 50, 100, 400 })]
    public void NobodyIsMovedInsteadOfRun(int count, int guests, uint[] weights)
    {
        CreateChild(guests);
        for (uint i = 0; i < guests; i++) LogicalProcessor.Current->Queue.Change(&child->GetVp(i)->Scheduling, weights[i % weights.Length], 0, 0, Instructions.RdTsc());
        using ProcessorThreads threads = new(machine, count, 1);
        for (uint i = 0; i < guests; i++) threads.Know(child->GetVp(i));
        FakeBackend.WhileIdle = () => throw new IdleException();
        PhysicalApic.OnKick = index => processors[index].IsKicked = true;
        LogicalProcessor* first = LogicalProcessor.Current;
        processors = new Processor[count];
        for (int i = 0; i < count; i++) processors[i] = new Processor { Core = LogicalProcessors.At(i) };
        ran = new ulong[guests];
        // Nothing wakes the root.
        first->Running = null;
        machine.RootVp->SuspendReasons = SuspendReason.Explicit;

        const int rounds = 100, patience = 20;
        ulong[] before = new ulong[guests];
        int[] since = new int[guests];
        try
        {
            for (int round = 0; round < rounds; round++)
            {
                foreach (Processor processor in processors) Execute(processor, Turn);
                for (int i = 0; i < guests; i++)
                {
                    since[i] = ran[i] == before[i] ? since[i] + 1 : 0;
                    before[i] = ran[i];
                    Assert.True(since[i] < patience, $"{i} has not run for {patience} rounds; moves {threads.Moves}\n{threads.Describe()}");
                }
            }
            Assert.True(threads.Moves > 0);
        }
        finally { End(first); }
    }

    /// <summary>One processor's turn: the other ones' time passes, too.</summary>
    private void Execute(Processor processor, ulong ticks)
    {
        HostStack.Current = processor.Core;
        PhysicalApic.Deadline = processor.Deadline;
        ulong end = Instructions.Tsc + ticks;
        try
        {
            do
            {
                VirtualProcessor* vp = processor.Next;
                if (vp == null) vp = Scheduler<FakeBackend>.Park();
                else TakeInterrupts(processor);
                if (vp->Work != 0) vp = Scheduler<FakeBackend>.PrepareEntry(vp);
                processor.Next = vp;
                if (vp == null || processor.IsKicked || PhysicalApic.Deadline <= Instructions.Tsc || Instructions.Tsc >= end) continue;
                ulong until = Math.Min(end, PhysicalApic.Deadline);
                ran[vp->Index] += until - Instructions.Tsc;
                Instructions.Tsc = until;
            }
            while (Instructions.Tsc < end);
        }
        catch (IdleException) { Instructions.Tsc = Math.Max(end, Instructions.Tsc); }
        processor.Deadline = PhysicalApic.Deadline;
    }

    private static void TakeInterrupts(Processor processor)
    {
        InterruptFrame frame = default;
        if (PhysicalApic.Deadline <= Instructions.Tsc)
        {
            PhysicalApic.Deadline = ulong.MaxValue;
            frame.Vector = PhysicalApic.TimerVector;
            HostInterrupts<FakeBackend>.Handle(&frame);
        }
        if (!processor.IsKicked) return;
        processor.IsKicked = false;
        frame.Vector = PhysicalApic.KickVector;
        HostInterrupts<FakeBackend>.Handle(&frame);
    }

    /// <summary>Everybody out of the processors, and gone.</summary>
    private void End(LogicalProcessor* first)
    {
        foreach (Processor processor in processors)
        {
            HostStack.Current = processor.Core;
            if (processor.Core->Loaded != null) FakeBackend.Leave(processor.Core->Loaded);
            processor.Core->Loaded = processor.Core->InRegisters = processor.Core->Running = null;
            processor.Core->Timers.Disarm(&processor.Core->SliceTimer);
            processor.Core->ArmedDeadline = ulong.MaxValue;
            processor.Core->Visitors = 0;
            for (uint i = 0; i < ran.Length; i++)
            {
                VirtualProcessor* vp = child->GetVp(i);
                if (vp->Processor != (ulong)processor.Core) continue;
                processor.Core->Queue.Remove(&vp->Scheduling, Instructions.RdTsc());
                processor.Core->Timers.Disarm(&vp->Timer);
                vp->Requests = 0;
                vp->Processor = (ulong)first;
            }
        }
        HostStack.Current = first;
        PhysicalApic.Deadline = ulong.MaxValue;
        first->Running = first->Loaded = machine.RootVp;
        machine.RootVp->SuspendReasons = 0;
        LogicalProcessors.Clear();
        machine.Destroy(child);
    }

    private void CreateChild(int guests)
    {
        Assert.True(machine.Call(HvCallCreatePartition, default(HvInputCreatePartition), out HvOutputCreatePartition created).IsSuccess);
        ulong id = created.NewPartitionId.Value;
        Assert.True(Partitions.TryFind(id, out child));
        Assert.True(machine.Deposit(id, machine.Free, AccountPages).Status.IsSuccess);
        Assert.True(machine.Call(HvCallInitializePartition, new HvInputInitializePartition { PartitionId = new(id) }).IsSuccess);
        for (uint i = 0; i < guests; i++)
        {
            Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = new(id), VpIndex = new(i) }).IsSuccess);
            Interrupts<FakeBackend>.StartUp(child->GetVp(i), 1);
            HvRegisterAssoc register = new(HvRegisterName.HvRegisterExplicitSuspend, 0);
            Assert.True(machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HvCallSetVpRegisters, new() { PartitionId = new(id), VpIndex = new(i) }, [register]).Status.IsSuccess);
        }
    }
}
