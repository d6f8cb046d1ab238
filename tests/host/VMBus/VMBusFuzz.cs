// Generated messages: valid ones in any order, mutated ones, random bytes. LAMINA_FUZZ=N runs every property N times as long.

using System;
using System.Linq;
using CsCheck;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.VMBus;

public sealed unsafe class VMBusFuzz
{
    /// <summary>Inputs of a property: so many in ordinary runs.</summary>
    public static int Count(int bounded) => bounded * Lamina.Tests.Host.Storage.Fuzz.Factor;

    /// <summary>Numbers around the edges that matter, and any others.</summary>
    public static readonly Gen<uint> Value = Gen.OneOf(Gen.UInt[0, 10], Gen.UInt[0, 64].Select(v => v * 8), Gen.UInt[4080, 4112], Gen.UInt,
        Gen.Const(0x7FFFFFFFu), Gen.Const(0x80000000u), Gen.Const(0xFFFFFFF8u), Gen.Const(0xFFFFFFFFu), Gen.Const(0x2000u), Gen.Const(0x1FF8u));

    // One step of a guest: kind 0–11 a well-formed message, 12 a mutated one, 13 random bytes, 14 and 15 the host's own doings.
    private static readonly Gen<(int Kind, uint A, uint B, uint C, byte[] Bytes)> Step =
        Gen.Select(Gen.Int[0, 17], Gen.OneOf(Gen.UInt[0, 6], Value), Gen.OneOf(Gen.UInt[0, 5], Value), Gen.OneOf(Gen.UInt[0, 9], Value), Gen.Byte.Array[0, 250]);

    [Fact]
    public void No_guest_crashes_the_server_or_leaks_in_it() =>
        Gen.Select(Step.Array[1, 120], Gen.Bool).Sample((steps, connect) =>
        {
            using var bus = new BusFixture(channels: 6, gpadls: 4, pages: 64, queue: 6);
            for (ulong i = 0; i < 3; i++) bus.Offer(DeviceClasses.Scsi, i);
            if (connect) bus.Connect();
            foreach (var step in steps)
            {
                Perform(bus, step);
                if (bus.Server.GpadlsUsed > 4 || bus.Server.PagesUsed > 64 || bus.Server.QueuedMessages > 6) return false;
            }
            return EndsClean(bus);
        }, iter: Count(3000));

    private static void Perform(BusFixture bus, (int Kind, uint A, uint B, uint C, byte[] Bytes) step)
    {
        (int kind, uint a, uint b, uint c, byte[] bytes) = step;
        switch (kind)
        {
            case 0: bus.Send(new InitiateContactMessage { VersionRequested = 5u << 16 | (c % 4), TargetMessageVp = a % 5, TargetSint = 2 }, 14); break;
            case 1: bus.Send(default(ChannelMessageHeader), ChannelMessageType.RequestOffers); break;
            case 2 or 3: SendGpadl(bus, a, b, c); break;
            case 4: bus.Send(new GpadlBodyMessage { Gpadl = b }, 9); break;
            case 5 or 6: bus.Send(new OpenChannelMessage { RelId = a, RingGpadl = b, DownstreamPageOffset = c % 8, TargetVp = c % 3 }, 5); break;
            case 7: bus.Send(new CloseChannelMessage { RelId = a }, 7); break;
            case 8: bus.Send(new GpadlTeardownMessage { RelId = a, Gpadl = b }, 11); break;
            case 9: bus.Send(new RelIdReleasedMessage { RelId = a }, 13); break;
            case 10: bus.Send(new ModifyChannelMessage { RelId = a, TargetVp = c }, 22); break;
            case 11: if (b % 4 == 0) bus.Send(default(ChannelMessageHeader), ChannelMessageType.Unload); break;
            case 12:
                byte[] message = new byte[240];
                bytes.AsSpan(0, Math.Min(bytes.Length, 240)).CopyTo(message);
                BitConverter.TryWriteBytes(message.AsSpan(0), c % 26);
                BitConverter.TryWriteBytes(message.AsSpan(8), a);
                BitConverter.TryWriteBytes(message.AsSpan(12), b);
                bus.Server.Receive(message.AsSpan(0, Math.Min(bytes.Length, 240)));
                break;
            case 13: bus.Server.Receive(bytes); break;
            case 14: bus.ToGuest.Busy = !bus.ToGuest.Busy; bus.Server.Pump(); bus.ToGuest.Messages.Clear(); break;
            case 15: if (bus.Log.Slow) bus.Finish(); bus.Log.Slow = c % 2 == 0; break;
            case 16: if (c % 2 == 0) bus.Server.TryOfferSubChannel(a, (ushort)b, out _); else if (bus.Server.OfferCount < 4) bus.Offer(DeviceClasses.Network); break;
            case 17: if (c % 2 == 0) bus.Server.Withdraw(a); else bus.Server.FailChannel(a, "its device says so"u8); break;
        }
    }

    // A ring of 4 to 8 pages or something odd; whole unless it takes bodies.
    private static void SendGpadl(BusFixture bus, uint relid, uint gpadl, uint shape)
    {
        uint pages = shape < 10 ? 4 + shape % 5 : shape % 70;
        byte[] message = new byte[28 + 8 * Math.Min(pages, 26)];
        fixed (byte* first = message)
            *(GpadlHeaderMessage*)first = new() { Header = new() { MessageType = 8 }, RelId = relid, Gpadl = gpadl, RangeBufferLength = (ushort)(8 + pages * 8), RangeCount = 1, ByteCount = pages * 4096 };
        bus.Server.Receive(message);
        for (uint sent = 26; sent < pages && shape % 3 != 0; sent += 28)
        {
            byte[] body = new byte[16 + 8 * Math.Min(pages - sent, 28)];
            body[0] = 9;
            BitConverter.TryWriteBytes(body.AsSpan(12), gpadl);
            bus.Server.Receive(body);
        }
    }

    // However it went: an UNLOAD is answered, nothing is in use, and the next kernel gets its devices.
    private static bool EndsClean(BusFixture bus)
    {
        bus.ToGuest.Busy = false;
        bus.Server.Pump();
        bus.ToGuest.Messages.Clear();
        bus.Send(default(ChannelMessageHeader), ChannelMessageType.Unload);
        bus.Log.Slow = false;
        while (bus.Log.Closing.Count + bus.Log.TearingDown.Count != 0) bus.Finish();
        bool answered = bus.ToGuest.Messages.Any(message => BitConverter.ToUInt32(message) == ChannelMessageType.UnloadResponse);
        bool clean = bus.Server.GpadlsUsed == 0 && bus.Server.PagesUsed == 0 && bus.Server.OpenCount == 0 && bus.Server.QueuedMessages == 0 &&
            bus.Log.Open.Count + bus.Log.Gpadls.Count == 0 && bus.Server.Connection == ConnectionPhase.Disconnected;
        bus.ToGuest.Messages.Clear();
        uint offers = bus.Server.OfferCount;
        bus.Connect();
        uint seen = 0;
        for (uint relid = 1; relid <= 6; relid++) if (bus.Client.Find(relid) != null) seen++;
        return answered && clean && bus.Client.AllOffersDelivered && seen == offers;
    }

    /// <summary>Any number of pages in any cut: what arrives is what was sent, or a refusal; the pool holds exactly the live ones.</summary>
    [Fact]
    public void Gpadls_assemble_as_the_model_says() =>
        Gen.Select(Gen.Int[1, 120], Gen.Int[0, 26], Gen.Int[1, 28].Array[1, 12], Gen.Bool, Gen.Int[-1, 130]).Sample((pages, inHeader, cuts, exact, badAt) =>
        {
            using var bus = new BusFixture(pages: 128);
            uint relid = bus.Offer(DeviceClasses.Scsi);
            bus.Connect();
            ulong[] numbers = BusFixture.PageNumbers(300);
            if (badAt >= 0) numbers[badAt] = BusFixture.HighestPage + 1;
            if (exact) inHeader = Math.Min(inHeader, pages);
            byte[] Message(int offset, int from, int count)
            {
                byte[] message = new byte[offset + count * 8];
                for (int i = 0; i < count; i++) BitConverter.TryWriteBytes(message.AsSpan(offset + i * 8), numbers[from + i]);
                return message;
            }
            byte[] header = Message(28, 0, inHeader);
            fixed (byte* first = header)
                *(GpadlHeaderMessage*)first = new() { Header = new() { MessageType = 8 }, RelId = relid, Gpadl = 77, RangeBufferLength = (ushort)(8 + pages * 8), RangeCount = 1, ByteCount = (uint)pages * 4096 };
            bus.Server.Receive(header);
            int sent = inHeader;
            bool refused = inHeader > pages || (badAt >= 0 && badAt < inHeader);
            foreach (int cut in cuts)
            {
                if (refused || sent >= pages) break;
                int count = exact ? Math.Min(cut, pages - sent) : cut;
                byte[] body = Message(16, sent, count);
                body[0] = 9;
                body[12] = 77;
                bus.Server.Receive(body);
                refused = sent + count > pages || (badAt >= sent && badAt < sent + count);
                sent += count;
            }
            uint? status = bus.ToGuest.Messages.TryDequeue(out byte[] answer) ? BitConverter.ToUInt32(answer, 16) : null;
            bool ready = !refused && sent == pages;
            if (ready) return status == 0 && bus.Log.Pages[77].SequenceEqual(numbers.Take(pages)) && bus.Server.TryGetGpadl(relid, 77, out GpadlView view) && view.Pages.Length == pages && bus.Server.PagesUsed == pages;
            if (refused) return status == ChannelStatus.InvalidParameter && bus.Server.GpadlsUsed == 0 && bus.Server.PagesUsed == 0;
            return status == null && bus.Server.GpadlsUsed == 1 && bus.Log.Pages.Count == 0;
        }, iter: Count(1000));

    [Fact]
    public void Pages_are_placed_where_there_is_room_and_refused_where_not() =>
        Gen.Select(Gen.Bool, Gen.Int[1, 60], Gen.Int[0, 7]).Array[1, 60].Sample(operations =>
        {
            using var bus = new BusFixture(gpadls: 6, pages: 128);
            uint relid = bus.Offer(DeviceClasses.Network);
            bus.Connect();
            var live = new System.Collections.Generic.List<(uint Gpadl, int Pages)>();
            foreach ((bool create, int pages, int which) in operations)
            {
                if (create)
                {
                    uint gpadl = bus.Gpadl(relid, pages);
                    bool made = bus.Client.StateOfGpadl(gpadl) == ClientGpadlState.Created;
                    int used = live.Sum(one => one.Pages);
                    if (made) live.Add((gpadl, pages));
                    else if (live.Count == 0 || (live.Count < 6 && used == 0)) return false;
                    if (made && used + pages > 128) return false;
                }
                else if (live.Count != 0)
                {
                    bus.Client.TeardownGpadl(live[which % live.Count].Gpadl);
                    live.RemoveAt(which % live.Count);
                    bus.Run();
                }
                if (bus.Server.PagesUsed != live.Sum(one => one.Pages) || bus.Server.GpadlsUsed != live.Count) return false;
                foreach ((uint gpadl, int count) in live)
                    if (!bus.Server.TryGetGpadl(relid, gpadl, out GpadlView view) || !view.Pages.SequenceEqual(BusFixture.PageNumbers(count))) return false;
            }
            return bus.Log.Reports == 0;
        }, iter: Count(300));
}
