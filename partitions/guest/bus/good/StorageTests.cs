// The disk used as it should be: found, read, written, flushed, one request at a time and many.
using System;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Drivers.Vsp.Storage.Scsi;

namespace Lamina.Guest.Bus.Good;

public static unsafe class StorageTests
{
    private const uint FirstBlock = 256;
    private const byte AbsentUnit = 9;

    public static void Run()
    {
        Check.Run("storage.introduction"u8, &Introduction);
        Check.Run("storage.units"u8, &Units);
        Check.Run("storage.capacity"u8, &Capacity);
        Check.Run("storage.depth-1"u8, &Depth1);
        Check.Run("storage.depth-32"u8, &Depth32);
        Check.Run("storage.scattered"u8, &Scattered);
        Check.Run("storage.flush-and-verify"u8, &FlushAndVerify);
        Check.Run("storage.beyond-the-end"u8, &BeyondTheEnd);
        Check.Run("storage.reset"u8, &Reset);
    }

    private static void Introduction()
    {
        if (!GuestBus.Join() || !StorageClient.TryOpen(8, out StorageClient client)) return;
        VstorPacket packet = new() { Operation = VstorOperation.BeginInitialization };
        Check.Equal("status of BEGIN_INITIALIZATION"u8, client.Exchange(ref packet), NtStatus.Success);
        packet = new() { Operation = VstorOperation.QueryProtocolVersion };
        packet.Version.MajorMinor = 0x0777;
        Check.Equal("status of an unknown version"u8, client.Exchange(ref packet), NtStatus.RevisionMismatch);
        packet = new() { Operation = VstorOperation.QueryProtocolVersion };
        packet.Version.MajorMinor = VmstorageProtocolVersion.Win8;
        Check.Equal("status of a known version"u8, client.Exchange(ref packet), NtStatus.Success);
        packet = new() { Operation = VstorOperation.QueryProperties };
        Check.Equal("status of QUERY_PROPERTIES"u8, client.Exchange(ref packet), NtStatus.Success);
        Check.Between("longest transfer"u8, packet.StorageChannelProperties.MaxTransferBytes, 64 << 10, 1 << 20);
        packet = new() { Operation = VstorOperation.EndInitialization };
        Check.Equal("status of END_INITIALIZATION"u8, client.Exchange(ref packet), NtStatus.Success);
        GuestBus.Leave();
    }

    private static void Units()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(64, 0);
        if (!client.TryRun(0, [OperationCode.ReportLuns, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0], VmscsiRequest.ReadType, data, out VstorPacket answer)) return;
        Check.Equal("SRB status of REPORT LUNS"u8, answer.VmSrb.SrbStatus, SrbStatus.Success);
        Check.That(*data.At(3) >= 8 && *data.At(9) == 0, "unit 0 is not reported"u8);
        if (!client.TryRun(0, [OperationCode.Inquiry, 0, 0, 0, 36, 0], VmscsiRequest.ReadType, data, out answer)) return;
        Check.Equal("SRB status of INQUIRY"u8, answer.VmSrb.SrbStatus, SrbStatus.Success);
        Check.Equal("peripheral device type"u8, *data.At(0), 0);
        if (!client.TryRun(AbsentUnit, [OperationCode.TestUnitReady, 0, 0, 0, 0, 0], VmscsiRequest.UnknownType, default, out answer)) return;
        Check.Equal("SRB status of an absent unit"u8, answer.VmSrb.SrbStatus, SrbStatus.InvalidLun);
        GuestBus.Leave();
    }

    private static void Capacity()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        if (!TryReadCapacity(ref client, 0, out uint last, out uint blockSize)) return;
        Check.Equal("block size"u8, blockSize, StorageClient.BlockSize);
        Check.Between("last block"u8, last, 8191, uint.MaxValue);
        GuestBus.Leave();
    }

    private static bool TryReadCapacity(ref StorageClient client, byte lun, out uint last, out uint blockSize)
    {
        last = blockSize = 0;
        DiskBuffer data = DiskBuffer.Take(8, 0);
        if (!client.TryRun(lun, [OperationCode.ReadCapacity10, 0, 0, 0, 0, 0, 0, 0, 0, 0], VmscsiRequest.ReadType, data, out VstorPacket answer)) return false;
        for (uint i = 0; i < 4; i++)
        {
            last = last << 8 | *data.At(i);
            blockSize = blockSize << 8 | *data.At(4 + i);
        }
        return Check.Equal("SRB status of READ CAPACITY"u8, answer.VmSrb.SrbStatus, SrbStatus.Success);
    }

    private static void Depth1()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer data = DiskBuffer.Take(4096, 0);
        for (uint i = 0; i < 32; i++)
        {
            data.Fill(i);
            if (!client.TryTransfer(0, true, FirstBlock + i * 8, data)) return;
        }
        for (uint i = 0; i < 32; i++)
        {
            data.Wipe(0);
            if (!client.TryTransfer(0, false, FirstBlock + i * 8, data)) return;
            if (!Check.That(data.Holds(i), "other data than was written"u8)) return;
        }
        GuestBus.Leave();
    }

    private static void Depth32()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer* data = Take(32, 8192, 0);
        for (uint round = 0; round < 8; round++)
        {
            for (uint i = 0; i < 32; i++) data[i].Fill(round * 32 + i + 1000);
            if (!TryTransferAll(ref client, true, data, 32)) return;
            for (uint i = 0; i < 32; i++) data[i].Wipe(0);
            if (!TryTransferAll(ref client, false, data, 32)) return;
            for (uint i = 0; i < 32; i++) if (!Check.That(data[i].Holds(round * 32 + i + 1000), "other data than was written"u8)) return;
        }
        GuestBus.Leave();
    }

    // From single bytes before a page's end to 256 KiB; what lies beside the buffers stays as it is.
    private static void Scattered()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        ulong seed = 5000;
        foreach (uint offset in (ReadOnlySpan<uint>)[0, 1, 4, 8, 511, 512, 2048, 4095])
        {
            foreach (uint length in (ReadOnlySpan<uint>)[512, 3584, 4096, 65536, 256 << 10])
            {
                DiskBuffer from = DiskBuffer.Take(length, offset), to = DiskBuffer.Take(length, 4095 - offset);
                from.Fill(++seed);
                if (!client.TryTransfer(0, true, FirstBlock, from) || !client.TryTransfer(0, false, FirstBlock, to)) return;
                if (!Check.That(to.Holds(seed), "other data than was written"u8)) return;
                Check.That(from.Holds(seed) && from.HasCleanEdges(), "a write changed its buffer"u8);
                Check.That(to.HasCleanEdges(), "a read wrote beside its buffer"u8);
            }
        }
        GuestBus.Leave();
    }

    private static void FlushAndVerify()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        if (!client.TryRun(0, [OperationCode.SynchronizeCache10, 0, 0, 0, 0, 0, 0, 0, 0, 0], VmscsiRequest.UnknownType, default, out VstorPacket answer)) return;
        Check.Equal("SRB status of SYNCHRONIZE CACHE"u8, answer.VmSrb.SrbStatus, SrbStatus.Success);
        if (!client.TryRun(0, [OperationCode.Verify10, 0, 0, 0, 1, 0, 0, 1, 0, 0], VmscsiRequest.UnknownType, default, out answer)) return;
        Check.Equal("SRB status of VERIFY"u8, answer.VmSrb.SrbStatus, SrbStatus.Success);
        GuestBus.Leave();
    }

    private static void BeyondTheEnd()
    {
        if (!StorageClient.TryStart(out StorageClient client) || !TryReadCapacity(ref client, 0, out uint last, out _)) return;
        DiskBuffer data = DiskBuffer.Take(1024, 0);
        data.Wipe(0xA5);
        if (!client.TryBegin(1) || client.SendTransfer(1, 0, false, last, data) != 0) return;
        client.Channel.Commit();
        if (!client.TryAwait(1)) return;
        ref VmscsiRequest answer = ref client.Places[1].Answer.VmSrb;
        Check.Equal("SRB status"u8, answer.SrbStatus, SrbStatus.Error | SrbStatus.AutosenseValid);
        Check.Equal("SCSI status"u8, answer.ScsiStatus, ScsiStatus.CheckCondition);
        Check.Equal("additional sense code"u8, answer.SenseData[12], 0x21); // LOGICAL BLOCK ADDRESS OUT OF RANGE
        Check.That(data.IsWiped(0xA5), "the buffer was written"u8);
        GuestBus.Leave();
    }

    private static void Reset()
    {
        if (!StorageClient.TryStart(out StorageClient client)) return;
        DiskBuffer* data = Take(16, 4096, 0);
        if (!TrySendAll(ref client, false, data, 16) || !client.TryBegin(32)) return;
        VstorPacket packet = new() { Operation = VstorOperation.ResetBus };
        if (!Check.That(client.Send(32, ref packet, default) == 0, "the request does not fit into the ring"u8)) return;
        client.Channel.Commit();
        if (!client.TryAwaitAll()) return;
        Check.Equal("status of RESET_BUS"u8, client.Places[32].Answer.Status, NtStatus.Success);
        GuestBus.Leave();
    }

    public static DiskBuffer* Take(uint count, uint length, uint offset)
    {
        DiskBuffer* data = (DiskBuffer*)Pages.Take((count * (uint)sizeof(DiskBuffer) + Pages.Size - 1) / Pages.Size);
        for (uint i = 0; i < count; i++) data[i] = DiskBuffer.Take(length, offset);
        return data;
    }

    private static bool TrySendAll(ref StorageClient client, bool isWrite, DiskBuffer* data, uint count)
    {
        for (uint i = 0; i < count; i++)
            if (!client.TryBegin(i) || !Check.That(client.SendTransfer(i, 0, isWrite, FirstBlock + i * 16, data[i]) == 0, "the request does not fit into the ring"u8)) return false;
        return true;
    }

    private static bool TryTransferAll(ref StorageClient client, bool isWrite, DiskBuffer* data, uint count)
    {
        if (!TrySendAll(ref client, isWrite, data, count)) return false;
        client.Channel.Commit();
        if (!client.TryAwaitAll()) return false;
        for (uint i = 0; i < count; i++) if (!client.Succeeded(i)) return false;
        return true;
    }
}
