// Commands between a guest's memory and disks: data, order, pressure.
using System;
using System.Collections.Generic;
using System.Linq;
using CsCheck;
using Lamina.Drivers.Vsp.Storage;
using Lamina.Tests.Host.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Vsp.Storage;

public sealed unsafe class TransferTests
{
    public static byte[] Read10(uint address, uint blocks) => [0x28, 0, (byte)(address >> 24), (byte)(address >> 16), (byte)(address >> 8), (byte)address, 0, (byte)(blocks >> 8), (byte)blocks, 0];
    public static byte[] Write10(uint address, uint blocks, byte flags = 0) => [0x2A, flags, .. Read10(address, blocks).Skip(2)];

    [Fact]
    public void A_scattered_read_and_write_go_straight_to_the_device()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk());
        disk.IsSynchronous = true;
        GuestChannel channel = guest.Start();
        // 65 pages for 256 KiB, as the first begins at an offset; two of them follow one another.
        ulong[] pages = Enumerable.Range(0, 65).Select(i => StorageGuest.FirstPage + (i == 1 ? 2u : (ulong)i * 2)).ToArray();
        pages[0] = StorageGuest.FirstPage + 1;
        StorageAnswer answer = guest.Execute(channel, StorageGuest.Command(Read10(100, 512), 1, 0x40000), 0x200, 0x40000, pages);
        Assert.Equal(1, answer.SrbStatus);
        Assert.Equal(0x40000u, answer.Transferred);
        byte[] arrived = Enumerable.Range(0x200, 0x40000).Select(i => guest.Page(pages[i / 4096])[i % 4096]).ToArray();
        Assert.Equal(disk.Content.AsSpan(51200, 0x40000).ToArray(), arrived);
        Assert.Equal(64, disk.LargestSegmentCount);
        Assert.Equal(0ul, guest.Controller->Counters.Buffered);

        answer = guest.Execute(channel, StorageGuest.Command(Write10(3000, 3, 0x08), 0, 1536), 0xE00, 1536, StorageGuest.FirstPage + 9, StorageGuest.FirstPage + 7);
        Assert.Equal(1, answer.SrbStatus);
        Assert.Equal(new ReadOnlySpan<byte>(guest.Page(StorageGuest.FirstPage + 9) + 0xE00, 512).ToArray(), disk.Content.AsSpan(3000 * 512, 512).ToArray());
        Assert.Equal(new ReadOnlySpan<byte>(guest.Page(StorageGuest.FirstPage + 7), 1024).ToArray(), disk.Content.AsSpan(3001 * 512, 1024).ToArray());
        Assert.Equal(1, disk.ForcedWrites);
        Assert.Equal(0x40000ul, guest.Controller->Counters.BytesRead);
        Assert.Equal(1536ul, guest.Controller->Counters.BytesWritten);
    }

    [Fact]
    public void A_batch_costs_one_kick_and_one_signal()
    {
        using StorageGuest guest = new();
        using FakeDisk disk = guest.Attach(new FakeDisk());
        GuestChannel channel = guest.Start();
        channel.Signals = 0;
        for (uint i = 0; i < 10; i++) Assert.NotEqual(0ul, guest.TryWrite(channel, StorageGuest.Command(Read10(i * 8, 8), 1, 4096), 0, 4096, StorageGuest.FirstPage + i));
        guest.Flush(channel);
        Assert.Equal(1, disk.Kicks);
        Assert.Equal(10, disk.Pending.Count);
        Assert.Equal(0, channel.Signals);
        disk.CompleteAll();
        Assert.Equal(0, channel.Signals);
        guest.RunSoon();
        Assert.Equal(1, channel.Signals);
        Assert.Equal(10u, guest.Controller->Counters.InFlightHighWater);
        Assert.Equal(0u, guest.Controller->Counters.InFlight);
        guest.Receive();
        Assert.Equal(10, guest.Answers.Count);

        disk.IsSynchronous = true;
        channel.Signals = 0;
        for (uint i = 0; i < 10; i++) guest.TryWrite(channel, StorageGuest.Command(i % 3 == 0 ? [0, 0, 0, 0, 0, 0] : Read10(i * 8, 8), 1, 4096), 0, 4096, StorageGuest.FirstPage + i);
        guest.Flush(channel);
        Assert.Equal(2, disk.Kicks);
        Assert.Equal(1, channel.Signals);
    }

    private sealed record Flight(uint Address, uint Blocks, bool IsWrite, uint Offset, ulong[] Pages, byte[] Data, byte Lun);

    /// <summary>
    /// Any sizes, places and orders over several channels and disks, with few slots, small rings and devices of every taste: all that is
    /// read is what was written last, all is answered once, nothing is left.
    /// </summary>
    [Fact]
    public void Whatever_the_order_data_is_as_the_model_says() =>
        Gen.Select(Gen.Int[0, int.MaxValue], Gen.UInt[1, 12], Gen.UInt[2, 5], Gen.Int[0, 3], Gen.Int[20, 120]).Sample((seed, slots, ringPages, subChannels, count) =>
        {
            Random random = new(seed);
            using StorageGuest guest = new(slots, 3, (uint)subChannels);
            FakeDisk[] disks = [new(1 << 20, 512, 1, 3), new(1 << 20, 4096, 4, 1), new(1 << 20, 512, 4, 2)];
            byte[][] models = disks.Select(disk => (byte[])disk.Content.Clone()).ToArray();
            for (byte i = 0; i < 3; i++) guest.Attach(disks[i], 0, i);
            foreach (FakeDisk disk in disks) disk.IsSynchronous = random.Next(4) == 0;
            List<GuestChannel> channels = [guest.Start(ringPages)];
            for (ushort i = 1; i <= subChannels; i++) channels.Add(guest.Open(i, ringPages));
            Dictionary<ulong, Flight> flights = [];
            List<GuestChannel> unflushed = [];
            int issued = 0, done = 0;
            for (int steps = 0; issued < count || done < issued; steps++)
            {
                Assert.True(steps < 100000, $"stuck: issued {issued} of {count}, done {done}; {guest.Controller->Counters.InFlight} in flight, stalls {guest.Controller->Counters.SlotStalls} {guest.Controller->Counters.RingStalls}, requests {guest.Controller->Counters.Requests}" +
                    string.Join("", channels.Select(c => $"; {c.Index}: out {c.OutControl->WriteIndex} {c.OutControl->ReadIndex} mask {c.OutControl->InterruptMask}, in {c.InControl->WriteIndex} {c.InControl->ReadIndex} pending {c.InControl->PendingSendSize}")));
                int choice = random.Next(10);
                if (choice < 5 && issued < count)
                {
                    GuestChannel channel = channels[random.Next(channels.Count)];
                    ulong transaction = Issue(guest, channel, random, models, flights);
                    if (transaction != 0) issued++;
                    if (random.Next(3) == 0 || transaction == 0) guest.Flush(channel);
                    else unflushed.Add(channel);
                }
                else if (choice < 8)
                {
                    FakeDisk disk = disks[random.Next(3)];
                    if (disk.Pending.Count != 0) disk.Complete(random.Next(disk.Pending.Count));
                    foreach (GuestChannel channel in unflushed) guest.Flush(channel);
                    unflushed.Clear();
                }
                else
                {
                    guest.Receive(random.Next(1, 20));
                    foreach ((ulong transaction, StorageAnswer answer) in guest.Answers)
                    {
                        Check(guest, answer, flights[transaction], models);
                        flights.Remove(transaction);
                        done++;
                    }
                    guest.Answers.Clear();
                }
            }
            Assert.Empty(guest.Failures);
            Assert.Equal(0u, guest.Controller->Counters.InFlight);
            Assert.True(guest.Controller->Counters.InFlightHighWater <= slots);
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal(models[i], disks[i].Content);
                Assert.False(disks[i].HasUnkicked);
                disks[i].Dispose();
            }
        }, iter: VMBusFuzz.Count(150), threads: 1);

    private static ulong Issue(StorageGuest guest, GuestChannel channel, Random random, byte[][] models, Dictionary<ulong, Flight> flights)
    {
        byte lun = (byte)random.Next(3);
        uint size = lun == 1 ? 4096u : 512u, total = (1u << 20) / size;
        uint blocks = Math.Min((uint)random.Next(1, random.Next(4) == 0 ? 0x40000 / (int)size : 17), 0x40000 / size);
        uint address = (uint)random.Next((int)(total - blocks));
        if (flights.Values.Any(other => other.Lun == lun && address < other.Address + other.Blocks && other.Address < address + blocks)) return 0;
        uint length = blocks * size, offset = random.Next(3) switch { 0 => 0, 1 => (uint)random.Next(4096), _ => (uint)random.Next(8) * 512 };
        if (random.Next(2) == 0) offset &= ~3u;
        int pageCount = (int)(offset + length + 4095) / 4096;
        // Pages not in use by another command, some of them in a row.
        HashSet<ulong> used = flights.Values.SelectMany(other => other.Pages).ToHashSet();
        List<ulong> free = Enumerable.Range(0, StorageGuest.PageCount).Select(i => StorageGuest.FirstPage + (ulong)i).Where(page => !used.Contains(page)).ToList();
        if (free.Count < pageCount) return 0;
        ulong[] pages = random.Next(2) == 0 ? free.Take(pageCount).ToArray() : free.OrderBy(_ => random.Next()).Take(pageCount).ToArray();
        bool isWrite = random.Next(2) == 0;
        byte[] data = new byte[length];
        random.NextBytes(data);
        for (int i = 0; i < length; i++) guest.Page(pages[(offset + i) / 4096])[(offset + i) % 4096] = data[i];
        byte[] cdb = isWrite ? Write10(address, blocks) : Read10(address, blocks);
        ulong transaction = guest.TryWrite(channel, StorageGuest.Command(cdb, isWrite ? (byte)0 : (byte)1, length, lun), offset, length, pages);
        if (transaction != 0) flights[transaction] = new Flight(address, blocks, isWrite, offset, pages, data, lun);
        return transaction;
    }

    private static void Check(StorageGuest guest, StorageAnswer answer, Flight flight, byte[][] models)
    {
        Assert.Equal(1, answer.SrbStatus);
        Assert.Equal((uint)flight.Data.Length, answer.Transferred);
        Span<byte> model = models[flight.Lun].AsSpan((int)(flight.Address * (uint)flight.Data.Length / flight.Blocks), flight.Data.Length);
        if (flight.IsWrite) flight.Data.CopyTo(model);
        else
        {
            byte[] arrived = new byte[flight.Data.Length];
            for (int i = 0; i < arrived.Length; i++) arrived[i] = guest.Page(flight.Pages[(flight.Offset + i) / 4096])[(flight.Offset + i) % 4096];
            Assert.True(model.SequenceEqual(arrived));
        }
    }
}
