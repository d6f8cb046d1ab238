// GPADLs without form, used twice, and taken back while they are in use.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class GpadlMistakes
{
    private const uint Handle = 0x7654321;

    public static void Run()
    {
        Misuse.Run("bad.gpadl-without-form"u8, &WithoutForm);
        Misuse.Run("bad.gpadl-handle-twice"u8, &HandleTwice);
        Misuse.Run("bad.gpadl-body-late"u8, &BodyLate);
        Misuse.Run("bad.gpadl-never-complete"u8, &NeverComplete);
        Misuse.Run("bad.gpadl-teardown-in-use"u8, &TeardownInUse);
        Misuse.Run("bad.gpadl-teardown-twice"u8, &TeardownTwice);
        Misuse.Run("bad.gpadl-teardown-again"u8, &TeardownAgain);
        Misuse.Run("bad.gpadl-teardown-foreign"u8, &TeardownForeign);
        Misuse.Run("bad.gpadl-teardown-unknown"u8, &TeardownUnknown);
    }

    // Each is refused in its answer.
    private static void WithoutForm()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        ulong last = BootInformation.MemoryEnd / Pages.Size - 1;
        ExpectStatus(relid, 0, 16, 4096, 0, last, ChannelStatus.InvalidParameter);           // no range
        ExpectStatus(relid, 2, 32, 4096, 0, last, ChannelStatus.InvalidParameter);           // two of them
        ExpectStatus(relid, 0xFFFF, 16, 4096, 0, last, ChannelStatus.InvalidParameter);
        ExpectStatus(relid, 1, 16, 0, 0, last, ChannelStatus.InvalidParameter);              // no bytes
        ExpectStatus(relid, 1, 16, 0xFFFFFFFF, 0, last, ChannelStatus.InvalidParameter);     // more than the buffer says
        ExpectStatus(relid, 1, 0xFFFF, 0xFFFFFFFF, 0, last, ChannelStatus.InvalidParameter);
        ExpectStatus(relid, 1, 16, 4096, 4096, last, ChannelStatus.InvalidParameter);        // beginning behind its first page
        ExpectStatus(relid, 1, 16, 4096, 1, last, ChannelStatus.InvalidParameter);           // two pages, room for one
        ExpectStatus(relid, 1, 0, 4096, 0, last, ChannelStatus.InvalidParameter);
        ExpectStatus(relid, 1, 16, 4096, 0, last + 1, ChannelStatus.InvalidParameter);       // beyond RAM
        ExpectStatus(relid, 1, 16, 4096, 0, ulong.MaxValue, ChannelStatus.InvalidParameter);
        ExpectStatus(relid, 1, 16, 4096, 0, 1UL << 52, ChannelStatus.InvalidParameter);
        ExpectStatus(relid, 1, 16, 4096, 0, last, ChannelStatus.Success);
        GuestBus.Leave();
    }

    private static void ExpectStatus(uint relid, ushort ranges, ushort bufferLength, uint bytes, uint offset, ulong page, uint status)
    {
        uint before = GuestBus.MessagesOf(ChannelMessageType.GpadlCreated);
        PostHeader(relid, Handle, ranges, bufferLength, bytes, offset, page);
        if (!Check.That(GuestBus.AwaitMessages(ChannelMessageType.GpadlCreated, before + 1), "GPADL_HEADER is not answered"u8)) return;
        Check.Equal("handle in the answer"u8, GuestBus.GpadlCreated.Gpadl, Handle);
        Check.Equal("status"u8, GuestBus.GpadlCreated.Status, status);
    }

    private static void PostHeader(uint relid, uint gpadl, ushort ranges, ushort bufferLength, uint bytes, uint offset, ulong page)
    {
        byte* message = stackalloc byte[GpadlHeaderMessage.PagesOffset + 8];
        GpadlHeaderMessage* header = (GpadlHeaderMessage*)message;
        *header = default;
        header->Header.MessageType = ChannelMessageType.GpadlHeader;
        header->RelId = relid;
        header->Gpadl = gpadl;
        header->RangeCount = ranges;
        header->RangeBufferLength = bufferLength;
        header->ByteCount = bytes;
        header->ByteOffset = offset;
        for (int i = 0; i < 8; i++) message[GpadlHeaderMessage.PagesOffset + i] = (byte)(page >> 8 * i);
        GuestBus.Post(new System.ReadOnlySpan<byte>(message, GpadlHeaderMessage.PagesOffset + 8));
    }

    private static void PostBody(uint gpadl)
    {
        byte* message = stackalloc byte[GpadlBodyMessage.PagesOffset + 8];
        GpadlBodyMessage* body = (GpadlBodyMessage*)message;
        *body = default;
        body->Header.MessageType = ChannelMessageType.GpadlBody;
        body->Gpadl = gpadl;
        *(ulong*)(message + GpadlBodyMessage.PagesOffset) = 1;
        GuestBus.Post(new System.ReadOnlySpan<byte>(message, GpadlBodyMessage.PagesOffset + 8));
    }

    private static void HandleTwice()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Scsi), 4, out Channel channel)) return;
        PostHeader(channel.RelId, channel.Gpadl, 1, 16, 4096, 0, 1);
        GuestBus.AwaitRescind(channel.RelId);
    }

    // One for a GPADL that nobody began means nothing.
    private static void BodyLate()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Scsi), 4, out Channel channel)) return;
        PostBody(Handle);
        Patience.Pass(20);
        if (!Check.That(GuestBus.Client.Find(channel.RelId)->State == ClientChannelState.Offered, "a body without a header costs the channel"u8)) return;
        PostBody(channel.Gpadl);
        GuestBus.AwaitRescind(channel.RelId);
    }

    // Begun, and given up without the rest of its pages.
    private static void NeverComplete()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        for (uint i = 0; i < 16; i++) PostHeader(relid, Handle + i, 1, 8 + 1000 * 8, 1000 * 4096, 0, 1);
        Misuse.PostTeardown(relid, Handle);
        Check.That(GuestBus.AwaitMessages(ChannelMessageType.GpadlTorndown, 1), "GPADL_TEARDOWN is not answered"u8);
        Misuse.PostOpen(relid, Handle + 1, 4, 0);
        Check.That(GuestBus.AwaitMessages(ChannelMessageType.OpenChannelResult, 1), "OPEN is not answered"u8);
    }

    // The ring's: it is answered when the channel has been closed, which goes on working until then.
    private static void TeardownInUse()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        if (!Check.That(GuestBus.Client.TeardownGpadl(client.Channel.Gpadl), "GPADL_TEARDOWN was not taken"u8)) return;
        Patience.Pass(50);
        Check.That(GuestBus.Client.StateOfGpadl(client.Channel.Gpadl) == ClientGpadlState.TearingDown, "an open channel's ring is torn down"u8);
        DiskBuffer data = DiskBuffer.Take(4096, 0);
        if (!client.TryTransfer(0, false, 8, data)) return;
        GuestBus.Client.Close(client.Channel.RelId);
        if (Channel.AwaitTornDown(client.Channel.Gpadl)) GuestBus.Leave();
    }

    private static void TeardownTwice()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        Misuse.PostTeardown(client.Channel.RelId, client.Channel.Gpadl);
        Misuse.PostTeardown(client.Channel.RelId, client.Channel.Gpadl);
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    private static void TeardownAgain()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Scsi), 4, out Channel channel) || !Channel.TryTearDown(channel.Gpadl)) return;
        Misuse.PostTeardown(channel.RelId, channel.Gpadl);
        GuestBus.AwaitRescind(channel.RelId);
    }

    private static void TeardownForeign()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Heartbeat), 4, out Channel other)) return;
        ClientChannel* channel = GuestBus.Find(DeviceClasses.Scsi);
        if (channel == null) return;
        Misuse.PostTeardown(channel->Offer.RelId, other.Gpadl);
        if (GuestBus.AwaitRescind(channel->Offer.RelId)) other.TryOpen();
    }

    private static void TeardownUnknown()
    {
        uint relid = Misuse.JoinFor(DeviceClasses.Scsi);
        if (relid == 0) return;
        Misuse.PostTeardown(relid, Handle);
        GuestBus.AwaitRescind(relid);
    }
}
