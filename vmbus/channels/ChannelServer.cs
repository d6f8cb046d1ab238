// The host's end of one guest's bus: messages in, answers and offers out. This part: dispatch, sending, violations.

using System;
using Lamina.Text;

namespace Lamina.VMBus;

/// <summary>
/// One guest's connection and channels. Single-threaded: the owner calls it from one place at a time, and not from within a callback.
/// Whoever breaks the protocol loses the channel (it is rescinded) or the connection, with one line to <see cref="IChannelDevices.Report"/>.
/// </summary>
public unsafe partial struct ChannelServer<TSink, TDevices>
    where TSink : struct, IMessageSink
    where TDevices : struct, IChannelDevices
{
    public TSink Sink;
    public TDevices Devices;

    private ChannelServerMemory memory;
    private ChannelServerLimits limits;
    private uint queueHead, queueLength;

    private ConnectionPhase connection;
    private AfterLeaving afterLeaving;
    private InitiateContactMessage contact;
    private bool offersRequested, allOffersPending;
    private uint offerCursor;
    private uint gpadlsUsed, pagesUsed;

    /// <summary>The version agreed upon, and where the guest wants its messages. Meaningful while connected.</summary>
    public uint Version { get; private set; }
    public uint MessageVp { get; private set; }
    public byte MessageSint { get; private set; }

    public ChannelServer(TSink sink, TDevices devices, in ChannelServerMemory memory, in ChannelServerLimits limits)
    {
        this = default;
        Sink = sink;
        Devices = devices;
        this.memory = memory;
        this.limits = limits;
        this.memory.ChannelCount = Math.Min(memory.ChannelCount, ChannelLimits.MaximumRelId);
    }

    /// <summary>Messages that wait for the sink.</summary>
    public readonly uint QueuedMessages => queueLength;

    /// <summary>A message of the guest, as it came: at most 240 bytes count.</summary>
    public void Receive(ReadOnlySpan<byte> message)
    {
        if (message.Length > ChannelLimits.MaximumMessageSize) message = message.Slice(0, ChannelLimits.MaximumMessageSize);
        Dispatch(message);
        Pump();
    }

    private void Dispatch(ReadOnlySpan<byte> message)
    {
        bool whole = Wire.TryRead(message, out ChannelMessageHeader header);
        // These two are answered whatever was before.
        if (whole && header.MessageType == ChannelMessageType.InitiateContact) { OnInitiateContact(message); return; }
        if (whole && header.MessageType == ChannelMessageType.Unload) { OnUnload(); return; }
        if (connection != ConnectionPhase.Connected) return;
        switch (whole ? header.MessageType : ChannelMessageType.Invalid)
        {
            case ChannelMessageType.RequestOffers: OnRequestOffers(); break;
            case ChannelMessageType.OpenChannel: OnOpenChannel(message); break;
            case ChannelMessageType.CloseChannel: OnCloseChannel(message); break;
            case ChannelMessageType.GpadlHeader: OnGpadlHeader(message); break;
            case ChannelMessageType.GpadlBody: OnGpadlBody(message); break;
            case ChannelMessageType.GpadlTeardown: OnGpadlTeardown(message); break;
            case ChannelMessageType.RelIdReleased: OnRelIdReleased(message); break;
            case ChannelMessageType.ModifyChannel: OnModifyChannel(message); break;
            case ChannelMessageType.TlConnectRequest: OnTlConnectRequest(message); break;
            default: EndConnection("unknown channel message, type "u8, whole ? header.MessageType : 0); break;
        }
    }

    // Too short for its type: nothing that follows can be trusted.
    private bool TryParse<T>(ReadOnlySpan<byte> bytes, out T message) where T : unmanaged
    {
        if (Wire.TryRead(bytes, out message)) return true;
        EndConnection("channel message too short: bytes "u8, (uint)bytes.Length);
        return false;
    }

    /// <summary>Sends what waits; call it again when a busy sink is ready.</summary>
    public void Pump()
    {
        while (queueLength != 0)
        {
            QueuedMessage* first = memory.Queue + queueHead;
            if (!Sink.Send(new ReadOnlySpan<byte>(first->Bytes, first->Length))) return;
            queueHead = (queueHead + 1) % memory.QueueCount;
            queueLength--;
        }
        if (connection == ConnectionPhase.Connected) PumpOffers();
    }

    private bool SendNow<T>(ref T message) where T : unmanaged
    {
        fixed (T* first = &message) return Sink.Send(new ReadOnlySpan<byte>(first, sizeof(T)));
    }

    // Answers keep their order, so once one waits the others do too. A guest that asks on without taking answers ends here.
    private void Answer<T>(ref T message) where T : unmanaged
    {
        if (queueLength == 0 && SendNow(ref message)) return;
        if (queueLength >= memory.QueueCount)
        {
            EndConnection("guest does not take its messages, waiting: "u8, queueLength);
            return;
        }
        QueuedMessage* slot = memory.Queue + (queueHead + queueLength) % memory.QueueCount;
        slot->Length = sizeof(T);
        fixed (T* first = &message)
            new ReadOnlySpan<byte>(first, sizeof(T)).CopyTo(new Span<byte>(slot->Bytes, ChannelLimits.MaximumMessageSize));
        queueLength++;
    }

    private static ChannelMessageHeader HeaderOf(uint type)
    {
        ChannelMessageHeader header = default;
        header.MessageType = type;
        return header;
    }

    private void EndConnection(ReadOnlySpan<byte> reason, uint number)
    {
        byte* line = stackalloc byte[160];
        var writer = new TextWriter(line, 160);
        writer.Text("VMBus connection ended: "u8).Text(reason).Decimal(number);
        Devices.Report(writer.Written);
        Leave(AfterLeaving.Broken);
    }

    /// <summary>A device found its ring or its guest's requests broken: takes the channel away. It is offered anew at the guest's next connection.</summary>
    public void FailChannel(uint relid, ReadOnlySpan<byte> reason)
    {
        EndChannel(relid, reason);
        Pump();
    }

    private void EndChannel(uint relid, ReadOnlySpan<byte> reason)
    {
        if (!TryFind(relid, out ChannelSlot* channel) || channel->Rescinded) return;
        byte* line = stackalloc byte[160];
        var writer = new TextWriter(line, 160);
        writer.Text("VMBus channel "u8).Decimal(relid).Text(" ended: "u8).Text(reason);
        Devices.Report(writer.Written);
        Rescind(relid, channel);
    }
}
