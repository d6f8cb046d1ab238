// Logical processors as threads: each goes round the loop of the world switch, with guests that are made up and physical interrupts that are events.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Apic;
using Lamina.Hypervisor.Core;
using Lamina.Hypervisor.Hypercalls;
using Lamina.Hypervisor.Synic;
using Lamina.Tests.Host.Hypercalls;
using Lamina.X64;

namespace Lamina.Tests.Host.Processors;

/// <summary>What a guest does that leaves it, or the interrupt that makes it leave.</summary>
public enum Exit { Interrupt, Nothing, Halt, IdleWait, EndOfInterrupt, Start, Ask, AskRoot, Yield, Flush, Init, StartUp, Timer, Intercept, Root }

/// <summary>What all guests are told to do.</summary>
public enum Order { Anything = 1, Rest, Spin, End }

/// <summary>
/// The core of a machine of several processors, on as many threads. Only what the processor and the device side of it do is imitated, in the order of svm.asm and
/// SvmExits.cs: an interrupt that waits makes a guest leave before its next instruction, and ends a halt; state goes into registers and out of them at a switch.
/// Time is a count that goes on as guests and idle processors use it.
/// </summary>
public sealed unsafe class ProcessorThreads : IStateWatch, IDisposable
{
    private const ulong InterruptFlag = 1 << 9, TicksPerStep = 500;

    /// <summary>Ends a thread from within the core.</summary>
    private sealed class StopException : Exception { }

    private sealed class Processor
    {
        public LogicalProcessor* Core;
        public Thread Thread;
        public readonly AutoResetEvent Wake = new(false);
        public int Kicked;
        public volatile bool IsIdle;
        public GuestActor InRegisters;
        public long Register;
        public Random Random;
    }

    [ThreadStatic] private static Processor self;

    private readonly TestMachine machine;
    private readonly Processor[] processors;
    private readonly ConcurrentDictionary<ulong, GuestActor> actors = new();
    private readonly ConcurrentDictionary<ulong, GuestMap> maps = new();
    private readonly int seed;
    private readonly LogicalProcessor* first;
    private int actorCount;
    private volatile bool isStopping;

    public volatile int CurrentOrder = (int)Order.Anything;
    public Exception Failure;
    /// <summary>Carries out what the root does next, on processor 0 and from its exit; one that returned leaves the root alone.</summary>
    public Action<ProcessorThreads> RootAction = _ => { };
    public GuestActor Root;
    public long Moves, Takes, Exits, Turns;

    public ProcessorThreads(TestMachine machine, int count, int seed)
    {
        this.machine = machine;
        this.seed = seed;
        first = LogicalProcessor.Current;
        processors = new Processor[count];
        for (int i = 0; i < count; i++)
        {
            LogicalProcessor* core = i == 0 ? first : HostStack.Create(i);
            processors[i] = new Processor { Core = core, Random = new Random(seed + i) };
            if (i != 0) Scheduler<FakeBackend>.Initialize(core);
            LogicalProcessors.Add(core);
        }
        FakeBackend.Watch = this;
        FakeBackend.WhileIdle = Idle;
        PhysicalApic.OnKick = Kick;
        first->Loaded = null;
        first->InRegisters = null;
        machine.RootVp->Work = EntryWork.Interrupts;
        // What other tests have requested of the root is not this one's.
        first->Visitors = 0;
        machine.RootVp->Requests = 0;
        machine.RootVp->Apic.Init();
        machine.RootVp->OfferedVector = FakeBackend.State(machine.RootVp)->Offered = 0;
        FakeBackend.State(machine.RootVp)->Rflags |= InterruptFlag;
        if (!machine.RootVp->Apic.TryWriteMmio(0xF0, 0x1FF, 0, out _)) throw new InvalidOperationException("the root's APIC");
        while (machine.TakeMessage(InterceptSint, out _)) { }
        Poll(true);
        Root = Know(machine.RootVp);
    }

    public const int InterceptSint = (int)SynicLimits.HV_SYNIC_INTERCEPTION_SINT_INDEX;

    /// <summary>Whether the root takes intercepts as its executor does: without an interrupt, asleep by HV_X64_MSR_GUEST_IDLE.</summary>
    private void Poll(bool on) => SyntheticMsrs<FakeBackend>.TryWrite(machine.RootVp, HvMsr.HV_X64_MSR_SINT0 + InterceptSint, 0x40 | (on ? 1UL << 18 : 0));

    public GuestActor Know(VirtualProcessor* vp)
    {
        GuestActor actor = new(vp, vp == machine.RootVp, maps.GetOrAdd(vp->Partition->Id, _ => new GuestMap()), seed + 100 + ++actorCount);
        actors[(ulong)vp] = actor;
        return actor;
    }

    public void Start()
    {
        foreach (Processor processor in processors)
        {
            processor.Thread = new Thread(() => Run(processor)) { IsBackground = true, Name = $"processor {processor.Core->Index}" };
            processor.Thread.Start();
        }
    }

    public ICollection<GuestActor> Actors => actors.Values;
    public int Count => processors.Length;

    /// <summary>Whether somebody waits while a processor is idle, at this moment.</summary>
    public bool IsUnfair
    {
        get
        {
            bool idle = false, waiting = false;
            foreach (Processor processor in processors)
            {
                idle |= processor.IsIdle;
                waiting |= Volatile.Read(ref processor.Core->Queue.Count) != 0;
            }
            return idle && waiting;
        }
    }

    public void Stop()
    {
        isStopping = true;
        foreach (Processor processor in processors) processor.Wake.Set();
        foreach (Processor processor in processors) processor.Thread?.Join(10_000);
    }

    /// <summary>The machine of one processor, as the other tests want it.</summary>
    public void Dispose()
    {
        Stop();
        LogicalProcessors.Clear();
        FakeBackend.Watch = null;
        FakeBackend.WhileIdle = null;
        PhysicalApic.OnKick = _ => { };
        VirtualProcessor* root = machine.RootVp;
        ref TimerQueue timers = ref first->Timers;
        timers.Disarm(&root->Timer);
        timers.Disarm(&first->SliceTimer);
        first->ArmedDeadline = ulong.MaxValue;
        first->Queue.Remove(&root->Scheduling, Instructions.RdTsc());
        first->Running = first->Loaded = root;
        first->InGrace = false;
        first->Asking = first->Answering = null;
        Poll(false);
        first->Entered = first->Visitors = first->Calls = first->Seekers = 0;
        root->Processor = (ulong)first;
        root->Requests = 0;
        root->SuspendReasons = root->Work = 0;
        FakeBackend.State(root)->Rflags &= ~InterruptFlag;
        root->Apic.Init();
        root->OfferedVector = 0;
        if (first->HeldRanks != 0) throw new InvalidOperationException("a lock is held at the end");
    }

    public string Describe()
    {
        string text = "";
        foreach (GuestActor actor in actors.Values) text += actor.Describe() + "\n";
        foreach (Processor processor in processors)
            text += $"processor {processor.Core->Index}: idle {processor.IsIdle}, kicked {processor.Kicked}, running {(ulong)processor.Core->Running:X}, entered {processor.Core->Entered:X}, "
                + $"waiting {processor.Core->Queue.Count}, visitors {processor.Core->Visitors:X}, calls {processor.Core->Calls:X}, seekers {processor.Core->Seekers:X}\n";
        return text;
    }

    // ---- The processor ----

    private void Run(Processor processor)
    {
        self = processor;
        HostStack.Current = processor.Core;
        PhysicalApic.Deadline = ulong.MaxValue;
        processor.Core->ArmedDeadline = ulong.MaxValue;
        Timers<FakeBackend>.Program(processor.Core);
        try
        {
            VirtualProcessor* vp = null;
            while (true)
            {
                GuestActor wanted = vp == null ? null : Find(vp);
                if (wanted != processor.InRegisters || vp == null)
                {
                    Save(processor);
                    if (vp == null)
                    {
                        vp = FinishEntry(Scheduler<FakeBackend>.Park());
                        wanted = Find(vp);
                    }
                    wanted.Claim(ref wanted.InRegisters, processor.Core->Index, "in registers");
                    processor.InRegisters = wanted;
                    processor.Register = wanted.SavedRegister;
                }
                if (wanted.IsDeleted) throw new InvalidOperationException($"{wanted} was deleted and is entered");
                if (wanted.Loaded != processor.Core->Index + 1) throw new InvalidOperationException($"{wanted} is entered and not loaded");
                if (processor.Core->Entered != (ulong)vp) throw new InvalidOperationException($"{wanted} is entered and not announced");
                wanted.Claim(ref wanted.Executing, processor.Core->Index, "entered");
                Exit exit = Execute(processor, wanted);
                wanted.Release(ref wanted.Executing, processor.Core->Index, "entered");
                Interlocked.Increment(ref Exits);
                vp = HandleExit(processor, wanted, exit);
            }
        }
        catch (StopException) { }
        catch (Exception problem)
        {
            Interlocked.CompareExchange(ref Failure, problem, null);
            isStopping = true;
        }
    }

    private GuestActor Find(VirtualProcessor* vp) =>
        actors.TryGetValue((ulong)vp, out GuestActor actor) ? actor : throw new InvalidOperationException($"nobody is at {(ulong)vp:X}, and is to be entered");

    private static void Save(Processor processor)
    {
        GuestActor last = processor.InRegisters;
        if (last == null) return;
        last.SavedRegister = processor.Register;
        processor.InRegisters = null;
        last.Release(ref last.InRegisters, processor.Core->Index, "in registers");
    }

    private VirtualProcessor* FinishEntry(VirtualProcessor* vp)
    {
        if (vp->SecondStageGeneration != vp->Partition->SecondStageGeneration)
        {
            vp->SecondStageGeneration = vp->Partition->SecondStageGeneration;
            GuestActor actor = Find(vp);
            actor.Translations = Volatile.Read(ref actor.Map.Changed);
        }
        return vp;
    }

    private bool IsInterruptPending(Processor processor) => Volatile.Read(ref processor.Kicked) != 0 || PhysicalApic.Deadline <= Volatile.Read(ref Instructions.Tsc);

    private void TakeInterrupts(Processor processor)
    {
        InterruptFrame frame = default;
        if (PhysicalApic.Deadline <= Volatile.Read(ref Instructions.Tsc))
        {
            PhysicalApic.Deadline = ulong.MaxValue;
            frame.Vector = PhysicalApic.TimerVector;
            HostInterrupts<FakeBackend>.Handle(&frame);
        }
        if (Interlocked.Exchange(ref processor.Kicked, 0) == 0) return;
        frame.Vector = PhysicalApic.KickVector;
        HostInterrupts<FakeBackend>.Handle(&frame);
    }

    private void Kick(int index)
    {
        Interlocked.Exchange(ref processors[index].Kicked, 1);
        processors[index].Wake.Set();
    }

    /// <summary>HLT with interrupts open: nothing but an interrupt ends it.</summary>
    private void Idle()
    {
        Processor processor = self;
        if (processor.InRegisters != null) throw new InvalidOperationException($"processor {processor.Core->Index} sleeps with the state of {processor.InRegisters}");
        if (processor.Core->HeldRanks != 0) throw new InvalidOperationException("a lock is held asleep");
        for (int turns = 0; !IsInterruptPending(processor); turns++)
        {
            if (isStopping) throw new StopException();
            processor.IsIdle = true;
            if (turns < 20) Thread.Yield(); else processor.Wake.WaitOne(1);
            // Nobody but who is idle may be there to make time pass.
            Interlocked.Add(ref Instructions.Tsc, turns < 20 ? 2000UL : 400_000);
        }
        processor.IsIdle = false;
        TakeInterrupts(processor);
    }

    // ---- The guests ----

    private Exit Execute(Processor processor, GuestActor actor)
    {
        FakeState* state = FakeBackend.State(actor.Vp);
        for (int steps = actor.Random.Next(1, 40); ; steps--)
        {
            if (isStopping) throw new StopException();
            if (IsInterruptPending(processor)) return Exit.Interrupt;
            if (actor.Translations < Volatile.Read(ref actor.Map.Flushed))
                throw new InvalidOperationException($"{actor} uses translations of version {actor.Translations}; the flush of {actor.Map.Flushed} has returned");
            if (processor.Register != actor.Expected) throw new InvalidOperationException($"{actor} has lost its registers: {processor.Register}, not {actor.Expected}");
            actor.Expected = ++processor.Register;
            Interlocked.Add(ref Instructions.Tsc, (ulong)processor.Random.Next(1, 8) * TicksPerStep);
            actor.Steps++;
            if (!actor.IsStarted) return Exit.Start;
            if (state->Offered != 0 && !state->OfferTaken && (state->Rflags & InterruptFlag) != 0)
            {
                state->OfferTaken = true;
                actor.Take(state->Offered);
                actor.InService++;
                Interlocked.Increment(ref Takes);
            }
            if (actor.IsInCall) return Exit.Flush;
            if (actor.InService != 0) return Exit.EndOfInterrupt;
            if (actor.Starting != 0) { if (steps > 0) continue; return Exit.StartUp; }
            int order = CurrentOrder;
            if (actor.Phase != order) { actor.Steps = 0; actor.Phase = order; }
            if (actor.IsRoot) return Exit.Root;
            switch ((Order)order)
            {
                case Order.Spin when !actor.IsSpinner:
                case Order.Rest:
                    state->Rflags |= InterruptFlag;
                    // What was offered meanwhile is taken by the step before the halt.
                    if (state->Offered == 0 || state->OfferTaken) return Exit.Halt;
                    break;
                case Order.Spin:
                    state->Rflags |= InterruptFlag;
                    if (steps % 1000 == 0) Thread.Yield();
                    break;
                default:
                    if (steps <= 0) return Choose(actor, state);
                    break;
            }
        }
    }

    private Exit Choose(GuestActor actor, FakeState* state)
    {
        // Those beside the root are not there often: it is there that an answer does not end a turn.
        if (self.Core == first && actor.Random.Next(2) == 0) return Exit.Intercept;
        bool isOpen = (state->Rflags & InterruptFlag) != 0;
        switch (actor.Random.Next(40))
        {
            case < 8: state->Rflags ^= InterruptFlag; return Exit.Nothing;
            case < 14: return isOpen ? Exit.Halt : Exit.Nothing;
            case 14: return Exit.IdleWait;
            case < 24: return Exit.Ask;
            case < 27: return Exit.AskRoot;
            case < 30: return Exit.Yield;
            case < 33: return Exit.Flush;
            case < 35: return Exit.Timer;
            // Only one that nobody else resets can promise the second half.
            case 35: return actor.Index == 0 && actor.Random.Next(4) == 0 ? Exit.Init : Exit.Nothing;
            case 36 or 37: return Exit.Intercept;
            default: return Exit.Nothing;
        }
    }

    // ---- The core's side of an exit ----

    private VirtualProcessor* HandleExit(Processor processor, GuestActor actor, Exit exit)
    {
        VirtualProcessor* vp = actor.Vp;
        switch (exit)
        {
            case Exit.Interrupt: TakeInterrupts(processor); break;
            case Exit.Halt: Scheduler<FakeBackend>.Halt(vp); break;
            case Exit.IdleWait: Scheduler<FakeBackend>.Idle(vp); break;
            case Exit.EndOfInterrupt: actor.InService--; WriteApic(vp, 0xB0, 0); break;
            case Exit.Start: StartGuest(actor); break;
            case Exit.Ask: Ask(actor); break;
            case Exit.AskRoot: AskFor(Root, (byte)(GuestActor.FirstVector + actor.Random.Next(GuestActor.VectorCount))); break;
            case Exit.Yield: Scheduler<FakeBackend>.Yield(vp); break;
            case Exit.Flush: Flush(actor); break;
            case Exit.Init: Init(actor, ApicDeliveryMode.Init); break;
            case Exit.StartUp: Init(actor, ApicDeliveryMode.StartUp); break;
            case Exit.Timer:
                actor.Ask(GuestActor.TimerVector);
                WriteApic(vp, 0x3E0, 0xB);
                WriteApic(vp, 0x320, GuestActor.TimerVector);
                WriteApic(vp, 0x380, (uint)actor.Random.Next(1, 100_000));
                break;
            case Exit.Intercept:
                Intercepts<FakeBackend>.Msr(vp, 0x1B, 1);
                if (processor.Core->Answering != null) Interlocked.Increment(ref Turns);
                break;
            case Exit.Root: RootAction(this); break;
        }
        if (vp->Work != 0)
        {
            VirtualProcessor* next = Scheduler<FakeBackend>.PrepareEntry(vp);
            return next == null ? null : FinishEntry(next);
        }
        return FinishEntry(vp);
    }

    private static void WriteApic(VirtualProcessor* vp, uint offset, uint value)
    {
        Interrupts<FakeBackend>.Synchronize(vp);
        if (vp->Apic.TryWriteMmio(offset, value, Instructions.RdTsc() + vp->TscOffset, out ApicEffect effect))
            Interrupts<FakeBackend>.Apply(vp, effect);
    }

    private static void StartGuest(GuestActor actor)
    {
        TestMachine.EnterLongMode(actor.Vp);
        WriteApic(actor.Vp, 0xF0, 0x1FF);
        // In this order: what is asked for from now on is not lost.
        actor.ForgiveAll();
        actor.IsStarted = true;
    }

    /// <summary>As a device does: the interrupt may be for anybody, wherever that is.</summary>
    public void AskFor(GuestActor target, byte vector)
    {
        target.Ask(vector);
        Interrupts<FakeBackend>.Assert(target.Vp, vector, false);
    }

    /// <summary>An interrupt command to one sibling, to oneself or to all.</summary>
    private void Ask(GuestActor actor)
    {
        byte vector = (byte)(GuestActor.FirstVector + actor.Random.Next(GuestActor.VectorCount));
        Partition* partition = actor.Vp->Partition;
        uint destination = actor.Random.Next(6) == 0 ? IcrCommand.Broadcast : (uint)actor.Random.Next(8);
        for (uint i = 0; i < Partition.MaximumVps; i++)
            if ((destination == IcrCommand.Broadcast || destination == i) && partition->GetVp(i) != null && actors.TryGetValue((ulong)partition->GetVp(i), out GuestActor target))
                target.Ask(vector);
        Interrupts<FakeBackend>.SendIpi(actor.Vp, new IcrCommand((ulong)destination << 32 | vector));
    }

    /// <summary>As an operating system does: INIT, and in another exit, perhaps of another processor, the start-up.</summary>
    private static void Init(GuestActor actor, ApicDeliveryMode mode)
    {
        if (mode == ApicDeliveryMode.Init) actor.Starting = (uint)actor.Random.Next(1, 5);
        Interrupts<FakeBackend>.SendIpi(actor.Vp, new IcrCommand((ulong)actor.Starting << 32 | (uint)mode << 8 | 1 << 14 | (mode == ApicDeliveryMode.StartUp ? 1u : 0)));
        if (mode == ApicDeliveryMode.StartUp) actor.Starting = 0;
    }

    /// <summary>HvCallFlushVirtualAddressSpace of all processors, after a change of the tables; the call may take several entries.</summary>
    private void Flush(GuestActor actor)
    {
        VirtualProcessor* vp = actor.Vp;
        FakeState* state = FakeBackend.State(vp);
        if (!actor.IsInCall)
        {
            actor.IsInCall = true;
            actor.CallRip = state->Rip;
            vp->Gpr[Gpr.Rcx] = HypercallCode.HvCallFlushVirtualAddressSpace;
            vp->Gpr[Gpr.Rdx] = (ulong)actor.Index * TestMachine.Page;
        }
        long version = Interlocked.Increment(ref actor.Map.Changed);
        HypercallDispatch<FakeBackend>.Handle(vp);
        if (state->ExceptionPending) throw new InvalidOperationException($"{actor}: the call raised {state->Exception}");
        if (state->Rip == actor.CallRip) return;
        actor.IsInCall = false;
        if ((ushort)vp->Gpr[Gpr.Rax] != 0) throw new InvalidOperationException($"{actor}: the flush returned {vp->Gpr[Gpr.Rax]:X}");
        // Only now does its guest know; the version may have been passed by another's.
        for (long last; (last = Volatile.Read(ref actor.Map.Flushed)) < version;)
            if (Interlocked.CompareExchange(ref actor.Map.Flushed, version, last) == last) break;
    }

    // ---- What the core does with state ----

    public void Entering(VirtualProcessor* vp)
    {
        GuestActor actor = Find(vp);
        actor.Claim(ref actor.Loaded, LogicalProcessor.Current->Index, "loaded");
    }

    public void Left(VirtualProcessor* vp)
    {
        GuestActor actor = Find(vp);
        actor.Release(ref actor.Loaded, LogicalProcessor.Current->Index, "loaded");
    }

    public void Departed(VirtualProcessor* vp)
    {
        Find(vp).RequireNowhere();
        Interlocked.Increment(ref Moves);
    }

    public void Arrived(VirtualProcessor* vp) => Find(vp).RequireNowhere();

    public void Reset(VirtualProcessor* vp)
    {
        // One that is being made is not known yet.
        if (!actors.TryGetValue((ulong)vp, out GuestActor actor)) return;
        actor.RequireNowhere();
        actor.IsStarted = actor.IsInCall = false;
        actor.InService = 0;
        actor.ForgiveAll();
    }

    public void Destroyed(VirtualProcessor* vp)
    {
        GuestActor actor = Find(vp);
        actor.RequireNowhere();
        actor.IsDeleted = true;
        actors.TryRemove((ulong)vp, out _);
    }
}
