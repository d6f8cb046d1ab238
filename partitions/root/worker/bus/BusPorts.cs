// Ports and connections of a VM's bus: the guest's messages and signals come to the root, the root's messages go to the guest.
using System;
using Lamina.Abi;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.VMBus;

namespace Lamina.Root.Worker;

internal static unsafe class BusPorts
{
    /// <summary>Where guests of versions before 5.0 post to: they get their refusal.</summary>
    private const uint OldMessageConnection = 1;

    /// <summary>The guest's port for our messages, as Hyper-V numbers it.</summary>
    private const uint GuestMessagePort = 2;

    /// <summary>What both ends need before the first message. False: reported; <see cref="Delete"/> gives back what there is.</summary>
    public static bool TryCreate(VmBus* bus)
    {
        PartitionAccount* child = &bus->Vm->Machine->Account;
        BusNumbers numbers = bus->Numbers;
        HvStatus status = SynicCalls.CreatePort(VmWorker.Root, numbers.MessagePort, child->Id, HvPortType.HvPortTypeMessage, BusNumbers.RootSint, new VpIndex(0), 0, 0);
        if (!Check(child, "HvCallCreatePort"u8, status)) return false;
        bus->HasMessagePort = true;
        return TryConnectMessages(child, ChannelLimits.MessageConnectionId, numbers) && TryConnectMessages(child, OldMessageConnection, numbers);
    }

    private static bool TryConnectMessages(PartitionAccount* child, uint connection, BusNumbers numbers) =>
        Check(child, "HvCallConnectPort"u8, SynicCalls.ConnectPort(child, connection, PartitionId.Self, numbers.MessagePort, HvPortType.HvPortTypeMessage));

    /// <summary>The guest's connection for a channel, which sets the channel's flag. False: reported.</summary>
    public static bool TryConnectChannel(VmBus* bus, uint channel, uint connection)
    {
        PartitionAccount* child = &bus->Vm->Machine->Account;
        uint port = bus->Numbers.EventPort(channel);
        HvStatus status = SynicCalls.CreatePort(VmWorker.Root, port, child->Id, HvPortType.HvPortTypeEvent, BusNumbers.RootSint, new VpIndex(0), bus->Numbers.Flag(channel), 1);
        if (!Check(child, "HvCallCreatePort"u8, status)) return false;
        status = SynicCalls.ConnectPort(child, connection, PartitionId.Self, port, HvPortType.HvPortTypeEvent);
        if (Check(child, "HvCallConnectPort"u8, status)) return true;
        SynicCalls.DeletePort(VmWorker.Root, port);
        return false;
    }

    public static void DisconnectChannel(VmBus* bus, uint channel, uint connection)
    {
        SynicCalls.DisconnectPort(&bus->Vm->Machine->Account, connection);
        SynicCalls.DeletePort(VmWorker.Root, bus->Numbers.EventPort(channel));
    }

    /// <summary>Gives back the root's ends; the guest's end with its partition.</summary>
    public static void Delete(VmBus* bus)
    {
        if (bus->HasPostConnection) SynicCalls.DisconnectPort(VmWorker.Root, bus->Numbers.PostConnection);
        if (bus->HasMessagePort) SynicCalls.DeletePort(VmWorker.Root, bus->Numbers.MessagePort);
        bus->HasPostConnection = bus->HasMessagePort = false;
    }

    /// <summary>
    /// Posts a message to the guest: to the processor and SINT that it chose at its last contact, else to those that every guest
    /// begins with. False: its buffers are full, try again later. A guest without a SynIC loses the message.
    /// </summary>
    public static bool TryPost(VmBus* bus, ReadOnlySpan<byte> message)
    {
        bool chosen = bus->Server.MessageSint != 0;
        uint vp = chosen ? bus->Server.MessageVp : 0;
        byte sint = chosen ? bus->Server.MessageSint : BusNumbers.RootSint;
        if ((!bus->HasPostConnection || bus->PostVp != vp || bus->PostSint != sint) && !TryConnectGuest(bus, vp, sint)) return true;
        HvStatus status = SynicCalls.PostMessage(bus->Numbers.PostConnection, ChannelLimits.SynicMessageType, message);
        if (status == HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS) return false;
        if (!status.IsSuccess) bus->LostMessages++;
        return true;
    }

    // What waits in an old port is of an old connection: it goes with the port.
    private static bool TryConnectGuest(VmBus* bus, uint vp, byte sint)
    {
        PartitionAccount* child = &bus->Vm->Machine->Account;
        if (bus->HasPostConnection)
        {
            SynicCalls.DisconnectPort(VmWorker.Root, bus->Numbers.PostConnection);
            SynicCalls.DeletePort(child, GuestMessagePort);
            bus->HasPostConnection = false;
        }
        HvStatus status = SynicCalls.CreatePort(child, GuestMessagePort, VmWorker.Root->Id, HvPortType.HvPortTypeMessage, sint, new VpIndex(vp), 0, 0);
        if (!Check(child, "HvCallCreatePort"u8, status)) return false;
        status = SynicCalls.ConnectPort(VmWorker.Root, bus->Numbers.PostConnection, child->Id, GuestMessagePort, HvPortType.HvPortTypeMessage);
        if (!Check(child, "HvCallConnectPort"u8, status))
        {
            SynicCalls.DeletePort(child, GuestMessagePort);
            return false;
        }
        bus->HasPostConnection = true;
        bus->PostVp = vp;
        bus->PostSint = sint;
        return true;
    }

    private static bool Check(PartitionAccount* account, ReadOnlySpan<byte> call, HvStatus status)
    {
        if (!status.IsSuccess) HypercallClient.Report(account, call, status);
        return status.IsSuccess;
    }
}

/// <summary>The way of a VM's channel server to its guest.</summary>
internal readonly unsafe struct BusSink(VmBus* bus) : IMessageSink
{
    private const ulong RetryDelay = 10_000; // 1 ms: the core does not say when the guest has taken a message

    private readonly VmBus* _bus = bus;

    public bool Send(ReadOnlySpan<byte> message)
    {
        if (BusPorts.TryPost(_bus, message)) return true;
        _bus->RetryAt = ReferenceClock.Now + RetryDelay;
        VmWorker.Schedule(_bus->RetryAt);
        return false;
    }
}
