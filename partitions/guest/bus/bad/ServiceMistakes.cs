// Integration services that get what they did not ask for.
using Lamina.Drivers.Vsp.Integration;
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class ServiceMistakes
{
    private const uint Half = 8, DataSize = (Half - 1) * Pages.Size;

    public static void Run()
    {
        Misuse.Run("bad.service-write-index"u8, &WriteIndex);
        Misuse.Run("bad.service-packet-too-long"u8, &TooLong);
        Misuse.Run("bad.service-packet-types"u8, &Types);
        Misuse.Run("bad.service-noise"u8, &Noise);
        Misuse.Run("bad.service-flood"u8, &Flood);
    }

    private static void WriteIndex()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.Heartbeat), Half, out Channel channel)) return;
        channel.Upstream->WriteIndex = DataSize + 8;
        channel.Signal();
        GuestBus.AwaitRescind(channel.RelId);
    }

    private static void TooLong()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.TimeSynchronization), Half, out Channel channel)) return;
        if (channel.Outgoing.TryWriteInBand(1, false, new System.ReadOnlySpan<byte>(Pages.Take(4), 4 * 4096)) != RingStatus.Ok) return;
        channel.Commit();
        GuestBus.AwaitRescind(channel.RelId);
    }

    // Completions and pages of memory are not what services listen to; they are left alone.
    private static void Types()
    {
        if (!GuestBus.Join()) return;
        foreach (VMBusGuid device in new Good.DeviceList())
        {
            if (device.Matches(DeviceClasses.Scsi)) continue;
            if (!Channel.TryOpen(GuestBus.Find(device), Half, out Channel channel)) return;
            ulong page = 1;
            byte* ranges = stackalloc byte[64];
            GpaRangeList list = new(ranges, 64);
            list.TryAdd(0, 4096, new System.ReadOnlySpan<ulong>(&page, 1));
            channel.Outgoing.TryWriteCompletion(1, new System.ReadOnlySpan<byte>(&page, 8));
            channel.Outgoing.TryWriteGpaDirect(2, list, new System.ReadOnlySpan<byte>(&page, 8));
            channel.Outgoing.TryWriteInBand(3, false, default);
            channel.Commit();
            Patience.Pass(20);
            if (!channel.TryClose()) return;
        }
        GuestBus.Leave();
    }

    // Messages whose headers are right more often than not, with anything behind them.
    private static void Noise()
    {
        if (!GuestBus.Join()) return;
        foreach (VMBusGuid device in new Good.DeviceList())
        {
            if (device.Matches(DeviceClasses.Scsi)) continue;
            if (!Channel.TryOpen(GuestBus.Find(device), Half, out Channel channel) || !Check.That(Send(ref channel), "the host does not empty the ring"u8)) return;
            if (!channel.TryClose()) return;
        }
        GuestBus.Leave();
    }

    private static bool Send(ref Channel channel)
    {
        const int length = 512;
        ulong* words = Pages.TakeWords(length / 8);
        ulong random = 0x2545F4914F6CDD1D;
        Patience patience = Patience.Usual;
        for (int round = 0; round < 500; round++)
        {
            for (int i = 0; i < length / 8; i++)
            {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                words[i] = random;
            }
            PipeHeader* pipe = (PipeHeader*)words;
            IcMessageHeader* header = (IcMessageHeader*)(pipe + 1);
            if (round % 8 != 0) pipe->PacketType = PipeHeader.Data;
            if (round % 8 != 1) pipe->MessageSize %= length;
            if (round % 8 != 2) header->MessageType %= 6;
            if (round % 8 != 3) header->MessageSize %= length;
            if (round % 8 != 4) header->Flags = IcMessageFlags.Transaction | IcMessageFlags.Response;
            if (round % 8 != 5) header->TransactionId = (byte)(round / 8);
            if (round % 8 != 6) header->Status = 0;
            while (channel.Outgoing.TryWriteInBand(1, false, new System.ReadOnlySpan<byte>(words, 8 + (int)(random % (length - 8)))) == RingStatus.Full)
            {
                channel.Signal();
                if (!patience.Wait()) return false;
            }
            channel.Commit();
        }
        return true;
    }

    // Hundreds of packets and one signal: the host takes them in turns of its own, so that others get theirs, and forgets none.
    private static void Flood()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.Heartbeat), Half, out Channel channel)) return;
        for (int round = 0; round < 20; round++)
        {
            ulong word = 0;
            uint written = 0, before = channel.Signals;
            while (channel.Outgoing.TryWriteInBand(1, false, new System.ReadOnlySpan<byte>(&word, 8)) == RingStatus.Ok) written++;
            if (!Check.That(written >= 500, "the ring took few packets"u8)) return;
            channel.Commit();
            Patience patience = Patience.Usual;
            while (channel.Upstream->ReadIndex != channel.Upstream->WriteIndex && patience.Wait()) { }
            if (!Check.Equal("read index"u8, channel.Upstream->ReadIndex, channel.Upstream->WriteIndex)) return;
            if (!Check.Equal("signals"u8, channel.Signals - before, 1)) return;
        }
        if (channel.TryClose()) GuestBus.Leave();
    }
}
