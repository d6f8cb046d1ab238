// From a bus's channels to the devices behind them.
using System;
using Lamina.Abi;
using Lamina.Drivers.Vsp;
using Lamina.Drivers.Vsp.Storage;
using Lamina.VMBus;

namespace Lamina.Root.Worker;

/// <summary>What the channel server of a VM calls.</summary>
internal readonly unsafe struct BusDevices(VmBus* bus) : IChannelDevices
{
    private readonly VmBus* _bus = bus;

    public uint Opened(in OpenRequest request)
    {
        BusChannel* channel = _bus->Channel(request.RelId);
        uint status = channel->MapRing(_bus->Vm, request.RingPages, out RingPages pages);
        if (status != ChannelStatus.Success) return status;
        channel->TargetVp = request.TargetVp;
        // The number that the offer had: the guest may have moved its messages to another SINT since.
        channel->Connection = request.RelId | (uint)_bus->Server.MessageSint << 12;
        if (BusPorts.TryConnectChannel(_bus, request.RelId, channel->Connection))
        {
            // Open before its provider is: that reads the ring at once, and may find the guest broken.
            channel->IsOpen = true;
            status = Open(channel, request.RelId, pages, request.DownstreamPageOffset);
            if (status == ChannelStatus.Success) return status;
            channel->IsOpen = channel->FailPending = channel->SignalPending = false;
            BusPorts.DisconnectChannel(_bus, request.RelId, channel->Connection);
        }
        else status = ChannelStatus.InsufficientResources;
        channel->UnmapRing();
        return status;
    }

    private uint Open(BusChannel* channel, uint number, RingPages pages, uint downstreamPage) => channel->Device switch
    {
        BusDevice.Storage => VmStorage.Open(_bus->Vm, number, channel->SubChannel, pages, downstreamPage),
        BusDevice.Integration => VmIntegration.Open(_bus->Vm, number, channel->Index, pages, downstreamPage),
        _ => ChannelStatus.Unsuccessful,
    };

    /// <summary>The guest has written to an open channel's ring, or freed room.</summary>
    internal static void Signaled(VmBus* bus, uint number)
    {
        BusChannel* channel = bus->Channel(number);
        if (channel->Device == BusDevice.Storage) VmStorage.Signaled(bus->Vm, number);
        else if (channel->Device == BusDevice.Integration) VmIntegration.Signaled(bus->Vm, number, channel->Index);
    }

    /// <summary>Its provider wanted another turn.</summary>
    internal static void Continue(VmBus* bus, uint number)
    {
        BusChannel* channel = bus->Channel(number);
        if (channel->Device == BusDevice.Storage) VmStorage.Continue(bus->Vm, number);
        else if (channel->Device == BusDevice.Integration) VmIntegration.Signaled(bus->Vm, number, channel->Index);
    }

    public bool Closed(uint number)
    {
        BusChannel* channel = _bus->Channel(number);
        if (!channel->IsOpen) return true;
        channel->IsOpen = channel->FailPending = channel->SignalPending = false;
        channel->OffersPending = channel->SignalAt = 0;
        bool idle = channel->Device switch
        {
            BusDevice.Storage => VmStorage.Close(_bus->Vm, number),
            BusDevice.Integration => VmIntegration.Close(_bus->Vm, channel->Index),
            _ => true,
        };
        if (idle) Release(_bus, number);
        return idle;
    }

    /// <summary>A closed channel's device has let go of its ring.</summary>
    internal static void Release(VmBus* bus, uint number)
    {
        BusChannel* channel = bus->Channel(number);
        channel->ClosedPending = false;
        BusPorts.DisconnectChannel(bus, number, channel->Connection);
        channel->UnmapRing();
    }

    // Rings are found by their page numbers at OPEN; no device here has other buffers.
    public void GpadlReady(uint number, in GpadlView gpadl) { }
    public bool GpadlTornDown(uint number, uint gpadl) => true;

    public void TargetChanged(uint number, uint targetVp) => _bus->Channel(number)->TargetVp = targetVp;

    // Each device forgot the guest when its channel was closed.
    public void Disconnected() { }

    public void Report(ReadOnlySpan<byte> line) => VmLog.Line(_bus->Vm, line);
}

/// <summary>A VM as the providers of its devices see it. Their channels have the bus's numbers.</summary>
internal readonly unsafe struct VspHost(Vm* vm) : IStorageHost
{
    private readonly Vm* _vm = vm;

    private VmBus* Bus => _vm->Machine->Bus;

    public byte* Page(ulong guestPage) => VmBus.Page(_vm, guestPage);

    public void Signal(uint channel) => VmBus.Signal(Bus, channel);

    public void Fail(uint channel, ReadOnlySpan<byte> reason)
    {
        BusChannel* failed = Bus->Channel(channel);
        if (failed->FailPending || !failed->IsOpen) return;
        failed->SetReason(reason);
        failed->FailPending = true;
        VmBus.Postpone(Bus);
    }

    public void Closed(uint channel)
    {
        Bus->Channel(channel)->ClosedPending = true;
        VmBus.Postpone(Bus);
    }

    public void ContinueSoon(uint channel)
    {
        Bus->Channel(channel)->SignalPending = true;
        VmBus.Postpone(Bus);
    }

    public void ContinueAfter(uint channel, ulong delay)
    {
        BusChannel* busy = Bus->Channel(channel);
        if (busy->SignalAt != 0) return;
        busy->SignalAt = Now + delay;
        Bus->SignalAt = Math.Min(Bus->SignalAt, busy->SignalAt);
        VmWorker.Schedule(busy->SignalAt);
    }

    // The server may be at work further up.
    public bool TryOfferSubChannel(uint primaryChannel, ushort index)
    {
        if (index is 0 or > 63 || Bus->Server.OfferCount + 1 >= BusNumbers.ChannelsPerVm) return false;
        Bus->Channel(primaryChannel)->OffersPending |= 1UL << index;
        VmBus.Postpone(Bus);
        return true;
    }

    public ulong Now => Kernel.ReferenceClock.Now;
}
