// Contact in all versions, offers, channels opened and closed, as drivers of good manners do.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Good;

public static unsafe class ConnectionTests
{
    private const uint V4_1 = 4u << 16 | 1, V2_4 = 2u << 16 | 4, V6_0 = 6u << 16;

    public static void Run()
    {
        Check.Run("connection.version-5-3"u8, &Version53);
        Check.Run("connection.version-5-2"u8, &Version52);
        Check.Run("connection.others-refused"u8, &OthersRefused);
        Check.Run("connection.offers"u8, &Offers);
        Check.Run("connection.unload-and-back"u8, &UnloadAndBack);
        Check.Run("connection.open-and-close"u8, &OpenAndClose);
        Check.Run("connection.all-devices-at-once"u8, &AllDevices);
        Check.Run("connection.modify"u8, &Modify);
        Check.Run("connection.other-sint"u8, &OtherSint);
    }

    private static void Version53() => ConnectAs(VMBusVersion.V5_3);
    private static void Version52() => ConnectAs(VMBusVersion.V5_2);

    private static void ConnectAs(uint version)
    {
        if (!GuestBus.Join(version)) return;
        Check.Equal("message connection"u8, GuestBus.Client.MessageConnectionId, ChannelLimits.MessageConnectionId);
        GuestBus.Leave();
    }

    // From the newest down, as guests try them; the last one is taken.
    private static void OthersRefused()
    {
        GuestBus.Begin();
        foreach (uint version in (System.ReadOnlySpan<uint>)[V6_0, V4_1, V2_4, 0])
        {
            GuestBus.Contact(version);
            if (GuestBus.Client.Phase != ClientPhase.Refused) Check.Fail("not refused: version "u8, version);
        }
        if (GuestBus.Rejoin()) GuestBus.Leave();
    }

    private static void Offers()
    {
        if (!GuestBus.Join()) return;
        foreach (VMBusGuid device in new DeviceList())
        {
            ClientChannel* channel = GuestBus.Find(device);
            if (channel == null) return;
            ref OfferChannelMessage offer = ref channel->Offer;
            Check.Between("relid"u8, offer.RelId, ChannelLimits.MinimumRelId, ChannelLimits.MaximumRelId);
            Check.Equal("dedicated interrupt"u8, (ulong)offer.IsDedicatedInterrupt & 1, 1);
            Check.Equal("monitor"u8, (ulong)offer.MonitorAllocated & 1, 0);
            Check.Equal("sub-channel index"u8, offer.SubChannelIndex, 0);
            Check.That(GuestBus.Client.FindClass(device, 1) == null, "a device is offered twice"u8);
        }
        GuestBus.Leave();
    }

    private static void UnloadAndBack()
    {
        for (int i = 0; i < 10; i++) if (!GuestBus.Join() || !GuestBus.Leave()) return;
        // Whoever is not connected may say so as well.
        GuestBus.Leave();
    }

    private static void OpenAndClose()
    {
        if (!GuestBus.Join()) return;
        for (uint i = 0; i < 10; i++)
            if (!Channel.TryOpen(GuestBus.Find(DeviceClasses.KeyValuePairs), 2 + i, out Channel channel) || !channel.TryClose()) return;
        GuestBus.Leave();
    }

    private static void AllDevices()
    {
        if (!GuestBus.Join()) return;
        foreach (VMBusGuid device in new DeviceList())
            if (!Channel.TryOpen(GuestBus.Find(device), 4, out _)) return;
        GuestBus.Leave();
    }

    // 5.3 is answered, 5.2 is not.
    private static void Modify()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.KeyValuePairs), 2, out Channel channel)) return;
        GuestBus.Client.Modify(channel.RelId, 0);
        Check.That(GuestBus.AwaitMessages(ChannelMessageType.ModifyChannelResponse, 1), "MODIFYCHANNEL is not answered"u8);
        Check.Equal("status"u8, GuestBus.Client.Find(channel.RelId)->Status, ChannelStatus.Success);
        if (!GuestBus.Leave() || !GuestBus.Join(VMBusVersion.V5_2) || !Channel.TryOpen(GuestBus.Find(DeviceClasses.KeyValuePairs), 2, out channel)) return;
        GuestBus.Client.Modify(channel.RelId, 0);
        if (!channel.TryClose()) return;
        Check.Equal("answers in version 5.2"u8, GuestBus.MessagesOf(ChannelMessageType.ModifyChannelResponse), 0);
        GuestBus.Leave();
    }

    // Messages and signals come where the guest wants them, from one connection to the next.
    private static void OtherSint()
    {
        foreach (byte sint in (System.ReadOnlySpan<byte>)[5, 15, 1, GuestBus.UsualSint])
        {
            GuestBus.Begin(sint);
            if (!GuestBus.Rejoin() || !StorageClient.TryOpen(4, out StorageClient client) || !client.TryIntroduce() || !GuestBus.Leave()) return;
            Check.That(GuestBus.SignalsOf(client.Channel.RelId) != 0, "no signal came"u8);
        }
    }
}

/// <summary>The devices that every VM has.</summary>
public ref struct DeviceList
{
    private int index;

    public readonly DeviceList GetEnumerator() => default;
    public bool MoveNext() => ++index <= 5;

    public readonly VMBusGuid Current => index switch
    {
        1 => DeviceClasses.Scsi,
        2 => DeviceClasses.Heartbeat,
        3 => DeviceClasses.Shutdown,
        4 => DeviceClasses.TimeSynchronization,
        _ => DeviceClasses.KeyValuePairs,
    };
}
