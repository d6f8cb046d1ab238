// When to send the next of a row of messages that the guest answers: regularly, rarely while it does not.

using System;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>A guest that hangs finds a few of our messages in its ring, not all that were due. All zero is one that must be started.</summary>
internal struct Cadence
{
    private ulong next, waitingSince;
    private bool held;

    public void Start(ulong now)
    {
        next = now;
        waitingSince = IntegrationClock.Never;
        held = false;
    }

    public readonly bool IsDue(ulong now) => held || now >= next;

    /// <summary>A message was sent, or found the ring full: then the next look tries again.</summary>
    public void Attempted(bool sent, ulong now, ulong interval, ulong slowInterval, ulong patience)
    {
        if (waitingSince == IntegrationClock.Never) waitingSince = now;
        held = !sent;
        next = now + (held ? IntegrationClock.RetryInterval : now >= waitingSince + patience ? slowInterval : interval);
    }

    public void Answered(ulong now, ulong interval)
    {
        waitingSince = IntegrationClock.Never;
        next = Math.Min(next, now + interval);
    }

    /// <summary>When the guest will have been silent for so long; never while it owes nothing.</summary>
    public readonly ulong SilentAt(ulong patience) => waitingSince == IntegrationClock.Never ? waitingSince : waitingSince + patience;

    public readonly ulong Next => next;
}
