// The integration services of one VM: one thing for its worker to open, feed, tick and show.

using System;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>
/// Zeroed, then <see cref="Initialize"/>d. The worker offers what <see cref="IntegrationOffers"/> describes, tells openings, packets and closings of
/// each channel, and after any of these, when a ring has room again, and at the time that the last <see cref="Tick"/> answered, ticks.
/// Only Tick sends; nothing is sent from within a guest's OPEN.
/// </summary>
public unsafe struct IntegrationServices
{
    public const int Count = 4;

    /// <summary>Longest message that is sent, headers included; a ring must take one packet of it.</summary>
    public const int MaximumMessageSize = ServiceChannel.HeaderSize + 2580;

    /// <summary>Buffer for <c>IncomingRing.TryRead</c>, descriptor included: answers are as long as what they answer. A longer packet breaks the ring.</summary>
    public const int ReceiveBufferSize = 4096;

    public HeartbeatService Heartbeat;
    public ShutdownService Shutdown;
    public TimeSynchronizationService TimeSynchronization;
    public KeyValueService KeyValuePairs;
    private bool suspended;
    private ulong suspendedAt;

    /// <param name="items">Zeroed memory for the guest's pairs, at a fixed address; see <see cref="KeyValueService.UsualItemCount"/>.</param>
    public void Initialize(KeyValueItem* items, uint itemCount) => KeyValuePairs.Initialize(items, itemCount);

    /// <summary>The guest opened the channel; its ring is new.</summary>
    public void Opened(IntegrationService service, ulong now)
    {
        switch (service)
        {
            case IntegrationService.Heartbeat: Heartbeat.Opened(now); break;
            case IntegrationService.Shutdown: Shutdown.Opened(now); break;
            case IntegrationService.TimeSynchronization: TimeSynchronization.Opened(now); break;
            case IntegrationService.KeyValuePairs: KeyValuePairs.Opened(now); break;
        }
    }

    /// <summary>The channel is closed, by whomever. Closing one that is not open changes nothing.</summary>
    public void Closed(IntegrationService service)
    {
        switch (service)
        {
            case IntegrationService.Heartbeat: Heartbeat.Closed(); break;
            case IntegrationService.Shutdown: Shutdown.Closed(); break;
            case IntegrationService.TimeSynchronization: TimeSynchronization.Closed(); break;
            case IntegrationService.KeyValuePairs: KeyValuePairs.Closed(); break;
        }
    }

    /// <summary>The payload of an in-band packet, copied out of the ring.</summary>
    public void Received(IntegrationService service, ReadOnlySpan<byte> payload, ulong now)
    {
        switch (service)
        {
            case IntegrationService.Heartbeat: Heartbeat.Received(payload, now); break;
            case IntegrationService.Shutdown: Shutdown.Received(payload, now); break;
            case IntegrationService.TimeSynchronization: TimeSynchronization.Received(payload, now); break;
            case IntegrationService.KeyValuePairs: KeyValuePairs.Received(payload, now); break;
        }
    }

    /// <summary>Does what is due, at most two messages per channel; answers when to call again at the latest, later than <paramref name="now"/>.</summary>
    public ulong Tick<THost>(ulong now, ref THost host) where THost : struct, IIntegrationHost
    {
        if (suspended) return IntegrationClock.Never;
        ulong next = Math.Min(Heartbeat.Tick(now, ref host), Shutdown.Tick(now, ref host));
        next = Math.Min(next, TimeSynchronization.Tick(now, ref host));
        return Math.Min(next, KeyValuePairs.Tick(now, ref host));
    }

    /// <summary>The VM was paused: nothing is due until it is resumed.</summary>
    public void Suspended(ulong now)
    {
        if (!suspended) suspendedAt = now;
        suspended = true;
    }

    public void Resumed(ulong now)
    {
        if (!suspended) return;
        suspended = false;
        Heartbeat.Resumed(now);
        Shutdown.Resumed(now - suspendedAt);
        TimeSynchronization.Resumed(now);
        KeyValuePairs.Resumed(now);
    }
}
