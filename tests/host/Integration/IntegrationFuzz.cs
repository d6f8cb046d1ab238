// Guests that do anything in any order: well-formed answers, mutated ones, random bytes, floods, silence. LAMINA_FUZZ=N runs them N times as long.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using CsCheck;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Tests.Host.VMBus;
using Lamina.Text;
using Lamina.VMBus;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class IntegrationFuzz
{
    // One step: kinds 0–5 what a guest sends, 6–9 what else happens to its channels, 10–15 what the host does meanwhile.
    private static readonly Gen<(int Kind, int Service, uint A, uint B, byte[] Bytes)> Step =
        Gen.Select(Gen.Int[0, 15], Gen.Int[0, 3], VMBusFuzz.Value, Gen.OneOf(Gen.UInt[0, 60], VMBusFuzz.Value), Gen.Byte.Array[0, 300]);

    [Fact]
    public void No_guest_crashes_the_services_or_makes_them_hasty() =>
        Gen.Select(Step.Array[1, 80], Gen.UInt[0, 12]).Sample((steps, items) =>
        {
            using var bench = new IntegrationBench(items);
            bench.OpenAll();
            if (items % 2 == 0) bench.Run();
            foreach (var step in steps)
            {
                Perform(bench, step);
                bench.Tick();   // checks that it is not due again at once, sends at most two messages a channel, writes nothing beyond the items
                if (!Holds(bench)) return false;
            }
            return Recovers(bench);
        }, iter: VMBusFuzz.Count(2000));

    private static void Perform(IntegrationBench bench, (int Kind, int Service, uint A, uint B, byte[] Bytes) step)
    {
        (int kind, int number, uint a, uint b, byte[] bytes) = step;
        var service = (IntegrationService)number;
        bool asked = bench.Sent.Any(one => one.Service == service);
        switch (kind)
        {
            case 0 or 1: if (asked) bench.Deliver(service, bench.AnswerTo(service, b % 3 == 0 ? a : 0, packet => Mutate(packet, a, b, bytes, b % 4))); break;
            case 2: if (asked) Deliver(bench, service, bench.AnswerTo(service, 0, packet => Mutate(packet, a, b, bytes, 1)), a % 2700); break;
            case 3: bench.Deliver(service, bytes); break;
            case 4 or 5: bench.Guest.Daemon = b % 5 == 0 ? (Daemon)(a % 3) : Daemon.Running; bench.Run(); break;
            case 6: bench.Services->Closed(service); bench.ToGuest[number].Clear(); break;
            case 7 or 8: bench.ToGuest[number].Clear(); bench.Services->Opened(service, bench.Now); break;
            case 9: bench.Guest.Pairs = bytes.Chunk(8).Select(one => (Encoding.Latin1.GetString(one), new string((char)(a % 0xD000 + 1), (int)(b % 1500)))).ToList(); break;
            case 10 or 11: bench.Now += (b % 200) * IntegrationBench.Second; break;
            case 12: bench.Room = b % 3 == 0 ? int.MaxValue : (int)(b % 9000); break;
            case 13: if (b % 2 == 0) bench.Services->Suspended(bench.Now); else bench.Services->Resumed(bench.Now); break;
            case 14:
                var request = new ShutdownRequest { Kind = (ShutdownKind)(a % 4), Reason = b, Patience = a * 1000ul };
                if (b % 5 == 0) bench.Services->Shutdown.Forget();
                else bench.Services->Shutdown.TryRequest(in request, bench.Now);
                break;
            case 15:
                if (b % 3 == 0) bench.Services->KeyValuePairs.TryDelete(bytes);
                else bench.Services->KeyValuePairs.TrySet(Encoding.UTF8.GetBytes("key" + a), bytes.AsSpan(0, bytes.Length / 2));
                break;
        }
    }

    private static void Deliver(IntegrationBench bench, IntegrationService service, byte[] packet, uint length) =>
        bench.Deliver(service, packet.AsSpan(0, (int)Math.Min(length, (uint)packet.Length)));

    // Numbers put where lengths, counts and versions are; few of them, so that most of the message stays what it was.
    private static void Mutate(byte[] packet, uint a, uint b, byte[] bytes, uint changes)
    {
        for (uint i = 0; i < changes; i++)
        {
            int at = (int)((b + i * 7) % 56);
            if (at + 4 > packet.Length) continue;
            if (i % 2 == 0) BitConverter.TryWriteBytes(packet.AsSpan(at), a);
            else packet[at] = (byte)a;
        }
        if (changes == 3) bytes.AsSpan(0, Math.Min(bytes.Length, Math.Max(0, packet.Length - 48))).CopyTo(packet.AsSpan(Math.Min(48, packet.Length)));
    }

    private static bool Holds(IntegrationBench bench)
    {
        ref KeyValueService pairs = ref bench.Services->KeyValuePairs;
        if (pairs.Count > bench.ItemCount || pairs[pairs.Count] != null) return false;
        for (uint i = 0; i < pairs.Count; i++)
            if (KeyValueItem.KeyOf(pairs[i]).Length == 0 || !IsShowable(KeyValueItem.KeyOf(pairs[i])) || !IsShowable(KeyValueItem.ValueOf(pairs[i]))) return false;
        byte* buffer = stackalloc byte[400];
        var line = new TextWriter(buffer, 400);
        bench.Services->Heartbeat.AppendTo(ref line, bench.Now);
        bench.Services->Shutdown.AppendTo(ref line);
        bench.Services->TimeSynchronization.AppendTo(ref line, bench.Now);
        pairs.AppendTo(ref line);
        pairs.AppendSystemTo(ref line);
        pairs.AppendAddressesTo(ref line);
        foreach (byte one in line.Written) if (one is < 0x20 or >= 0x7F) return false;
        return bench.Services->Heartbeat.State == HeartbeatState.NoContact || bench.Services->Heartbeat.Channel == ServiceState.Ready;
    }

    private static bool IsShowable(ReadOnlySpan<byte> utf8)
    {
        string text = new UTF8Encoding(false, true).GetString(utf8);
        return !text.Any(char.IsControl);
    }

    // Whatever went before: a Linux that opens its channels is served, and its shutdown works.
    private static bool Recovers(IntegrationBench bench)
    {
        bench.Room = int.MaxValue;
        bench.Guest = new LinuxGuest();
        bench.Services->Resumed(bench.Now);
        bench.OpenAll();
        bench.Services->Shutdown.Forget();
        bench.Run();
        ShutdownRequest request = ShutdownRequest.For(ShutdownKind.PowerOff);
        bool asked = bench.Services->Shutdown.TryRequest(in request, bench.Now);
        bench.Advance(31);
        return asked && bench.Services->Shutdown.Phase == ShutdownPhase.Accepted && bench.Services->Heartbeat.State == HeartbeatState.Ok &&
            bench.Guest.Times.Count == 7 && bench.Guest.Times[0].Flags == TimeSyncFlags.Sync &&
            bench.Services->KeyValuePairs.State == KeyValueState.Current && bench.Services->KeyValuePairs.Count == Math.Min(bench.ItemCount, 10);
    }

    /// <summary>However it answers: a guest cannot make us send more than the intervals allow, nor fill its own ring when it falls silent.</summary>
    [Fact]
    public void What_is_sent_is_bounded_by_time() =>
        Gen.Select(Gen.Int[0, 3], Gen.UInt[0, 2], Gen.Double[0, 20]).Array[1, 60].Sample(steps =>
        {
            using IntegrationBench bench = IntegrationBench.Open();
            bench.Guest.Alive = false;
            ulong start = bench.Now;
            int before = bench.Sent.Count;
            foreach ((int number, uint status, double seconds) in steps)
            {
                var service = (IntegrationService)number;
                byte[] answer = bench.AnswerTo(service, status == 2 ? IcStatus.Fail : 0, packet => { if (number == 3) LinuxGuest.PutPair(packet, "key", seconds.ToString()); });
                for (int i = 0; i < 20; i++) bench.Deliver(service, answer);
                bench.Advance(seconds);
            }
            double passed = (bench.Now - start) / (double)IntegrationBench.Second;
            int readings = (int)(passed / 30) + 1;
            return bench.Sent.Count - before <= passed / 2 + 1 + passed / 5 + 1 + readings * (KeyValueService.UsualItemCount + 1);
        }, iter: VMBusFuzz.Count(500));

    [Fact]
    public void Silence_of_an_hour_leaves_little_in_the_rings() =>
        Gen.Double[0, 200].Sample(seconds =>
        {
            using IntegrationBench bench = IntegrationBench.Open();
            bench.Advance(seconds);
            bench.Guest.Alive = false;
            bench.Advance(3600);
            int[] waiting = bench.ToGuest.Select(queue => queue.Sum(packet => packet.Length + 24)).ToArray();
            return waiting[0] <= 130 * 104 && waiting[1] == 0 && waiting[2] <= 70 * 80 && waiting[3] <= 2632;
        }, iter: VMBusFuzz.Count(20));

    // UTF-16 of any kind against .NET's own reading of it.
    private static readonly Gen<char> Unit = Gen.OneOf(Gen.Char['\u0001', '\u007e'], Gen.Char['\u0001', '\uffff'], Gen.Char['\ud7f0', '\ue010'], Gen.Const('\0'));

    [Fact]
    public void Text_of_guests_is_what_NET_reads_in_it() =>
        Gen.Select(Unit.Array[0, 100], Gen.Int[0, 1], Gen.Int[0, 400]).Sample((units, odd, capacity) =>
        {
            byte[] bytes = [.. units.SelectMany(unit => BitConverter.GetBytes(unit)), .. new byte[odd]];
            byte[] target = new byte[capacity + 1];
            target[capacity] = 0xA5;
            int length;
            bool cut;
            fixed (byte* source = bytes.Concat(new byte[1]).ToArray(), destination = target)
                length = GuestText.ToUtf8(source, (uint)bytes.Length, destination, capacity, out cut);
            string text = new(units.TakeWhile(unit => unit != 0).ToArray());
            var expected = new List<byte>();
            bool fits = true;
            foreach (Rune rune in text.EnumerateRunes())
            {
                byte[] one = Encoding.UTF8.GetBytes((IsHidden(rune) ? new Rune('?') : rune).ToString());
                if (!(fits = expected.Count + one.Length <= capacity)) break;
                expected.AddRange(one);
            }
            return cut == !fits && target[capacity] == 0xA5 && target.AsSpan(0, length).SequenceEqual(expected.ToArray());
        }, iter: VMBusFuzz.Count(2000));

    private static bool IsHidden(Rune rune) => Rune.IsControl(rune) || rune.Value is 0xAD or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or
        (>= 0x202A and <= 0x202E) or (>= 0x2060 and <= 0x206F) or 0xFEFF or (>= 0xFFF9 and <= 0xFFFB) or (>= 0xE0000 and <= 0xE0FFF);

    [Fact]
    public void Text_for_guests_is_what_NET_makes_of_it() =>
        Gen.Select(Gen.OneOf(Gen.String.Select(text => Encoding.UTF8.GetBytes(text)), Gen.Byte.Array[0, 40], Gen.OneOf(Gen.Byte[0x80, 0xC3], Gen.Byte[0xE0, 0xF5], Gen.Byte[1, 0x7F]).Array[0, 12]), Gen.Int[0, 120]).Sample((bytes, capacity) =>
        {
            byte[] target = new byte[capacity + 1];
            target[capacity] = 0xA5;
            bool made;
            uint size;
            fixed (byte* destination = target) made = GuestText.TryToUtf16(bytes, destination, capacity, out size);
            string text = null;
            try { text = new UTF8Encoding(false, true).GetString(bytes); } catch (DecoderFallbackException) { }
            bool expected = text != null && !text.Contains('\0') && (text.Length + 1) * 2 <= capacity;
            return target[capacity] == 0xA5 && made == expected && (!made || (size == (text.Length + 1) * 2 && Encoding.Unicode.GetString(target, 0, (int)size) == text + "\0"));
        }, iter: VMBusFuzz.Count(2000));
}
