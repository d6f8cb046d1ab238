// Everything at once and in any order: requests before both disks, then messages, signals and writes to the rings at random.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

/// <summary>What becomes of it does not matter; that the next connection works does. The same at each run.</summary>
public static unsafe class Noise
{
    private const uint Rounds = 40, Steps = 250, Gpadls = 16;

    private struct Storage
    {
        public ulong Random;
        public uint Round;
    }

    private static Storage storage;

    public static void Run()
    {
        storage.Random = 0x9E3779B97F4A7C15;
        for (storage.Round = 0; storage.Round < Rounds; storage.Round++) Misuse.Run("bad.noise"u8, &Round);
    }

    private static void Round()
    {
        if (!StorageClient.TryStart(out StorageClient client, 4)) return;
        if (!Channel.TryOpen(GuestBus.Find(DeviceClasses.Heartbeat), 2, out Channel service)) return;
        DiskBuffer* data = Good.StorageTests.Take(8, 4096, Below(4096));
        for (uint step = 0; step < Steps; step++)
        {
            switch (Below(10))
            {
                case 0 or 1 or 2: SendRequest(ref client, data); break;
                case 3 or 4: PostMessage(client.Channel.RelId, client.Channel.Gpadl); break;
                case 5: Disturb(client.Channel); break;
                case 6: Disturb(service); break;
                case 7: client.Channel.Signal(); break;
                case 8: service.Signal(); break;
                default: GuestBus.Poll(); break;
            }
        }
        if (Below(2) == 0) Patience.Pass(Below(30));
    }

    private static void SendRequest(ref StorageClient client, DiskBuffer* data)
    {
        uint place = Below(StorageClient.Depth);
        client.Places[place].IsPending = false;
        if (!client.TryBegin(place)) return;
        if (client.SendTransfer(place, (byte)Below(3), false, Below(1 << 14), data[Below(8)]) == RingStatus.Ok) client.Channel.Commit();
    }

    // One word of a ring, most often of a control page's beginning.
    private static void Disturb(in Channel channel)
    {
        uint page = Below(3) == 0 ? Below(channel.PageCount) : Below(2) * channel.Half, word = Below(4) == 0 ? Below(1024) : Below(4);
        uint value = Below(4) switch { 0 => (uint)Next(), 1 => Below(0x4000), 2 => Below(0x4000) & ~7u, _ => 0u };
        ((uint*)channel.Table[page])[word] = value;
    }

    // Any type, with numbers that often mean something.
    private static void PostMessage(uint relid, uint gpadl)
    {
        const int words = 40, bytes = words * 4;
        int length = bytes;
        uint* message = stackalloc uint[words];
        for (int i = 0; i < words; i++) message[i] = Below(2) == 0 ? Below(32) : (uint)Next();
        // What ends the connection comes once in a while only, so that there is time for the rest.
        bool isWild = Below(60) == 0;
        message[0] = isWild ? Below(26) : Below(10) switch
        {
            0 or 1 => ChannelMessageType.OpenChannel,
            2 => ChannelMessageType.CloseChannel,
            3 or 4 or 5 => ChannelMessageType.GpadlHeader,
            6 => ChannelMessageType.GpadlBody,
            7 => ChannelMessageType.GpadlTeardown,
            8 => ChannelMessageType.ModifyChannel,
            _ => ChannelMessageType.TlConnectRequest,
        };
        message[1] = 0;
        message[2] = isWild ? Below(8) : Below(4) == 0 ? 1 + Below(5) : relid;
        if (message[0] == ChannelMessageType.InitiateContact)
        {
            // A refusal that the guest takes for the answer to its next contact would be its own fault.
            message[2] = VMBusVersion.V5_3;
            message[3] = 0;
            message[4] = GuestBus.Sint;
        }
        if (message[0] is ChannelMessageType.GpadlTeardown or ChannelMessageType.GpadlBody) message[3] = gpadl + Below(Gpadls);
        if (message[0] == ChannelMessageType.OpenChannel)
        {
            message[4] = gpadl + Below(Gpadls);
            if (Below(3) != 0) message[5] = 0;
            if (Below(3) != 0) message[6] = 2;
        }
        if (message[0] == ChannelMessageType.GpadlHeader)
        {
            uint pages = 1 + Below(8);
            message[3] = gpadl + Below(Gpadls);
            message[4] = 8 + pages * 8 | 1u << 16;
            message[5] = pages * 4096;
            message[6] = 0;
            for (uint i = 0; i < pages; i++) *(ulong*)(message + 7 + i * 2) = Below(8) == 0 ? Next() : 0x3000 + Below(64);
            length = (int)(GpadlHeaderMessage.PagesOffset + pages * 8);
        }
        GuestBus.Post(new System.ReadOnlySpan<byte>(message, isWild && message[0] != ChannelMessageType.InitiateContact ? (int)Below(bytes + 1) : length));
    }

    private static uint Below(uint limit) => (uint)(Next() >> 32) % limit;

    private static ulong Next()
    {
        ulong random = storage.Random;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return storage.Random = random;
    }
}
