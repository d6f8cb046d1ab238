// The guest's end of the bus: connect, enumerate, GPADLs, open, close, unload. Answers change states that the owner looks at.

using System;

namespace Lamina.VMBus;

public enum ClientPhase : byte { Disconnected = 0, Connecting, Connected, Refused, Unloading }

public enum ClientChannelState : byte { Free = 0, Offered, Opening, Open, OpenRefused, Rescinded }

public enum ClientGpadlState : byte { Free = 0, Creating, Created, Refused, TearingDown }

/// <summary>One offer that the host made.</summary>
public struct ClientChannel
{
    public OfferChannelMessage Offer;
    public ClientChannelState State;
    /// <summary>The host's last word on OPEN or MODIFYCHANNEL.</summary>
    public uint Status;
    public uint OpenId;
    /// <summary>MODIFYCHANNEL is on its way (5.3).</summary>
    public bool Modifying;
}

public struct ClientGpadl
{
    public uint Gpadl, RelId;
    public ClientGpadlState State;
}

/// <summary>Zeroed memory of the owner.</summary>
public unsafe struct ChannelClientMemory
{
    public ClientChannel* Channels;
    public uint ChannelCount;
    public ClientGpadl* Gpadls;
    public uint GpadlCount;
}

/// <summary>
/// Requests return false if the sink did not take the message or the state does not allow it; a guest's sink waits until the
/// hypercall has taken the message. Answers arrive through <see cref="Receive"/>.
/// </summary>
public unsafe struct ChannelClient<TSink> where TSink : struct, IMessageSink
{
    /// <summary>Guests number their GPADLs from here.</summary>
    private const uint FirstGpadl = 0xE1E10;

    public TSink Sink;
    private ChannelClientMemory memory;
    private uint nextGpadl, openIds;

    public ChannelClient(TSink sink, in ChannelClientMemory memory)
    {
        this = default;
        Sink = sink;
        this.memory = memory;
        nextGpadl = FirstGpadl;
    }

    public ClientPhase Phase { get; private set; }
    public uint Version { get; private set; }
    /// <summary>Where to post from now on.</summary>
    public uint MessageConnectionId { get; private set; }
    public bool AllOffersDelivered { get; private set; }

    /// <summary>Offers <paramref name="version"/>; on <see cref="ClientPhase.Refused"/> try the next lower one.</summary>
    public bool Connect(uint version, uint messageVp, byte sint)
    {
        InitiateContactMessage message = default;
        message.Header.MessageType = ChannelMessageType.InitiateContact;
        message.VersionRequested = version;
        message.TargetMessageVp = messageVp;
        message.TargetSint = sint;
        Forget();
        Version = version;
        return SendFrom(ref message, ClientPhase.Connecting);
    }

    public bool RequestOffers()
    {
        if (Phase != ClientPhase.Connected) return false;
        ChannelMessageHeader message = default;
        message.MessageType = ChannelMessageType.RequestOffers;
        return Send(ref message);
    }

    /// <summary>Leaves the bus; the phase is Disconnected when the host has let go of all memory.</summary>
    public bool Unload()
    {
        ChannelMessageHeader message = default;
        message.MessageType = ChannelMessageType.Unload;
        return SendFrom(ref message, ClientPhase.Unloading);
    }

    /// <summary>Shows <paramref name="pages"/> to the host as one range of <paramref name="byteCount"/> bytes from the first page's beginning.</summary>
    public bool CreateGpadl(uint relid, uint byteCount, ReadOnlySpan<ulong> pages, out uint gpadl)
    {
        gpadl = 0;
        ClientGpadl* slot = FreeGpadl();
        if (Phase != ClientPhase.Connected || Find(relid) == null || slot == null || pages.Length > ChannelLimits.MaximumGpadlPages ||
            byteCount == 0 || GpaRange.PagesOf(0, byteCount) != (uint)pages.Length) return false;
        gpadl = nextGpadl++;
        slot->Gpadl = gpadl;
        slot->RelId = relid;
        slot->State = ClientGpadlState.Creating;

        byte* message = stackalloc byte[ChannelLimits.MaximumMessageSize];
        var header = (GpadlHeaderMessage*)message;
        *header = default;
        header->Header.MessageType = ChannelMessageType.GpadlHeader;
        header->RelId = relid;
        header->Gpadl = gpadl;
        header->RangeBufferLength = (ushort)(8 + pages.Length * 8);
        header->RangeCount = 1;
        header->ByteCount = byteCount;
        int sent = 0;
        bool taken = SendPages(message, GpadlHeaderMessage.PagesOffset, ChannelLimits.GpadlHeaderPages, pages, ref sent);
        for (uint number = 1; taken && sent < pages.Length; number++)
        {
            var body = (GpadlBodyMessage*)message;
            *body = default;
            body->Header.MessageType = ChannelMessageType.GpadlBody;
            body->MessageNumber = number;
            body->Gpadl = gpadl;
            taken = SendPages(message, GpadlBodyMessage.PagesOffset, ChannelLimits.GpadlBodyPages, pages, ref sent);
        }
        if (!taken) *slot = default;
        return taken;
    }

    private bool SendPages(byte* message, int offset, int limit, ReadOnlySpan<ulong> pages, ref int sent)
    {
        int count = Math.Min(limit, pages.Length - sent);
        var numbers = (byte*)(message + offset);
        for (int i = 0; i < count * 8; i++) numbers[i] = (byte)(pages[sent + i / 8] >> i % 8 * 8);
        sent += count;
        return Sink.Send(new ReadOnlySpan<byte>(message, offset + count * 8));
    }

    public bool TeardownGpadl(uint gpadl)
    {
        ClientGpadl* slot = FindGpadl(gpadl);
        if (slot == null || slot->State != ClientGpadlState.Created) return false;
        GpadlTeardownMessage message = default;
        message.Header.MessageType = ChannelMessageType.GpadlTeardown;
        message.RelId = slot->RelId;
        message.Gpadl = gpadl;
        slot->State = ClientGpadlState.TearingDown;
        return Send(ref message);
    }

    /// <summary>Opens with the ring in <paramref name="ringGpadl"/>: ours to the host first, the host's from page <paramref name="downstreamPageOffset"/>.</summary>
    public bool Open(uint relid, uint ringGpadl, uint downstreamPageOffset, uint targetVp, ReadOnlySpan<byte> userData)
    {
        ClientChannel* channel = Find(relid);
        if (channel == null || channel->State is not (ClientChannelState.Offered or ClientChannelState.OpenRefused) ||
            userData.Length > OfferChannelMessage.UserDefinedSize) return false;
        OpenChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.OpenChannel;
        message.RelId = relid;
        message.OpenId = channel->OpenId = ++openIds;
        message.RingGpadl = ringGpadl;
        message.TargetVp = targetVp;
        message.DownstreamPageOffset = downstreamPageOffset;
        for (int i = 0; i < userData.Length; i++) message.UserData[i] = userData[i];
        channel->State = ClientChannelState.Opening;
        return Send(ref message);
    }

    public bool Close(uint relid)
    {
        ClientChannel* channel = Find(relid);
        if (channel == null || channel->State != ClientChannelState.Open) return false;
        CloseChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.CloseChannel;
        message.RelId = relid;
        channel->State = ClientChannelState.Offered;
        return Send(ref message);
    }

    public bool Modify(uint relid, uint targetVp)
    {
        ClientChannel* channel = Find(relid);
        if (channel == null || channel->State != ClientChannelState.Open) return false;
        ModifyChannelMessage message = default;
        message.Header.MessageType = ChannelMessageType.ModifyChannel;
        message.RelId = relid;
        message.TargetVp = targetVp;
        channel->Modifying = Version >= VMBusVersion.V5_3;
        return Send(ref message);
    }

    /// <summary>Gives the number of a rescinded channel (or of a closed sub-channel) back; its GPADLs go with it.</summary>
    public bool Release(uint relid)
    {
        ClientChannel* channel = Find(relid);
        if (channel == null) return false;
        RelIdReleasedMessage message = default;
        message.Header.MessageType = ChannelMessageType.RelIdReleased;
        message.RelId = relid;
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].RelId == relid) memory.Gpadls[i] = default;
        *channel = default;
        return Send(ref message);
    }

    /// <summary>The offer with this number, or null. The owner reads it; it changes with <see cref="Receive"/>.</summary>
    public readonly ClientChannel* Find(uint relid)
    {
        for (uint i = 0; i < memory.ChannelCount; i++)
            if (memory.Channels[i].State != ClientChannelState.Free && memory.Channels[i].Offer.RelId == relid) return memory.Channels + i;
        return null;
    }

    /// <summary>The offer of a device class: number <paramref name="skip"/> of those, sub-channels apart; or null.</summary>
    public readonly ClientChannel* FindClass(VMBusGuid interfaceId, uint skip)
    {
        for (uint i = 0; i < memory.ChannelCount; i++)
        {
            ClientChannel* channel = memory.Channels + i;
            if (channel->State == ClientChannelState.Free || channel->Offer.SubChannelIndex != 0 || !channel->Offer.InterfaceId.Matches(interfaceId)) continue;
            if (skip-- == 0) return channel;
        }
        return null;
    }

    public readonly ClientGpadlState StateOfGpadl(uint gpadl)
    {
        ClientGpadl* slot = FindGpadl(gpadl);
        return slot == null ? ClientGpadlState.Free : slot->State;
    }

    /// <summary>A message of the host. What is malformed or answers nothing is left alone.</summary>
    public void Receive(ReadOnlySpan<byte> message)
    {
        if (!Wire.TryRead(message, out ChannelMessageHeader header)) return;
        switch (header.MessageType)
        {
            case ChannelMessageType.VersionResponse: OnVersionResponse(message); break;
            case ChannelMessageType.OfferChannel: OnOffer(message); break;
            case ChannelMessageType.AllOffersDelivered: AllOffersDelivered = true; break;
            case ChannelMessageType.RescindChannelOffer: OnRescind(message); break;
            case ChannelMessageType.OpenChannelResult: OnOpenResult(message); break;
            case ChannelMessageType.GpadlCreated: OnGpadlCreated(message); break;
            case ChannelMessageType.GpadlTorndown: OnGpadlTorndown(message); break;
            case ChannelMessageType.ModifyChannelResponse: OnModifyResponse(message); break;
            case ChannelMessageType.UnloadResponse: if (Phase == ClientPhase.Unloading) Forget(); break;
        }
    }

    private void OnVersionResponse(ReadOnlySpan<byte> bytes)
    {
        if (Phase != ClientPhase.Connecting || !Wire.TryRead(bytes, out VersionResponseMessage answer)) return;
        Phase = answer.VersionSupported != 0 && answer.State == ConnectionState.Successful ? ClientPhase.Connected : ClientPhase.Refused;
        MessageConnectionId = answer.MessageConnectionId;
    }

    private void OnOffer(ReadOnlySpan<byte> bytes)
    {
        if (Phase != ClientPhase.Connected || !Wire.TryRead(bytes, out OfferChannelMessage offer)) return;
        if (offer.RelId is < ChannelLimits.MinimumRelId or > ChannelLimits.MaximumRelId || Find(offer.RelId) != null) return;
        for (uint i = 0; i < memory.ChannelCount; i++)
        {
            if (memory.Channels[i].State != ClientChannelState.Free) continue;
            memory.Channels[i].Offer = offer;
            memory.Channels[i].State = ClientChannelState.Offered;
            return;
        }
    }

    private void OnRescind(ReadOnlySpan<byte> bytes)
    {
        if (!Wire.TryRead(bytes, out RescindChannelOfferMessage message)) return;
        ClientChannel* channel = Find(message.RelId);
        if (channel != null) channel->State = ClientChannelState.Rescinded;
    }

    private void OnOpenResult(ReadOnlySpan<byte> bytes)
    {
        if (!Wire.TryRead(bytes, out OpenChannelResultMessage answer)) return;
        ClientChannel* channel = Find(answer.RelId);
        if (channel == null || channel->State != ClientChannelState.Opening || answer.OpenId != channel->OpenId) return;
        channel->Status = answer.Status;
        channel->State = answer.Status == ChannelStatus.Success ? ClientChannelState.Open : ClientChannelState.OpenRefused;
    }

    private void OnGpadlCreated(ReadOnlySpan<byte> bytes)
    {
        if (!Wire.TryRead(bytes, out GpadlCreatedMessage answer)) return;
        ClientGpadl* slot = FindGpadl(answer.Gpadl);
        if (slot == null || slot->State != ClientGpadlState.Creating) return;
        slot->State = answer.Status == ChannelStatus.Success ? ClientGpadlState.Created : ClientGpadlState.Refused;
    }

    private void OnGpadlTorndown(ReadOnlySpan<byte> bytes)
    {
        if (!Wire.TryRead(bytes, out GpadlTorndownMessage answer)) return;
        ClientGpadl* slot = FindGpadl(answer.Gpadl);
        if (slot != null && slot->State == ClientGpadlState.TearingDown) *slot = default;
    }

    private void OnModifyResponse(ReadOnlySpan<byte> bytes)
    {
        if (!Wire.TryRead(bytes, out ModifyChannelResponseMessage answer)) return;
        ClientChannel* channel = Find(answer.RelId);
        if (channel == null) return;
        channel->Modifying = false;
        channel->Status = answer.Status;
    }

    private readonly ClientGpadl* FindGpadl(uint gpadl)
    {
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].State != ClientGpadlState.Free && memory.Gpadls[i].Gpadl == gpadl) return memory.Gpadls + i;
        return null;
    }

    // A refused one's slot may be used again.
    private readonly ClientGpadl* FreeGpadl()
    {
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].State is ClientGpadlState.Free or ClientGpadlState.Refused) return memory.Gpadls + i;
        return null;
    }

    private void Forget()
    {
        for (uint i = 0; i < memory.ChannelCount; i++) memory.Channels[i] = default;
        for (uint i = 0; i < memory.GpadlCount; i++) memory.Gpadls[i] = default;
        Phase = ClientPhase.Disconnected;
        AllOffersDelivered = false;
    }

    // The phase is there before the message goes out: the answer may come while it does.
    private bool SendFrom<T>(ref T message, ClientPhase phase) where T : unmanaged
    {
        ClientPhase before = Phase;
        Phase = phase;
        if (Send(ref message)) return true;
        Phase = before;
        return false;
    }

    private bool Send<T>(ref T message) where T : unmanaged
    {
        fixed (T* first = &message) return Sink.Send(new ReadOnlySpan<byte>(first, sizeof(T)));
    }
}
