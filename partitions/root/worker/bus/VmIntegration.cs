// A VM's integration services: the rings of their channels, their time, and the shutdown that `vm stop` asks for.
using System;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Drivers.Vsp;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Root.Hypercalls;
using Lamina.Root.Kernel;
using Lamina.VMBus;

namespace Lamina.Root.Worker;

/// <summary>In pages of its own, as long as the VM's bus.</summary>
public unsafe struct VmIntegration
{
    internal IntegrationServices Services;

    /// <summary>`vm stop` has asked the guest; when it does not follow, the VM is turned off.</summary>
    internal bool IsStopping;
    private ulong _nextTick;
    private ServiceSlots _services;
    private ItemSlots _items;
    private ReceiveBuffer _buffer;

    [InlineArray(IntegrationServices.Count)] private struct ServiceSlots { private ServiceRings _first; }
    [InlineArray((int)KeyValueService.UsualItemCount)] private struct ItemSlots { private KeyValueItem _first; }
    [InlineArray(IntegrationServices.ReceiveBufferSize / 8)] private struct ReceiveBuffer { private ulong _first; }

    private ServiceRings* Rings(byte service) => (ServiceRings*)Unsafe.AsPointer(ref _services) + service;

    private static ulong Pages => PageCount.ForBytes((ulong)sizeof(VmIntegration)).Value;

    /// <summary>Offers the services on the VM's bus. False: reported.</summary>
    internal static bool TryCreate(Vm* vm)
    {
        if (!PhysicalMemory.TryAllocate(Pages, 1, out ulong physical))
        {
            VmLog.Line(vm, "out of memory"u8);
            return false;
        }
        var integration = (VmIntegration*)physical;
        vm->Machine->Integration = integration;
        integration->_nextTick = IntegrationClock.Never;
        integration->Services.Initialize((KeyValueItem*)Unsafe.AsPointer(ref integration->_items), KeyValueService.UsualItemCount);
        for (byte service = 0; service < IntegrationServices.Count; service++)
        {
            IntegrationOffers.Describe((IntegrationService)service, out OfferChannelMessage offer);
            if (!vm->Machine->Bus->TryOffer(in offer, BusDevice.Integration, service)) return false;
        }
        return true;
    }

    internal static void Release(Vm* vm)
    {
        if (vm->Machine->Integration == null) return;
        PhysicalMemory.Free((ulong)vm->Machine->Integration, Pages);
        vm->Machine->Integration = null;
    }

    internal static uint Open(Vm* vm, uint channel, byte service, RingPages pages, uint downstreamPage)
    {
        VmIntegration* integration = vm->Machine->Integration;
        ServiceRings* rings = integration->Rings(service);
        // Attached beside, so that a ring that is no good leaves nothing behind.
        ServiceRings opened = new() { Channel = channel, IsOpen = true };
        if (IncomingRing<RingPages>.TryAttach(pages, 0, downstreamPage, out opened.Incoming) != RingStatus.Ok
            || OutgoingRing<RingPages>.TryAttach(pages, downstreamPage, pages.PageCount - downstreamPage, out opened.Outgoing) != RingStatus.Ok)
            return ChannelStatus.InvalidParameter;
        *rings = opened;
        integration->Services.Opened((IntegrationService)service, ReferenceClock.Now);
        integration->TickSoon();
        return ChannelStatus.Success;
    }

    internal static bool Close(Vm* vm, byte service)
    {
        VmIntegration* integration = vm->Machine->Integration;
        integration->Rings(service)->IsOpen = false;
        integration->Services.Closed((IntegrationService)service);
        integration->TickSoon();
        return true;
    }

    /// <summary>Packets taken in a row: a guest that never stops writing must not keep the root.</summary>
    private const int PacketsPerTurn = 64;

    /// <summary>The guest has written, or made room.</summary>
    internal static void Signaled(Vm* vm, uint channel, byte service)
    {
        VmIntegration* integration = vm->Machine->Integration;
        ServiceRings* rings = integration->Rings(service);
        if (!rings->IsOpen) return;
        byte* buffer = (byte*)Unsafe.AsPointer(ref integration->_buffer);
        ulong now = ReferenceClock.Now;
        RingStatus status = RingStatus.Ok;
        int left = PacketsPerTurn;
        rings->Incoming.Mask();
        while (left-- > 0 && (status = rings->Incoming.TryRead(buffer, IntegrationServices.ReceiveBufferSize, out RingPacket packet)) == RingStatus.Ok)
            if (packet.Type == PacketType.InBand) integration->Services.Received((IntegrationService)service, packet.Payload, now);
        if (status.IsBroken())
        {
            new VspHost(vm).Fail(channel, status.Text());
            return;
        }
        if (rings->Incoming.Commit()) VmBus.Signal(vm->Machine->Bus, channel);
        // A packet written since the last look was not signaled, as the ring was not empty then.
        if (status == RingStatus.Ok || !rings->Incoming.TryUnmask()) new VspHost(vm).ContinueSoon(channel);
        integration->TickSoon();
    }

    // Services send from their tick only, which is not from within the bus.
    private void TickSoon()
    {
        _nextTick = 0;
        VmWorker.Schedule(0);
    }

    /// <summary>Does what is due; returns when it wants to be called next.</summary>
    internal static ulong OnTimer(Vm* vm, ulong now)
    {
        VmIntegration* integration = vm->Machine->Integration;
        if (integration == null) return IntegrationClock.Never;
        if (integration->_nextTick > now) return integration->_nextTick;
        var host = new IntegrationHost(vm);
        integration->_nextTick = integration->Services.Tick(now, ref host);
        for (byte service = 0; service < IntegrationServices.Count; service++)
        {
            ServiceRings* rings = integration->Rings(service);
            if (rings->IsOpen && rings->Outgoing.Commit()) VmBus.Signal(vm->Machine->Bus, rings->Channel);
        }
        return integration->_nextTick;
    }

    internal static void Suspended(Vm* vm)
    {
        if (vm->Machine->Integration != null) vm->Machine->Integration->Services.Suspended(ReferenceClock.Now);
    }

    internal static void Resumed(Vm* vm)
    {
        if (vm->Machine->Integration == null) return;
        vm->Machine->Integration->Services.Resumed(ReferenceClock.Now);
        vm->Machine->Integration->TickSoon();
    }

    /// <summary>Asks the guest to power off. False: it does not listen.</summary>
    internal static bool TryStop(Vm* vm)
    {
        VmIntegration* integration = vm->Machine->Integration;
        if (integration == null || vm->State != VmState.Running) return false;
        if (!integration->Services.Shutdown.TryRequest(ShutdownRequest.For(ShutdownKind.PowerOff), ReferenceClock.Now)) return false;
        integration->IsStopping = true;
        integration->TickSoon();
        return true;
    }

    /// <summary>Whether a stop that was asked for will not come: the guest refused, or its time is over.</summary>
    internal static bool HasStopFailed(Vm* vm, out ReadOnlySpan<byte> why)
    {
        why = default;
        VmIntegration* integration = vm->Machine->Integration;
        if (integration == null || !integration->IsStopping || integration->Services.Shutdown.IsPending) return false;
        integration->IsStopping = false;
        why = integration->Services.Shutdown.Phase switch
        {
            ShutdownPhase.Refused => "the guest refused to shut down"u8,
            ShutdownPhase.Restarted => "the guest started anew instead of shutting down"u8,
            ShutdownPhase.Abandoned => "the guest closed its shutdown channel"u8,
            _ => "the guest did not shut down in time"u8,
        };
        return true;
    }

    internal static bool TrySend(Vm* vm, IntegrationService service, ReadOnlySpan<byte> message, ulong transactionId)
    {
        ServiceRings* rings = vm->Machine->Integration->Rings((byte)service);
        if (!rings->IsOpen) return false;
        RingStatus status = rings->Outgoing.TryWriteInBand(transactionId, false, message);
        if (status == RingStatus.Full)
        {
            status = rings->Outgoing.AwaitRoom((uint)OutgoingRing<RingPages>.SizeOf(0, message.Length));
            if (status == RingStatus.Ok) status = rings->Outgoing.TryWriteInBand(transactionId, false, message);
        }
        if (status.IsBroken()) new VspHost(vm).Fail(rings->Channel, status.Text());
        return status == RingStatus.Ok;
    }
}

/// <summary>One service's open channel.</summary>
internal struct ServiceRings
{
    public IncomingRing<RingPages> Incoming;
    public OutgoingRing<RingPages> Outgoing;
    public uint Channel;
    public bool IsOpen;
}

/// <summary>What the services call while they tick.</summary>
internal readonly unsafe struct IntegrationHost(Vm* vm) : IIntegrationHost
{
    private readonly Vm* _vm = vm;

    public bool TrySend(IntegrationService service, ReadOnlySpan<byte> message, ulong transactionId) => VmIntegration.TrySend(_vm, service, message, transactionId);

    public HostTime ReadTime()
    {
        // The guest's counter is its partition's; when the core does not say, the message goes without a time to compare with.
        PartitionCalls.GetProperty(&_vm->Machine->Account, HvPartitionPropertyCode.HvPartitionPropertyReferenceTime, out ulong reference);
        return new HostTime { UnixTime = VmDevices.UnixTime, ReferenceTime = reference };
    }
}
