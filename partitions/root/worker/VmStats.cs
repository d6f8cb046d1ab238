// "vm stats": what a VM's devices did, and what it cost in signals and entries into the core.
using System;
using Lamina.Abi;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

/// <summary>A reading, kept by the VM: the next one also says what has come since.</summary>
public struct VmReading
{
    internal VpStats Vm, Root;
    internal ulong Requests, FromGuest, ToGuest;
    internal bool IsTaken;
}

internal static unsafe class VmStats
{
    public static void Show(Vm* vm)
    {
        if (!vm->IsActive) { VmLog.Line(vm, "is off"u8); return; }
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        ShowIntercepts(vm, buffer);
        if (vm->Machine->Bus != null) ShowChannels(vm, buffer);
        if (vm->Machine->Storage == null) return;
        ShowStorage(vm, buffer, &vm->Machine->Storage->Counters);
        ShowEntries(vm);
    }

    private static void ShowIntercepts(Vm* vm, byte* buffer)
    {
        InterceptCounters counters = vm->Machine->Counters;
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("intercepts "u8).Decimal(counters.Total).Text(": port "u8).Decimal(counters.Port).Text(", memory "u8).Decimal(counters.Memory)
            .Text(", MSR "u8).Decimal(counters.Msr).Text(", end of interrupt "u8).Decimal(counters.Eoi).Text(", other "u8).Decimal(counters.Other);
        ConsoleOutput.Line(line.Written);
    }

    private static void ShowChannels(Vm* vm, byte* buffer)
    {
        for (uint number = 1; number < BusNumbers.ChannelsPerVm; number++)
        {
            BusChannel* channel = vm->Machine->Bus->Channel(number);
            if (!channel->IsOpen) continue;
            TextWriter line = VmLog.Begin(vm, buffer);
            line.Text("channel "u8).Decimal(number).Text(" ("u8).Text(channel->Name);
            if (channel->SubChannel != 0) line.Char((byte)' ').Decimal(channel->SubChannel);
            line.Text("): signals from the guest "u8).Decimal(channel->Counters.FromGuest).Text(", to it "u8).Decimal(channel->Counters.ToGuest);
            ConsoleOutput.Line(line.Written);
        }
    }

    private static void ShowStorage(Vm* vm, byte* buffer, StorageCounters* counters)
    {
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text("storage: requests "u8).Decimal(counters->Requests).Text(", errors "u8).Decimal(counters->Errors)
            .Text("; reads "u8).Decimal(counters->Reads).Text(" ("u8).Decimal(counters->BytesRead >> 10).Text(" KiB), writes "u8)
            .Decimal(counters->Writes).Text(" ("u8).Decimal(counters->BytesWritten >> 10).Text(" KiB), flushes "u8).Decimal(counters->Flushes)
            .Text(", discards "u8).Decimal(counters->Discards);
        ConsoleOutput.Line(line.Written);
        line = VmLog.Begin(vm, buffer);
        line.Text("storage: batches "u8).Decimal(counters->Batches).Text(", in flight "u8).Decimal(counters->InFlight).Text(" (at most "u8)
            .Decimal(counters->InFlightHighWater).Text("), copied "u8).Decimal(counters->Buffered).Text(", waits for a slot "u8)
            .Decimal(counters->SlotStalls).Text(", for room in the ring "u8).Decimal(counters->RingStalls);
        ConsoleOutput.Line(line.Written);
    }

    private static void ShowEntries(Vm* vm)
    {
        VmReading reading = default, since;
        if (!TryRead(vm, ref reading)) return;
        since = reading;
        VmReading* last = &vm->Machine->Reading;
        if (last->IsTaken)
        {
            since.Vm.Subtract(in last->Vm);
            since.Root.Subtract(in last->Root);
            since.Requests -= last->Requests;
            since.FromGuest -= last->FromGuest;
            since.ToGuest -= last->ToGuest;
        }
        ReadOnlySpan<byte> when = last->IsTaken ? "since the last stats"u8 : "since its start"u8;
        *last = reading;
        PrintEntries(vm, when, "its processors "u8, in since.Vm);
        PrintEntries(vm, when, "the root's "u8, in since.Root);
        PrintPerRequest(vm, when, in since);
    }

    private static bool TryRead(Vm* vm, ref VmReading reading)
    {
        PartitionAccount* account = &vm->Machine->Account;
        for (uint i = 0; i < vm->Machine->ProcessorCount; i++)
        {
            if (!StatsCalls.MapVp(VmWorker.Root, account, new VpIndex(i), out ulong page).IsSuccess) return false;
            reading.Vm.Add((HvStatsPage*)(page << PageCount.PageShift));
            StatsCalls.UnmapVp(account, new VpIndex(i));
        }
        if (!RootCounters.TryAdd(ref reading.Root)) return false;
        reading.Requests = vm->Machine->Storage->Counters.Requests;
        for (uint number = 1; number < BusNumbers.ChannelsPerVm; number++)
        {
            BusChannel* channel = vm->Machine->Bus->Channel(number);
            if (channel->Device != BusDevice.Storage) continue;
            reading.FromGuest += channel->Counters.FromGuest;
            reading.ToGuest += channel->Counters.ToGuest;
        }
        reading.IsTaken = true;
        return true;
    }

    private static void PrintEntries(Vm* vm, ReadOnlySpan<byte> when, ReadOnlySpan<byte> whose, in VpStats stats)
    {
        byte* buffer = stackalloc byte[VpStatsText.Capacity + VmLog.LineCapacity];
        var line = new TextWriter(buffer, VpStatsText.Capacity + VmLog.LineCapacity);
        line.Text("VM "u8).Text(vm->Name).Text(": "u8).Text(when).Text(", "u8).Text(whose).Stats(in stats);
        ConsoleOutput.Line(line.Written);
    }

    private static void PrintPerRequest(Vm* vm, ReadOnlySpan<byte> when, in VmReading since)
    {
        if (since.Requests == 0) return;
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        TextWriter line = VmLog.Begin(vm, buffer);
        line.Text(when).Text(", for each of "u8).Decimal(since.Requests).Text(" storage requests: entries of its processors "u8);
        Ratio(ref line, since.Vm.Entries, since.Requests);
        line.Text(", of the root's "u8);
        Ratio(ref line, since.Root.Entries, since.Requests);
        line.Text(", signals from the guest "u8);
        Ratio(ref line, since.FromGuest, since.Requests);
        line.Text(", to it "u8);
        Ratio(ref line, since.ToGuest, since.Requests);
        ConsoleOutput.Line(line.Written);
    }

    private static void Ratio(ref TextWriter line, ulong count, ulong requests)
    {
        ulong hundredths = (count * 100 + requests / 2) / requests;
        line.Decimal(hundredths / 100).Char((byte)'.').DecimalPadded(hundredths % 100, 2, (byte)'0');
    }
}
