// Time synchronisation: which time is told when, in the form that the version has.

using System;
using System.Linq;
using Lamina.Drivers.Vsp.Integration;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class TimeSynchronizationTests
{
    private const IntegrationService Service = IntegrationService.TimeSynchronization;
    private const byte Sync = 1, Sample = 2;

    // 1 January 1601 to 1 January 1970 by .NET's calendar.
    private static readonly ulong From1601 = (ulong)(DateTime.UnixEpoch - new DateTime(1601, 1, 1)).Ticks;

    [Fact]
    public void Sync_comes_first_then_a_sample_every_five_seconds()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(60);
        Assert.Equal(Enumerable.Range(0, 13).Select(i => i * 5.0), bench.SentTo(Service, 4).Select(one => one.At));
        Assert.Equal([Sync, .. Enumerable.Repeat(Sample, 12)], bench.Guest.Times.Select(time => time.Flags));
        HostTime first = new() { UnixTime = bench.UnixTime + 1000 * IntegrationBench.Second, ReferenceTime = bench.ReferenceTime + 1000 * IntegrationBench.Second };
        Assert.Equal((first.UnixTime + From1601, first.ReferenceTime), (bench.Guest.Times[0].Time, bench.Guest.Times[0].Reference));
        Assert.Equal((1ul, 12ul, 13ul), (bench.Services->TimeSynchronization.Syncs, bench.Services->TimeSynchronization.Samples, bench.Services->TimeSynchronization.Answers));
        Assert.Equal(1000 * IntegrationBench.Second, bench.Services->TimeSynchronization.LastSync);
    }

    [Theory]
    [InlineData(0x30000u)]
    [InlineData(0x10000u)]
    public void Older_versions_have_no_reference_time(uint version)
    {
        var guest = new LinuxGuest();
        guest.Versions[2] = [version];
        using IntegrationBench bench = IntegrationBench.Open(guest);
        byte[] body = bench.SentTo(Service, 4).Single().Body;
        Assert.Equal(32, body.Length);
        Assert.Equal(bench.UnixTime + bench.Now + From1601, BitConverter.ToUInt64(body));
        Assert.Equal(Sync, body[24]);
        Assert.Equal(1, body.Skip(8).Count(value => value != 0));
        Assert.Equal(Sync, bench.Guest.Times.Single().Flags);
    }

    [Fact]
    public void A_resumed_guest_is_told_to_set_its_clock_at_once()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(7);
        bench.Services->Suspended(bench.Now);
        bench.Advance(1000);
        Assert.Equal(2, bench.Guest.Times.Count);
        bench.Services->Resumed(bench.Now);
        bench.Advance(5);
        Assert.Equal([Sync, Sample, Sync, Sample], bench.Guest.Times.Select(time => time.Flags));
        Assert.Equal([0, 5, 1007, 1012], bench.SentTo(Service, 4).Select(one => one.At));
    }

    [Fact]
    public void A_sync_that_found_the_ring_full_stays_a_sync_and_tells_the_time_at_which_it_leaves()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(7);
        bench.Services->Suspended(bench.Now);
        bench.Services->Resumed(bench.Now);
        bench.Room = 0;
        bench.Advance(9.5);
        Assert.Equal(2, bench.Guest.Times.Count);
        bench.Room = int.MaxValue;
        bench.Run();
        Assert.Equal((bench.UnixTime + bench.Now + From1601, bench.ReferenceTime + bench.Now, Sync), bench.Guest.Times[2]);
    }

    [Fact]
    public void A_guest_that_hangs_finds_few_samples()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Alive = false;
        bench.Advance(600);
        Assert.Equal([0, 5, 10, 15, 20, 25, 30, 35, 95], bench.SentTo(Service, 4).Take(9).Select(one => one.At));
        bench.Guest.Alive = true;
        int before = bench.Sent.Count(one => one.Service == Service);
        bench.Advance(20);
        Assert.Equal(4, bench.Sent.Count(one => one.Service == Service) - before);
    }

    [Fact]
    public void Answers_are_counted_with_their_status_and_others_ignored()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Deliver(Service, bench.AnswerTo(Service, IcStatus.Fail));
        Assert.Equal(IcStatus.Fail, bench.Services->TimeSynchronization.LastStatus);
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[12] = 2));
        Assert.Equal((2ul, 1u), (bench.Services->TimeSynchronization.Answers, bench.Services->TimeSynchronization.Ignored));
    }
}
