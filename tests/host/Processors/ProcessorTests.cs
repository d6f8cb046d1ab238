// What several processors do to each other, on real threads: nothing is lost, nobody is in two places, nobody waits for ever. LAMINA_FUZZ=N runs it N times as long.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.Tests.Host.Hypercalls;
using Lamina.Tests.Host.Storage;
using Xunit;
using Xunit.Abstractions;
using static Lamina.Abi.HypercallCode;

namespace Lamina.Tests.Host.Processors;

[Collection("core")]
public sealed unsafe class ProcessorTests(TestMachine machine, ITestOutputHelper output)
{
    private const int Children = 2, RootTimerVector = 0x42;
    private const uint AccountPages = 90;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private ProcessorThreads threads;
    private Random random;
    private readonly List<ulong> children = [];
    private uint vpsPerChild;
    private int answeredOrder;
    private volatile bool isMade, isOver;
    private int calls, answers;

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void NothingIsLostAndNobodyIsInTwoPlaces(int processors)
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        random = new Random(seed);
        vpsPerChild = (uint)random.Next(2, 5);
        using (threads = new ProcessorThreads(machine, processors, seed) { RootAction = ActAsRoot })
        {
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_STIMER0_CONFIG,
                new StimerConfigMsr(0).WithPeriodic(true).WithAutoEnable(true).WithDirectMode(true).WithApicVector(RootTimerVector).Value));
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_STIMER0_COUNT, 2000));
            threads.Start();
            Await(() => isMade, "the children made");
            Stopwatch time = Stopwatch.StartNew();
            int rounds = 0;
            do
            {
                Give(Order.Anything);
                Pause(40);
                Give(Order.Rest);
                Await(() => threads.Actors.All(a => a.IsRoot || a.Phase == (int)Order.Rest && a.IsAnswered) && threads.Actors.Count == 1 + Children * vpsPerChild, "rest and every interrupt taken");
                Spin();
                rounds++;
            }
            // On a loaded host the threads get little done: until everything has happened at least once.
            while (time.ElapsedMilliseconds < 1500 * Fuzz.Factor || !HasSeenAll && time.Elapsed < Patience);
            Give(Order.Anything);
            Pause(20);
            Give(Order.End);
            Await(() => isOver, "the end of the children");
            output.WriteLine($"{rounds} rounds, {threads.Exits} exits, {threads.Takes} interrupts, {threads.Moves} moves, {calls} calls, {answers} answers, {threads.Turns} of them asked for on the root's processor while it slept");
            Assert.True(HasSeenAll);
            Assert.True(SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_STIMER0_CONFIG, 0));
        }
    }

    private bool HasSeenAll => threads.Moves > 0 && threads.Takes > 0 && calls > 0 && answers > 0;

    private void Give(Order order)
    {
        RequireNoFailure();
        threads.CurrentOrder = (int)order;
    }

    private void RequireNoFailure()
    {
        if (threads.Failure == null) return;
        threads.Stop();
        throw new InvalidOperationException(threads.Failure.Message + "\n" + threads.Describe(), threads.Failure);
    }

    private void Pause(int milliseconds)
    {
        Stopwatch time = Stopwatch.StartNew();
        Await(() => time.ElapsedMilliseconds >= milliseconds, "time");
    }

    /// <summary>Waits, but not for ever, and not while somebody waits beside an idle processor.</summary>
    private void Await(Func<bool> condition, string what)
    {
        Stopwatch time = Stopwatch.StartNew(), unfair = new();
        while (!condition())
        {
            RequireNoFailure();
            if (threads.IsUnfair) unfair.Start(); else unfair.Reset();
            if (time.Elapsed > Patience || unfair.Elapsed > Patience / 2)
            {
                threads.Stop();
                Assert.Fail($"{(time.Elapsed > Patience ? "not seen: " + what : "somebody waits beside an idle processor")}\n{threads.Describe()}");
            }
            Thread.Sleep(1);
        }
        RequireNoFailure();
    }

    /// <summary>Some never leave by themselves: with no more of them than processors each has one to itself, soon; else they take turns.</summary>
    private void Spin()
    {
        GuestActor[] all = [.. threads.Actors.Where(a => !a.IsRoot)];
        int count = random.Next(1, Math.Min(all.Length, threads.Count + 2) + 1);
        for (int i = 0; i < all.Length; i++) all[i].IsSpinner = i < count;
        Give(Order.Spin);
        GuestActor[] spinners = all[..count];
        if (count <= threads.Count)
            Await(() => spinners.All(s => Volatile.Read(ref s.Executing) != 0 && s.Phase == (int)Order.Spin), $"{count} that spin, at once");
        else
            Await(() => spinners.All(s => s.Phase == (int)Order.Spin && Volatile.Read(ref s.Steps) > 5000), $"{count} that spin, in turns");
    }

    // ---- The root, on processor 0, in its exits ----

    private void ActAsRoot(ProcessorThreads machineThreads)
    {
        int order = threads.Root.Phase;
        if (!isMade)
        {
            for (int i = 0; i < Children; i++) CreateChild(i);
            isMade = true;
        }
        // Now and then something else comes first, and is there when the answer is.
        if (random.Next(4) != 0 && Answer()) return;
        if ((Order)order == Order.End)
        {
            if (!isOver)
            {
                for (int i = 0; i < Children; i++)
                {
                    Assert.True(Partitions.TryFind(children[i], out Partition* child));
                    machine.Destroy(child);
                }
                isOver = true;
            }
        }
        else if ((Order)order != Order.Anything)
        {
            // Everybody is to see the order once.
            if (answeredOrder != order)
                foreach (GuestActor actor in threads.Actors.Where(a => !a.IsRoot))
                {
                    Suspend(actor, false);
                    threads.AskFor(actor, GuestActor.FirstVector);
                }
        }
        else if (ActAtRandom())
        {
            answeredOrder = order;
            return;
        }
        answeredOrder = order;
        Scheduler<FakeBackend>.Idle(machine.RootVp);
    }

    /// <summary>Answers one intercept, and may sleep with that. False: there is none.</summary>
    private bool Answer()
    {
        if (!machine.TakeMessage(ProcessorThreads.InterceptSint, out HvMessage message)) return false;
        HvRegisterAssoc register = new(HvRegisterName.HvRegisterInterceptSuspend, 0);
        HvStatus status = machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HvCallSetVpRegisters, new()
        {
            PartitionId = new(message.Header.SenderOrPort), VpIndex = new(*(uint*)message.Payload),
            Extension = random.Next(3) != 0 ? HvInputSetVpRegisters.ThenIdle : (byte)0,
        }, [register]).Status;
        Assert.True(status.IsSuccess || !Partitions.TryFind(message.Header.SenderOrPort, out _));
        answers++;
        return true;
    }

    /// <summary>False: the root sleeps.</summary>
    private bool ActAtRandom()
    {
        ulong child = children[random.Next(Children)];
        uint index = (uint)random.Next((int)vpsPerChild);
        Partition* partition = null;
        Assert.True(Partitions.TryFind(child, out partition));
        VirtualProcessor* vp = partition->GetVp(index);
        GuestActor actor = threads.Actors.First(a => a.Vp == vp);
        switch (random.Next(24))
        {
            case < 3: Suspend(actor, true); return true;
            case < 8: Suspend(actor, false); return true;
            case < 11: Call(actor); return true;
            case < 14: threads.AskFor(actor, (byte)(GuestActor.FirstVector + random.Next(GuestActor.VectorCount))); return true;
            case 14:
                Assert.True(machine.Call(HvCallSetPartitionProperty, new HvInputSetPartitionProperty
                    { PartitionId = new(child), PropertyCode = HvPartitionPropertyCode.HvPartitionPropertyCpuWeight, PropertyValue = (ulong)random.Next(1, 1000) }).IsSuccess);
                return true;
            case 15:
                // A page that nobody uses: those that execute for the partition leave all the same.
                Assert.True(machine.MapSmall(partition, 100, machine.GuestMemory + 100 * TestMachine.Page, 1).Status.IsSuccess);
                *TestMachine.At<HvInputUnmapGpaPages>(machine.InputGpa) = new() { TargetPartitionId = new(child), TargetGpaBase = 100 };
                Assert.True(machine.Call(machine.RootVp, HypercallInput.Rep(HvCallUnmapGpaPages, 1).Value, machine.InputGpa, 0).Status.IsSuccess);
                return true;
            case 16 when index != 0 && random.Next(4) == 0:
                Assert.True(machine.Call(HvCallDeleteVp, new HvInputDeleteVp { PartitionId = new(child), VpIndex = new(index) }).IsSuccess);
                Assert.True(actor.IsDeleted);
                CreateVp(partition, index);
                return true;
            default: return false;
        }
    }

    private void CreateChild(int number)
    {
        Assert.True(machine.Call(HvCallCreatePartition, default(HvInputCreatePartition), out HvOutputCreatePartition created).IsSuccess);
        ulong id = created.NewPartitionId.Value;
        Assert.True(Partitions.TryFind(id, out Partition* child));
        Assert.True(machine.Deposit(id, machine.Free + (ulong)number * AccountPages * TestMachine.Page, AccountPages).Status.IsSuccess);
        Assert.True(machine.Call(HvCallInitializePartition, new HvInputInitializePartition { PartitionId = new(id) }).IsSuccess);
        children.Add(id);
        ulong memory = machine.GuestMemory + (ulong)number * 16 * TestMachine.Page;
        Assert.True(machine.MapSmall(child, 0, memory, 16).Status.IsSuccess);
        for (uint i = 0; i < vpsPerChild; i++)
            *TestMachine.At<HvInputFlushVirtualAddressSpace>(memory + i * TestMachine.Page) = new() { Flags = HvFlushFlags.HV_FLUSH_ALL_PROCESSORS | HvFlushFlags.HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES };
        child->GuestOsId = 1;
        child->HypercallMsr = 1;
        for (uint i = 0; i < vpsPerChild; i++) CreateVp(child, i);
    }

    private void CreateVp(Partition* child, uint index)
    {
        Assert.True(machine.Call(HvCallCreateVp, new HvInputCreateVp { PartitionId = new(child->Id), VpIndex = new(index) }).IsSuccess);
        VirtualProcessor* vp = child->GetVp(index);
        GuestActor actor = threads.Know(vp);
        Interrupts<FakeBackend>.StartUp(vp, 1);
        Suspend(actor, false);
    }

    private void Suspend(GuestActor actor, bool isSuspended)
    {
        HvRegisterAssoc register = new(HvRegisterName.HvRegisterExplicitSuspend, isSuspended ? 1UL : 0);
        Assert.True(machine.Call<HvInputSetVpRegisters, HvRegisterAssoc>(HvCallSetVpRegisters,
            new() { PartitionId = new(actor.Vp->Partition->Id), VpIndex = new(actor.Index) }, [register]).Status.IsSuccess);
        if (!isSuspended) return;
        // Not before it has left.
        if (Volatile.Read(ref actor.Executing) != 0) throw new InvalidOperationException($"{actor} executes and is suspended");
    }

    private struct Argument { public int Calls, Refusals, Done; }

    private static ProcessorThreads current;

    /// <summary>A function on the processor of somebody: once, with nothing of him in registers, and he executes nothing meanwhile.</summary>
    private void Call(GuestActor actor)
    {
        current = threads;
        Argument argument = new() { Refusals = random.Next(3) };
        int refusals = argument.Refusals;
        CrossCalls<FakeBackend>.OnProcessorOf(actor.Vp, &CalledThere, &argument);
        Assert.Equal((refusals + 1, 1), (argument.Calls, argument.Done));
        calls++;
    }

    private static bool CalledThere(VirtualProcessor* vp, void* argument)
    {
        Argument* asked = (Argument*)argument;
        asked->Calls++;
        if (!vp->IsHere) throw new InvalidOperationException("called elsewhere");
        current.Actors.First(a => a.Vp == vp).RequireNowhere();
        if (asked->Refusals-- > 0) return false;
        asked->Done++;
        return true;
    }
}
