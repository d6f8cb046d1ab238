// Wild indexes in both halves of a ring.
using Lamina.Drivers.Vsp.Storage;
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
        Misuse.Run("bad.garbage-before-open"u8, &GarbageBeforeOpen);
        Misuse.Run("bad.halves-in-one"u8, &HalvesInOne);
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

    // It is there when the host looks for the first time, which is within OPEN.
    private static void GarbageBeforeOpen()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Scsi), Half, out Channel channel)) return;
        new System.Span<byte>(channel.Table[1], (int)Pages.Size).Fill(0xEE);
        channel.Upstream->WriteIndex = 256;
        if (!Check.That(GuestBus.Client.Open(channel.RelId, channel.Gpadl, Half, 0, default), "OPEN was not taken"u8)) return;
        GuestBus.AwaitRescind(channel.RelId);
    }

    // The same pages twice: what the host answers lands in front of what it reads.
    private static void HalvesInOne()
    {
        if (!GuestBus.Join() || !Channel.TryPrepare(GuestBus.Find(DeviceClasses.Scsi), Half, out Channel channel)) return;
        for (uint i = 0; i < Half; i++) channel.PageNumbers[Half + i] = channel.PageNumbers[i];
        for (uint i = 0; i < Half; i++) channel.Table[Half + i] = channel.Table[i];
        if (!Channel.TryTearDown(channel.Gpadl) || !Channel.TryCreateGpadl(channel.RelId, channel.PageNumbers, channel.PageCount, out channel.Gpadl)) return;
        if (!channel.TryOpen()) return;
        // A request that is longer than its answer.
        VstorPacket packet = new() { Operation = VstorOperation.BeginInitialization };
        byte* ranges = stackalloc byte[64];
        GpaRangeList list = new(ranges, 64);
        if (!list.TryAdd(0, 4096, new System.ReadOnlySpan<ulong>(channel.PageNumbers, 1))) return;
        if (channel.Outgoing.TryWriteGpaDirect(1, list, new System.ReadOnlySpan<byte>(&packet, sizeof(VstorPacket))) != RingStatus.Ok) return;
        channel.Outgoing.Commit();
        channel.Signal();
        GuestBus.AwaitRescind(channel.RelId);
    }
}
