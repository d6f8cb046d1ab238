// Key-value pairs: reading what Linux says of itself, its daemon's moods, guests that lie, pairs of the host.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Lamina.Drivers.Vsp.Integration;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class KeyValueTests
{
    private const IntegrationService Service = IntegrationService.KeyValuePairs;

    private static Dictionary<string, string> Pairs(IntegrationBench bench)
    {
        var pairs = new Dictionary<string, string>();
        for (uint i = 0; i < bench.Services->KeyValuePairs.Count; i++)
        {
            KeyValueItem* item = bench.Services->KeyValuePairs[i];
            pairs[Encoding.UTF8.GetString(KeyValueItem.KeyOf(item))] = Encoding.UTF8.GetString(KeyValueItem.ValueOf(item));
        }
        return pairs;
    }

    // When readings began.
    private static double[] Readings(IntegrationBench bench) =>
        bench.SentTo(Service, 2).Where(one => one.Body[0] == 3 && BitConverter.ToUInt32(one.Body, 4) == 0).Select(one => one.At).ToArray();

    [Fact]
    public void Reads_all_that_Linux_says_of_itself()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
        Assert.Equal(bench.Guest.Pairs.ToDictionary(pair => pair.Key, pair => pair.Value), Pairs(bench));
        Assert.True(bench.Services->KeyValuePairs.TryGet("OSName"u8, out ReadOnlySpan<byte> name));
        Assert.Equal("Debian GNU/Linux", Encoding.UTF8.GetString(name));
        Assert.False(bench.Services->KeyValuePairs.TryGet("osname"u8, out _));
        Assert.False(bench.Services->KeyValuePairs.IsTruncated);
        Assert.True(bench.Services->KeyValuePairs[10] == null);
        Assert.Equal(11, bench.SentTo(Service, 2).Length);
    }

    [Fact]
    public void Reads_again_soon_after_changes_and_rarely_without()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(1200);
        Assert.Equal([0, 30, 90, 210, 450, 750, 1050], Readings(bench));
        bench.Guest.Pairs[2] = ("NetworkAddressIPv4", "198.51.100.1");
        bench.Advance(185);
        Assert.Equal([1350, 1380], Readings(bench)[7..]);
        Assert.Equal("198.51.100.1", Pairs(bench)["NetworkAddressIPv4"]);
    }

    [Fact]
    public void Pairs_that_are_no_more_go()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Pairs.RemoveRange(4, 6);
        bench.Advance(30);
        Assert.Equal(4u, bench.Services->KeyValuePairs.Count);
        bench.Guest.Pairs.Clear();
        bench.Advance(30);
        Assert.Equal(0u, bench.Services->KeyValuePairs.Count);
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
    }

    [Fact]
    public void Without_its_daemon_Linux_does_not_answer_and_is_waited_for()
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { Daemon = Daemon.Absent });
        bench.Advance(3600);
        Assert.Equal(KeyValueState.NoContact, bench.Services->KeyValuePairs.State);
        Assert.Single(bench.Sent, one => one.Service == Service);
        bench.Guest.Daemon = Daemon.Running;
        bench.Run();
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
    }

    [Fact]
    public void A_daemon_that_hangs_is_a_failure_and_what_is_known_stays()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Daemon = Daemon.Hanging;
        bench.Advance(61);
        Assert.Equal(KeyValueState.Failing, bench.Services->KeyValuePairs.State);
        Assert.Equal(IcStatus.Fail, bench.Services->KeyValuePairs.LastStatus);
        Assert.Equal(10u, bench.Services->KeyValuePairs.Count);
        bench.Guest.Daemon = Daemon.Running;
        bench.Advance(60);
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
    }

    [Fact]
    public void A_daemon_that_goes_away_leaves_one_question_unanswered_until_it_is_back()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Daemon = Daemon.Absent;
        bench.Advance(89);
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
        bench.Advance(1);
        Assert.Equal(KeyValueState.Silent, bench.Services->KeyValuePairs.State);
        bench.Advance(3600);
        Assert.Single(bench.ToGuest[3]);
        bench.Guest.Daemon = Daemon.Running;
        bench.Run();
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
    }

    [Fact]
    public void A_pause_does_not_make_it_silent()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Daemon = Daemon.Absent;
        bench.Advance(80);
        bench.Services->Suspended(bench.Now);
        bench.Advance(1000);
        bench.Services->Resumed(bench.Now);
        bench.Advance(59);
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
        bench.Advance(1);
        Assert.Equal(KeyValueState.Silent, bench.Services->KeyValuePairs.State);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(5u)]
    [InlineData(24u)]
    public void An_endless_row_ends_at_our_memory(uint capacity)
    {
        using var bench = new IntegrationBench(capacity);
        bench.Guest.Pairs = Enumerable.Range(0, 1000).Select(i => ("key" + i, "value")).ToList();
        bench.OpenAll();
        bench.Run();
        Assert.Equal(capacity, bench.Services->KeyValuePairs.Count);
        Assert.True(bench.Services->KeyValuePairs.IsTruncated);
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
        Assert.Equal((int)capacity + 1, bench.SentTo(Service, 2).Length);
        bench.Advance(29);
        Assert.Equal((int)capacity + 1, bench.SentTo(Service, 2).Length);
    }

    [Fact]
    public void Texts_that_do_not_fit_are_cut_between_characters_and_say_so()
    {
        using var bench = new IntegrationBench();
        bench.Guest.Pairs = [(new string('k', 63) + "ä", "v"), ("k", new string('€', 400)), ("ok", new string('v', 512))];
        bench.OpenAll();
        bench.Run();
        Assert.Equal([new string('k', 63), "k", "ok"], Pairs(bench).Keys);
        Assert.Equal(["v", new string('€', 170), new string('v', 512)], Pairs(bench).Values);
        Assert.Equal([true, true, false], Enumerable.Range(0, 3).Select(i => bench.Services->KeyValuePairs[(uint)i]->IsTruncated));
    }

    [Fact]
    public void What_could_steer_a_terminal_is_replaced()
    {
        using var bench = new IntegrationBench();
        bench.Guest.Pairs = [("a\u001b[2J\u009b\u007f\r\n", "x\u202ey\u2066\ufeff\ud800z\udc00\ud83d\ude00")];
        bench.OpenAll();
        bench.Run();
        Assert.Equal(("a?[2J????", "x?y??\ufffdz\ufffd\ud83d\ude00"), (Pairs(bench).Keys.Single(), Pairs(bench).Values.Single()));
    }

    // Waits at the question for the first pair, with a guest that only answers what the test makes it answer.
    private static IntegrationBench Asking()
    {
        var bench = IntegrationBench.Open(new() { Daemon = Daemon.Absent });
        bench.Guest.Alive = false;
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet =>
        {
            packet[28] = packet[30] = 1;
            new byte[] { 3, 0, 0, 0, 4, 0, 0, 0 }.CopyTo(packet, 36);
        }));
        bench.Run();
        return bench;
    }

    [Theory]
    [InlineData(4u, 4u, "305419896")]
    [InlineData(8u, 8u, "1311768467463790320")]
    [InlineData(4u, 2048u, "305419896")]
    [InlineData(4u, 3u, "")]
    [InlineData(8u, 7u, "")]
    [InlineData(2u, 4u, "\u5678\u1234")]
    [InlineData(77u, 2u, "\u5678")]
    public void Numbers_are_shown_as_numbers(uint type, uint size, string expected)
    {
        using IntegrationBench bench = Asking();
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet =>
        {
            LinuxGuest.PutPair(packet, "number", "");
            BitConverter.TryWriteBytes(packet.AsSpan(36), type);
            BitConverter.TryWriteBytes(packet.AsSpan(44), size);
            BitConverter.TryWriteBytes(packet.AsSpan(560), type == 8 ? 0x123456789ABCDEF0 : 0x12345678);
        }));
        Assert.Equal(expected, Pairs(bench)["number"]);
    }

    [Theory]
    [InlineData(40, 513u)]              // key beyond its field
    [InlineData(40, 0xFFFFFFFFu)]
    [InlineData(44, 2049u)]             // value beyond its field
    [InlineData(44, 0x80000000u)]
    [InlineData(40, 0u)]                // no key
    [InlineData(40, 1u)]
    [InlineData(16, 0x0A130004u)]       // a body of one byte less than a pair has
    public void Unusable_pairs_end_the_row(int at, uint value)
    {
        using IntegrationBench bench = Asking();
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet =>
        {
            LinuxGuest.PutPair(packet, "key", "value");
            BitConverter.TryWriteBytes(packet.AsSpan(at), value);
        }));
        Assert.Equal(0u, bench.Services->KeyValuePairs.Count);
        Assert.Equal(KeyValueState.Current, bench.Services->KeyValuePairs.State);
        int sent = bench.Sent.Count;
        bench.Run();
        Assert.Equal(sent, bench.Sent.Count);
    }

    [Fact]
    public void Strings_need_no_terminator_where_their_field_ends()
    {
        using IntegrationBench bench = Asking();
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet =>
        {
            LinuxGuest.PutPair(packet, "key", "");
            packet.AsSpan(560, 2048).Fill((byte)'a');
            BitConverter.TryWriteBytes(packet.AsSpan(44), 2048u);
        }));
        Assert.Equal(new string('\u6161', 170), Pairs(bench)["key"]);
    }

    [Fact]
    public void Answers_that_nobody_waits_for_are_ignored()
    {
        using IntegrationBench bench = Asking();
        byte[] good = bench.AnswerTo(Service, 0, packet => LinuxGuest.PutPair(packet, "key", "value"));
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[24]--));
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[12] = 1));
        Assert.Equal(2u, bench.Services->KeyValuePairs.Ignored);
        bench.Deliver(Service, good);
        bench.Deliver(Service, good);   // before the next question was asked
        bench.Tick();
        bench.Deliver(Service, good);   // and after
        Assert.Equal(4u, bench.Services->KeyValuePairs.Ignored);
        Assert.Equal(1u, bench.Services->KeyValuePairs.Count);
    }

    [Fact]
    public void Host_sets_and_deletes_pairs_in_the_external_pool()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        ref KeyValueService service = ref bench.Services->KeyValuePairs;
        Assert.True(service.TrySet("greeting"u8, "Grüß dich \U0001F600"u8));
        Assert.Equal(KeyValueWrite.Pending, service.LastWrite);
        Assert.False(service.TrySet("other"u8, "value"u8));
        bench.Run();
        Assert.Equal(KeyValueWrite.Done, service.LastWrite);
        Assert.Equal("Grüß dich \U0001F600", bench.Guest.Set[(0, "greeting")]);
        Assert.True(service.TryDelete("greeting"u8));
        bench.Run();
        Assert.Equal(KeyValueWrite.Done, service.LastWrite);
        Assert.Empty(bench.Guest.Set);
        Assert.True(service.TryDelete("greeting"u8));
        bench.Run();
        Assert.Equal((KeyValueWrite.Failed, IcStatus.NoMoreItems), (service.LastWrite, service.LastStatus));
        Assert.Equal(KeyValueState.Current, service.State);
    }

    [Fact]
    public void Pairs_that_cannot_be_sent_are_refused()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        ref KeyValueService service = ref bench.Services->KeyValuePairs;
        Assert.False(service.TrySet(""u8, "value"u8));
        Assert.False(service.TrySet("k\0"u8, "value"u8));
        Assert.False(service.TrySet("k"u8, [0xC0, 0x80]));
        Assert.False(service.TrySet("k"u8, [0xED, 0xA0, 0x80]));
        Assert.False(service.TrySet("k"u8, [0xE2, 0x82]));
        Assert.False(service.TrySet("k"u8, [0xF4, 0x90, 0x80, 0x80]));
        Assert.False(service.TrySet(new byte[256].Select(_ => (byte)'k').ToArray(), "value"u8));
        Assert.False(service.TrySet("k"u8, new byte[1024].Select(_ => (byte)'v').ToArray()));
        Assert.True(service.TrySet(new byte[255].Select(_ => (byte)'k').ToArray(), new byte[1023].Select(_ => (byte)'v').ToArray()));
        bench.Run();
        Assert.Equal(new string('v', 1023), bench.Guest.Set[(0, new string('k', 255))]);
    }

    [Fact]
    public void A_pair_waits_for_the_outstanding_answer_and_fails_with_the_channel()
    {
        using IntegrationBench bench = Asking();
        Assert.True(bench.Services->KeyValuePairs.TrySet("k"u8, "v"u8));
        bench.Run();
        Assert.Single(bench.SentTo(Service, 2));
        bench.Deliver(Service, bench.AnswerTo(Service, IcStatus.NoMoreItems));
        bench.Run();
        Assert.Equal(KvpOperation.Set, bench.SentTo(Service, 2).Last().Body[0]);
        Assert.Equal(KeyValueWrite.Pending, bench.Services->KeyValuePairs.LastWrite);
        bench.CloseAll();
        Assert.Equal(KeyValueWrite.Failed, bench.Services->KeyValuePairs.LastWrite);
        Assert.False(bench.Services->KeyValuePairs.TrySet("k"u8, "v"u8));
    }

    [Fact]
    public void Closing_forgets_the_pairs_and_opening_reads_them_anew()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.CloseAll();
        Assert.Equal((KeyValueState.Closed, 0u), (bench.Services->KeyValuePairs.State, bench.Services->KeyValuePairs.Count));
        Assert.False(bench.Services->KeyValuePairs.TryGet("OSName"u8, out _));
        bench.Advance(100);
        bench.Guest.Pairs = [("OSName", "another")];
        bench.OpenAll();
        bench.Run();
        Assert.Equal("another", Pairs(bench).Single().Value);
    }

    [Fact]
    public void A_full_ring_delays_questions()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Room = 2000;
        bench.Advance(40);
        Assert.Equal(11, bench.SentTo(Service, 2).Length);
        bench.Room = int.MaxValue;
        bench.Tick();
        Assert.Equal(12, bench.SentTo(Service, 2).Length);
    }
}
