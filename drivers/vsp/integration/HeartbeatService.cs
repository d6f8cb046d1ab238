// Heartbeat: a number every two seconds, which a living guest answers.

using System;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Integration;

public enum HeartbeatState : byte
{
    /// <summary>Has not answered since it opened the channel.</summary>
    NoContact = 0,
    Ok,
    /// <summary>Has answered, and owes an answer for <see cref="HeartbeatService.LostAfter"/>.</summary>
    LostCommunication,
    /// <summary>Answers, but with a failure.</summary>
    Error,
}

/// <summary>All zero is the service before the guest opens its channel.</summary>
public unsafe struct HeartbeatService
{
    public const ulong Interval = 2 * IntegrationClock.Second;
    /// <summary>Five heartbeats.</summary>
    public const ulong LostAfter = 5 * Interval;
    /// <summary>Between heartbeats to a guest that does not answer.</summary>
    public const ulong SlowInterval = 30 * IntegrationClock.Second;

    private const IntegrationService Service = IntegrationService.Heartbeat;

    private ServiceChannel channel;
    private Cadence cadence;
    private ulong sequence;

    public readonly ServiceState Channel => channel.State;
    public readonly IcVersion Version => channel.Version;
    public readonly uint Ignored => channel.Ignored;
    public HeartbeatState State { get; private set; }
    /// <summary>See <see cref="Integration.ApplicationState"/>; the last answer's.</summary>
    public uint ApplicationState { get; private set; }
    public uint LastStatus { get; private set; }
    /// <summary>Meaningless before the first answer.</summary>
    public ulong LastAnswer { get; private set; }

    public void Opened(ulong now)
    {
        this = default;
        channel.Open();
    }

    public void Closed() => this = default;

    /// <summary>The guest has been running again from now on, after a pause that is not its fault.</summary>
    public void Resumed(ulong now)
    {
        if (channel.State == ServiceState.Ready) cadence.Start(now);
    }

    public void Received(ReadOnlySpan<byte> payload, ulong now)
    {
        switch (channel.Receive(Service, payload, out IcAnswer answer))
        {
            case Reception.Agreed:
                cadence.Start(now);
                break;
            case Reception.Answer:
                // Which of our numbers it answers says nothing more about its life. Guests may leave out all that follows the number.
                if (answer.MessageType == IcMessageType.Heartbeat && answer.Body.Length >= sizeof(ulong)) Answered(in answer, now);
                else channel.CountIgnored();
                break;
        }
    }

    private void Answered(in IcAnswer answer, ulong now)
    {
        cadence.Answered(now, Interval);
        LastAnswer = now;
        LastStatus = answer.Status;
        State = answer.Status == IcStatus.Success ? HeartbeatState.Ok : HeartbeatState.Error;
        ApplicationState = Wire.TryRead(answer.Body, out HeartbeatMessage message) ? message.ApplicationState : Integration.ApplicationState.Unknown;
    }

    /// <summary>Does what is due; answers when to call again at the latest.</summary>
    public ulong Tick<THost>(ulong now, ref THost host) where THost : struct, IIntegrationHost
    {
        if (!channel.TryNegotiate(Service, ref host)) return now + IntegrationClock.RetryInterval;
        if (channel.State != ServiceState.Ready) return IntegrationClock.Never;
        if (cadence.IsDue(now)) cadence.Attempted(TrySend(ref host), now, Interval, SlowInterval, LostAfter);
        if (State is HeartbeatState.NoContact or HeartbeatState.LostCommunication) return cadence.Next;
        ulong lostAt = cadence.SilentAt(LostAfter);
        if (now < lostAt) return Math.Min(cadence.Next, lostAt);
        State = HeartbeatState.LostCommunication;
        return cadence.Next;
    }

    private bool TrySend<THost>(ref THost host) where THost : struct, IIntegrationHost
    {
        byte* message = stackalloc byte[ServiceChannel.HeaderSize + sizeof(HeartbeatMessage)];
        var body = (HeartbeatMessage*)(message + ServiceChannel.HeaderSize);
        *body = default;
        body->SequenceNumber = sequence;
        if (!channel.TrySend(Service, message, sizeof(HeartbeatMessage), IcMessageType.Heartbeat, ref host, out _)) return false;
        sequence++;
        return true;
    }
}
