// A guest with a storage driver that behaves as Linux's does: memory, rings, transactions; and the host under its controller.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Lamina.Drivers.Vsp;
using Lamina.Drivers.Vsp.Storage;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

/// <summary>The controller lies in native memory, so its host is a number.</summary>
public unsafe struct StorageTestHost : IStorageHost
{
    public static readonly ConcurrentDictionary<int, StorageGuest> Guests = new();
    public int Number;

    private readonly StorageGuest Guest => Guests[Number];

    public readonly byte* Page(ulong guestPage) => Guest.Page(guestPage);
    public readonly void Signal(uint channel) => Guest.Channels[channel].Signals++;
    public readonly void Fail(uint channel, ReadOnlySpan<byte> reason) => Guest.Failures.Add((channel, Encoding.ASCII.GetString(reason)));
    public readonly void Closed(uint channel) => Guest.ClosedChannels.Add(channel);
    public readonly bool TryOfferSubChannel(uint primaryChannel, ushort index)
    {
        if (Guest.SubChannelsToBeHad == Guest.SubChannelOffers.Count) return false;
        Guest.SubChannelOffers.Add(index);
        return true;
    }
    public readonly void ContinueSoon(uint channel) => Guest.Soon.Add(channel);
    public readonly void ContinueAfter(uint channel, ulong delay) => Guest.Later.Add(channel);
    public readonly ulong Now => 0;
}

/// <summary>One channel's rings and the guest's ends of them.</summary>
public sealed unsafe class GuestChannel : IDisposable
{
    private readonly byte* memory;
    private readonly byte** table;
    private readonly uint pages;

    public readonly uint Id;
    public readonly ushort Index;
    public readonly uint Downstream;
    public OutgoingRing<RingPages> Out;
    public IncomingRing<RingPages> In;
    public int Signals;

    public GuestChannel(uint id, ushort index, uint pagesEachWay)
    {
        Id = id;
        Index = index;
        Downstream = pagesEachWay;
        pages = 2 * pagesEachWay;
        memory = (byte*)NativeMemory.AlignedAlloc(pages * 4096, 4096);
        new Span<byte>(memory, (int)pages * 4096).Clear();
        table = (byte**)NativeMemory.Alloc(pages, (nuint)sizeof(byte*));
        for (uint i = 0; i < pages; i++) table[i] = memory + (pages - 1 - i) * 4096;
        Assert.Equal(RingStatus.Ok, OutgoingRing<RingPages>.TryAttach(Pages, 0, Downstream, out Out));
        Assert.Equal(RingStatus.Ok, IncomingRing<RingPages>.TryAttach(Pages, Downstream, Downstream, out In));
    }

    public RingPages Pages => new(table, pages);
    public RingControlPage* OutControl => (RingControlPage*)table[0];
    public RingControlPage* InControl => (RingControlPage*)table[Downstream];
    public byte[] Snapshot() => new ReadOnlySpan<byte>(memory, (int)pages * 4096).ToArray();

    public void Dispose()
    {
        NativeMemory.AlignedFree(memory);
        NativeMemory.Free(table);
    }
}

/// <summary>What came back for a transaction.</summary>
public sealed record StorageAnswer(uint Channel, ulong TransactionId, ushort Type, VstorPacket Packet)
{
    public byte SrbStatus => Packet.VmSrb.SrbStatus;
    public uint Transferred => Packet.VmSrb.DataTransferLength;

    /// <summary>Key, code and qualifier of valid sense data; 0: none.</summary>
    public unsafe uint Sense
    {
        get
        {
            VstorPacket packet = Packet;
            if ((packet.VmSrb.SrbStatus & 0x80) == 0) return 0;
            byte* sense = packet.VmSrb.SenseData;
            Assert.Equal(0x70, sense[0]);
            Assert.InRange(packet.VmSrb.SenseInfoLength, 14, 20);
            return (uint)(sense[2] << 16 | sense[12] << 8 | sense[13]);
        }
    }
}

public sealed unsafe class StorageGuest : IDisposable
{
    public const ulong FirstPage = 0x1000;
    public const int PageCount = 512;

    private static int lastNumber;
    private readonly int number = Interlocked.Increment(ref lastNumber);
    private readonly byte* ram, controllerMemory;
    private readonly ulong controllerBytes;
    private ulong lastTransaction = 100;

    public readonly StorageController<StorageTestHost>* Controller;
    public readonly Dictionary<uint, GuestChannel> Channels = [];
    public readonly List<(uint Channel, string Reason)> Failures = [];
    public readonly List<uint> ClosedChannels = [];
    public readonly HashSet<uint> Soon = [], Later = [];
    public readonly List<ushort> SubChannelOffers = [];
    public int SubChannelsToBeHad = 64;
    public readonly Dictionary<ulong, StorageAnswer> Answers = [];
    public readonly List<StorageAnswer> Unsolicited = [];

    public StorageGuest(uint slots = 32, uint disks = 8, uint subChannels = 3)
    {
        StorageTestHost.Guests[number] = this;
        ram = (byte*)NativeMemory.AlignedAlloc(PageCount * 4096, 4096);
        new Span<byte>(ram, PageCount * 4096).Fill(0xEE);
        StorageConfiguration configuration = new() { Instance = new VMBusGuid(0x1111222233334444, 0x5555666677778888), Slots = slots, Disks = disks, SubChannels = subChannels };
        controllerBytes = StorageController<StorageTestHost>.MemoryBytes(configuration);
        controllerMemory = (byte*)NativeMemory.AlignedAlloc((nuint)controllerBytes + 64, 4096);
        new Span<byte>(controllerMemory, (int)controllerBytes + 64).Fill(0xA5);
        Controller = StorageController<StorageTestHost>.Create(controllerMemory, configuration, new StorageTestHost { Number = number });
        Assert.NotEqual(0ul, (ulong)Controller);
    }

    public byte* Page(ulong guestPage) => guestPage >= FirstPage && guestPage < FirstPage + PageCount ? ram + (guestPage - FirstPage) * 4096 : null;

    /// <summary>Guest pages or the controller's buffers, the only memory that a device may be given.</summary>
    public bool IsMemory(ulong address, uint length) =>
        address >= (ulong)ram && address + length <= (ulong)ram + PageCount * 4096 || address >= (ulong)controllerMemory && address + length <= (ulong)controllerMemory + 0x40000;

    public FakeDisk Attach(FakeDisk disk, byte target = 0, byte lun = 0, bool readOnly = false)
    {
        disk.IsMemory = IsMemory;
        Assert.True(Controller->TryAttachDisk(target, lun, disk.Device, readOnly));
        return disk;
    }

    public GuestChannel Open(ushort index = 0, uint pagesEachWay = 8, uint id = 0)
    {
        GuestChannel channel = new(id != 0 ? id : 20u + index, index, pagesEachWay);
        if (Channels.Remove(channel.Id, out GuestChannel old)) old.Dispose();
        Channels[channel.Id] = channel;
        Assert.Equal(ChannelStatus.Success, Controller->Open(channel.Id, index, channel.Pages, channel.Downstream));
        return channel;
    }

    /// <summary>The primary channel, ready for commands.</summary>
    public GuestChannel Start(uint pagesEachWay = 8)
    {
        GuestChannel channel = Open(0, pagesEachWay);
        Assert.Equal(0u, Ask(channel, VstorOperation.BeginInitialization).Packet.Status);
        Assert.Equal(0u, Ask(channel, new VstorPacket { Operation = VstorOperation.QueryProtocolVersion, Version = new() { MajorMinor = 0x0602 } }).Packet.Status);
        Assert.Equal(0u, Ask(channel, VstorOperation.QueryProperties).Packet.Status);
        Assert.Equal(0u, Ask(channel, VstorOperation.EndInitialization).Packet.Status);
        return channel;
    }

    public StorageAnswer Ask(GuestChannel channel, uint operation) => Ask(channel, new VstorPacket { Operation = operation });

    /// <summary>Sends a packet and takes the answer, which must be there at once.</summary>
    public StorageAnswer Ask(GuestChannel channel, VstorPacket packet)
    {
        ulong transaction = Send(channel, packet);
        Receive();
        return Take(transaction);
    }

    public StorageAnswer Take(ulong transaction)
    {
        Assert.True(Answers.Remove(transaction, out StorageAnswer answer), "no answer; failures: " + string.Join(", ", Failures));
        return answer;
    }

    public ulong Send(GuestChannel channel, VstorPacket packet)
    {
        packet.Flags = 1;
        ulong transaction = ++lastTransaction;
        Assert.Equal(RingStatus.Ok, channel.Out.TryWriteInBand(transaction, true, new ReadOnlySpan<byte>(&packet, sizeof(VstorPacket))));
        Flush(channel);
        return transaction;
    }

    /// <summary>Shows what was written and signals by the ring's rules.</summary>
    public void Flush(GuestChannel channel)
    {
        if (channel.Out.Commit()) Controller->Signaled(channel.Id);
        RunSoon();
    }

    /// <summary>What was to be done soon, and, as time passes, later; what that puts off again stays.</summary>
    public void RunSoon()
    {
        RunThose(Soon, int.MaxValue);
        RunThose(Later, Later.Count);
        RunThose(Soon, int.MaxValue);
    }

    private void RunThose(HashSet<uint> due, int atMost)
    {
        for (int i = 0; i < atMost && due.Count != 0; i++)
        {
            uint id = due.First();
            due.Remove(id);
            Controller->Continue(id);
        }
    }

    public static VstorPacket Command(ReadOnlySpan<byte> cdb, byte direction, uint length, byte lun = 0, byte target = 0, byte path = 0)
    {
        VstorPacket packet = new() { Operation = VstorOperation.ExecuteSrb, Flags = 1 };
        packet.VmSrb.Length = 52;
        packet.VmSrb.PathId = path;
        packet.VmSrb.TargetId = target;
        packet.VmSrb.Lun = lun;
        packet.VmSrb.CdbLength = (byte)cdb.Length;
        packet.VmSrb.SenseInfoLength = 20;
        packet.VmSrb.DataIn = direction;
        packet.VmSrb.DataTransferLength = length;
        cdb.CopyTo(new Span<byte>(packet.VmSrb.Cdb, 16));
        return packet;
    }

    /// <summary>Writes a command with one range of guest memory (none where there are no pages) without showing it yet; 0: the ring is full, or broken by a test that does so.</summary>
    public ulong TryWrite(GuestChannel channel, in VstorPacket packet, uint offset = 0, uint length = 0, params ulong[] pages)
    {
        ulong transaction = ++lastTransaction;
        RingStatus status;
        fixed (VstorPacket* bytes = &packet)
        {
            ReadOnlySpan<byte> payload = new(bytes, sizeof(VstorPacket));
            if (pages.Length == 0) status = channel.Out.TryWriteInBand(transaction, true, payload);
            else
            {
                byte* buffer = stackalloc byte[8 + pages.Length * 8];
                GpaRangeList list = new(buffer, (uint)(8 + pages.Length * 8));
                Assert.True(list.TryAdd(offset, length, pages));
                status = channel.Out.TryWriteGpaDirect(transaction, list, payload);
            }
        }
        if (status == RingStatus.Full || status.IsBroken()) return 0;
        Assert.Equal(RingStatus.Ok, status);
        return transaction;
    }

    /// <summary>One command from beginning to end with a buffer at the given pages.</summary>
    public StorageAnswer Execute(GuestChannel channel, in VstorPacket packet, uint offset = 0, uint length = 0, params ulong[] pages)
    {
        ulong transaction = TryWrite(channel, packet, offset, length, pages);
        Assert.NotEqual(0ul, transaction);
        Flush(channel);
        Receive();
        return Take(transaction);
    }

    /// <summary>A command that reads into a page of its own; the bytes that arrived, and nothing beyond them.</summary>
    public byte[] Query(GuestChannel channel, byte[] cdb, uint length, byte lun = 0, byte target = 0, byte path = 0)
    {
        new Span<byte>(Page(FirstPage), 4096).Fill(0xEE);
        StorageAnswer answer = Execute(channel, Command(cdb, VmscsiRequest.ReadType, length, lun, target, path), 16, length, FirstPage);
        Assert.Equal(1, answer.SrbStatus);
        Assert.Equal(0, answer.Packet.VmSrb.ScsiStatus);
        Assert.InRange(answer.Transferred, 0u, length);
        Assert.True(new ReadOnlySpan<byte>(Page(FirstPage) + 16 + answer.Transferred, (int)(4096 - 16 - answer.Transferred)).IndexOfAnyExcept((byte)0xEE) < 0);
        return new ReadOnlySpan<byte>(Page(FirstPage) + 16, (int)answer.Transferred).ToArray();
    }

    /// <summary>A command without data, or with <paramref name="data"/> to the device.</summary>
    public StorageAnswer Do(GuestChannel channel, byte[] cdb, byte[] data = null, byte lun = 0, byte target = 0, byte path = 0)
    {
        if (data == null) return Execute(channel, Command(cdb, VmscsiRequest.UnknownType, 0, lun, target, path));
        ulong[] pages = Enumerable.Range(0, (data.Length + 15 + 4096) / 4096).Select(i => FirstPage + (ulong)i * 2).ToArray();
        for (int i = 0; i < data.Length; i++) Page(pages[(i + 16) / 4096])[(i + 16) % 4096] = data[i];
        return Execute(channel, Command(cdb, VmscsiRequest.WriteType, (uint)data.Length, lun, target, path), 16, (uint)data.Length, pages);
    }

    /// <summary>Reads all channels' rings to their ends, at most <paramref name="limit"/> packets.</summary>
    public int Receive(int limit = int.MaxValue)
    {
        RunSoon();
        int count = 0;
        byte* buffer = stackalloc byte[4096];
        foreach (GuestChannel channel in Channels.Values.ToArray())
        {
            while (count < limit && channel.In.TryRead(buffer, 4096, out RingPacket packet) == RingStatus.Ok)
            {
                Assert.True(Wire.TryRead(packet.Payload, out VstorPacket answer));
                Assert.Equal(64, packet.Payload.Length);
                Assert.False(packet.CompletionRequested);
                var received = new StorageAnswer(channel.Id, packet.TransactionId, packet.Type, answer);
                if (packet.TransactionId == 0)
                {
                    Assert.Equal(PacketType.InBand, packet.Type);
                    Unsolicited.Add(received);
                }
                else
                {
                    Assert.Equal(PacketType.Completion, packet.Type);
                    Assert.Equal(VstorOperation.CompleteIo, answer.Operation);
                    Assert.True(Answers.TryAdd(packet.TransactionId, received), "answered twice");
                }
                count++;
            }
            if (channel.In.Commit()) Controller->Signaled(channel.Id);
        }
        RunSoon();
        return count;
    }

    public void CheckGuards() => Assert.True(new ReadOnlySpan<byte>(controllerMemory + controllerBytes, 64).IndexOfAnyExcept((byte)0xA5) < 0);

    public void Dispose()
    {
        CheckGuards();
        StorageTestHost.Guests.TryRemove(number, out _);
        foreach (GuestChannel channel in Channels.Values) channel.Dispose();
        NativeMemory.AlignedFree(ram);
        NativeMemory.AlignedFree(controllerMemory);
    }
}
