// Packets that are written as they should be and then changed in one place, before the host sees them.
using Lamina.Drivers.Vsp.Storage;
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class PacketMistakes
{
    private struct Storage
    {
        public delegate*<PacketDescriptor*, void> Change;
    }

    private static Storage storage;

    public static void Run()
    {
        Run("bad.packet-length-zero"u8, &LengthZero);
        Run("bad.packet-length-short"u8, &LengthShort);
        Run("bad.packet-length-beyond"u8, &LengthBeyond);
        Run("bad.packet-offset-zero"u8, &OffsetZero);
        Run("bad.packet-offset-beyond"u8, &OffsetBeyond);
        Run("bad.packet-offset-in-ranges"u8, &OffsetInRanges);
        Run("bad.packet-flags"u8, &Flags);
        Run("bad.packet-type-unknown"u8, &TypeUnknown);
        Run("bad.packet-type-completion"u8, &TypeCompletion);
        Run("bad.packet-type-transfer-pages"u8, &TypeTransferPages);
        Run("bad.packet-without-completion"u8, &WithoutCompletion);
        Run("bad.ranges-none"u8, &RangesNone);
        Run("bad.ranges-many"u8, &RangesMany);
        Run("bad.ranges-giant"u8, &RangesGiant);
        Run("bad.range-empty"u8, &RangeEmpty);
        Run("bad.range-offset"u8, &RangeOffset);
        Run("bad.range-length"u8, &RangeLength);
        Misuse.Run("bad.packet-truncated"u8, &Truncated);
        Misuse.Run("bad.packet-too-long"u8, &TooLong);
    }

    private static void Run(System.ReadOnlySpan<byte> name, delegate*<PacketDescriptor*, void> change)
    {
        storage.Change = change;
        Misuse.Run(name, &Changed);
    }

    // A read of one page: the packet lies in one piece at the beginning of its data's second page.
    private static void Changed()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(4096, 0);
        uint at = client.Channel.Upstream->WriteIndex;
        if (!client.TryBegin(0) || client.SendTransfer(0, 0, false, 8, data) != RingStatus.Ok) return;
        storage.Change((PacketDescriptor*)client.Channel.UpstreamData(at));
        client.Channel.Commit();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    private static GpaDirectHeader* HeaderOf(PacketDescriptor* packet) => (GpaDirectHeader*)(packet + 1);
    private static GpaRange* RangeOf(PacketDescriptor* packet) => (GpaRange*)(HeaderOf(packet) + 1);

    private static void LengthZero(PacketDescriptor* packet) => packet->Length8 = 0;
    private static void LengthShort(PacketDescriptor* packet) => packet->Length8 = 1;
    private static void LengthBeyond(PacketDescriptor* packet) => packet->Length8 = 0xFFFF;
    private static void OffsetZero(PacketDescriptor* packet) => packet->DataOffset8 = 0;
    private static void OffsetBeyond(PacketDescriptor* packet) => packet->DataOffset8 = 0xFFFF;
    private static void OffsetInRanges(PacketDescriptor* packet) => packet->DataOffset8 = 4;
    private static void Flags(PacketDescriptor* packet) => packet->Flags = 0x8001;
    private static void TypeUnknown(PacketDescriptor* packet) => packet->Type = 99;
    private static void TypeCompletion(PacketDescriptor* packet) => packet->Type = PacketType.Completion;
    private static void TypeTransferPages(PacketDescriptor* packet) => packet->Type = PacketType.TransferPages;
    private static void WithoutCompletion(PacketDescriptor* packet) => packet->Flags = 0;
    private static void RangesNone(PacketDescriptor* packet) => HeaderOf(packet)->RangeCount = 0;
    private static void RangesMany(PacketDescriptor* packet) => HeaderOf(packet)->RangeCount = 2;
    private static void RangesGiant(PacketDescriptor* packet) => HeaderOf(packet)->RangeCount = 0xFFFFFFFF;
    private static void RangeEmpty(PacketDescriptor* packet) => RangeOf(packet)->ByteCount = 0;
    private static void RangeOffset(PacketDescriptor* packet) => RangeOf(packet)->ByteOffset = 4096;
    private static void RangeLength(PacketDescriptor* packet) => RangeOf(packet)->ByteCount = 0xFFFFFFFF;

    private static void Truncated()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        VstorPacket packet = new() { Operation = VstorOperation.ExecuteSrb };
        if (client.Channel.Outgoing.TryWriteInBand(1, true, new System.ReadOnlySpan<byte>(&packet, 24)) != RingStatus.Ok) return;
        client.Channel.Commit();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }

    private static void TooLong()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        if (client.Channel.Outgoing.TryWriteInBand(1, true, new System.ReadOnlySpan<byte>(Pages.Take(2), 8192)) != RingStatus.Ok) return;
        client.Channel.Commit();
        GuestBus.AwaitRescind(client.Channel.RelId);
    }
}
