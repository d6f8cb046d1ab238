// Time synchronisation: the guest is told to set its clock when it starts and after a pause, and is given samples in between.

using System;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>All zero is the service before the guest opens its channel.</summary>
public unsafe struct TimeSynchronizationService
{
    public const ulong Interval = 5 * IntegrationClock.Second;
    /// <summary>Unanswered for so long, samples become rare.</summary>
    public const ulong Patience = 30 * IntegrationClock.Second;
    public const ulong SlowInterval = 60 * IntegrationClock.Second;

    /// <summary>From 1601, where the guest counts from, to 1970; 100 ns.</summary>
    public const ulong UnixEpoch = 116444736000000000;

    private const IntegrationService Service = IntegrationService.TimeSynchronization;

    private ServiceChannel channel;
    private Cadence cadence;
    private bool syncDue;

    public readonly ServiceState Channel => channel.State;
    public readonly IcVersion Version => channel.Version;
    public readonly uint Ignored => channel.Ignored;
    public ulong Syncs { get; private set; }
    public ulong Samples { get; private set; }
    /// <summary>Messages that the guest has answered, with whatever status.</summary>
    public ulong Answers { get; private set; }
    public uint LastStatus { get; private set; }
    /// <summary>When the guest was told to set its clock; meaningless while <see cref="Syncs"/> is 0.</summary>
    public ulong LastSync { get; private set; }

    public void Opened(ulong now)
    {
        this = default;
        channel.Open();
    }

    public void Closed() => this = default;

    /// <summary>The guest's clock has stood still (or lies, after a restore): it shall be set.</summary>
    public void Resumed(ulong now) => Begin(now);

    public void Received(ReadOnlySpan<byte> payload, ulong now)
    {
        switch (channel.Receive(Service, payload, out IcAnswer answer))
        {
            case Reception.Agreed:
                Begin(now);
                break;
            case Reception.Answer:
                if (answer.MessageType == IcMessageType.TimeSync) Answered(in answer, now);
                else channel.CountIgnored();
                break;
        }
    }

    private void Begin(ulong now)
    {
        if (channel.State != ServiceState.Ready) return;
        syncDue = true;
        cadence.Start(now);
    }

    private void Answered(in IcAnswer answer, ulong now)
    {
        cadence.Answered(now, Interval);
        Answers++;
        LastStatus = answer.Status;
    }

    /// <summary>Does what is due; answers when to call again at the latest.</summary>
    public ulong Tick<THost>(ulong now, ref THost host) where THost : struct, IIntegrationHost
    {
        if (!channel.TryNegotiate(Service, ref host)) return now + IntegrationClock.RetryInterval;
        if (channel.State != ServiceState.Ready) return IntegrationClock.Never;
        if (cadence.IsDue(now)) cadence.Attempted(TrySend(now, ref host), now, Interval, SlowInterval, Patience);
        return cadence.Next;
    }

    private bool TrySend<THost>(ulong now, ref THost host) where THost : struct, IIntegrationHost
    {
        byte flags = syncDue ? TimeSyncFlags.Sync : TimeSyncFlags.Sample;
        byte* message = stackalloc byte[ServiceChannel.HeaderSize + sizeof(TimeSyncMessage)];
        byte* body = message + ServiceChannel.HeaderSize;
        int size = Fill(body, flags, host.ReadTime());
        if (!channel.TrySend(Service, message, size, IcMessageType.TimeSync, ref host, out _)) return false;
        if (!syncDue)
        {
            Samples++;
            return true;
        }
        syncDue = false;
        Syncs++;
        LastSync = now;
        return true;
    }

    private readonly int Fill(byte* body, byte flags, HostTime time)
    {
        if (channel.Version.IsAtLeast(4, 0))
        {
            var reference = (TimeSyncReferenceMessage*)body;
            *reference = default;
            reference->ParentTime = time.UnixTime + UnixEpoch;
            reference->VmReferenceTime = time.ReferenceTime;
            reference->Flags = flags;
            return sizeof(TimeSyncReferenceMessage);
        }
        var message = (TimeSyncMessage*)body;
        *message = default;
        message->ParentTime = time.UnixTime + UnixEpoch;
        message->Flags = flags;
        return sizeof(TimeSyncMessage);
    }
}
