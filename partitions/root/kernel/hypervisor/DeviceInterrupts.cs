// Device interrupts: the core owns the interrupt controllers and routes lines and messages to us on request.
// TLFS, "HvCallMapDeviceInterrupt".
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.X64;

namespace Lamina.Root.Kernel;

public static unsafe class DeviceInterrupts
{
    private static byte* parameters; // one page: input in the first half, output in the second
    private const int OutputOffset = 2048;

    public static void Initialize() => parameters = PhysicalMemory.RequirePages(1);

    /// <summary>Routes an interrupt line of an IOAPIC to <paramref name="handler"/>. The status is the core's, INSUFFICIENT_BUFFERS when vectors ran out.</summary>
    public static HvStatus ConnectLine(IoApicLine line, delegate*<void*, void> handler, void* context)
    {
        if (!Interrupts.TryConnectDevice(handler, context, out byte vector)) return HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS;
        HvInterruptEntry wanted = new()
        {
            InterruptSource = HvInterruptSource.HvInterruptSourceIoApic,
            IoApicRte = new RedirectionEntry(0).WithVector(vector).WithActiveLow(line.IsActiveLow).WithLevelTriggered(line.IsLevel).Value,
        };
        HvStatus status = Map(HvDeviceId.IoApic(line.IoApicId), line.Pin, wanted, vector, line.IsLevel, out _);
        if (!status.IsSuccess) Interrupts.Disconnect(vector);
        return status;
    }

    /// <summary>Allots a message to a PCI function: what the function has to write where to reach <paramref name="handler"/>.</summary>
    public static HvStatus ConnectMessage(ushort segment, ushort busDeviceFunction, delegate*<void*, void> handler, void* context, out InterruptMessage message)
    {
        message = default;
        if (!Interrupts.TryConnectDevice(handler, context, out byte vector)) return HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS;
        HvInterruptEntry wanted = new() { InterruptSource = HvInterruptSource.HvInterruptSourceMsi, MsiAddress = MsiAddress.Base, MsiData = MsiData.For(vector).Value };
        HvStatus status = Map(HvDeviceId.Pci(segment, busDeviceFunction), 0, wanted, vector, isLevel: false, out HvInterruptEntry given);
        if (status.IsSuccess) message = new InterruptMessage { Address = given.MsiAddress, Data = given.MsiData, Vector = vector };
        else Interrupts.Disconnect(vector);
        return status;
    }

    /// <summary>Takes a message back; the function must no longer send it.</summary>
    public static HvStatus DisconnectMessage(ushort segment, ushort busDeviceFunction, InterruptMessage message)
    {
        HvInputUnmapDeviceInterrupt* input = (HvInputUnmapDeviceInterrupt*)parameters;
        *input = new HvInputUnmapDeviceInterrupt
        {
            PartitionId = PartitionId.Self,
            DeviceId = HvDeviceId.Pci(segment, busDeviceFunction),
            InterruptEntry = new HvInterruptEntry { InterruptSource = HvInterruptSource.HvInterruptSourceMsi, MsiAddress = (uint)message.Address, MsiData = message.Data },
        };
        HvStatus status = Call(HypercallCode.HvCallUnmapDeviceInterrupt, 0);
        if (status.IsSuccess) Interrupts.Disconnect(message.Vector);
        return status;
    }

    private static HvStatus Map(HvDeviceId device, uint index, HvInterruptEntry wanted, byte vector, bool isLevel, out HvInterruptEntry given)
    {
        HvInputMapDeviceInterrupt* input = (HvInputMapDeviceInterrupt*)parameters;
        *input = new HvInputMapDeviceInterrupt
        {
            PartitionId = PartitionId.Self,
            DeviceId = device,
            BaseIrtIdx = index,
            LogicalInterruptEntry = wanted,
            InterruptDescriptor = new HvDeviceInterruptDescriptor
            {
                InterruptType = HvInterruptType.HvX64InterruptTypeFixed,
                TriggerMode = isLevel ? 1u : 0u,
                VectorCount = 1,
                Target = new HvDeviceInterruptTarget { Vector = vector, VpMaskOrFormat = 1 },
            },
        };
        HvStatus status = Call(HypercallCode.HvCallMapDeviceInterrupt, (ulong)parameters + OutputOffset);
        given = ((HvOutputMapDeviceInterrupt*)(parameters + OutputOffset))->InterruptEntry;
        return status;
    }

    private static HvStatus Call(ushort code, ulong output) =>
        new HypercallResult(Hypercall.Call(HypercallInput.Simple(code).Value, (ulong)parameters, output)).Status;
}
