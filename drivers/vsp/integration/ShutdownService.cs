// Shutdown: the guest is asked to power off, restart or hibernate, and says whether it will.

using System;

namespace Lamina.Drivers.Vsp.Integration;

public enum ShutdownKind : byte { PowerOff, Restart, Hibernate }

/// <summary>What became of the last request.</summary>
public enum ShutdownPhase : byte
{
    None = 0,
    /// <summary>On its way, or with the guest.</summary>
    Asked,
    /// <summary>The guest has said that it will.</summary>
    Accepted,
    /// <summary>See <see cref="ShutdownService.Status"/>.</summary>
    Refused,
    /// <summary>The guest closed the channel before it answered.</summary>
    Abandoned,
    /// <summary>The guest opened the channel anew: after a restart that was asked for, or instead of powering off.</summary>
    Restarted,
    /// <summary>The guest is still there at the end of the time it was given.</summary>
    Expired,
}

/// <summary>A request.</summary>
public struct ShutdownRequest
{
    /// <summary>What a guest is given unless its owner knows better: 100 ns.</summary>
    public const ulong DefaultPatience = 60 * IntegrationClock.Second;

    public ShutdownKind Kind;
    /// <summary>Even if applications object. Linux never asks them.</summary>
    public bool Force;
    /// <summary>See <see cref="ShutdownReason"/>.</summary>
    public uint Reason;
    /// <summary>100 ns from the request on, after which it has expired.</summary>
    public ulong Patience;

    public static ShutdownRequest For(ShutdownKind kind) => new() { Kind = kind, Reason = ShutdownReason.Planned, Patience = DefaultPatience };
}

/// <summary>All zero is the service before the guest opens its channel.</summary>
public unsafe struct ShutdownService
{
    private const IntegrationService Service = IntegrationService.Shutdown;

    private ServiceChannel channel;
    private ShutdownRequest request;
    private ulong deadline;
    private byte transaction; // 0: not sent yet

    public readonly ServiceState Channel => channel.State;
    public readonly IcVersion Version => channel.Version;
    public readonly uint Ignored => channel.Ignored;
    public ShutdownPhase Phase { get; private set; }
    public readonly ShutdownKind Kind => request.Kind;
    /// <summary>The guest's words, once it has answered.</summary>
    public uint Status { get; private set; }

    /// <summary>A request that waits for the guest. It ends without fail.</summary>
    public readonly bool IsPending => Phase is ShutdownPhase.Asked or ShutdownPhase.Accepted;

    public void Opened(ulong now)
    {
        channel.Open();
        if (IsPending) Phase = ShutdownPhase.Restarted;
    }

    /// <summary>A guest that powers off closes its channels, too: an accepted request goes on waiting.</summary>
    public void Closed()
    {
        channel.Close();
        if (Phase == ShutdownPhase.Asked) Phase = ShutdownPhase.Abandoned;
    }

    /// <summary>The guest has stood still for so long, which does not count.</summary>
    public void Resumed(ulong pause)
    {
        if (IsPending) deadline += Math.Min(pause, IntegrationClock.Never - deadline);
    }

    /// <summary>Asks; the message leaves with the next <see cref="Tick"/>. False: the guest does not listen, or has been asked already.</summary>
    public bool TryRequest(in ShutdownRequest wanted, ulong now)
    {
        if (channel.State != ServiceState.Ready || IsPending) return false;
        request = wanted;
        deadline = now + Math.Min(wanted.Patience, IntegrationClock.Never - now);
        transaction = 0;
        Status = 0;
        Phase = ShutdownPhase.Asked;
        return true;
    }

    /// <summary>The request is forgotten, e.g. since the VM is off. What the guest still does about it, it does.</summary>
    public void Forget() => Phase = ShutdownPhase.None;

    public void Received(ReadOnlySpan<byte> payload, ulong now)
    {
        if (channel.Receive(Service, payload, out IcAnswer answer) != Reception.Answer) return;
        if (answer.MessageType != IcMessageType.Shutdown || Phase != ShutdownPhase.Asked || transaction == 0 || answer.TransactionId != transaction)
        {
            channel.CountIgnored();
            return;
        }
        Status = answer.Status;
        Phase = answer.Status == IcStatus.Success ? ShutdownPhase.Accepted : ShutdownPhase.Refused;
    }

    /// <summary>Does what is due; answers when to call again at the latest.</summary>
    public ulong Tick<THost>(ulong now, ref THost host) where THost : struct, IIntegrationHost
    {
        if (IsPending && now >= deadline) Phase = ShutdownPhase.Expired;
        ulong next = IsPending ? deadline : IntegrationClock.Never;
        bool sent = channel.TryNegotiate(Service, ref host) && (Phase != ShutdownPhase.Asked || transaction != 0 || TrySend(ref host));
        return sent ? next : Math.Min(next, now + IntegrationClock.RetryInterval);
    }

    private bool TrySend<THost>(ref THost host) where THost : struct, IIntegrationHost
    {
        byte* message = stackalloc byte[ServiceChannel.HeaderSize + sizeof(ShutdownMessage)];
        var body = (ShutdownMessage*)(message + ServiceChannel.HeaderSize);
        new Span<byte>(body, sizeof(ShutdownMessage)).Clear();
        body->ReasonCode = request.Reason;
        body->TimeoutSeconds = (uint)Math.Min(request.Patience / IntegrationClock.Second, uint.MaxValue);
        body->Flags = (request.Force ? ShutdownFlags.Force : 0) | request.Kind switch
        {
            ShutdownKind.Restart => ShutdownFlags.Restart,
            ShutdownKind.Hibernate => ShutdownFlags.Hibernate,
            _ => 0u,
        };
        if (channel.TrySend(Service, message, sizeof(ShutdownMessage), IcMessageType.Shutdown, ref host, out byte number)) transaction = number;
        return transaction != 0;
    }
}
