// What a channel server needs from its owner: a way to send messages, devices behind the channels, memory.

using System;

namespace Lamina.VMBus;

/// <summary>The way of messages to the other end.</summary>
public interface IMessageSink
{
    /// <summary>Sends one message of at most <see cref="ChannelLimits.MaximumMessageSize"/> bytes. False: busy, nothing was sent.</summary>
    bool Send(ReadOnlySpan<byte> message);
}

/// <summary>What a guest asked for with OPEN, checked: the ring's GPADL has <see cref="RingPages"/>, both halves have two pages at least.</summary>
public unsafe ref struct OpenRequest
{
    public uint RelId;
    public uint RingGpadl;
    public ReadOnlySpan<ulong> RingPages;
    /// <summary>Guest-to-host is pages 0 up to here, host-to-guest from here.</summary>
    public uint DownstreamPageOffset;
    /// <summary>Where signals go, or <see cref="ChannelLimits.NoTargetVp"/>.</summary>
    public uint TargetVp;
    /// <summary>What the guest's driver says to the device, 120 bytes.</summary>
    public ReadOnlySpan<byte> UserData;
}

/// <summary>A complete GPADL: one range of guest memory. Page numbers are at most the limit given to the server, nothing else is known of them.</summary>
public ref struct GpadlView
{
    public uint Gpadl;
    public uint ByteOffset;
    public uint ByteCount;
    public ReadOnlySpan<ulong> Pages;
}

/// <summary>The devices behind the channels. Called from within the server's functions, which must not be called back from here.</summary>
public interface IChannelDevices
{
    /// <summary>Maps the ring and starts. The answer is a <see cref="ChannelStatus"/>; anything but success refuses the guest.</summary>
    uint Opened(in OpenRequest request);

    /// <summary>Lets go of ring and guest memory. False: requests are in flight, <c>CloseCompleted</c> follows.</summary>
    bool Closed(uint relid);

    /// <summary>A GPADL is there. It stays valid until <see cref="GpadlTornDown"/>; the server keeps the page numbers.</summary>
    void GpadlReady(uint relid, in GpadlView gpadl);

    /// <summary>Lets go of a GPADL. False: in use, <c>GpadlTeardownCompleted</c> follows.</summary>
    bool GpadlTornDown(uint relid, uint gpadl);

    void TargetChanged(uint relid, uint targetVp);

    /// <summary>The guest has left the bus (unload, reconnect, broken protocol); all channels are closed.</summary>
    void Disconnected();

    /// <summary>One line for the log, without the VM's name and without a line end: why the guest lost a channel or its connection.</summary>
    void Report(ReadOnlySpan<byte> line);
}

/// <summary>Zeroed memory for one guest's bus; the server never uses more.</summary>
public unsafe struct ChannelServerMemory
{
    /// <summary>Relid n is slot n − 1: at most 2047.</summary>
    public ChannelSlot* Channels;
    public uint ChannelCount;
    public GpadlSlot* Gpadls;
    public uint GpadlCount;
    /// <summary>Page numbers of all GPADLs.</summary>
    public ulong* Pages;
    public uint PageCount;
    /// <summary>Answers that wait for the sink: room for one at least.</summary>
    public QueuedMessage* Queue;
    public uint QueueCount;
}

/// <summary>What a guest may name.</summary>
public struct ChannelServerLimits
{
    public uint VpCount;
    /// <summary>The highest page number that a GPADL may contain.</summary>
    public ulong HighestPage;
}

public enum ChannelState : byte
{
    /// <summary>No offer lives in this slot.</summary>
    Free = 0,
    /// <summary>Offered by a device; this connection's guest does not know of it (yet).</summary>
    Available,
    /// <summary>The guest knows it.</summary>
    Closed,
    Open,
    /// <summary>Closed by the guest; the device still has requests in flight.</summary>
    Closing,
}

/// <summary>One channel. The server's own: owners only reserve memory for it.</summary>
public unsafe struct ChannelSlot
{
    internal OfferChannelMessage Offer;
    internal uint RingGpadl;
    internal uint TargetVp;
    internal uint GpadlCount;
    /// <summary>Of a sub-channel: its primary's relid.</summary>
    internal uint Primary;
    internal ChannelState State;
    /// <summary>OFFER or RESCIND is still to be sent.</summary>
    internal bool OfferPending, RescindPending;
    /// <summary>The guest has to give up this number (RELID_RELEASED) before it means anything again.</summary>
    internal bool Rescinded;
    internal bool Released;
    /// <summary>The device is gone: the slot becomes free instead of available.</summary>
    internal bool Withdrawn;
}

public enum GpadlState : byte { Free = 0, Assembling, Ready, TearingDown }

/// <summary>One GPADL. The server's own.</summary>
public struct GpadlSlot
{
    internal uint Gpadl, RelId;
    internal uint ByteOffset, ByteCount;
    internal uint FirstPage, PageCount, PagesReceived;
    internal GpadlState State;
    /// <summary>The guest waits for GPADL_TORNDOWN.</summary>
    internal bool AnswerTornDown;
    /// <summary>The device has been asked to let go.</summary>
    internal bool DeviceAsked;
}

/// <summary>An answer that waits.</summary>
public unsafe struct QueuedMessage
{
    internal int Length;
    internal fixed byte Bytes[ChannelLimits.MaximumMessageSize];
}
