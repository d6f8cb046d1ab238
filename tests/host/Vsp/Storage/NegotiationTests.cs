// What a guest may say when, and what it is told.
using System.Linq;
using Lamina.Drivers.Vsp.Storage;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed unsafe class NegotiationTests
{
    private static readonly uint[] Everything = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 99, uint.MaxValue];

    [Fact]
    public void Linux_gets_through_its_introduction()
    {
        using StorageGuest guest = new(subChannels: 3);
        GuestChannel channel = guest.Open();
        Assert.Equal(0u, guest.Ask(channel, VstorOperation.BeginInitialization).Packet.Status);
        foreach (ushort version in new ushort[] { 0x0700, 0x0402, 0x0200 })
            Assert.Equal(NtStatus.RevisionMismatch, guest.Ask(channel, new VstorPacket { Operation = 9, Version = new() { MajorMinor = version } }).Packet.Status);
        Assert.Equal(0u, guest.Ask(channel, new VstorPacket { Operation = 9, Version = new() { MajorMinor = 0x0501 } }).Packet.Status);
        StorageAnswer properties = guest.Ask(channel, VstorOperation.QueryProperties);
        Assert.Equal(0u, properties.Packet.Status);
        Assert.Equal(3, properties.Packet.StorageChannelProperties.MaxChannelCount);
        Assert.Equal(1u, properties.Packet.StorageChannelProperties.Flags);
        Assert.Equal(0x40000u, properties.Packet.StorageChannelProperties.MaxTransferBytes);
        Assert.Equal(0u, guest.Ask(channel, VstorOperation.EndInitialization).Packet.Status);
        Assert.Equal(0u, guest.Ask(channel, new VstorPacket { Operation = 13, SubChannelCount = 2 }).Packet.Status);
        Assert.Equal(new ushort[] { 1, 2 }, guest.SubChannelOffers);
        Assert.Equal(NtStatus.InvalidParameter, guest.Ask(channel, new VstorPacket { Operation = 13, SubChannelCount = 2 }).Packet.Status);
        Assert.Equal(0u, guest.Ask(channel, new VstorPacket { Operation = 13, SubChannelCount = 1 }).Packet.Status);
        Assert.Empty(guest.Failures);
    }

    [Fact]
    public void One_channel_only_says_so()
    {
        using StorageGuest guest = new(subChannels: 0);
        GuestChannel channel = guest.Open();
        guest.Ask(channel, VstorOperation.BeginInitialization);
        guest.Ask(channel, new VstorPacket { Operation = 9, Version = new() { MajorMinor = 0x0602 } });
        StorageAnswer properties = guest.Ask(channel, VstorOperation.QueryProperties);
        Assert.Equal(0, properties.Packet.StorageChannelProperties.MaxChannelCount);
        Assert.Equal(0u, properties.Packet.StorageChannelProperties.Flags);
    }

    [Fact]
    public void Windows_may_create_sub_channels_before_the_end()
    {
        using StorageGuest guest = new(subChannels: 3) { SubChannelsToBeHad = 1 };
        GuestChannel channel = guest.Open();
        guest.Ask(channel, VstorOperation.BeginInitialization);
        guest.Ask(channel, new VstorPacket { Operation = 9, Version = new() { MajorMinor = 0x0602 } });
        Assert.Equal(NtStatus.InvalidDeviceState, guest.Ask(channel, new VstorPacket { Operation = 13, SubChannelCount = 1 }).Packet.Status);
        guest.Ask(channel, VstorOperation.QueryProperties);
        Assert.Equal(NtStatus.InsufficientResources, guest.Ask(channel, new VstorPacket { Operation = 13, SubChannelCount = 3 }).Packet.Status);
        Assert.Equal(new ushort[] { 1 }, guest.SubChannelOffers);
        Assert.Equal(0u, guest.Ask(channel, VstorOperation.EndInitialization).Packet.Status);
    }

    /// <summary>In every state, everything but what is expected there is refused and changes nothing.</summary>
    [Fact]
    public void Order_is_kept()
    {
        using StorageGuest guest = new();
        guest.Attach(new FakeDisk()).IsSynchronous = true;
        GuestChannel channel = guest.Open();
        foreach (uint expected in new uint[] { 7, 9, 10, 8 })
        {
            foreach (uint operation in Everything.Where(one => one != expected && !(expected == 8 && one == 13)))
            {
                uint status = guest.Ask(channel, new VstorPacket { Operation = operation, Version = new() { MajorMinor = 0x0602 } }).Packet.Status;
                Assert.Equal(operation is >= 3 and <= 10 or 13 ? NtStatus.InvalidDeviceState : NtStatus.InvalidDeviceRequest, status);
            }
            Assert.Equal(0u, guest.Ask(channel, new VstorPacket { Operation = expected, Version = new() { MajorMinor = 0x0602 } }).Packet.Status);
        }
        Assert.Equal(1, guest.Do(channel, [0, 0, 0, 0, 0, 0]).SrbStatus);
        foreach (uint operation in new uint[] { 7, 8, 9, 10 }) Assert.Equal(NtStatus.InvalidDeviceState, guest.Ask(channel, operation).Packet.Status);
        foreach (uint operation in new uint[] { 0, 1, 2, 11, 12, 14, 77 }) Assert.Equal(NtStatus.InvalidDeviceRequest, guest.Ask(channel, operation).Packet.Status);
        Assert.Empty(guest.Failures);
    }

    [Fact]
    public void Commands_before_the_introduction_are_refused()
    {
        using StorageGuest guest = new();
        FakeDisk disk = guest.Attach(new FakeDisk());
        GuestChannel channel = guest.Open();
        StorageAnswer answer = guest.Execute(channel, StorageGuest.Command([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], 1, 512), 0, 512, StorageGuest.FirstPage);
        Assert.Equal(NtStatus.InvalidDeviceState, answer.Packet.Status);
        Assert.NotEqual(1, answer.SrbStatus);
        Assert.Equal(0, disk.Requests);
    }

    [Fact]
    public void Sub_channels_wait_for_the_primary_one()
    {
        using StorageGuest guest = new();
        guest.Attach(new FakeDisk()).IsSynchronous = true;
        GuestChannel primary = guest.Open();
        GuestChannel sub = guest.Open(1);
        ulong early = guest.TryWrite(sub, StorageGuest.Command([0, 0, 0, 0, 0, 0], 2, 0));
        guest.Flush(sub);
        guest.Receive();
        Assert.Empty(guest.Answers);
        foreach (uint operation in new uint[] { 7, 9, 10, 8 }) guest.Ask(primary, new VstorPacket { Operation = operation, Version = new() { MajorMinor = 0x0600 } });
        guest.Receive();
        Assert.Equal(1, guest.Take(early).SrbStatus);
        Assert.Equal(NtStatus.InvalidDeviceState, guest.Ask(sub, VstorOperation.BeginInitialization).Packet.Status);
    }

    [Fact]
    public void Channels_open_where_they_may()
    {
        using StorageGuest guest = new(subChannels: 1);
        using GuestChannel other = new(7, 0, 4);
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 1, other.Pages, 4));
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 0, other.Pages, 1));
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 0, other.Pages, 7));
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 0, other.Pages, 8));
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 0, other.Pages, uint.MaxValue));
        guest.Open();
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 0, other.Pages, 4));
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(20, 1, other.Pages, 4));
        Assert.Equal(ChannelStatus.InvalidParameter, guest.Controller->Open(7, 2, other.Pages, 4));
        Assert.True(guest.Controller->Close(99));
        Assert.True(guest.Controller->Close(20));
        Assert.True(guest.Controller->IsIdle);
        guest.Controller->Signaled(20);
        guest.Start();
    }
}
