// A VM's bus in the root, with a guest that keeps to the rules and one that does not.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Lamina.Abi;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Root.Kernel;
using Lamina.Root.Worker;
using Lamina.VMBus;
using Xunit;
using static Lamina.Tests.Host.Worker.WorkerHost;

namespace Lamina.Tests.Host.Worker;

[Collection("worker")]
public sealed unsafe class BusTests : IDisposable
{
    private const string Machine = """{ "vms": [ { "name": "bus", "memory": "8M", "kernel": "tiny.bin", "processors": 2, "debugExit": true } ] }""";
    private readonly ulong _free;
    private readonly BusGuest _guest = new();

    public BusTests()
    {
        BootRoot(Machine);
        _free = PhysicalMemory.FreePageCount;
        Command("start bus");
        ConsoleOutput.Lines.Clear();
    }

    public void Dispose()
    {
        if (BusGuest.Vm != null) Command("vm turnoff bus");
        _guest.Dispose();
        Assert.Equal(0, FakeCore.ChildCount);
        Assert.Equal(_free, PhysicalMemory.FreePageCount);
        Assert.Empty(FakeCore.Root.PortIds);
        Assert.Empty(FakeCore.Root.ConnectionIds);
    }

    private uint RelIdOf(VMBusGuid device) => _guest.Client.FindClass(device, 0)->Offer.RelId;

    [Theory]
    [InlineData(VMBusVersion.V5_3)]
    [InlineData(VMBusVersion.V5_2)]
    public void A_guest_hears_of_its_devices(uint version)
    {
        _guest.Connect(version);
        Assert.Equal(ClientPhase.Connected, _guest.Client.Phase);
        Assert.Equal(ChannelLimits.MessageConnectionId, _guest.Client.MessageConnectionId);
        _guest.Client.RequestOffers();
        _guest.Receive();
        Assert.True(_guest.Client.AllOffersDelivered);
        foreach (VMBusGuid device in new[] { DeviceClasses.Scsi, DeviceClasses.Heartbeat, DeviceClasses.Shutdown, DeviceClasses.TimeSynchronization, DeviceClasses.KeyValuePairs })
            Assert.True(_guest.Client.FindClass(device, 0) != null);
    }

    [Theory]
    [InlineData(4u << 16 | 1)]
    [InlineData(6u << 16)]
    public void Other_versions_are_refused(uint version)
    {
        _guest.Connect(version);
        Assert.Equal(ClientPhase.Refused, _guest.Client.Phase);
        _guest.Connect();
        Assert.Equal(ClientPhase.Connected, _guest.Client.Phase);
    }

    [Fact]
    public void A_service_talks_through_its_ring()
    {
        _guest.Join();
        uint relid = RelIdOf(DeviceClasses.Heartbeat);
        ulong[] pages = _guest.Open(relid);
        Assert.Equal(ClientChannelState.Open, _guest.Client.Find(relid)->State);
        Wait(1);
        Assert.Contains((0u, (byte)2, (ushort)relid), FakeCore.Child.Events);
        var rings = _guest.Rings(pages);
        byte* buffer = stackalloc byte[4096];
        Assert.Equal(RingStatus.Ok, rings.Incoming.TryRead(buffer, 4096, out RingPacket packet));
        Assert.Equal(PacketType.InBand, packet.Type);
        Assert.Equal(IcMessageType.Negotiate, ((IcMessageHeader*)(buffer + sizeof(PacketDescriptor) + sizeof(PipeHeader)))->MessageType);
        Assert.Contains("heartbeat: No Contact", string.Join('\n', Command("vm show bus")));
    }

    [Fact]
    public void Statistics_say_what_came_since_the_last()
    {
        string first = string.Join('\n', Command("vm stats bus")), second = string.Join('\n', Command("vm stats bus"));
        Assert.Contains("VM bus: since its start, its processors 0 entries", first);
        Assert.Contains("VM bus: since the last stats, its processors 0 entries", second);
        Assert.Contains("storage: requests 0, errors 0", second);
        Command("vm turnoff bus");
        Assert.Equal(["VM bus: is off"], Command("vm stats bus"));
        Command("vm start bus");
    }

    [Fact]
    public void A_ring_outside_of_the_guests_memory_is_refused()
    {
        _guest.Join();
        uint relid = RelIdOf(DeviceClasses.Heartbeat);
        ulong[] pages = _guest.Pages(8);
        pages[5] = 0x7FF; // the last page
        _guest.Open(relid, 4, pages);
        Assert.Equal(ClientChannelState.Open, _guest.Client.Find(relid)->State);
        uint other = RelIdOf(DeviceClasses.Shutdown);
        pages[5] = 0x800;
        _guest.Open(other, 4, pages);
        Assert.NotEqual(ClientChannelState.Open, _guest.Client.Find(other)->State);
    }

    [Fact]
    public void A_wild_index_costs_the_channel_and_is_one_line()
    {
        _guest.Join();
        uint relid = RelIdOf(DeviceClasses.TimeSynchronization);
        ulong[] pages = _guest.Open(relid);
        ((RingControlPage*)BusGuest.Ram(pages[0]))->WriteIndex = 0xFFFF_FFF8;
        _guest.Signal(relid);
        _guest.Signal(relid);
        Assert.Equal([$"VM bus: VMBus channel {relid} ended: ring index out of range"], ConsoleOutput.Lines);
        Assert.Equal(ClientChannelState.Rescinded, _guest.Client.Find(relid)->State);
        _guest.Client.Release(relid);
        _guest.Receive();
        Assert.Equal(VmState.Running, BusGuest.Vm->State);
        // The other channels go on.
        uint other = RelIdOf(DeviceClasses.Heartbeat);
        _guest.Open(other);
        Assert.Equal(ClientChannelState.Open, _guest.Client.Find(other)->State);
    }

    [Fact]
    public void A_reconnect_begins_anew_with_everything_closed()
    {
        for (int round = 0; round < 20; round++)
        {
            _guest.Join();
            uint relid = RelIdOf(DeviceClasses.Heartbeat);
            _guest.Open(relid);
            Assert.Equal(ClientChannelState.Open, _guest.Client.Find(relid)->State);
        }
        _guest.Client.Unload();
        _guest.Receive();
        Assert.Equal(ClientPhase.Disconnected, _guest.Client.Phase);
    }

    [Fact]
    public void Messages_of_an_earlier_run_are_dropped()
    {
        ulong port = BusGuest.Vm->Machine->Bus->Numbers.MessagePort;
        Command("vm turnoff bus");
        Command("vm start bus");
        FakeCore.Posted.Clear();
        InitiateContactMessage contact = default;
        contact.Header.MessageType = ChannelMessageType.InitiateContact;
        contact.VersionRequested = VMBusVersion.V5_3;
        contact.TargetSint = 2;
        BusGuest.Post(new ReadOnlySpan<byte>(&contact, sizeof(InitiateContactMessage)), port);
        Assert.Empty(FakeCore.Posted);
    }

    [Fact]
    public void Full_buffers_delay_messages_and_lose_none()
    {
        FakeCore.PostsFail = true;
        _guest.Client.Connect(VMBusVersion.V5_3, 0, 2);
        _guest.Receive();
        Assert.Equal(ClientPhase.Connecting, _guest.Client.Phase);
        FakeCore.PostsFail = false;
        Wait(2);
        _guest.Receive();
        Assert.Equal(ClientPhase.Connected, _guest.Client.Phase);
    }

    [Fact]
    public void Signals_for_closed_and_absent_channels_do_nothing()
    {
        _guest.Join();
        for (uint channel = 0; channel < BusNumbers.ChannelsPerVm; channel++)
        {
            uint flag = BusGuest.Vm->Machine->Bus->Numbers.Flag(channel);
            VmWorker.OnBusEvents(flag / 64, 1UL << (int)(flag % 64));
        }
        VmWorker.OnBusEvents(31, ulong.MaxValue);
        Assert.Empty(ConsoleOutput.Lines);
    }

    [Fact]
    public void Every_call_may_fail_and_everything_is_given_back()
    {
        Command("vm turnoff bus");
        FakeCore.Reset();
        Command("vm start bus");
        int calls = FakeCore.CallCount;
        Command("vm turnoff bus");
        for (int fail = 0; fail < calls; fail++)
        {
            FakeCore.Reset();
            FakeCore.FailAt = fail;
            List<string> lines = Command("vm start bus");
            Assert.Single(lines);
            Assert.StartsWith("VM bus: HvCall", lines[0]);
            Assert.Equal(0, FakeCore.ChildCount);
            Assert.Equal(_free, PhysicalMemory.FreePageCount);
            Assert.Empty(FakeCore.Root.PortIds);
        }
        FakeCore.Reset();
        Command("vm start bus");
    }

    /// <summary>Random messages and signals; what a guest says may end its channels, never more.</summary>
    [Fact]
    public void Noise_ends_nothing_but_channels()
    {
        int rounds = 300 * Lamina.Tests.Host.Storage.Fuzz.Factor;
        var random = new Random(20261127);
        byte[] message = new byte[240];
        for (int round = 0; round < rounds; round++)
        {
            if (round % 16 == 0) _guest.Join();
            random.NextBytes(message);
            message[0] = (byte)random.Next(26);
            message[1] = message[2] = message[3] = 0;
            if (random.Next(2) == 0) BitConverter.TryWriteBytes(message.AsSpan(8), random.Next(10));
            BusGuest.Post(message.AsSpan(0, random.Next(241)));
            if (random.Next(4) == 0) _guest.Signal((uint)random.Next(BusNumbers.ChannelsPerVm));
            Wait(1);
            _guest.Receive();
            Assert.Equal(VmState.Running, BusGuest.Vm->State);
        }
        Assert.All(ConsoleOutput.Lines, line => Assert.StartsWith("VM bus: VMBus ", line));
    }
}
