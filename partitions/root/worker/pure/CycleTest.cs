// The cycle test: a VM is started, runs until it ends or its time is over, is deleted; every page must be back each time.
using System;

namespace Lamina.Root.Worker;

/// <summary>What whoever drives the test is to do now.</summary>
public enum CycleAction : byte
{
    /// <summary>Nothing: ask again at <see cref="CycleTest.Deadline"/> or when the VM has ended.</summary>
    Wait,
    Start,
    Stop,

    /// <summary>A tenth of the cycles is done: print a line.</summary>
    Progress,

    /// <summary>All cycles are done and no page is missing.</summary>
    Pass,

    /// <summary>Over: <see cref="CycleTest.Failure"/> says why.</summary>
    Fail,
}

public enum CycleFailure : byte { None, DidNotStart, PagesMissing, Cancelled }

/// <summary>The test as a state machine: knows no VM, only what it is told about one.</summary>
public struct CycleTest
{
    private enum Phase : byte { Idle, Starting, Running, Ended, Reported }

    private Phase _phase;
    private ulong _ticksPerCycle;

    public uint Wanted { get; private set; }
    public uint Done { get; private set; }
    public ulong FreePagesBefore { get; private set; }
    public ulong FreePagesAfter { get; private set; }

    /// <summary>When the running VM's time is over, in 100 ns.</summary>
    public ulong Deadline { get; private set; }
    public CycleFailure Failure { get; private set; }

    /// <summary>Which VM is under test, as its owner numbers them.</summary>
    public int VmNumber { get; private set; }
    public readonly bool IsActive => _phase != Phase.Idle;

    public void Begin(int vmNumber, uint count, uint milliseconds, ulong freePages)
    {
        this = default;
        VmNumber = vmNumber;
        Wanted = count;
        FreePagesBefore = freePages;
        FreePagesAfter = freePages;
        _ticksPerCycle = milliseconds * 10_000UL;
        _phase = Phase.Starting;
    }

    /// <summary>The VM runs, or could not be started.</summary>
    public void Started(bool success, ulong now)
    {
        if (_phase != Phase.Starting) return;
        if (!success) Failure = CycleFailure.DidNotStart;
        Deadline = now + _ticksPerCycle;
        _phase = success ? Phase.Running : Phase.Ended;
    }

    /// <summary>The VM is gone, by itself or because <see cref="CycleAction.Stop"/> said so; everything it held is given back.</summary>
    public void Ended(ulong freePages)
    {
        if (_phase != Phase.Running) return;
        Done++;
        FreePagesAfter = freePages;
        if (freePages != FreePagesBefore) Failure = CycleFailure.PagesMissing;
        _phase = Phase.Ended;
    }

    public void Cancel()
    {
        if (!IsActive) return;
        Failure = CycleFailure.Cancelled;
        _phase = Phase.Ended;
    }

    /// <summary>The next thing to do. Pass and Fail end the test.</summary>
    public CycleAction Next(ulong now)
    {
        switch (_phase)
        {
            case Phase.Starting: return CycleAction.Start;
            case Phase.Running: return now >= Deadline ? CycleAction.Stop : CycleAction.Wait;
            case Phase.Ended when Failure != CycleFailure.None: _phase = Phase.Idle; return CycleAction.Fail;
            case Phase.Ended when Done == Wanted: _phase = Phase.Idle; return CycleAction.Pass;
            case Phase.Ended when IsProgressPoint(): _phase = Phase.Reported; return CycleAction.Progress;
            case Phase.Ended or Phase.Reported: _phase = Phase.Starting; return CycleAction.Start;
            default: return CycleAction.Wait;
        }
    }

    private readonly bool IsProgressPoint() => Done % Math.Max(1, Wanted / 10) == 0;
}
