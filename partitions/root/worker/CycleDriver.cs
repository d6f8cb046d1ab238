// Drives the cycle test: does with a VM what the state machine asks for, and prints what came of it.
using System;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class CycleDriver
{
    private static CycleTest* _test;

    public static void Initialize(CycleTest* test) => _test = test;

    public static bool IsTesting(Vm* vm) => _test != null && _test->IsActive && _test->VmNumber == vm->Number;

    /// <summary>The VM under test is gone and everything it held is given back.</summary>
    public static void Ended()
    {
        _test->Ended(PhysicalMemory.FreePageCount);
        VmWorker.Schedule(0);
    }

    public static void Begin(Vm* vm, uint count, uint milliseconds)
    {
        if (_test->IsActive) { ConsoleOutput.Line("test cycle: one is running"u8); return; }
        if (vm->State != VmState.Off) { VmLog.Line(vm, "is not off"u8); return; }
        _test->Begin(vm->Number, count, milliseconds, PhysicalMemory.FreePageCount);
        VmWorker.Schedule(0);
    }

    /// <summary>"vm stop" of the VM under test ends the test.</summary>
    public static void Cancel()
    {
        _test->Cancel();
        VmWorker.Schedule(0);
    }

    /// <summary>One step; returns when the next is due. The executor gets its turn between a start and an end.</summary>
    public static ulong Step(ulong now)
    {
        if (_test == null || !_test->IsActive) return ulong.MaxValue;
        Vm* vm = VmWorker.Get(_test->VmNumber);
        switch (_test->Next(now))
        {
            case CycleAction.Start: _test->Started(VmWorker.Start(vm), now); break;
            case CycleAction.Stop:
                VmWorker.End(vm, VmEnd.Stopped);
                // Its disks may need time to let go.
                if (vm->State == VmState.Stopping) return now + ReferenceClock.TicksPerSecond / 1000;
                break;
            case CycleAction.Progress: Report("cycle "u8, false); break;
            case CycleAction.Pass: Report("PASS cycle "u8, true); return ulong.MaxValue;
            case CycleAction.Fail: ReportFailure(); return ulong.MaxValue;
            default: return _test->Deadline;
        }
        return now;
    }

    private static void Report(ReadOnlySpan<byte> start, bool withPages)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text(start).Decimal(_test->Done);
        if (!withPages) line.Text(" of "u8).Decimal(_test->Wanted);
        AppendPages(ref line);
        ConsoleOutput.Line(line.Written);
    }

    private static void ReportFailure()
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("FAIL cycle "u8).Decimal(_test->Done).Text(" of "u8).Decimal(_test->Wanted).Text(_test->Failure switch
        {
            CycleFailure.DidNotStart => ": the VM did not start,"u8,
            CycleFailure.PagesMissing => ": pages are missing,"u8,
            _ => ": cancelled,"u8,
        });
        AppendPages(ref line);
        ConsoleOutput.Line(line.Written);
    }

    private static void AppendPages(ref TextWriter line) =>
        line.Text(" free pages "u8).Decimal(_test->FreePagesBefore).Text(" -> "u8).Decimal(_test->FreePagesAfter);
}
