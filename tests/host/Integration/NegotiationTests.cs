// What the services have in common: versions, numbers, checks of form.

using System;
using System.Linq;
using Lamina.Drivers.Vsp.Integration;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class NegotiationTests
{
    private static ServiceState StateOf(IntegrationBench bench, IntegrationService service) => service switch
    {
        IntegrationService.Heartbeat => bench.Services->Heartbeat.Channel,
        IntegrationService.Shutdown => bench.Services->Shutdown.Channel,
        IntegrationService.TimeSynchronization => bench.Services->TimeSynchronization.Channel,
        _ => bench.Services->KeyValuePairs.Channel,
    };

    private static IcVersion VersionOf(IntegrationBench bench, IntegrationService service) => service switch
    {
        IntegrationService.Heartbeat => bench.Services->Heartbeat.Version,
        IntegrationService.Shutdown => bench.Services->Shutdown.Version,
        IntegrationService.TimeSynchronization => bench.Services->TimeSynchronization.Version,
        _ => bench.Services->KeyValuePairs.Version,
    };

    private static uint IgnoredBy(IntegrationBench bench, IntegrationService service) => service switch
    {
        IntegrationService.Heartbeat => bench.Services->Heartbeat.Ignored,
        IntegrationService.Shutdown => bench.Services->Shutdown.Ignored,
        IntegrationService.TimeSynchronization => bench.Services->TimeSynchronization.Ignored,
        _ => bench.Services->KeyValuePairs.Ignored,
    };

    public static TheoryData<IntegrationService> Services => new(IntegrationBench.All);

    [Theory]
    [InlineData(IntegrationService.Heartbeat, 3, 0)]
    [InlineData(IntegrationService.Shutdown, 3, 2)]
    [InlineData(IntegrationService.TimeSynchronization, 4, 0)]
    [InlineData(IntegrationService.KeyValuePairs, 4, 0)]
    public void A_Linux_of_today_gets_the_highest_version(IntegrationService service, int major, int minor)
    {
        using IntegrationBench bench = IntegrationBench.Open();
        Assert.Equal(ServiceState.Ready, StateOf(bench, service));
        Assert.True(VersionOf(bench, service).Matches(new((ushort)major, (ushort)minor)));
        // The versions agreed upon are in every later message.
        byte[] later = bench.Sent.First(one => one.Service == service && BitConverter.ToUInt16(one.Message, 12) != 0 || (service == IntegrationService.Shutdown && one.Service == service)).Message;
        if (service != IntegrationService.Shutdown) Assert.Equal(new[] { 3, 0, major, minor }, new[] { 8, 10, 14, 16 }.Select(at => (int)BitConverter.ToUInt16(later, at)));
    }

    [Fact]
    public void Nothing_is_sent_before_the_first_tick_and_then_the_lists_of_versions()
    {
        using var bench = new IntegrationBench();
        bench.Tick();
        bench.OpenAll();
        Assert.Empty(bench.Sent);
        bench.Tick();
        Assert.Equal(4, bench.Sent.Count);
        byte[] message = bench.Sent[1].Message;
        Assert.Equal(8 + 20 + 8 + (2 + 4) * 4, message.Length);
        Assert.Equal("0100000034000000" + "00000000" + "0000" + "00000000" + "2000" + "00000000" + "01030000" + "0200040000000000" +
            "01000000" + "03000000" + "01000000" + "03000000" + "03000100" + "03000200", Convert.ToHexString(message), ignoreCase: true);
    }

    [Fact]
    public void An_old_guest_gets_the_first_versions()
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { Framework = [0x10000], Versions = [[0x10000], [0x10000], [0x10000], [0x10000]] });
        foreach (IntegrationService service in IntegrationBench.All) Assert.True(VersionOf(bench, service).Matches(new(1, 0)));
    }

    [Theory]
    [MemberData(nameof(Services))]
    public void A_guest_that_takes_none_of_our_versions_hears_no_more_of_us(IntegrationService service)
    {
        var guest = new LinuxGuest();
        guest.Versions[(int)service] = [0x70000];
        using IntegrationBench bench = IntegrationBench.Open(guest);
        Assert.Equal(ServiceState.Incompatible, StateOf(bench, service));
        bench.Advance(1000);
        Assert.Single(bench.Sent, one => one.Service == service);
        // Until it opens the channel anew.
        guest.Versions[(int)service] = [0x10000];
        bench.Services->Opened(service, bench.Now);
        bench.Run();
        Assert.Equal(ServiceState.Ready, StateOf(bench, service));
    }

    [Theory]
    [MemberData(nameof(Services))]
    public void Only_a_version_that_was_offered_is_agreed_upon(IntegrationService service)
    {
        foreach (ushort[] versions in new ushort[][] { [9, 0, 3, 0], [3, 0, 9, 9], [3, 0, 3, 7], [0, 0, 0, 0] })
        {
            using var bench = new IntegrationBench();
            bench.OpenAll();
            bench.Tick();
            bench.Deliver(service, bench.AnswerTo(service, 0, packet =>
            {
                BitConverter.TryWriteBytes(packet.AsSpan(28), 0x00010001u);
                for (int i = 0; i < 4; i++) BitConverter.TryWriteBytes(packet.AsSpan(36 + i * 2), versions[i]);
            }));
            Assert.Equal(ServiceState.Incompatible, StateOf(bench, service));
        }
    }

    [Theory]
    [MemberData(nameof(Services))]
    public void Packets_without_form_change_nothing(IntegrationService service)
    {
        using var bench = new IntegrationBench();
        bench.OpenAll();
        bench.Tick();
        byte[] good = bench.AnswerTo(service, 0, packet => { packet[28] = 1; packet[30] = 1; PutVersions(packet); });
        byte[][] bad =
        [
            [], good[..7], good[..8], good[..27],
            Changed(good, 0, 2),            // not data
            Changed(good, 4, 19),           // shorter than its header
            Changed(good, 4, 200),          // longer than its packet
            Changed(good, 7, 0x80),
            Changed(good, 19, 1),           // body longer than the message
            Changed(good, 25, 3),           // a request
            Changed(good, 24, good[24] + 1),// to nothing that was asked
        ];
        foreach (byte[] packet in bad) bench.Deliver(service, packet);
        Assert.Equal(ServiceState.Negotiating, StateOf(bench, service));
        Assert.Equal((uint)bad.Length, IgnoredBy(bench, service));
        bench.Deliver(service, good);
        Assert.Equal(ServiceState.Ready, StateOf(bench, service));
        bench.Deliver(service, good);
        Assert.Equal((uint)bad.Length + 1, IgnoredBy(bench, service));
        Assert.Equal(ServiceState.Ready, StateOf(bench, service));
    }

    private static void PutVersions(byte[] packet) => new byte[] { 3, 0, 0, 0, 3, 0, 0, 0 }.CopyTo(packet, 36);

    private static byte[] Changed(byte[] packet, int at, int value)
    {
        byte[] changed = packet.ToArray();
        changed[at] = (byte)value;
        return changed;
    }

    [Theory]
    [MemberData(nameof(Services))]
    public void An_answer_to_versions_that_fails_or_is_short_is_a_refusal(IntegrationService service)
    {
        foreach ((uint status, ushort size) in new (uint, ushort)[] { (0x80004005, 16), (0, 15), (0, 7), (0, 12) })
        {
            using var bench = new IntegrationBench();
            bench.OpenAll();
            bench.Tick();
            bench.Deliver(service, bench.AnswerTo(service, status, packet =>
            {
                packet[28] = packet[30] = 1;
                PutVersions(packet);
                BitConverter.TryWriteBytes(packet.AsSpan(18), size);
            }));
            Assert.Equal(ServiceState.Incompatible, StateOf(bench, service));
        }
    }

    [Theory]
    [MemberData(nameof(Services))]
    public void A_full_ring_delays_the_question_for_versions(IntegrationService service)
    {
        using var bench = new IntegrationBench { Room = 40 };
        bench.Services->Opened(service, bench.Now);
        bench.Run();
        Assert.Empty(bench.Sent);
        Assert.Equal(bench.Now + IntegrationBench.Second, bench.Deadline);
        bench.Room = int.MaxValue;
        bench.Run();
        Assert.Equal(ServiceState.Ready, StateOf(bench, service));
    }

    [Fact]
    public void Packets_on_closed_channels_and_of_unknown_services_change_nothing()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        byte[] answer = bench.AnswerTo(IntegrationService.Heartbeat);
        bench.CloseAll();
        foreach (IntegrationService service in IntegrationBench.All)
        {
            bench.Deliver(service, answer);
            Assert.Equal(ServiceState.Closed, StateOf(bench, service));
        }
        bench.Services->Opened((IntegrationService)9, bench.Now);
        bench.Services->Closed((IntegrationService)9);
        bench.Deliver((IntegrationService)9, answer);
        bench.Tick();
        Assert.Equal(IntegrationClock.Never, bench.Deadline);
    }

    [Fact]
    public void Numbers_of_requests_go_round_without_zero()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(600);
        byte[] numbers = bench.Sent.Where(one => one.Service == IntegrationService.Heartbeat).Select(one => one.Message[24]).ToArray();
        Assert.True(numbers.Length > 256);
        for (int i = 0; i < numbers.Length; i++) Assert.Equal(i % 255 + 1, numbers[i]);
    }
}
