// The root as its drivers see it.
using System;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Bus.Pci;
using Lamina.X64.Paging;

namespace Lamina.Root.Kernel;

public unsafe struct DriverHost : IDriverHost
{
    public static bool TryAllocateDma(ulong bytes, out DmaMemory memory)
    {
        bool allocated = PhysicalMemory.TryAllocate(PageCount.ForBytes(bytes).Value, 1, out ulong physical);
        memory = new DmaMemory { Address = (byte*)physical, Physical = physical, Bytes = bytes };
        return allocated;
    }

    public static void FreeDma(DmaMemory memory) => PhysicalMemory.Free(memory.Physical, PageCount.ForBytes(memory.Bytes).Value);

    public static bool TryMapRegisters(ulong physical, ulong bytes, MemoryType type, out ulong address)
    {
        address = physical;
        return AddressSpace.TryMapDevice(physical, bytes, type);
    }

    public static bool TryConnectIsaInterrupt(byte number, delegate*<void*, void> handler, void* context)
    {
        if (!Platform.TryFindIsaLine(number, out IoApicLine line)) return false;
        return DeviceInterrupts.ConnectLine(line, handler, context).IsSuccess;
    }

    public static bool TryConnectMessage(PciAddress function, delegate*<void*, void> handler, void* context, out InterruptMessage message) =>
        DeviceInterrupts.ConnectMessage(function.Segment, function.BusDeviceFunction, handler, context, out message).IsSuccess;

    public static void DisconnectMessage(PciAddress function, InterruptMessage message) =>
        DeviceInterrupts.DisconnectMessage(function.Segment, function.BusDeviceFunction, message);

    public static void Queue(WorkItem* item) => Executor.Queue(item);
    public static void Arm(DeadlineTimer* timer, ulong deadline)
    {
        Timers.Arm(timer, deadline);
        Executor.Wake();
    }

    public static void Cancel(DeadlineTimer* timer) => Timers.Cancel(timer);
    public static ulong Now => ReferenceClock.Now;
    public static void Report(ReadOnlySpan<byte> line) => ConsoleOutput.Line(line);
}
