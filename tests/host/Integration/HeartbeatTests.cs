// Heartbeat: its beat, and what is said of a guest that falls silent.

using System;
using System.Linq;
using Lamina.Drivers.Vsp.Integration;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class HeartbeatTests
{
    private const IntegrationService Service = IntegrationService.Heartbeat;

    [Fact]
    public void Beats_every_two_seconds_with_rising_numbers()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        Assert.Equal(HeartbeatState.Ok, bench.Services->Heartbeat.State);
        bench.Advance(60);
        Assert.Equal(Enumerable.Range(0, 31).Select(i => i * 2.0), bench.SentTo(Service, 1).Select(one => one.At));
        Assert.Equal(Enumerable.Range(0, 31).Select(i => (ulong)i), bench.Guest.Sequence);
        Assert.Equal(bench.Now, bench.Services->Heartbeat.LastAnswer);
    }

    [Fact]
    public void A_guest_that_never_answered_is_not_called_lost()
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { Alive = false });
        bench.Advance(100);
        Assert.Equal(HeartbeatState.NoContact, bench.Services->Heartbeat.State);
        Assert.Equal(ServiceState.Negotiating, bench.Services->Heartbeat.Channel);
        Assert.Single(bench.Sent, one => one.Service == Service);
    }

    [Fact]
    public void Is_lost_ten_seconds_after_the_first_unanswered_beat_and_found_again()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(1);
        bench.Guest.Alive = false;
        bench.Advance(10.9);
        Assert.Equal(HeartbeatState.Ok, bench.Services->Heartbeat.State);
        bench.Advance(0.1);
        Assert.Equal(HeartbeatState.LostCommunication, bench.Services->Heartbeat.State);
        bench.Advance(600);
        // From then on every thirty seconds: its ring does not fill up.
        Assert.Equal([0, 2, 4, 6, 8, 10, 12, 42, 72], bench.SentTo(Service, 1).Take(9).Select(one => one.At));
        Assert.Equal(27, bench.SentTo(Service, 1).Length);
        bench.Guest.Alive = true;
        bench.Advance(0);
        Assert.Equal(HeartbeatState.Ok, bench.Services->Heartbeat.State);
        bench.Advance(10);
        Assert.Equal(5, bench.SentTo(Service, 1).Length - 27);
    }

    [Fact]
    public void Failures_are_told_and_applications_known()
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { ApplicationState = ApplicationState.Critical });
        Assert.Equal(ApplicationState.Critical, bench.Services->Heartbeat.ApplicationState);
        bench.Deliver(Service, bench.AnswerTo(Service, 0x80004005));
        Assert.Equal(HeartbeatState.Error, bench.Services->Heartbeat.State);
        Assert.Equal(0x80004005, bench.Services->Heartbeat.LastStatus);
        Assert.Equal(ApplicationState.Unknown, bench.Services->Heartbeat.ApplicationState);
        bench.Guest.Alive = false;
        bench.Advance(13);
        Assert.Equal(HeartbeatState.LostCommunication, bench.Services->Heartbeat.State);
    }

    [Fact]
    public void An_answer_may_end_after_the_number_but_not_before()
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { Versions = [[0x10000], [0x10000], [0x10000], [0x10000]] });
        bench.Advance(1);
        uint ignored = bench.Services->Heartbeat.Ignored;
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[18] = 8));
        Assert.Equal(bench.Now, bench.Services->Heartbeat.LastAnswer);
        bench.Advance(0.5);
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[18] = 7));
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[12] = 4));
        Assert.NotEqual(bench.Now, bench.Services->Heartbeat.LastAnswer);
        Assert.Equal(ignored + 2, bench.Services->Heartbeat.Ignored);
    }

    [Fact]
    public void Flood_of_answers_does_not_hurry_us()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        byte[] answer = bench.AnswerTo(Service);
        for (int i = 0; i < 100; i++)
        {
            bench.Advance(0.1);
            bench.Deliver(Service, answer);
        }
        Assert.Equal(6, bench.SentTo(Service, 1).Length);
    }

    [Fact]
    public void A_full_ring_holds_one_beat_back()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Room = 0;
        bench.Advance(9);
        Assert.Single(bench.SentTo(Service, 1));
        bench.Room = int.MaxValue;
        bench.Tick();   // there is room, says the ring: at once, not when the timer says so
        Assert.Equal([0, 9], bench.SentTo(Service, 1).Select(one => one.At));
        bench.Room = 0;
        bench.Advance(20);
        Assert.Equal(HeartbeatState.LostCommunication, bench.Services->Heartbeat.State);
    }

    [Fact]
    public void A_pause_is_not_the_guests_fault()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(3);
        bench.Guest.Alive = false;
        bench.Services->Suspended(bench.Now);
        bench.Advance(500);
        Assert.Equal(IntegrationClock.Never, bench.Deadline);
        Assert.Equal(2, bench.SentTo(Service, 1).Length);
        bench.Services->Resumed(bench.Now);
        bench.Advance(5);
        Assert.Equal(HeartbeatState.Ok, bench.Services->Heartbeat.State);
        bench.Advance(6);
        Assert.Equal(HeartbeatState.LostCommunication, bench.Services->Heartbeat.State);
    }

    [Fact]
    public void Closing_forgets_the_contact()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.CloseAll();
        Assert.Equal(HeartbeatState.NoContact, bench.Services->Heartbeat.State);
        bench.Advance(100);
        Assert.Single(bench.SentTo(Service, 1));
    }
}
