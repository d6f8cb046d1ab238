// What the services need from whoever owns their channels.

using System;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>The time of day, and what the guest's reference counter shows at the same moment; 100 ns each.</summary>
public struct HostTime
{
    /// <summary>Since 1970, UTC.</summary>
    public ulong UnixTime;
    public ulong ReferenceTime;
}

/// <summary>The owner of the channels. Called from within <c>Tick</c> only, and does not call back.</summary>
public interface IIntegrationHost
{
    /// <summary>Writes an in-band packet, no completion wanted. False: the ring is full; nothing was written, and the service tries again.</summary>
    bool TrySend(IntegrationService service, ReadOnlySpan<byte> message, ulong transactionId);

    /// <summary>Read as late as possible before a message that carries it.</summary>
    HostTime ReadTime();
}

/// <summary>Durations and instants: 100 ns on the owner's clock, which never goes back.</summary>
public static class IntegrationClock
{
    public const ulong Second = 10_000_000;
    public const ulong Never = ulong.MaxValue;

    /// <summary>After a ring was full. Whoever learns earlier that there is room calls <c>Tick</c> at once.</summary>
    public const ulong RetryInterval = Second;
}
