// Channels and connections that end while a slow disk still has requests: the guest's memory is its own once the host says so.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

/// <summary>Unit 1 must be a disk slow enough to have most of <see cref="Count"/> reads still before it when the guest goes on.</summary>
public static unsafe class InFlight
{
    public const byte SlowUnit = 1;
    private const uint Count = 32, Least = 8, Length = 4096, FirstBlock = 1024;
    // Apart, as devices make one request of neighbours.
    private const uint Stride = 32;
    private const byte Before = 0xA5, After = 0x5A;

    public static void Run()
    {
        Misuse.Run("bad.closes-in-flight"u8, &Closes);
        Misuse.Run("bad.closes-with-more-waiting"u8, &ClosesWithMoreWaiting);
        Misuse.Run("bad.tears-down-in-flight"u8, &TearsDown);
        Misuse.Run("bad.breaks-ring-in-flight"u8, &BreaksRing);
        Misuse.Run("bad.releases-in-flight"u8, &Releases);
        Misuse.Run("bad.reconnects-in-flight"u8, &Reconnects);
        Misuse.Run("bad.reconnects-often-in-flight"u8, &ReconnectsOften);
        Misuse.Run("bad.unloads-in-flight"u8, &Unloads);
        Misuse.Run("bad.unloads-and-reconnects-in-flight"u8, &UnloadsAndReconnects);
        Misuse.Run("bad.breaks-connection-in-flight"u8, &BreaksConnection);
    }

    /// <summary>Sends reads to the slow disk and sees that they are not done. False: the check has failed.</summary>
    public static bool TryLoad(out StorageClient client, out DiskBuffer* data)
    {
        data = null;
        if (!StorageClient.TryStart(out client)) return false;
        data = Good.StorageTests.Take(Count, Length, 0);
        for (uint i = 0; i < Count; i++)
        {
            data[i].Wipe(Before);
            if (!client.TryBegin(i) || !Check.That(client.SendTransfer(i, SlowUnit, false, FirstBlock + i * Stride, data[i]) == RingStatus.Ok, "the request does not fit into the ring"u8)) return false;
        }
        client.Channel.Commit();
        Patience.Pass(20);
        client.Take();
        return Check.Between("requests in flight (is unit 1 a slow disk?)"u8, client.Pending, Least, Count);
    }

    /// <summary>From now on nobody but the guest may write to the ring and the buffers.</summary>
    private static void ExpectNoMore(in StorageClient client, DiskBuffer* data)
    {
        for (uint i = 0; i < Count; i++) data[i].Wipe(After);
        for (uint i = 0; i < client.Channel.PageCount; i++) new System.Span<byte>(client.Channel.Table[i], (int)Pages.Size).Fill(After);
        Patience.Pass(1500);
        for (uint i = 0; i < Count; i++) Check.That(data[i].IsWiped(After), "a buffer was written after its end"u8);
        for (uint i = 0; i < client.Channel.PageCount; i++)
            foreach (byte found in new System.ReadOnlySpan<byte>(client.Channel.Table[i], (int)Pages.Size))
                if (!Check.That(found == After, "the ring was written after its end"u8)) return;
    }

    private static void Closes()
    {
        if (TryLoad(out StorageClient client, out DiskBuffer* data) && client.Channel.TryClose()) ExpectNoMore(client, data);
    }

    // More than the host takes at a time: the rest is still in the ring.
    private static void ClosesWithMoreWaiting()
    {
        const uint many = 400;
        if (!StorageClient.TryStart(out StorageClient client, 32)) return;
        DiskBuffer* data = Good.StorageTests.Take(Count, Length, 0);
        for (uint i = 0; i < many; i++)
        {
            client.Places[0].IsPending = false;
            if (!client.TryBegin(0) || !Check.That(client.SendTransfer(0, SlowUnit, false, FirstBlock + i * Stride, data[i % Count]) == RingStatus.Ok, "the request does not fit into the ring"u8)) return;
        }
        client.Channel.Commit();
        Patience.Pass(20);
        Check.That(client.Channel.Upstream->ReadIndex != client.Channel.Upstream->WriteIndex, "the host takes any number at a time"u8);
        if (client.Channel.TryClose()) ExpectNoMore(client, data);
    }

    private static void TearsDown()
    {
        if (!TryLoad(out StorageClient client, out DiskBuffer* data)) return;
        GuestBus.Client.TeardownGpadl(client.Channel.Gpadl);
        GuestBus.Client.Close(client.Channel.RelId);
        if (Channel.AwaitTornDown(client.Channel.Gpadl)) ExpectNoMore(client, data);
    }

    private static void BreaksRing()
    {
        if (!TryLoad(out StorageClient client, out DiskBuffer* data)) return;
        client.Channel.Upstream->WriteIndex = 0xFFFFFFF8;
        client.Channel.Signal();
        Patience patience = Patience.Usual;
        while (GuestBus.Client.Find(client.Channel.RelId)->State != ClientChannelState.Rescinded && patience.Wait()) { }
        Check.That(GuestBus.Client.Find(client.Channel.RelId)->State == ClientChannelState.Rescinded, "the host keeps the channel"u8);
        if (Channel.TryTearDown(client.Channel.Gpadl)) ExpectNoMore(client, data);
    }

    // Without CLOSE: what says that the memory is free is the next contact's answer.
    private static void Releases()
    {
        if (!TryLoad(out StorageClient client, out DiskBuffer* data)) return;
        Misuse.PostRelease(client.Channel.RelId);
        if (GuestBus.Rejoin()) ExpectNoMore(client, data);
    }

    // As a kernel does that another one has started in its place.
    private static void Reconnects()
    {
        if (TryLoad(out StorageClient client, out DiskBuffer* data) && GuestBus.Rejoin()) ExpectNoMore(client, data);
    }

    // Contact upon contact, none of which can be answered yet: the last one is, once.
    private static void ReconnectsOften()
    {
        if (!TryLoad(out StorageClient client, out DiskBuffer* data)) return;
        uint before = GuestBus.MessagesOf(ChannelMessageType.VersionResponse);
        InitiateContactMessage message = default;
        message.Header.MessageType = ChannelMessageType.InitiateContact;
        message.VersionRequested = VMBusVersion.V5_2;
        message.TargetSint = GuestBus.Sint;
        for (int i = 0; i < 50; i++) GuestBus.Post(ref message);
        if (!GuestBus.Rejoin()) return;
        Check.Equal("answers to all contacts"u8, GuestBus.MessagesOf(ChannelMessageType.VersionResponse) - before, 1);
        ExpectNoMore(client, data);
    }

    private static void Unloads()
    {
        if (TryLoad(out StorageClient client, out DiskBuffer* data) && GuestBus.Leave()) ExpectNoMore(client, data);
    }

    // The later replaces the earlier: one answer, that of the contact.
    private static void UnloadsAndReconnects()
    {
        if (!TryLoad(out StorageClient client, out DiskBuffer* data)) return;
        Misuse.PostHeader(ChannelMessageType.Unload);
        if (!GuestBus.Rejoin()) return;
        Check.Equal("answers to UNLOAD"u8, GuestBus.MessagesOf(ChannelMessageType.UnloadResponse), 0);
        ExpectNoMore(client, data);
    }

    private static void BreaksConnection()
    {
        if (!TryLoad(out StorageClient client, out DiskBuffer* data)) return;
        Misuse.PostHeader(99);
        if (GuestBus.Rejoin()) ExpectNoMore(client, data);
    }
}
