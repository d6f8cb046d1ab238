// The services in words, as the console shows them.

using System;
using System.Linq;
using System.Text;
using Lamina.Drivers.Vsp.Integration;
using Lamina.Text;
using Xunit;

namespace Lamina.Tests.Host.Integration;

public sealed unsafe class IntegrationTextTests
{
    private delegate void Append(ref TextWriter line);

    private static string Line(Append append, int capacity = 320)
    {
        byte* buffer = stackalloc byte[capacity];
        var line = new TextWriter(buffer, capacity);
        append(ref line);
        return Encoding.ASCII.GetString(line.Written);
    }

    private static string Heartbeat(IntegrationBench bench) => Line((ref TextWriter line) => bench.Services->Heartbeat.AppendTo(ref line, bench.Now));
    private static string Shutdown(IntegrationBench bench) => Line((ref TextWriter line) => bench.Services->Shutdown.AppendTo(ref line));
    private static string Time(IntegrationBench bench) => Line((ref TextWriter line) => bench.Services->TimeSynchronization.AppendTo(ref line, bench.Now));
    private static string Pairs(IntegrationBench bench) => Line((ref TextWriter line) => bench.Services->KeyValuePairs.AppendTo(ref line));
    private static string System(IntegrationBench bench) => Line((ref TextWriter line) => bench.Services->KeyValuePairs.AppendSystemTo(ref line));
    private static string Addresses(IntegrationBench bench) => Line((ref TextWriter line) => bench.Services->KeyValuePairs.AppendAddressesTo(ref line));

    [Fact]
    public void Before_the_guest_comes()
    {
        using var bench = new IntegrationBench();
        Assert.Equal("heartbeat: not in use by the guest", Heartbeat(bench));
        Assert.Equal("shutdown: not in use by the guest", Shutdown(bench));
        Assert.Equal("time synchronization: not in use by the guest", Time(bench));
        Assert.Equal("key-value pairs: not in use by the guest", Pairs(bench));
        Assert.Equal("", System(bench) + Addresses(bench));
        bench.OpenAll();
        bench.Tick();
        Assert.Equal("heartbeat: No Contact", Heartbeat(bench));
    }

    [Fact]
    public void A_guest_that_works()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Advance(61);
        Assert.Equal("heartbeat 3.0: OK, answered 1 s ago", Heartbeat(bench));
        Assert.Equal("shutdown 3.2: OK", Shutdown(bench));
        Assert.Equal("time synchronization 4.0: OK, 1 sync and 12 samples, last sync 61 s ago", Time(bench));
        Assert.Equal("key-value pairs 4.0: OK, 10 pairs", Pairs(bench));
        Assert.Equal("Debian GNU/Linux 12, build 6.1.0-18-amd64, x86_64, host name vm.example", System(bench));
        Assert.Equal("192.0.2.7;192.0.2.8, 2001:db8::7", Addresses(bench));
    }

    [Fact]
    public void A_guest_that_takes_no_version()
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { Framework = [0x90000] });
        Assert.Equal("heartbeat: the guest takes none of our versions", Heartbeat(bench));
        Assert.Equal("shutdown: the guest takes none of our versions", Shutdown(bench));
    }

    [Theory]
    [InlineData(0u, "")]
    [InlineData(1u, ", applications healthy")]
    [InlineData(2u, ", applications critical")]
    [InlineData(3u, ", applications stopped")]
    [InlineData(4u, "")]
    public void Heartbeats_of_every_kind(uint applications, string words)
    {
        using IntegrationBench bench = IntegrationBench.Open(new() { ApplicationState = applications });
        Assert.Equal("heartbeat 3.0: OK" + words + ", answered 0 s ago", Heartbeat(bench));
        bench.Guest.Alive = false;
        bench.Advance(34);
        Assert.Equal("heartbeat 3.0: Lost Communication" + words + ", answered 34 s ago", Heartbeat(bench));
        bench.Deliver(IntegrationService.Heartbeat, bench.AnswerTo(IntegrationService.Heartbeat, 0x80004005));
        Assert.Equal("heartbeat 3.0: Error 0x80004005, answered 0 s ago", Heartbeat(bench));
    }

    [Fact]
    public void Shutdowns_of_every_end()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        string Ask(ShutdownKind kind, bool answered)
        {
            bench.Guest.Alive = answered;
            ShutdownRequest request = ShutdownRequest.For(kind);
            bench.Services->Shutdown.TryRequest(in request, bench.Now);
            bench.Run();
            return Shutdown(bench);
        }
        Assert.Equal("shutdown 3.2: hibernation refused, 0x80004005", Ask(ShutdownKind.Hibernate, true));
        Assert.Equal("shutdown 3.2: power off asked for", Ask(ShutdownKind.PowerOff, false));
        bench.Advance(60);
        Assert.Equal("shutdown 3.2: power off not done in time", Shutdown(bench));
        Assert.Equal("shutdown 3.2: restart asked for", Ask(ShutdownKind.Restart, false));
        bench.Services->Shutdown.Closed();
        Assert.Equal("shutdown: not in use by the guest, restart not answered", Shutdown(bench));
        bench.Guest.Alive = true;
        bench.OpenAll();
        bench.Run();
        Assert.Equal("shutdown 3.2: power off accepted", Ask(ShutdownKind.PowerOff, true));
        bench.Services->Shutdown.Opened(bench.Now);
        Assert.Equal("shutdown: No Contact, power off ended in a new start", Shutdown(bench));
    }

    [Fact]
    public void Time_that_nobody_takes_and_time_that_is_refused()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Deliver(IntegrationService.TimeSynchronization, bench.AnswerTo(IntegrationService.TimeSynchronization, IcStatus.NotSupported));
        Assert.Equal("time synchronization 4.0: Error 0x80070032, 1 sync and 0 samples, last sync 0 s ago", Time(bench));
        bench.Services->Suspended(bench.Now);
        bench.Services->Resumed(bench.Now);
        bench.Advance(5);
        Assert.Equal("time synchronization 4.0: OK, 2 syncs and 1 sample, last sync 5 s ago", Time(bench));
    }

    [Fact]
    public void Pairs_in_every_state()
    {
        using IntegrationBench bench = IntegrationBench.Open();
        bench.Guest.Daemon = Daemon.Hanging;
        bench.Advance(60);
        Assert.Equal("key-value pairs 4.0: Error 0x80004005, 10 pairs", Pairs(bench));
        bench.Guest.Daemon = Daemon.Absent;
        bench.Advance(200);
        Assert.Equal("key-value pairs 4.0: Lost Communication, 10 pairs", Pairs(bench));
        using var small = new IntegrationBench(1);
        small.OpenAll();
        small.Run();
        Assert.Equal("key-value pairs 4.0: OK, 1 pair and more", Pairs(small));
        Assert.Equal("host name vm.example", System(small));
    }

    [Fact]
    public void Lines_hold_printable_ASCII_and_end_where_they_must()
    {
        using var bench = new IntegrationBench();
        bench.Guest.Pairs = [("OSName", "Grüße\u001b]0;x"), ("NetworkAddressIPv4", new string('1', 500)), ("OSMajorVersion", "7"), ("OSMinorVersion", "9")];
        bench.OpenAll();
        bench.Run();
        Assert.Equal("Gr??????e?]0;x 7.9".Replace("??????", "????"), System(bench));
        Assert.Equal(320, Addresses(bench).Length);
        Assert.Equal("heartbeat", Line((ref TextWriter line) => bench.Services->Heartbeat.AppendTo(ref line, bench.Now), 9));
    }
}
