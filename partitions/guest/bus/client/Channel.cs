// An open channel: its ring's GPADL, both halves, its signals.
using System;
using Lamina.Drivers.Vsp;
using Lamina.VMBus;

namespace Lamina.Guest.Bus;

public unsafe struct Channel
{
    public uint RelId, Gpadl, Connection;
    /// <summary>Pages of the ring, and of each half.</summary>
    public uint PageCount, Half;
    public ulong* PageNumbers;
    public byte** Table;
    public OutgoingRing<RingPages> Outgoing;
    public IncomingRing<RingPages> Incoming;
    /// <summary>Signals that were sent.</summary>
    public uint Signals;

    /// <summary>The control page of our half, and of the host's.</summary>
    public readonly RingControlPage* Upstream => (RingControlPage*)Table[0];
    public readonly RingControlPage* Downstream => (RingControlPage*)Table[Half];

    /// <summary>Byte <paramref name="offset"/> of the data of our half.</summary>
    public readonly byte* UpstreamData(uint offset) => Table[1 + offset / Pages.Size] + offset % Pages.Size;

    /// <summary>Takes memory for a ring whose halves have so many pages, and shows it to the host. False: the check has failed.</summary>
    public static bool TryPrepare(ClientChannel* offer, uint half, out Channel channel)
    {
        channel = default;
        if (offer == null) return false;
        channel.RelId = offer->Offer.RelId;
        channel.Connection = offer->Offer.ConnectionId;
        channel.Half = half;
        channel.PageCount = 2 * half;
        channel.PageNumbers = Pages.TakeWords(channel.PageCount);
        channel.Table = (byte**)Pages.TakeWords(channel.PageCount);
        Pages.TakeScattered(channel.PageNumbers, channel.PageCount);
        for (uint i = 0; i < channel.PageCount; i++) channel.Table[i] = Pages.At(channel.PageNumbers[i]);
        return TryCreateGpadl(channel.RelId, channel.PageNumbers, channel.PageCount, out channel.Gpadl)
            && Check.That(GuestBus.Client.StateOfGpadl(channel.Gpadl) == ClientGpadlState.Created, "the ring's GPADL is refused"u8);
    }

    /// <summary>A GPADL of whole pages, created or refused. False: the check has failed.</summary>
    public static bool TryCreateGpadl(uint relid, ulong* pages, uint count, out uint gpadl)
    {
        bool sent = GuestBus.Client.CreateGpadl(relid, count * Pages.Size, new ReadOnlySpan<ulong>(pages, (int)count), out gpadl);
        if (!Check.That(sent, "the GPADL was not taken"u8)) return false;
        Patience patience = Patience.Usual;
        while (GuestBus.Client.StateOfGpadl(gpadl) == ClientGpadlState.Creating && patience.Wait()) { }
        return Check.That(GuestBus.Client.StateOfGpadl(gpadl) != ClientGpadlState.Creating, "GPADL_HEADER is not answered"u8);
    }

    /// <summary>Takes a GPADL back and waits for the host's word. False: the check has failed.</summary>
    public static bool TryTearDown(uint gpadl)
    {
        if (!Check.That(GuestBus.Client.TeardownGpadl(gpadl), "GPADL_TEARDOWN was not taken"u8)) return false;
        return AwaitTornDown(gpadl);
    }

    public static bool AwaitTornDown(uint gpadl)
    {
        Patience patience = Patience.Usual;
        while (GuestBus.Client.StateOfGpadl(gpadl) == ClientGpadlState.TearingDown && patience.Wait()) { }
        return Check.That(GuestBus.Client.StateOfGpadl(gpadl) == ClientGpadlState.Free, "GPADL_TEARDOWN is not answered"u8);
    }

    /// <summary>Opens with a ring that was shown, and attaches to it. False: the check has failed.</summary>
    public bool TryOpen()
    {
        if (!Check.That(GuestBus.Client.Open(RelId, Gpadl, Half, 0, default), "OPEN was not taken"u8)) return false;
        if (!Check.That(AwaitOpen(RelId) == ClientChannelState.Open, "OPEN is refused"u8)) return false;
        RingPages pages = new(Table, PageCount);
        bool attached = OutgoingRing<RingPages>.TryAttach(pages, 0, Half, out Outgoing) == RingStatus.Ok
            && IncomingRing<RingPages>.TryAttach(pages, Half, Half, out Incoming) == RingStatus.Ok;
        return Check.That(attached, "the host left wild indexes in a new ring"u8);
    }

    public static ClientChannelState AwaitOpen(uint relid)
    {
        Patience patience = Patience.Usual;
        while (GuestBus.Client.Find(relid)->State == ClientChannelState.Opening && patience.Wait()) { }
        return GuestBus.Client.Find(relid)->State;
    }

    public static bool TryOpen(ClientChannel* offer, uint half, out Channel channel) => TryPrepare(offer, half, out channel) && channel.TryOpen();

    /// <summary>Shows the host what was written; signals if it wants to be.</summary>
    public void Commit()
    {
        if (Outgoing.Commit()) Signal();
    }

    public void Signal()
    {
        Signals++;
        GuestBus.Signal(Connection);
    }

    /// <summary>Gives the host room back; signals if it waits for it.</summary>
    public void Release()
    {
        if (Incoming.Commit()) Signal();
    }

    /// <summary>CLOSE, and the ring's teardown, whose answer says that the host touches nothing any more. False: the check has failed.</summary>
    public readonly bool TryClose() =>
        Check.That(GuestBus.Client.Close(RelId), "CLOSE was not taken"u8) && TryTearDown(Gpadl);
}
