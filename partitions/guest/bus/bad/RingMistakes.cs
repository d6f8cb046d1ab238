// Wild indexes in both halves of a ring.
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class RingMistakes
{
    private const uint Half = 8, DataSize = (Half - 1) * Pages.Size;

    public static void Run()
    {
        Misuse.Run("bad.write-index-beyond"u8, &WriteBeyond);
        Misuse.Run("bad.write-index-unaligned"u8, &WriteUnaligned);
        Misuse.Run("bad.write-index-huge"u8, &WriteHuge);
        Misuse.Run("bad.read-index-beyond"u8, &ReadBeyond);
        Misuse.Run("bad.read-index-unaligned"u8, &ReadUnaligned);
        Misuse.Run("bad.read-index-huge"u8, &ReadHuge);
        Misuse.Run("bad.read-index-by-disk"u8, &ReadByDisk);
        Misuse.Run("bad.foreign-indexes"u8, &ForeignIndexes);
        Misuse.Run("bad.garbage-in-ring"u8, &Garbage);
        Misuse.Run("bad.service-write-index"u8, &ServiceWrite);
    }

    private static void WriteBeyond() => WithWriteIndex(DataSize);
    private static void WriteUnaligned() => WithWriteIndex(4);
    private static void WriteHuge() => WithWriteIndex(0xFFFFFFF8);
    private static void ReadBeyond() => WithReadIndex(DataSize);
    private static void ReadUnaligned() => WithReadIndex(12);
    private static void ReadHuge() => WithReadIndex(0x80000000);

    private static void WithWriteIndex(uint index)
    {
        if (!StorageClient.TryStart(out StorageClient client, Half)) return;
        client.Channel.Upstream->WriteIndex = index;
        client.Channel.Signal();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    // Ours, of the host's half: it looks at it when it answers.
    private static void WithReadIndex(uint index)
    {
        if (!StorageClient.TryStart(out StorageClient client, Half)) return;
        client.Channel.Downstream->ReadIndex = index;
        DiskBuffer data = DiskBuffer.Take(512, 0);
        if (!client.TryBegin(0) || client.SendTransfer(0, 0, false, 8, data) != RingStatus.Ok) return;
        client.Channel.Commit();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    // A read whose data lands in the ring's control page.
    private static void ReadByDisk()
    {
        if (!StorageClient.TryStart(out StorageClient client, Half)) return;
        DiskBuffer data = DiskBuffer.Take(512, 0);
        data.Wipe(0xFE);
        if (!client.TryTransfer(0, true, 16, data)) return;
        data.PageNumbers[0] = Pages.NumberOf(client.Channel.Downstream);
        if (!client.TryBegin(0) || client.SendTransfer(0, 0, false, 16, data) != RingStatus.Ok) return;
        client.Channel.Commit();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    // Those that are the host's: it keeps its own, and writes them again.
    private static void ForeignIndexes()
    {
        if (!StorageClient.TryStart(out StorageClient client, Half)) return;
        DiskBuffer data = DiskBuffer.Take(512, 0);
        foreach (uint index in (System.ReadOnlySpan<uint>)[1, 8, DataSize, 0xFFFFFFFF])
        {
            if (!client.TryBegin(0) || client.SendTransfer(0, 0, false, 8, data) != RingStatus.Ok) return;
            client.Channel.Upstream->ReadIndex = index;
            client.Channel.Outgoing.Commit();
            client.Channel.Downstream->WriteIndex = client.Channel.Downstream->ReadIndex;
            client.Channel.Signal();
            if (!client.TryAwait(0)) return;
        }
        GuestBus.Leave();
    }

    // The index is right, what lies before it is not.
    private static void Garbage()
    {
        if (!StorageClient.TryStart(out StorageClient client, Half)) return;
        for (uint page = 1; page < Half; page++) new System.Span<byte>(client.Channel.Table[page], (int)Pages.Size).Fill(0xEE);
        client.Channel.Upstream->WriteIndex = (client.Channel.Upstream->WriteIndex + 4096) % DataSize;
        client.Channel.Signal();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    private static void ServiceWrite()
    {
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(DeviceClasses.Heartbeat), Half, out Channel channel)) return;
        channel.Upstream->WriteIndex = DataSize + 8;
        channel.Signal();
        GuestBus.AwaitRescind(channel.RelId);
    }
}
