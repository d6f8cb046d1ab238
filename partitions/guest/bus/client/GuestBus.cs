// The guest's connection to its bus: messages out by hypercall, messages and signals in by a SINT.
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.VMBus;
using Lamina.X64;

namespace Lamina.Guest.Bus;

/// <summary>One connection at a time; each test makes its own.</summary>
public static unsafe class GuestBus
{
    /// <summary>The SINT that guests use, and the vector that is theirs on Linux.</summary>
    public const byte UsualSint = 2, Vector = 0xF3;
    private const uint OldConnection = 1, MaximumChannels = 128, MaximumGpadls = 512, MessageTypes = 32;

    private struct Storage
    {
        public ChannelClient<GuestSink> Client;
        public fixed uint Signals[(int)MaximumChannels];
        public GpadlCreatedMessage GpadlCreated;
        public uint Connection;
        public byte Sint;
        public fixed uint Messages[(int)MessageTypes];
    }

    private static Storage storage;

    public static ref ChannelClient<GuestSink> Client => ref storage.Client;

    /// <summary>Where messages and signals come in.</summary>
    public static byte Sint => storage.Sint;

    /// <summary>Where messages are posted to.</summary>
    public static uint Connection => storage.Connection;

    /// <summary>Signals of a channel since the guest began anew.</summary>
    public static uint SignalsOf(uint relid) => storage.Signals[(int)(relid % MaximumChannels)];

    /// <summary>Messages of a type since then.</summary>
    public static uint MessagesOf(uint type) => storage.Messages[(int)(type % MessageTypes)];

    /// <summary>The last of its kind, whether the client asked for it or not.</summary>
    public static GpadlCreatedMessage GpadlCreated => storage.GpadlCreated;

    /// <summary>Forgets everything and switches the SynIC on; says nothing to the host.</summary>
    public static void Begin(byte sint = UsualSint)
    {
        Pages.Reset();
        storage = default;
        storage.Sint = sint;
        storage.Connection = ChannelLimits.MessageConnectionId;
        var memory = new ChannelClientMemory
        {
            Channels = (ClientChannel*)Pages.Take((MaximumChannels * (uint)sizeof(ClientChannel) + Pages.Size - 1) / Pages.Size), ChannelCount = MaximumChannels,
            Gpadls = (ClientGpadl*)Pages.Take((MaximumGpadls * (uint)sizeof(ClientGpadl) + Pages.Size - 1) / Pages.Size), GpadlCount = MaximumGpadls,
        };
        storage.Client = new ChannelClient<GuestSink>(default, memory);
        if (!Hypercalls.IsEnabled) Hypercalls.Enable();
        Synic.Enable();
        Synic.SetSint(Sint, Synic.Vector(Vector));
    }

    /// <summary>Contact in one version. The client's phase says what came of it.</summary>
    public static void Contact(uint version)
    {
        storage.Connection = version < 5u << 16 ? OldConnection : ChannelLimits.MessageConnectionId;
        Client.Connect(version, 0, Sint);
        Patience patience = Patience.Usual;
        while (Client.Phase == ClientPhase.Connecting && patience.Wait()) { }
    }

    /// <summary>From nothing to all offers. False: the check has failed.</summary>
    public static bool Join(uint version = VMBusVersion.V5_3)
    {
        Begin();
        return Rejoin(version);
    }

    /// <summary>Contact, whatever was before: memory is not forgotten.</summary>
    public static bool Rejoin(uint version = VMBusVersion.V5_3)
    {
        Contact(version);
        if (!Check.That(Client.Phase == ClientPhase.Connected, "the host does not answer INITIATE_CONTACT"u8)) return false;
        if (!Check.That(Client.RequestOffers(), "REQUESTOFFERS was not taken"u8)) return false;
        Patience patience = Patience.Usual;
        while (!Client.AllOffersDelivered && patience.Wait()) { }
        return Check.That(Client.AllOffersDelivered, "the offers do not come to their end"u8);
    }

    /// <summary>UNLOAD, and its answer. False: the check has failed.</summary>
    public static bool Leave()
    {
        if (!Check.That(Client.Unload(), "UNLOAD was not taken"u8)) return false;
        Patience patience = Patience.Usual;
        while (Client.Phase == ClientPhase.Unloading && patience.Wait()) { }
        return Check.That(Client.Phase == ClientPhase.Disconnected, "the host does not answer UNLOAD"u8);
    }

    /// <summary>The channel of a device class; null: the check has failed.</summary>
    public static ClientChannel* Find(VMBusGuid device)
    {
        ClientChannel* channel = Client.FindClass(device, 0);
        if (channel == null) Check.Fail("a device is not offered"u8);
        return channel;
    }

    /// <summary>Waits until the host has taken a channel away, and releases it. False: the check has failed.</summary>
    public static bool AwaitRescind(uint relid)
    {
        Patience patience = Patience.Usual;
        while (Client.Find(relid) != null && Client.Find(relid)->State != ClientChannelState.Rescinded && patience.Wait()) { }
        if (!Check.That(Client.Find(relid) != null && Client.Find(relid)->State == ClientChannelState.Rescinded, "the host keeps the channel"u8)) return false;
        return Check.That(Client.Release(relid), "RELID_RELEASED was not taken"u8);
    }

    /// <summary>Takes a message or the signals that have come. False: nothing has.</summary>
    public static bool Poll()
    {
        bool any = TakeFlags();
        if (Synic.TypeIn(Sint) == 0) return any;
        HvMessage* slot = Synic.Slot(Sint);
        if (slot->Header.MessageType == ChannelLimits.SynicMessageType) Receive(new ReadOnlySpan<byte>(slot->Payload, slot->Header.PayloadSize));
        Synic.Free(Sint);
        return true;
    }

    private static void Receive(ReadOnlySpan<byte> message)
    {
        if (Wire.TryRead(message, out ChannelMessageHeader header)) storage.Messages[(int)(header.MessageType % MessageTypes)]++;
        if (header.MessageType == ChannelMessageType.GpadlCreated) Wire.TryRead(message, out storage.GpadlCreated);
        Client.Receive(message);
    }

    /// <summary>Waits until so many messages of a type have come. False: the time is over.</summary>
    public static bool AwaitMessages(uint type, uint count)
    {
        Patience patience = Patience.Usual;
        while (MessagesOf(type) < count && patience.Wait()) { }
        return MessagesOf(type) >= count;
    }

    private static bool TakeFlags()
    {
        bool any = false;
        for (uint word = 0; word < MaximumChannels / 64; word++)
        {
            ref ulong flags = ref *(ulong*)(GuestPages.Events + Sint * 256u + word * 8);
            if (Volatile.Read(ref flags) == 0) continue;
            ulong set = Interlocked.Exchange(ref flags, 0);
            for (int i = 0; i < 64; i++) if ((set >> i & 1) != 0) storage.Signals[(int)word * 64 + i]++;
            any = true;
        }
        return any;
    }

    /// <summary>One message as it is, whatever it says. The status of HvCallPostMessage; while there are no buffers it waits.</summary>
    public static ushort Post(ReadOnlySpan<byte> message, uint type = ChannelLimits.SynicMessageType)
    {
        Patience patience = Patience.Usual;
        while (true)
        {
            HvInputPostMessage* input = (HvInputPostMessage*)GuestPages.Input;
            input->ConnectionId = storage.Connection;
            input->Reserved = 0;
            input->MessageType = type;
            input->PayloadSize = (uint)message.Length;
            message.CopyTo(new Span<byte>(input->Payload, SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT));
            ushort status = Hypercalls.Call(HypercallCode.HvCallPostMessage, GuestPages.Input, 0);
            if (status != HvStatus.HV_STATUS_INSUFFICIENT_BUFFERS.Value || !patience.Pause()) return status;
        }
    }

    public static ushort Post<T>(ref T message) where T : unmanaged
    {
        fixed (T* first = &message) return Post(new ReadOnlySpan<byte>(first, sizeof(T)));
    }

    /// <summary>Signals a connection; returns the status of HvCallSignalEvent.</summary>
    public static ushort Signal(uint connection) => Hypercalls.CallFast(HypercallCode.HvCallSignalEvent, connection, 0);
}

/// <summary>The client's way out.</summary>
public struct GuestSink : IMessageSink
{
    public readonly bool Send(ReadOnlySpan<byte> message) => GuestBus.Post(message) == 0;
}
