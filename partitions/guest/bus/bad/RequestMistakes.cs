// Requests in good packets that make no sense: each is refused in its answer, and the channel goes on.
using Lamina.Drivers.Vsp.Storage;
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Bad;

public static unsafe class RequestMistakes
{
    public static void Run()
    {
        Misuse.Run("bad.request-before-introduction"u8, &BeforeIntroduction);
        Misuse.Run("bad.request-out-of-order"u8, &OutOfOrder);
        Misuse.Run("bad.request-unknown"u8, &Unknown);
        Misuse.Run("bad.request-without-pages"u8, &WithoutPages);
        Misuse.Run("bad.pages-outside-memory"u8, &OutsideMemory);
        Misuse.Run("bad.pages-overlap"u8, &Overlap);
        Misuse.Run("bad.command-wild"u8, &WildCommands);
    }

    private static void BeforeIntroduction()
    {
        if (!GuestBus.Join() || !StorageClient.TryOpen(8, out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(4096, 0);
        data.Wipe(0xA5);
        if (!client.TryBegin(0) || client.SendTransfer(0, 0, false, 8, data) != RingStatus.Ok) return;
        client.Channel.Commit();
        if (!client.TryAwait(0)) return;
        Check.Equal("status"u8, client.Places[0].Answer.Status, NtStatus.InvalidDeviceState);
        Check.That(data.IsWiped(0xA5), "a command before the introduction was carried out"u8);
        if (client.TryIntroduce() && client.TryTransfer(0, false, 8, data)) GuestBus.Leave();
    }

    private static void OutOfOrder()
    {
        if (!GuestBus.Join() || !StorageClient.TryOpen(8, out StorageClient client)) return;
        ExpectStatus(ref client, VstorOperation.EndInitialization, NtStatus.InvalidDeviceState);
        ExpectStatus(ref client, VstorOperation.QueryProperties, NtStatus.InvalidDeviceState);
        ExpectStatus(ref client, VstorOperation.CreateSubChannels, NtStatus.InvalidDeviceState);
        ExpectStatus(ref client, VstorOperation.ResetBus, NtStatus.InvalidDeviceState);
        if (!client.TryIntroduce()) return;
        ExpectStatus(ref client, VstorOperation.BeginInitialization, NtStatus.InvalidDeviceState);
        ExpectStatus(ref client, VstorOperation.EndInitialization, NtStatus.InvalidDeviceState);
        GuestBus.Leave();
    }

    private static void Unknown()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        foreach (uint operation in (System.ReadOnlySpan<uint>)[0, VstorOperation.CompleteIo, VstorOperation.EnumerateBus, VstorOperation.FchbaData, 14, 0x80000003, 0xFFFFFFFF])
            ExpectStatus(ref client, operation, NtStatus.InvalidDeviceRequest);
        // More sub-channels than there are.
        VstorPacket packet = new() { Operation = VstorOperation.CreateSubChannels, SubChannelCount = 0xFFFF };
        Check.Equal("status of CREATE_SUB_CHANNELS"u8, client.Exchange(ref packet), NtStatus.InvalidParameter);
        GuestBus.Leave();
    }

    private static void ExpectStatus(ref StorageClient client, uint operation, uint status)
    {
        VstorPacket packet = new() { Operation = operation };
        uint answer = client.Exchange(ref packet);
        if (answer != status) Check.Fail("wrong status for operation "u8, operation);
    }

    // A length without pages, and more of it than there are pages for.
    private static void WithoutPages()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        foreach (uint length in (System.ReadOnlySpan<uint>)[1, 4096, 0x7FFFFFFF, 0xFFFFFFFF])
        {
            VstorPacket packet = ReadOf(length);
            if (client.Exchange(ref packet) == uint.MaxValue) return;
            Check.Equal("SRB status without pages"u8, packet.VmSrb.SrbStatus, SrbStatus.InvalidRequest);
            Check.Equal("bytes moved"u8, packet.VmSrb.DataTransferLength, 0);
        }
        DiskBuffer data = DiskBuffer.Take(512, 0);
        data.Wipe(0xA5);
        VstorPacket more = ReadOf(8192);
        if (!client.TryBegin(1) || client.Send(1, ref more, data) != RingStatus.Ok) return;
        client.Channel.Commit();
        if (!client.TryAwait(1)) return;
        Check.Equal("SRB status with too few pages"u8, client.Places[1].Answer.VmSrb.SrbStatus, SrbStatus.InvalidRequest);
        Check.That(data.IsWiped(0xA5), "a refused read wrote"u8);
        GuestBus.Leave();
    }

    // READ(10) of 16 blocks.
    private static VstorPacket ReadOf(uint length)
    {
        VstorPacket packet = new() { Operation = VstorOperation.ExecuteSrb };
        packet.VmSrb.CdbLength = 10;
        packet.VmSrb.DataIn = VmscsiRequest.ReadType;
        packet.VmSrb.DataTransferLength = length;
        packet.VmSrb.Cdb[0] = OperationCode.Read10;
        packet.VmSrb.Cdb[8] = 16;
        return packet;
    }

    // One page of two is not RAM: nothing is read into the other.
    private static void OutsideMemory()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(8192, 0);
        ulong first = data.PageNumbers[0], second = data.PageNumbers[1];
        System.ReadOnlySpan<ulong> outside = stackalloc ulong[] { BootInformation.MemoryEnd / Pages.Size, 0xFEE00, 0xFFFFF, 1UL << 40, 1UL << 52, ulong.MaxValue };
        foreach (ulong page in outside)
        {
            for (int place = 0; place < 2; place++)
            {
                data.PageNumbers[0] = first;
                data.PageNumbers[1] = second;
                data.Wipe(0xA5);
                data.PageNumbers[place] = page;
                if (!client.TryBegin(1) || client.SendTransfer(1, 0, false, 8, data) != RingStatus.Ok) return;
                client.Channel.Commit();
                if (!client.TryAwait(1)) return;
                Check.Equal("SRB status"u8, client.Places[1].Answer.VmSrb.SrbStatus, SrbStatus.InvalidRequest);
                data.PageNumbers[0] = first;
                data.PageNumbers[1] = second;
                if (!Check.That(data.IsWiped(0xA5), "a refused read wrote"u8)) return;
            }
        }
        GuestBus.Leave();
    }

    // The same page again and again: the guest's own affair.
    private static void Overlap()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(65536, 0);
        for (uint i = 0; i < data.PageCount; i++) data.PageNumbers[i] = data.PageNumbers[0];
        if (!client.TryTransfer(0, false, 8, data) || !client.TryTransfer(0, true, 32, data)) return;
        GuestBus.Leave();
    }

    // Commands, units and directions at random, in pairs with lengths that do not fit them. What comes back does not matter, that it comes does.
    private static void WildCommands()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(4096, 100);
        ulong random = 88172645463325252;
        for (int round = 0; round < 1000; round++)
        {
            VstorPacket packet = default;
            for (int i = 0; i < sizeof(VstorPacket) / 8; i++)
            {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                ((ulong*)&packet)[i] = random;
            }
            packet.Operation = VstorOperation.ExecuteSrb;
            packet.VmSrb.PathId &= 1;
            packet.VmSrb.TargetId &= 1;
            packet.VmSrb.Lun = (byte)(packet.VmSrb.Lun % 3 == 0 ? 5 : 0);
            packet.VmSrb.DataIn %= 4;
            if (round % 2 == 0) packet.VmSrb.CdbLength %= 17;
            if (round % 4 != 0) packet.VmSrb.DataTransferLength %= 5000;
            // Nothing that would change the disk's content, which other tests know.
            if (packet.VmSrb.DataIn == VmscsiRequest.WriteType) packet.VmSrb.DataIn = VmscsiRequest.ReadType;
            if (packet.VmSrb.Cdb[0] is OperationCode.Unmap or OperationCode.WriteSame10 or OperationCode.WriteSame16) packet.VmSrb.Cdb[0] = OperationCode.ReportLuns;
            if (!client.TryBegin(1) || client.Send(1, ref packet, data) != RingStatus.Ok) return;
            client.Channel.Commit();
            if (!client.TryAwait(1)) return;
        }
        GuestBus.Leave();
    }
}
