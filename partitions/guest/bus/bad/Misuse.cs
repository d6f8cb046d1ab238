// What all tests of misbehaviour share: messages that no client sends, and the proof that the root is healthy afterwards.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class Misuse
{
    /// <summary>Runs a test, then sees whether a guest that begins anew can use its disk.</summary>
    public static void Run(System.ReadOnlySpan<byte> name, delegate*<void> body) => Check.Run(name, body, &StillWorks);

    /// <summary>A new connection, whatever was before, and a block written and read.</summary>
    public static void StillWorks()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(4096, 512);
        ulong seed = Clock.Reference;
        data.Fill(seed);
        if (!client.TryTransfer(0, true, 8, data)) return;
        data.Wipe(0);
        if (!client.TryTransfer(0, false, 8, data)) return;
        Check.That(data.Holds(seed), "afterwards the disk has other data than was written"u8);
        GuestBus.Leave();
    }

    /// <summary>A connection and the number of a channel that is closed; 0: the check has failed.</summary>
    public static uint JoinFor(VMBusGuid device)
    {
        if (!GuestBus.Join()) return 0;
        ClientChannel* channel = GuestBus.Find(device);
        return channel == null ? 0 : channel->Offer.RelId;
    }

    public static void PostOpen(uint relid, uint gpadl, uint downstreamPage, uint targetVp)
    {
        OpenChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.OpenChannel;
        message.RelId = relid;
        message.RingGpadl = gpadl;
        message.DownstreamPageOffset = downstreamPage;
        message.TargetVp = targetVp;
        GuestBus.Post(ref message);
    }

    public static void PostClose(uint relid) => PostNumber(ChannelMessageType.CloseChannel, relid);
    public static void PostRelease(uint relid) => PostNumber(ChannelMessageType.RelIdReleased, relid);

    private static void PostNumber(uint type, uint relid)
    {
        CloseChannelMessage message = default;
        message.Header.MessageType = type;
        message.RelId = relid;
        GuestBus.Post(ref message);
    }

    public static void PostTeardown(uint relid, uint gpadl)
    {
        GpadlTeardownMessage message = default;
        message.Header.MessageType = ChannelMessageType.GpadlTeardown;
        message.RelId = relid;
        message.Gpadl = gpadl;
        GuestBus.Post(ref message);
    }

    /// <summary>A message of a type and nothing else.</summary>
    public static void PostHeader(uint type)
    {
        ChannelMessageHeader message = default;
        message.MessageType = type;
        GuestBus.Post(ref message);
    }

    /// <summary>After the host has ended the connection it hears nothing but a new contact: a request for offers stays unanswered.</summary>
    public static void ExpectSilence()
    {
        uint before = GuestBus.MessagesOf(ChannelMessageType.AllOffersDelivered);
        PostHeader(ChannelMessageType.RequestOffers);
        Patience.Pass(50);
        Check.Equal("answers after the connection's end"u8, GuestBus.MessagesOf(ChannelMessageType.AllOffersDelivered) - before, 0);
    }
}
