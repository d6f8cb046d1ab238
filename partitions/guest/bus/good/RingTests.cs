// Who signals when: batches, the interrupt mask, waiting for room, in both directions.
using System.Threading;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Good;

public static unsafe class RingTests
{
    public static void Run()
    {
        Check.Run("ring.one-signal-a-batch"u8, &OneSignalABatch);
        Check.Run("ring.interrupt-mask"u8, &InterruptMask);
        Check.Run("ring.host-waits-for-room"u8, &HostWaitsForRoom);
        Check.Run("ring.guest-waits-for-room"u8, &GuestWaitsForRoom);
    }

    private static void OneSignalABatch()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        for (int round = 0; round < 10; round++)
        {
            uint ours = client.Channel.Signals, theirs = GuestBus.SignalsOf(client.Channel.RelId);
            if (!SendReady(ref client, 0, 32)) return;
            client.Channel.Commit();
            if (!client.TryAwaitAll()) return;
            Check.Between("signals of the guest for a batch"u8, client.Channel.Signals - ours, 1, 1);
            Check.Between("signals of the host for a batch"u8, GuestBus.SignalsOf(client.Channel.RelId) - theirs, 0, 2);
        }
        GuestBus.Leave();
    }

    private static void InterruptMask()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        Patience.Pass(20);
        uint before = GuestBus.SignalsOf(client.Channel.RelId);
        client.Channel.Incoming.Mask();
        for (int i = 0; i < 10; i++)
        {
            if (!SendReady(ref client, 0, 1)) return;
            client.Channel.Commit();
            if (!client.TryAwaitAll()) return;
        }
        Patience.Pass(20);
        Check.Equal("signals while masked"u8, GuestBus.SignalsOf(client.Channel.RelId) - before, 0);
        Check.That(client.Channel.Incoming.TryUnmask(), "more completions than requests"u8);
        if (!SendReady(ref client, 0, 1)) return;
        client.Channel.Commit();
        Patience patience = Patience.Usual;
        while (GuestBus.SignalsOf(client.Channel.RelId) == before && patience.Wait()) { }
        Check.That(GuestBus.SignalsOf(client.Channel.RelId) != before, "no signal after unmasking"u8);
        if (client.TryAwaitAll()) GuestBus.Leave();
    }

    // More completions than the host's half holds: it says so, and goes on as soon as there is room.
    private static void HostWaitsForRoom()
    {
        if (!StorageClient.TryStart(out StorageClient client, 2)) return;
        const uint half = StorageClient.Depth / 2;
        if (!SendReady(ref client, 0, half)) return;
        client.Channel.Commit();
        Patience patience = Patience.Usual;
        while (Volatile.Read(ref client.Channel.Upstream->ReadIndex) != client.Channel.Upstream->WriteIndex && patience.Wait()) { }
        if (!SendReady(ref client, half, half)) return;
        client.Channel.Commit();
        while (Volatile.Read(ref client.Channel.Downstream->PendingSendSize) == 0 && patience.Wait()) { }
        Check.That(client.Channel.Downstream->PendingSendSize != 0, "the host does not wait for room"u8);
        uint before = client.Channel.Signals;
        if (!client.TryAwaitAll()) return;
        Check.That(client.Channel.Signals != before, "room became free and nobody was told"u8);
        Check.Equal("pending send size at last"u8, client.Channel.Downstream->PendingSendSize, 0);
        GuestBus.Leave();
    }

    // Completions are masked, so that a signal can only mean room.
    private static void GuestWaitsForRoom()
    {
        if (!StorageClient.TryStart(out StorageClient client, 2)) return;
        Patience.Pass(20);
        uint before = GuestBus.SignalsOf(client.Channel.RelId), count = 0;
        client.Channel.Incoming.Mask();
        RingStatus status = RingStatus.Ok;
        while (status == RingStatus.Ok && count < StorageClient.Depth)
        {
            if (!client.TryBegin(count)) return;
            status = SendReady(ref client, count);
            if (status == RingStatus.Ok) count++;
            else client.Places[count].IsPending = false;
        }
        if (!Check.That(status == RingStatus.Full, "the ring does not become full"u8)) return;
        Check.That(client.Channel.Outgoing.AwaitRoom(2048) == RingStatus.Full, "half of a full ring is free"u8);
        Check.Equal("signals before there is room"u8, GuestBus.SignalsOf(client.Channel.RelId) - before, 0);
        client.Channel.Commit();
        Patience patience = Patience.Usual;
        while (GuestBus.SignalsOf(client.Channel.RelId) == before && patience.Wait()) { }
        Check.That(GuestBus.SignalsOf(client.Channel.RelId) != before, "the host does not say that there is room"u8);
        client.Channel.Outgoing.StopWaiting();
        if (client.TryAwaitAll()) GuestBus.Leave();
    }

    private static bool SendReady(ref StorageClient client, uint first, uint count)
    {
        for (uint place = first; place < first + count; place++)
            if (!client.TryBegin(place) || !Check.That(SendReady(ref client, place) == RingStatus.Ok, "the request does not fit into the ring"u8)) return false;
        return true;
    }

    private static RingStatus SendReady(ref StorageClient client, uint place)
    {
        System.ReadOnlySpan<byte> cdb = [OperationCode.TestUnitReady, 0, 0, 0, 0, 0];
        return client.Send(place, 0, cdb, VmscsiRequest.UnknownType, default);
    }
}
