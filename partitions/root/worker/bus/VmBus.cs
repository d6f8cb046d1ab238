// A VM's VMbus in the root: memory, life, messages and signals. What the protocol does is the channel server's; what devices do is theirs.
using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.Root.Devices;
using Lamina.Root.Kernel;
using Lamina.VMBus;

namespace Lamina.Root.Worker;

/// <summary>In pages of its own, from the VM's start to its end. Everything runs in the executor; nothing here is called from within the server.</summary>
public unsafe struct VmBus
{
    // Rings of all channels, netvsc's buffers of 17 MiB and some to spare; a stock guest needs a good third of each.
    private const uint GpadlCount = 256, GpadlPages = 16 * 1024, QueueCount = 64;

    internal Vm* Vm;
    internal BusNumbers Numbers;
    internal ChannelServer<BusSink, BusDevices> Server;

    /// <summary>When messages that wait are sent again, 100 ns; ulong.MaxValue: none wait.</summary>
    internal ulong RetryAt;

    /// <summary>When the first of the channels' own times comes, 100 ns; ulong.MaxValue: none.</summary>
    internal ulong SignalAt;

    /// <summary>Messages that the guest's SynIC, being off, could not take.</summary>
    internal ulong LostMessages;
    internal uint PostVp;
    internal byte PostSint;
    internal bool HasPostConnection, HasMessagePort;

    /// <summary>Channels with something pending.</summary>
    internal int PendingCount;
    private WorkItem _work;
    private ChannelSlots _channels;

    [InlineArray(BusNumbers.ChannelsPerVm)] private struct ChannelSlots { private BusChannel _first; }

    internal BusChannel* Channel(uint channel) => (BusChannel*)Unsafe.AsPointer(ref _channels) + channel;

    private static ulong Bytes => (ulong)sizeof(VmBus) + BusNumbers.ChannelsPerVm * (ulong)sizeof(ChannelSlot) + GpadlCount * (ulong)sizeof(GpadlSlot)
        + GpadlPages * sizeof(ulong) + QueueCount * (ulong)sizeof(QueuedMessage);

    /// <summary>Makes the bus of a VM whose partition exists. False: reported; <see cref="Release"/> gives back what there is.</summary>
    internal static bool TryCreate(Vm* vm)
    {
        if (!PhysicalMemory.TryAllocate(PageCount.ForBytes(Bytes).Value, 1, out ulong physical))
        {
            VmLog.Line(vm, "out of memory"u8);
            return false;
        }
        VmBus* bus = (VmBus*)physical;
        vm->Machine->Bus = bus;
        bus->Vm = vm;
        bus->Numbers = new BusNumbers(vm->Number, vm->Runs);
        bus->RetryAt = bus->SignalAt = ulong.MaxValue;
        bus->_work = new WorkItem { Handler = &OnWork, Context = bus };
        ChannelServerMemory memory = default;
        memory.Pages = (ulong*)(bus + 1);
        memory.PageCount = GpadlPages;
        memory.Channels = (ChannelSlot*)(memory.Pages + GpadlPages);
        memory.ChannelCount = BusNumbers.ChannelsPerVm - 1;
        memory.Gpadls = (GpadlSlot*)(memory.Channels + BusNumbers.ChannelsPerVm);
        memory.GpadlCount = GpadlCount;
        memory.Queue = (QueuedMessage*)(memory.Gpadls + GpadlCount);
        memory.QueueCount = QueueCount;
        var limits = new ChannelServerLimits { VpCount = (uint)vm->Config->Processors, HighestPage = HighestPage(vm) };
        bus->Server = new ChannelServer<BusSink, BusDevices>(new BusSink(bus), new BusDevices(bus), memory, limits);
        return BusPorts.TryCreate(bus);
    }

    private static ulong HighestPage(Vm* vm)
    {
        ulong highest = 0;
        GuestMemory* ram = &vm->Machine->Memory;
        for (int i = 0; i < ram->RangeCount; i++) highest = Math.Max(highest, ram->RangeGpa(i) + ram->RangeLength(i) - 1 >> PageCount.PageShift);
        return highest;
    }

    /// <summary>A page of the guest's RAM; null: none is there.</summary>
    internal static byte* Page(Vm* vm, ulong guestPage) =>
        guestPage <= ulong.MaxValue >> PageCount.PageShift && vm->Machine->Memory.TryGetPointer(guestPage << PageCount.PageShift, PageCount.PageSize, out byte* page) ? page : null;

    /// <summary>Puts a device on the bus. False: all numbers are taken.</summary>
    internal bool TryOffer(in OfferChannelMessage offer, BusDevice device, byte index)
    {
        if (!Server.TryOffer(in offer, out uint relid)) return false;
        *Channel(relid) = new BusChannel { Device = device, Index = index };
        return true;
    }

    /// <summary>A message of the guest.</summary>
    internal static void OnMessage(VmBus* bus, HvMessage* message)
    {
        if (message->Header.MessageType == ChannelLimits.SynicMessageType)
            bus->Server.Receive(new ReadOnlySpan<byte>(message->Payload, Math.Min((int)message->Header.PayloadSize, SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT)));
    }

    /// <summary>The guest has signalled a channel.</summary>
    internal static void OnSignal(VmBus* bus, uint channel)
    {
        BusChannel* signalled = bus->Channel(channel);
        signalled->Counters.FromGuest++;
        if (signalled->IsOpen) BusDevices.Signaled(bus, channel);
    }

    /// <summary>Does what is due; returns when it wants to be called next, ulong.MaxValue: never.</summary>
    internal static ulong OnTimer(VmBus* bus, ulong now)
    {
        if (bus->RetryAt <= now)
        {
            bus->RetryAt = ulong.MaxValue;
            bus->Server.Pump();
        }
        if (bus->SignalAt <= now) bus->SignalDue(now);
        return Math.Min(Math.Min(bus->RetryAt, bus->SignalAt), VmIntegration.OnTimer(bus->Vm, now));
    }

    private void SignalDue(ulong now)
    {
        SignalAt = ulong.MaxValue;
        fixed (VmBus* self = &this)
            for (uint number = 1; number < BusNumbers.ChannelsPerVm; number++)
            {
                BusChannel* channel = Channel(number);
                if (channel->SignalAt == 0) continue;
                if (channel->SignalAt <= now)
                {
                    channel->SignalAt = 0;
                    if (channel->IsOpen) BusDevices.Continue(self, number);
                }
                if (channel->SignalAt != 0) SignalAt = Math.Min(SignalAt, channel->SignalAt);
            }
    }

    /// <summary>Interrupts the guest for a channel.</summary>
    internal static void Signal(VmBus* bus, uint channel)
    {
        BusChannel* target = bus->Channel(channel);
        if (target->TargetVp == ChannelLimits.NoTargetVp) return;
        target->Counters.ToGuest++;
        Hypercalls.SynicCalls.SignalEventDirect(&bus->Vm->Machine->Account, new VpIndex(target->TargetVp), bus->Server.MessageSint, (ushort)channel);
    }

    /// <summary>What is pending is done soon, from the executor.</summary>
    internal static void Postpone(VmBus* bus)
    {
        bus->PendingCount++;
        Executor.Queue(&bus->_work);
    }

    private static void OnWork(void* context) => Settle((VmBus*)context);

    /// <summary>Does what devices and providers left to be done, as nobody is within the server now. The VM may be gone when this returns.</summary>
    private static void Settle(VmBus* bus)
    {
        if (bus->PendingCount != 0)
        {
            // What this leaves to be done is for the next turn of the executor, so that others have theirs.
            bus->PendingCount = 0;
            for (uint channel = 1; channel < BusNumbers.ChannelsPerVm; channel++) Settle(bus, channel);
        }
        if (bus->Vm->State == VmState.Stopping && bus->IsClosed) VmWorker.OnMemoryReleased(bus->Vm);
    }

    private static void Settle(VmBus* bus, uint number)
    {
        BusChannel* channel = bus->Channel(number);
        if (channel->ClosedPending)
        {
            BusDevices.Release(bus, number);
            bus->Server.CloseCompleted(number);
        }
        if (!channel->IsOpen) return;
        if (channel->FailPending)
        {
            channel->FailPending = false;
            bus->Server.FailChannel(number, channel->Reason);
            return;
        }
        for (; channel->OffersPending != 0; channel->OffersPending &= channel->OffersPending - 1)
            bus->OfferSubChannel(number, (ushort)BitOperations.TrailingZeroCount(channel->OffersPending));
        if (!channel->SignalPending) return;
        channel->SignalPending = false;
        BusDevices.Continue(bus, number);
    }

    private void OfferSubChannel(uint primary, ushort index)
    {
        if (!Server.TryOfferSubChannel(primary, index, out uint relid)) return;
        *Channel(relid) = new BusChannel { Device = Channel(primary)->Device, Index = Channel(primary)->Index, SubChannel = index };
    }

    /// <summary>At the VM's end, its processors stopped. When devices still use its memory, <see cref="VmWorker.OnMemoryReleased"/> follows.</summary>
    internal static void BeginClose(VmBus* bus) => bus->Server.Reset();

    /// <summary>No device uses the guest's memory for a channel.</summary>
    internal readonly bool IsClosed => Server.Connection == ConnectionPhase.Disconnected;

    /// <summary>Gives everything back; no device uses the guest's memory any more.</summary>
    internal static void Release(Vm* vm)
    {
        VmBus* bus = vm->Machine->Bus;
        if (bus == null) return;
        BusPorts.Delete(bus);
        Executor.Cancel(&bus->_work);
        vm->Machine->Bus = null;
        PhysicalMemory.Free((ulong)bus, PageCount.ForBytes(Bytes).Value);
    }
}
