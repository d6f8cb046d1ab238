// Channels opened, closed, released and signalled at the wrong time.
using Lamina.Abi;
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class ChannelMistakes
{
    public static void Run()
    {
        Misuse.Run("bad.never-opens"u8, &NeverOpens);
        Misuse.Run("bad.opens-twice"u8, &OpensTwice);
        Misuse.Run("bad.closes-unopened"u8, &ClosesUnopened);
        Misuse.Run("bad.closes-twice"u8, &ClosesTwice);
        Misuse.Run("bad.opens-without-ring"u8, &OpensWithoutRing);
        Misuse.Run("bad.releases-open"u8, &ReleasesOpen);
        Misuse.Run("bad.releases-twice"u8, &ReleasesTwice);
        Misuse.Run("bad.signals-foreign"u8, &SignalsForeign);
        Misuse.Run("bad.floods-signals"u8, &FloodsSignals);
    }

    // Shows rings for all its channels and opens none of them.
    private static void NeverOpens()
    {
        if (!GuestBus.Join()) return;
        foreach (VMBusGuid device in new Good.DeviceList()) if (!Channel.TryPrepare(GuestBus.Find(device), 4, out _)) return;
        Patience.Pass(50);
    }

    private static void OpensTwice()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.Scsi), 4, out Channel channel)) return;
        Misuse.PostOpen(channel.RelId, channel.Gpadl, channel.Half, 0);
        GuestBus.AwaitRescind(channel.RelId);
    }

    private static void ClosesUnopened()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        Misuse.PostClose(relid);
        GuestBus.AwaitRescind(relid);
    }

    private static void ClosesTwice()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.Heartbeat), 4, out Channel channel) || !channel.TryClose()) return;
        Misuse.PostClose(channel.RelId);
        GuestBus.AwaitRescind(channel.RelId);
    }

    // Each is refused in its answer; then the right way is still open.
    private static void OpensWithoutRing()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Scsi), 4, out Channel channel)) return;
        if (!Channel.TryPrepare(GuestBus.Find(DeviceClasses.Heartbeat), 4, out Channel other)) return;
        ulong* small = Pages.TakeWords(3);
        Pages.TakeScattered(small, 3);
        if (!Channel.TryCreateGpadl(channel.RelId, small, 3, out uint three)) return;
        ExpectRefusal(channel.RelId, other.Gpadl, 4, 0);
        ExpectRefusal(channel.RelId, 0, 4, 0);
        ExpectRefusal(channel.RelId, channel.Gpadl + 1000, 4, 0);
        foreach (uint page in (System.ReadOnlySpan<uint>)[0, 1, 7, 8, 9, 0x80000000, 0xFFFFFFFF]) ExpectRefusal(channel.RelId, channel.Gpadl, page, 0);
        foreach (uint vp in (System.ReadOnlySpan<uint>)[1, 64, 0xFFFFFFFE]) ExpectRefusal(channel.RelId, channel.Gpadl, 4, vp);
        ExpectRefusal(channel.RelId, three, 2, 0);
        // Wild indexes in a ring that is not open yet.
        channel.Upstream->ReadIndex = 0xFFFFFFF8;
        ExpectRefusal(channel.RelId, channel.Gpadl, 4, 0);
        channel.Upstream->ReadIndex = 0;
        channel.Downstream->WriteIndex = 3;
        ExpectRefusal(channel.RelId, channel.Gpadl, 4, 0);
        channel.Downstream->WriteIndex = 0;
        channel.TryOpen();
    }

    private static void ExpectRefusal(uint relid, uint gpadl, uint downstreamPage, uint targetVp)
    {
        if (!Check.That(GuestBus.Client.Open(relid, gpadl, downstreamPage, targetVp, default), "OPEN was not taken"u8)) return;
        Check.That(Channel.AwaitOpen(relid) == ClientChannelState.OpenRefused, "OPEN is not refused"u8);
    }

    // Its number is the guest's no more, nor is its ring.
    private static void ReleasesOpen()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.Scsi), 4, out Channel channel)) return;
        Misuse.PostRelease(channel.RelId);
        Patience.Pass(20);
        for (uint i = 0; i < channel.PageCount; i++) new System.Span<byte>(channel.Table[i], (int)Pages.Size).Fill(0xFF);
        GuestBus.Signal(channel.Connection);
        Patience.Pass(20);
        for (uint i = 0; i < channel.PageCount; i++)
            foreach (byte found in new System.ReadOnlySpan<byte>(channel.Table[i], (int)Pages.Size))
                if (!Check.That(found == 0xFF, "the ring is still written to"u8)) return;
    }

    private static void ReleasesTwice()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        Misuse.PostRelease(relid);
        Misuse.PostRelease(relid);
        Misuse.ExpectSilence();
    }

    // Connections that are none, that are of another kind, and that of a channel which is closed.
    private static void SignalsForeign()
    {
        if (!GuestBus.Join()) return;
        ClientChannel* closed = GuestBus.Find(DeviceClasses.Scsi);
        if (closed == null) return;
        System.ReadOnlySpan<uint> connections = stackalloc uint[] { 0, 1, 4, 0x207F, 0xFFFFFF, 0xFFFFFFFF, closed->Offer.ConnectionId };
        foreach (uint connection in connections)
            Check.That(GuestBus.Signal(connection) != HvStatus.HV_STATUS_SUCCESS.Value, "a signal of a foreign connection is taken"u8);
        GuestBus.Leave();
    }

    private static void FloodsSignals()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        for (int i = 0; i < 5000; i++) client.Channel.Signal();
        DiskBuffer data = DiskBuffer.Take(4096, 0);
        if (client.TryTransfer(0, false, 8, data)) GuestBus.Leave();
    }
}
