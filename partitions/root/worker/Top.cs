// "top": who used the processors over some seconds, who waited for them, and what was set, from the core's counters.
using System;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class Top
{
    /// <summary>The number of the last "top"; a VM that does not know it was started after its begin, with counters of zero.</summary>
    private static uint _number;
    private static ulong _begin, _deadline;
    private static ProcessorUsage _root;

    [System.Runtime.CompilerServices.InlineArray((int)ProcessorCounters.Maximum)] private struct Readings { private ProcessorReading _first; }
    private static class Storage { internal static Readings Readings; }

    /// <summary>Reads all counters now and once more after some seconds. One that is running begins anew.</summary>
    public static void Begin(uint seconds)
    {
        _number++;
        _begin = ReferenceClock.Now;
        _deadline = _begin + seconds * ReferenceClock.TicksPerSecond;
        TryReadRoot(out _root);
        for (uint i = 0; i < ProcessorCounters.Maximum && ProcessorCounters.TryRead(i, out Storage.Readings[(int)i]); i++) { }
        for (int i = 0; i < VmWorker.Count; i++)
        {
            Vm* vm = VmWorker.Get(i);
            if (!vm->IsActive) continue;
            vm->Machine->UsageOf = _number;
            for (uint processor = 0; processor < vm->Machine->ProcessorCount; processor++) TryRead(vm, processor, out *vm->Machine->Usage(processor));
        }
        VmWorker.Schedule(_deadline);
    }

    /// <summary>Prints when the time has come; returns when it will.</summary>
    public static ulong Step(ulong now)
    {
        if (_deadline == 0) return ulong.MaxValue;
        if (now < _deadline) return _deadline;
        _deadline = 0;
        Print(now - _begin);
        return ulong.MaxValue;
    }

    private static void Print(ulong elapsed)
    {
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Header();
        ConsoleOutput.Line(line.Written);
        for (int i = 0; i < VmWorker.Count; i++)
            if (VmWorker.Get(i)->IsActive) PrintVm(VmWorker.Get(i), buffer, elapsed);
        ProcessorUsage root = default;
        if (TryReadRoot(out ProcessorUsage now)) root = now.Since(in _root);
        line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("(root)"u8).Column(UsageText.VpColumn).Decimal(0).Usage(in root, elapsed);
        ConsoleOutput.Line(line.Written);
        for (uint i = 0; i < ProcessorCounters.Maximum && ProcessorCounters.TryRead(i, out ProcessorReading reading); i++)
            PrintProcessor(i, reading.Since(in Storage.Readings[(int)i]), buffer);
    }

    private static void PrintProcessor(uint index, in ProcessorReading reading, byte* buffer)
    {
        var line = new TextWriter(buffer, VmLog.LineCapacity);
        line.Text("processor "u8).Decimal(index).Text(" over "u8).Decimal(reading.Time / (ReferenceClock.TicksPerSecond / 1000)).Text(" ms: busy "u8).Share(reading.Run, reading.Time)
            .Text(", idle "u8).Share(reading.Time - reading.Run, reading.Time).Text(", "u8).Decimal(reading.Switches).Text(" switches, "u8)
            .Decimal(reading.Halts).Text(" halts, "u8).Decimal(reading.Interrupts).Text(" interrupts"u8);
        ConsoleOutput.Line(line.Written);
    }

    /// <summary>A row for each of its processors.</summary>
    private static void PrintVm(Vm* vm, byte* buffer, ulong elapsed)
    {
        VmMachine* machine = vm->Machine;
        for (uint processor = 0; processor < machine->ProcessorCount; processor++)
        {
            if (!TryRead(vm, processor, out ProcessorUsage usage)) continue;
            if (machine->UsageOf == _number) usage = usage.Since(in *machine->Usage(processor));
            var line = new TextWriter(buffer, VmLog.LineCapacity);
            line.Text(vm->Name).Char((byte)' ').Column(UsageText.VpColumn).Decimal(processor).Usage(in usage, elapsed).Column(UsageText.WeightColumn).Decimal((ulong)vm->Config->Weight)
                .Column(UsageText.CapColumn).Decimal((ulong)vm->Config->Cap).Text(" %"u8).Column(UsageText.ReserveColumn).Decimal((ulong)vm->Config->Reserve).Text(" %"u8);
            ConsoleOutput.Line(line.Written);
        }
    }

    private static bool TryRead(Vm* vm, uint processor, out ProcessorUsage usage)
    {
        usage = default;
        PartitionAccount* account = &vm->Machine->Account;
        if (!StatsCalls.MapVp(VmWorker.Root, account, new VpIndex(processor), out ulong page).IsSuccess) return false;
        VpStats stats = default;
        stats.Add((HvStatsPage*)(page << PageCount.PageShift));
        StatsCalls.UnmapVp(account, new VpIndex(processor));
        usage = ProcessorUsage.From(in stats);
        return true;
    }

    private static bool TryReadRoot(out ProcessorUsage usage)
    {
        VpStats stats = default;
        bool success = RootCounters.TryAdd(ref stats);
        usage = ProcessorUsage.From(in stats);
        return success;
    }
}
