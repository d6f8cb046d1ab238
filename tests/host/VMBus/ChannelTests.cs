// Server against client, and against guests that keep no rule.

using System;
using System.Linq;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.VMBus;

public sealed unsafe class ChannelTests
{
    [Theory]
    [InlineData(VMBusVersion.V5_2)]
    [InlineData(VMBusVersion.V5_3)]
    public void A_guest_connects_opens_closes_and_unloads(uint version)
    {
        using var bus = new BusFixture();
        uint scsi = bus.Offer(DeviceClasses.Scsi), net = bus.Offer(DeviceClasses.Network);
        bus.Connect(version);
        Assert.Equal(ClientPhase.Connected, bus.Client.Phase);
        Assert.Equal((version, 1u, (byte)2), (bus.Server.Version, bus.Server.MessageVp, bus.Server.MessageSint));
        Assert.Equal(4u, bus.Client.MessageConnectionId);
        Assert.True(bus.Client.AllOffersDelivered);
        ClientChannel* channel = bus.Client.FindClass(DeviceClasses.Scsi, 0);
        Assert.Equal(scsi, channel->Offer.RelId);
        Assert.Equal(scsi | 2u << 12, channel->Offer.ConnectionId);
        Assert.Equal((1, 0), (channel->Offer.IsDedicatedInterrupt, channel->Offer.MonitorAllocated));
        Assert.Equal(net, bus.Client.FindClass(DeviceClasses.Network, 0)->Offer.RelId);

        uint ring = bus.Open(scsi);
        Assert.Equal(ClientChannelState.Open, channel->State);
        Assert.Equal([1, 2, 3, 0], bus.Log.UserData[..4]);
        Assert.Equal(1u, bus.Server.OpenCount);
        Assert.True(bus.Client.Modify(scsi, 3));
        bus.Run();
        Assert.Equal(3u, bus.Log.LastTarget);
        Assert.False(channel->Modifying);

        Assert.True(bus.Client.Close(scsi));
        Assert.True(bus.Client.TeardownGpadl(ring));
        bus.Run();
        Assert.Equal(ClientGpadlState.Free, bus.Client.StateOfGpadl(ring));
        Assert.Equal((0u, 0u, 0u), (bus.Server.OpenCount, bus.Server.GpadlsUsed, bus.Server.PagesUsed));
        bus.Client.Unload();
        bus.Run();
        Assert.Equal(ClientPhase.Disconnected, bus.Client.Phase);
        Assert.Equal(ConnectionPhase.Disconnected, bus.Server.Connection);
        Assert.Equal(0, bus.Log.Reports);
    }

    [Theory]
    [InlineData(4u << 16)]
    [InlineData(5u << 16 | 1)]
    [InlineData(5u << 16 | 4)]
    [InlineData(6u << 16)]
    [InlineData(0u)]
    public void Other_versions_are_refused_and_the_next_try_may_succeed(uint version)
    {
        using var bus = new BusFixture();
        bus.Client.Connect(version, 0, 2);
        bus.Run();
        Assert.Equal(ClientPhase.Refused, bus.Client.Phase);
        Assert.Equal(ConnectionPhase.Disconnected, bus.Server.Connection);
        bus.Connect();
        Assert.Equal(ClientPhase.Connected, bus.Client.Phase);
    }

    [Fact]
    public void Contact_and_unload_are_always_answered()
    {
        using var bus = new BusFixture();
        bus.Send(default(ChannelMessageHeader), ChannelMessageType.InitiateContact);   // too short
        Assert.Equal(ChannelMessageType.VersionResponse, BitConverter.ToUInt32(bus.ToGuest.Messages.Dequeue()));
        bus.Send(default(ChannelMessageHeader), ChannelMessageType.Unload);            // never connected
        Assert.Equal(ChannelMessageType.UnloadResponse, BitConverter.ToUInt32(bus.ToGuest.Messages.Dequeue()));
        bus.ToGuest.Busy = true;
        for (int i = 0; i < 50; i++) bus.Send(default(ChannelMessageHeader), ChannelMessageType.Unload);
        Assert.Equal(1u, bus.Server.QueuedMessages);
        bus.ToGuest.Busy = false;
        bus.Server.Pump();
        Assert.Single(bus.ToGuest.Messages);
    }

    [Fact]
    public void A_new_kernel_reconnects_over_requests_in_flight()
    {
        using var bus = new BusFixture();
        uint scsi = bus.Offer(DeviceClasses.Scsi);
        bus.Connect();
        bus.Open(scsi);
        bus.Gpadl(scsi, 30);
        bus.Log.Slow = true;
        bus.Client.Connect(VMBusVersion.V5_3, 0, 2);
        bus.Run();
        // No answer while the device still writes into the old kernel's memory.
        Assert.Equal(ClientPhase.Connecting, bus.Client.Phase);
        Assert.Equal(ConnectionPhase.Leaving, bus.Server.Connection);
        while (bus.Log.Closing.Count + bus.Log.TearingDown.Count != 0) bus.Finish();
        bus.Run();
        Assert.Equal(ClientPhase.Connected, bus.Client.Phase);
        Assert.Equal((0u, 0u, 1, 0), (bus.Server.GpadlsUsed, bus.Server.PagesUsed, bus.Log.Disconnects, bus.Log.Reports));
        bus.Client.RequestOffers();
        bus.Run();
        bus.Open(scsi);
        Assert.Equal(1u, bus.Server.OpenCount);
    }

    [Fact]
    public void A_gpadl_in_use_is_torn_down_after_close_and_after_its_device()
    {
        using var bus = new BusFixture();
        uint net = bus.Offer(DeviceClasses.Network);
        bus.Connect();
        uint ring = bus.Open(net);
        bus.Client.TeardownGpadl(ring);
        bus.Run();
        Assert.Equal(ClientGpadlState.TearingDown, bus.Client.StateOfGpadl(ring));
        bus.Log.Slow = true;
        bus.Client.Close(net);
        bus.Run();
        Assert.Equal(ChannelState.Closing, bus.Server.StateOf(net));
        bus.Client.Open(net, ring, 4, 0, default);   // the old one is still closing
        bus.Run();
        Assert.Equal(ClientChannelState.OpenRefused, bus.Client.Find(net)->State);
        bus.FinishClosing();
        bus.Run();
        Assert.Equal(ClientGpadlState.TearingDown, bus.Client.StateOfGpadl(ring));
        bus.Finish();
        bus.Run();
        Assert.Equal(ClientGpadlState.Free, bus.Client.StateOfGpadl(ring));
        Assert.Equal(0u, bus.Server.GpadlsUsed);
    }

    [Fact]
    public void Withdrawn_device_is_rescinded_and_its_number_used_again_after_release()
    {
        using var bus = new BusFixture(channels: 1);
        uint scsi = bus.Offer(DeviceClasses.Scsi);
        bus.Connect();
        bus.Open(scsi);
        Assert.True(bus.Server.Withdraw(scsi));
        Assert.False(bus.Server.Withdraw(scsi));
        bus.Run();
        Assert.Equal(ClientChannelState.Rescinded, bus.Client.Find(scsi)->State);
        Assert.Empty(bus.Log.Open);
        OfferChannelMessage offer = default;
        Assert.False(bus.Server.TryOffer(in offer, out _));
        bus.Send(new CloseChannelMessage { RelId = scsi }, ChannelMessageType.CloseChannel);   // crossed with the rescind
        Assert.True(bus.Client.Release(scsi));
        bus.Run();
        Assert.Equal((0u, 0u, 0), (bus.Server.OfferCount, bus.Server.GpadlsUsed, bus.Log.Reports));
        // Hot-add: offered without being asked again.
        Assert.Equal(scsi, bus.Offer(DeviceClasses.Network));
        bus.Run();
        Assert.NotEqual(0, (nint)bus.Client.FindClass(DeviceClasses.Network, 0));
    }

    [Fact]
    public void Sub_channels_come_with_an_open_primary_and_go_with_it()
    {
        using var bus = new BusFixture();
        uint scsi = bus.Offer(DeviceClasses.Scsi);
        bus.Connect();
        Assert.False(bus.Server.TryOfferSubChannel(scsi, 1, out _));
        bus.Open(scsi);
        Assert.True(bus.Server.TryOfferSubChannel(scsi, 1, out uint first));
        Assert.True(bus.Server.TryOfferSubChannel(scsi, 2, out uint second));
        Assert.False(bus.Server.TryOfferSubChannel(first, 1, out _));
        bus.Run();
        Assert.Equal(2, bus.Client.Find(second)->Offer.SubChannelIndex);
        Assert.Equal(scsi, bus.Client.FindClass(DeviceClasses.Scsi, 0)->Offer.RelId);
        uint ring = bus.Open(first);
        bus.Open(second);
        // The first as Linux does it: closed and released by the guest; the second is taken along by its primary.
        bus.Client.Close(first);
        bus.Client.TeardownGpadl(ring);
        bus.Client.Release(first);
        bus.Run();
        Assert.Equal(ChannelState.Free, bus.Server.StateOf(first));
        bus.Client.Close(scsi);
        bus.Run();
        Assert.Equal(ClientChannelState.Rescinded, bus.Client.Find(second)->State);
        bus.Client.Release(second);
        bus.Run();
        Assert.Equal((1u, 0u, 0), (bus.Server.OfferCount, bus.Server.OpenCount, bus.Log.Reports));
    }

    [Fact]
    public void A_busy_sink_delays_and_reorders_nothing()
    {
        using var bus = new BusFixture(channels: 40, queue: 4);
        for (ulong i = 0; i < 30; i++) bus.Offer(DeviceClasses.Scsi, i);
        bus.ToGuest.Busy = true;
        bus.Client.Connect(VMBusVersion.V5_3, 0, 2);
        bus.Run();
        Assert.Equal(1u, bus.Server.QueuedMessages);
        bus.ToGuest.Busy = false;
        bus.Run();
        bus.ToGuest.Busy = true;
        bus.Client.RequestOffers();
        bus.Run();
        bus.ToGuest.Busy = false;
        bus.Server.Pump();
        uint[] types = bus.ToGuest.Messages.Select(message => BitConverter.ToUInt32(message)).ToArray();
        Assert.Equal(Enumerable.Repeat(ChannelMessageType.OfferChannel, 30).Append(ChannelMessageType.AllOffersDelivered), types);
    }

    [Fact]
    public void A_guest_that_asks_on_without_taking_answers_is_disconnected()
    {
        using var bus = new BusFixture(queue: 4);
        uint scsi = bus.Offer(DeviceClasses.Scsi);
        bus.Connect();
        bus.Open(scsi);
        bus.ToGuest.Busy = true;
        for (int i = 0; i < 5; i++) bus.Send(new ModifyChannelMessage { RelId = scsi, TargetVp = 1 }, ChannelMessageType.ModifyChannel);
        Assert.Equal("VMBus connection ended: guest does not take its messages, waiting: 4", bus.Log.LastReport);
        Assert.Equal((ConnectionPhase.Disconnected, 0u), (bus.Server.Connection, bus.Server.GpadlsUsed));
    }

    [Fact]
    public void Opening_twice_costs_the_channel_and_nothing_else()
    {
        using var bus = new BusFixture();
        uint scsi = bus.Offer(DeviceClasses.Scsi), net = bus.Offer(DeviceClasses.Network);
        bus.Connect();
        uint ring = bus.Open(scsi);
        bus.Open(net);
        bus.Send(new OpenChannelMessage { RelId = scsi, RingGpadl = ring, DownstreamPageOffset = 4 }, ChannelMessageType.OpenChannel);
        bus.Run();
        Assert.Equal($"VMBus channel {scsi} ended: opened twice", Assert.Single(bus.Log.Lines));
        Assert.Equal(ClientChannelState.Rescinded, bus.Client.Find(scsi)->State);
        Assert.Equal([net], bus.Log.Open);
        bus.Client.Release(scsi);
        bus.Client.Unload();
        bus.Run();
        bus.Connect();
        Assert.NotEqual(0, (nint)bus.Client.FindClass(DeviceClasses.Scsi, 0));
    }

    [Fact]
    public void What_names_no_channel_or_breaks_its_form_costs_the_connection()
    {
        (string Reason, byte[] Message)[] cases =
        [
            ("unknown channel message, type 25", [25, 0, 0, 0, 0, 0, 0, 0]),
            ("unknown channel message, type 0", [5, 0, 0]),
            ("channel message too short: bytes 8", [5, 0, 0, 0, 0, 0, 0, 0]),
            ("message for a channel that was not offered, relid 9", [7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]),
            ("message for a channel that was not offered, relid 4294967295", [13, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]),
            ("offers requested twice, channels: 8", [3, 0, 0, 0, 0, 0, 0, 0]),
        ];
        foreach ((string reason, byte[] message) in cases)
        {
            using var bus = new BusFixture();
            uint scsi = bus.Offer(DeviceClasses.Scsi);
            bus.Connect();
            bus.Open(scsi);
            bus.Server.Receive(message);
            Assert.Equal("VMBus connection ended: " + reason, Assert.Single(bus.Log.Lines));
            Assert.Equal((ConnectionPhase.Disconnected, 0u, 0u), (bus.Server.Connection, bus.Server.GpadlsUsed, bus.Server.OpenCount));
            bus.Server.Receive(message);
            Assert.Single(bus.Log.Lines);
            bus.Client.Unload();
            bus.Run();
            Assert.Equal(ClientPhase.Disconnected, bus.Client.Phase);
        }
    }

    [Theory]
    [InlineData(0u, 0u, 0u)]            // no room for the guest's half
    [InlineData(1u, 0u, 0u)]
    [InlineData(7u, 0u, 0u)]            // nor for ours
    [InlineData(8u, 0u, 0u)]
    [InlineData(0xFFFFFFFFu, 0u, 0u)]
    [InlineData(4u, 4u, 0u)]            // no such processor
    [InlineData(4u, 0u, 1u)]            // no such GPADL
    public void Impossible_opens_are_refused(uint offset, uint target, uint gpadlError)
    {
        using var bus = new BusFixture();
        uint scsi = bus.Offer(DeviceClasses.Scsi);
        bus.Connect();
        uint ring = bus.Gpadl(scsi, 8);
        bus.Client.Open(scsi, ring + gpadlError, offset, target, default);
        bus.Run();
        Assert.Equal(ClientChannelState.OpenRefused, bus.Client.Find(scsi)->State);
        Assert.True(bus.Client.Open(scsi, ring, 4, ChannelLimits.NoTargetVp, default));
        bus.Run();
        Assert.Equal(ClientChannelState.Open, bus.Client.Find(scsi)->State);
    }

    [Fact]
    public void A_device_may_refuse_and_a_vsock_connect_gets_its_no()
    {
        using var bus = new BusFixture();
        uint scsi = bus.Offer(DeviceClasses.Scsi);
        bus.Connect();
        bus.Log.OpenStatus = ChannelStatus.InsufficientResources;
        bus.Open(scsi);
        Assert.Equal(ChannelStatus.InsufficientResources, bus.Client.Find(scsi)->Status);
        bus.Send(new TlConnectRequestMessage { EndpointId = DeviceClasses.Video }, ChannelMessageType.TlConnectRequest);
        byte[] answer = bus.ToGuest.Messages.Dequeue();
        Assert.Equal((ChannelMessageType.TlConnectResult, ChannelStatus.ConnectionRefused), (BitConverter.ToUInt32(answer), BitConverter.ToUInt32(answer, 40)));
    }
}
