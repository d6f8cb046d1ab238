// "vm stats": what a VM's devices did, and what it cost in signals and entries into the core.
using Lamina.Drivers.Vsp.Storage;
using Lamina.Root.Kernel;
using Lamina.Text;

namespace Lamina.Root.Worker;

internal static unsafe class VmStats
{
    public static void Show(Vm* vm)
    {
        if (!vm->IsActive) { VmLog.Line(vm, "is off"u8); return; }
        byte* buffer = stackalloc byte[VmLog.LineCapacity];
        ShowIntercepts(vm, buffer);
        if (vm->Machine->Bus != null) ShowChannels(vm, buffer);
        if (vm->Machine->Storage != null) ShowStorage(vm, buffer, &vm->Machine->Storage->Counters);
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
}
