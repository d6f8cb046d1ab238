// What the services have in common: versions are agreed upon, requests are numbered, answers are checked.

using System;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Integration;

public enum ServiceState : byte
{
    /// <summary>The guest has not opened the channel, or closed it.</summary>
    Closed = 0,
    /// <summary>The guest has not said which versions it takes.</summary>
    Negotiating,
    Ready,
    /// <summary>The guest takes none of our versions. Nothing more is sent until it opens the channel anew.</summary>
    Incompatible,
}

internal enum Reception : byte
{
    /// <summary>Without form, or nobody asked.</summary>
    Ignored,
    /// <summary>Versions were agreed upon just now.</summary>
    Agreed,
    Answer,
}

/// <summary>A checked answer: <see cref="Body"/> is as long as the message says and lies within the packet.</summary>
internal ref struct IcAnswer
{
    public ushort MessageType;
    public uint Status;
    public byte TransactionId;
    public ReadOnlySpan<byte> Body;
}

/// <summary>One service's channel. All zero is a closed one.</summary>
public unsafe struct ServiceChannel
{
    /// <summary>Before every body.</summary>
    internal const int HeaderSize = 8 + 20;

    private const int NegotiationCapacity = HeaderSize + 8 + 4 * 8;

    private byte lastTransaction, negotiation;
    private bool negotiationSent;

    public ServiceState State { get; private set; }
    public IcVersion FrameworkVersion { get; private set; }
    public IcVersion Version { get; private set; }

    /// <summary>Packets without form and answers to nothing, since the channel was opened.</summary>
    public uint Ignored { get; private set; }

    internal void Open()
    {
        this = default;
        State = ServiceState.Negotiating;
    }

    internal void Close()
    {
        this = default;
    }

    /// <summary>Asks for versions unless that is done. False: the ring is full.</summary>
    internal bool TryNegotiate<THost>(IntegrationService service, ref THost host) where THost : struct, IIntegrationHost
    {
        if (State != ServiceState.Negotiating || negotiationSent) return true;
        ReadOnlySpan<byte> framework = ServiceVersions.Framework, versions = ServiceVersions.Of(service);
        byte* message = stackalloc byte[NegotiationCapacity];
        var body = (IcNegotiateMessage*)(message + HeaderSize);
        body->FrameworkVersionCount = (ushort)(framework.Length / 2);
        body->MessageVersionCount = (ushort)(versions.Length / 2);
        body->Reserved = 0;
        var list = (IcVersion*)(body + 1);
        for (int i = 0; i < framework.Length / 2; i++) *list++ = ServiceVersions.At(framework, i);
        for (int i = 0; i < versions.Length / 2; i++) *list++ = ServiceVersions.At(versions, i);
        negotiationSent = TrySend(service, message, (int)((byte*)list - (byte*)body), IcMessageType.Negotiate, ref host, out negotiation);
        return negotiationSent;
    }

    /// <summary>Sends a request, whose body lies behind room for the headers. False: the ring is full, the number is not used up.</summary>
    internal bool TrySend<THost>(IntegrationService service, byte* message, int bodySize, ushort type, ref THost host, out byte transaction)
        where THost : struct, IIntegrationHost
    {
        transaction = lastTransaction == byte.MaxValue ? (byte)1 : (byte)(lastTransaction + 1);
        var pipe = (PipeHeader*)message;
        pipe->PacketType = PipeHeader.Data;
        pipe->MessageSize = (uint)(sizeof(IcMessageHeader) + bodySize);
        var header = (IcMessageHeader*)(pipe + 1);
        *header = default;
        header->FrameworkVersion = FrameworkVersion;
        header->MessageType = type;
        header->MessageVersion = Version;
        header->MessageSize = (ushort)bodySize;
        header->TransactionId = transaction;
        header->Flags = IcMessageFlags.Transaction | IcMessageFlags.Request;
        if (!host.TrySend(service, new ReadOnlySpan<byte>(message, HeaderSize + bodySize), transaction)) return false;
        lastTransaction = transaction;
        return true;
    }

    /// <summary>Takes a packet's payload. Answers are given out in state <see cref="ServiceState.Ready"/> only.</summary>
    internal Reception Receive(IntegrationService service, ReadOnlySpan<byte> payload, out IcAnswer answer)
    {
        if (State is ServiceState.Negotiating or ServiceState.Ready && TryParse(payload, out answer))
        {
            if (answer.MessageType != IcMessageType.Negotiate)
            {
                if (State == ServiceState.Ready) return Reception.Answer;
            }
            else if (State == ServiceState.Negotiating && negotiationSent && answer.TransactionId == negotiation)
            {
                State = TryAgree(service, answer) ? ServiceState.Ready : ServiceState.Incompatible;
                return State == ServiceState.Ready ? Reception.Agreed : Reception.Ignored;
            }
        }
        answer = default;
        CountIgnored();
        return Reception.Ignored;
    }

    /// <summary>An answer that the service has no use for.</summary>
    internal void CountIgnored()
    {
        if (Ignored != uint.MaxValue) Ignored++;
    }

    // The message may be shorter than its packet, but each length must lie within the one around it.
    private static bool TryParse(ReadOnlySpan<byte> payload, out IcAnswer answer)
    {
        answer = default;
        if (!Wire.TryRead(payload, out PipeHeader pipe) || pipe.PacketType != PipeHeader.Data || pipe.MessageSize > (uint)(payload.Length - sizeof(PipeHeader)))
            return false;
        ReadOnlySpan<byte> message = payload.Slice(sizeof(PipeHeader), (int)pipe.MessageSize);
        if (!Wire.TryRead(message, out IcMessageHeader header) || header.MessageSize > message.Length - sizeof(IcMessageHeader)) return false;
        if ((header.Flags & IcMessageFlags.Response) == 0) return false;
        answer.MessageType = header.MessageType;
        answer.Status = header.Status;
        answer.TransactionId = header.TransactionId;
        answer.Body = message.Slice(sizeof(IcMessageHeader), header.MessageSize);
        return true;
    }

    private bool TryAgree(IntegrationService service, in IcAnswer answer)
    {
        if (answer.Status != IcStatus.Success || !Wire.TryRead(answer.Body, out IcNegotiateMessage counts)) return false;
        if (counts.FrameworkVersionCount != 1 || counts.MessageVersionCount != 1) return false;
        ReadOnlySpan<byte> versions = answer.Body.Slice(sizeof(IcNegotiateMessage));
        if (!Wire.TryRead(versions, out IcVersion framework) || !ServiceVersions.Contains(ServiceVersions.Framework, framework)) return false;
        if (!Wire.TryRead(versions.Slice(sizeof(IcVersion)), out IcVersion version) || !ServiceVersions.Contains(ServiceVersions.Of(service), version)) return false;
        FrameworkVersion = framework;
        Version = version;
        return true;
    }
}
