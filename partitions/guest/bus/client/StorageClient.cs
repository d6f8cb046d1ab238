// The guest's end of its SCSI controller: introduction, commands, completions. Source: Linux, "drivers/scsi/storvsc_drv.c".
using System;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Drivers.Vsp.Storage.Scsi;
using Lamina.VMBus;

namespace Lamina.Guest.Bus;

/// <summary>One request's place. A place is free, or pending until its completion has come.</summary>
public unsafe struct StoragePlace
{
    public VstorPacket Answer;
    public ulong TransactionId;
    public bool IsPending;
}

public unsafe struct StorageClient
{
    public const uint Depth = 64, BlockSize = 512;
    private const uint BufferCapacity = 4096;

    public Channel Channel;
    public StoragePlace* Places;
    /// <summary>Completions that belong to no request, and packets of other types than completions.</summary>
    public uint StrayAnswers, Announcements;
    public uint MaximumTransfer;
    private byte* buffer, ranges;
    private ulong generation;

    /// <summary>Opens the controller's channel, nothing said yet. False: the check has failed.</summary>
    public static bool TryOpen(uint half, out StorageClient client)
    {
        client = default;
        client.Places = (StoragePlace*)Pages.Take((Depth * (uint)sizeof(StoragePlace) + Pages.Size - 1) / Pages.Size);
        client.buffer = Pages.Take(BufferCapacity / Pages.Size);
        client.ranges = Pages.Take(BufferCapacity / Pages.Size);
        return Channel.TryOpen(GuestBus.Find(DeviceClasses.Scsi), half, out client.Channel);
    }

    /// <summary>A connection, the controller's channel and its introduction: ready for commands. False: the check has failed.</summary>
    public static bool TryStart(out StorageClient client, uint half = 8)
    {
        client = default;
        return GuestBus.Join() && TryOpen(half, out client) && client.TryIntroduce();
    }

    /// <summary>BEGIN_INITIALIZATION to END_INITIALIZATION. False: the check has failed.</summary>
    public bool TryIntroduce()
    {
        if (!Accepts(VstorOperation.BeginInitialization)) return false;
        VstorPacket packet = new() { Operation = VstorOperation.QueryProtocolVersion };
        packet.Version.MajorMinor = VmstorageProtocolVersion.Win10;
        if (!Check.Equal("status of QUERY_PROTOCOL_VERSION"u8, Exchange(ref packet), NtStatus.Success)) return false;
        packet = new() { Operation = VstorOperation.QueryProperties };
        if (!Check.Equal("status of QUERY_PROPERTIES"u8, Exchange(ref packet), NtStatus.Success)) return false;
        MaximumTransfer = packet.StorageChannelProperties.MaxTransferBytes;
        return Accepts(VstorOperation.EndInitialization);
    }

    private bool Accepts(uint operation)
    {
        VstorPacket packet = new() { Operation = operation };
        return Check.Equal("status of an initialization packet"u8, Exchange(ref packet), NtStatus.Success);
    }

    /// <summary>A packet without ranges, and its answer. Returns its status; <see cref="uint.MaxValue"/>: none came.</summary>
    public uint Exchange(ref VstorPacket packet)
    {
        if (!TryBegin(0) || Send(0, ref packet, default) != RingStatus.Ok) return uint.MaxValue;
        Channel.Commit();
        if (!TryAwait(0)) return uint.MaxValue;
        packet = Places[0].Answer;
        return packet.Status;
    }

    /// <summary>Takes a place for a request. False: it is pending.</summary>
    public bool TryBegin(uint place)
    {
        if (Places[place].IsPending) return Check.That(false, "a place is taken twice"u8);
        Places[place].IsPending = true;
        Places[place].TransactionId = ++generation << 8 | place;
        return true;
    }

    /// <summary>Writes a request's packet into the ring, with the pages of its data if it has any. Nobody sees it before Commit.</summary>
    public RingStatus Send(uint place, ref VstorPacket packet, in DiskBuffer data)
    {
        fixed (VstorPacket* first = &packet)
        {
            ReadOnlySpan<byte> payload = new(first, sizeof(VstorPacket));
            if (data.Length == 0) return Channel.Outgoing.TryWriteInBand(Places[place].TransactionId, true, payload);
            GpaRangeList list = new(ranges, BufferCapacity);
            if (!list.TryAdd(data.Offset, data.Length, data.Numbers)) return RingStatus.TooLong;
            return Channel.Outgoing.TryWriteGpaDirect(Places[place].TransactionId, list, payload);
        }
    }

    /// <summary>A command to a unit; its data goes from or to <paramref name="data"/>.</summary>
    public RingStatus Send(uint place, byte lun, ReadOnlySpan<byte> cdb, byte direction, in DiskBuffer data)
    {
        VstorPacket packet = new() { Operation = VstorOperation.ExecuteSrb };
        packet.VmSrb.Length = 52;
        packet.VmSrb.Lun = lun;
        packet.VmSrb.CdbLength = (byte)cdb.Length;
        packet.VmSrb.SenseInfoLength = VmscsiRequest.SenseBufferSize;
        packet.VmSrb.DataIn = direction;
        packet.VmSrb.DataTransferLength = data.Length;
        for (int i = 0; i < cdb.Length; i++) packet.VmSrb.Cdb[i] = cdb[i];
        return Send(place, ref packet, data);
    }

    /// <summary>READ(10) or WRITE(10) of the whole buffer.</summary>
    public RingStatus SendTransfer(uint place, byte lun, bool isWrite, uint block, in DiskBuffer data)
    {
        uint count = data.Length / BlockSize;
        byte* cdb = stackalloc byte[10];
        for (int i = 0; i < 10; i++) cdb[i] = 0;
        cdb[0] = isWrite ? OperationCode.Write10 : OperationCode.Read10;
        for (int i = 0; i < 4; i++) cdb[2 + i] = (byte)(block >> 24 - 8 * i);
        cdb[7] = (byte)(count >> 8);
        cdb[8] = (byte)count;
        return Send(place, lun, new ReadOnlySpan<byte>(cdb, 10), isWrite ? VmscsiRequest.WriteType : VmscsiRequest.ReadType, data);
    }

    /// <summary>Takes completions from the ring. False: there are none.</summary>
    public bool Take()
    {
        bool any = false;
        RingStatus status;
        while ((status = Channel.Incoming.TryRead(buffer, BufferCapacity, out RingPacket packet)) == RingStatus.Ok)
        {
            any = true;
            if (packet.Type != PacketType.Completion) Announcements++;
            else Complete(packet);
        }
        if (status.IsBroken()) Check.Fail(status.Text());
        Channel.Release();
        return any;
    }

    private void Complete(in RingPacket packet)
    {
        StoragePlace* place = Places + (packet.TransactionId & 0xFF);
        if ((packet.TransactionId & 0xFF) >= Depth || !place->IsPending || place->TransactionId != packet.TransactionId
            || !Wire.TryRead(packet.Payload, out place->Answer))
        {
            StrayAnswers++;
            return;
        }
        place->IsPending = false;
    }

    /// <summary>Waits for one completion. False: the check has failed.</summary>
    public bool TryAwait(uint place)
    {
        Patience patience = Patience.Usual;
        while (true)
        {
            Take();
            if (!Places[place].IsPending) return true;
            if (!patience.Wait()) return Check.That(false, "a request is not completed"u8);
        }
    }

    public bool TryAwaitAll()
    {
        for (uint place = 0; place < Depth; place++) if (!TryAwait(place)) return false;
        return Check.Equal("completions that nobody waits for"u8, StrayAnswers, 0);
    }

    /// <summary>How many requests are still to be completed.</summary>
    public readonly uint Pending
    {
        get
        {
            uint count = 0;
            for (uint place = 0; place < Depth; place++) if (Places[place].IsPending) count++;
            return count;
        }
    }

    /// <summary>One command from beginning to end, with its SRB status. False: the check has failed for want of an answer.</summary>
    public bool TryRun(byte lun, ReadOnlySpan<byte> cdb, byte direction, in DiskBuffer data, out VstorPacket answer)
    {
        answer = default;
        if (!TryBegin(0) || !Check.That(Send(0, lun, cdb, direction, data) == RingStatus.Ok, "the request does not fit into the ring"u8)) return false;
        Channel.Commit();
        if (!TryAwait(0)) return false;
        answer = Places[0].Answer;
        return true;
    }

    /// <summary>One transfer that must succeed.</summary>
    public bool TryTransfer(byte lun, bool isWrite, uint block, in DiskBuffer data)
    {
        if (!TryBegin(0) || !Check.That(SendTransfer(0, lun, isWrite, block, data) == RingStatus.Ok, "the request does not fit into the ring"u8)) return false;
        Channel.Commit();
        return TryAwait(0) && Succeeded(0);
    }

    public readonly bool Succeeded(uint place) => Check.Equal("SRB status"u8, Places[place].Answer.VmSrb.SrbStatus, SrbStatus.Success);
}
