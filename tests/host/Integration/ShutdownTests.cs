// Shutdown: what is asked, what the guest says, and every way in which it can end.

using System;
using System.Linq;
using Lamina.Drivers.Vsp.Integration;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class ShutdownTests
{
    private const IntegrationService Service = IntegrationService.Shutdown;

    private static bool Ask(IntegrationBench bench, ShutdownKind kind = ShutdownKind.PowerOff, bool force = false)
    {
        ShutdownRequest request = ShutdownRequest.For(kind);
        request.Force = force;
        return bench.Services->Shutdown.TryRequest(in request, bench.Now);
    }

    [Theory]
    [InlineData(ShutdownKind.PowerOff, false, 0u)]
    [InlineData(ShutdownKind.PowerOff, true, 1u)]
    [InlineData(ShutdownKind.Restart, false, 2u)]
    [InlineData(ShutdownKind.Restart, true, 3u)]
    [InlineData(ShutdownKind.Hibernate, false, 4u)]
    public void Guest_is_asked_once_and_accepts(ShutdownKind kind, bool force, uint flags)
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { Hibernates = true });
        Assert.True(Ask(bench, kind, force));
        Assert.Equal(ShutdownPhase.Asked, bench.Services->Shutdown.Phase);
        bench.Run();
        Assert.Equal(ShutdownPhase.Accepted, bench.Services->Shutdown.Phase);
        Assert.Equal([flags], bench.Guest.ShutdownFlags);
        byte[] body = bench.SentTo(Service, 3).Single().Body;
        Assert.Equal(ShutdownReason.Planned, BitConverter.ToUInt32(body));
        Assert.Equal(60u, BitConverter.ToUInt32(body, 4));
        Assert.All(body.Skip(12), value => Assert.Equal(0, value));
        Assert.False(Ask(bench));
        Assert.True(bench.Services->Shutdown.IsPending);
    }

    [Fact]
    public void Refusal_is_told_and_another_request_is_possible()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        Ask(bench, ShutdownKind.Hibernate);
        bench.Run();
        Assert.Equal(ShutdownPhase.Refused, bench.Services->Shutdown.Phase);
        Assert.Equal(IcStatus.Fail, bench.Services->Shutdown.Status);
        Assert.True(Ask(bench));
        Assert.Equal(0u, bench.Services->Shutdown.Status);
        bench.Run();
        Assert.Equal(ShutdownPhase.Accepted, bench.Services->Shutdown.Phase);
    }

    [Fact]
    public void Guest_that_powers_off_closes_its_channels_and_is_waited_for()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        Ask(bench);
        bench.Advance(3);
        bench.CloseAll();
        bench.Advance(56.9);
        Assert.Equal(ShutdownPhase.Accepted, bench.Services->Shutdown.Phase);
        bench.Advance(0.1);
        Assert.Equal(ShutdownPhase.Expired, bench.Services->Shutdown.Phase);
        Assert.False(bench.Services->Shutdown.IsPending);
    }

    [Fact]
    public void Silent_guest_expires_after_a_minute_not_counting_pauses()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Alive = false;
        Ask(bench);
        bench.Advance(30);
        bench.Services->Suspended(bench.Now);
        bench.Advance(100);
        bench.Services->Resumed(bench.Now);
        bench.Advance(29);
        Assert.Equal(ShutdownPhase.Asked, bench.Services->Shutdown.Phase);
        bench.Advance(1);
        Assert.Equal(ShutdownPhase.Expired, bench.Services->Shutdown.Phase);
        Assert.Single(bench.SentTo(Service, 3));
        // Too late.
        bench.Guest.Alive = true;
        bench.Run();
        Assert.Equal(ShutdownPhase.Expired, bench.Services->Shutdown.Phase);
        bench.Services->Shutdown.Forget();
        Assert.Equal(ShutdownPhase.None, bench.Services->Shutdown.Phase);
    }

    [Fact]
    public void Closing_before_the_answer_abandons_and_opening_anew_ends_a_request()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Alive = false;
        Ask(bench);
        bench.Run();
        bench.CloseAll();
        Assert.Equal(ShutdownPhase.Abandoned, bench.Services->Shutdown.Phase);
        bench.Guest.Alive = true;
        bench.OpenAll();
        bench.Run();
        Ask(bench, ShutdownKind.Restart);
        bench.Run();
        bench.CloseAll();
        bench.Advance(20);
        bench.OpenAll();
        Assert.Equal(ShutdownPhase.Restarted, bench.Services->Shutdown.Phase);
        bench.Run();
        Assert.True(Ask(bench));
    }

    [Fact]
    public void Who_does_not_listen_is_not_asked()
    {
        using var bench = new IntegrationBench();
        Assert.False(Ask(bench));
        bench.OpenAll();
        bench.Tick();
        Assert.False(Ask(bench));
        bench.Run();
        Assert.True(Ask(bench));
    }

    [Fact]
    public void Only_the_answer_to_the_request_counts()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Alive = false;
        byte[] early = bench.AnswerTo(Service, 0, packet => packet[12] = 3);
        bench.Deliver(Service, early);
        Ask(bench);
        bench.Deliver(Service, early);
        bench.Run();
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[24]++));
        bench.Deliver(Service, bench.AnswerTo(Service, 0, packet => packet[12] = 1));
        Assert.Equal(ShutdownPhase.Asked, bench.Services->Shutdown.Phase);
        Assert.Equal(4u, bench.Services->Shutdown.Ignored);
        bench.Deliver(Service, bench.AnswerTo(Service, 0x12345678));
        Assert.Equal(ShutdownPhase.Refused, bench.Services->Shutdown.Phase);
        Assert.Equal(0x12345678u, bench.Services->Shutdown.Status);
    }

    [Fact]
    public void A_full_ring_delays_the_request_within_its_time()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Room = 1000;
        Ask(bench);
        bench.Advance(10);
        Assert.Empty(bench.Guest.ShutdownFlags);
        bench.Room = int.MaxValue;
        bench.Advance(1);
        Assert.Equal(ShutdownPhase.Accepted, bench.Services->Shutdown.Phase);
        bench.Advance(49);
        Assert.Equal(ShutdownPhase.Expired, bench.Services->Shutdown.Phase);
    }

    [Fact]
    public void Endless_patience_and_none_are_possible()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Alive = false;
        var request = new ShutdownRequest { Patience = ulong.MaxValue };
        Assert.True(bench.Services->Shutdown.TryRequest(in request, bench.Now));
        bench.Services->Suspended(bench.Now);
        bench.Services->Resumed(bench.Now + 5);
        bench.Advance(1000);
        Assert.Equal(ShutdownPhase.Asked, bench.Services->Shutdown.Phase);
        bench.Services->Shutdown.Forget();
        request.Patience = 0;
        Assert.True(bench.Services->Shutdown.TryRequest(in request, bench.Now));
        bench.Run();
        Assert.Equal(ShutdownPhase.Expired, bench.Services->Shutdown.Phase);
    }
}
