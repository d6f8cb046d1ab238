// Heartbeat, time synchronisation and shutdown as a guest answers them. Source: Linux, "drivers/hv/hv_util.c".
using System;
using Lamina.Drivers.Vsp.Integration;
using Lamina.VMBus;

namespace Lamina.Guest.Bus.Good;

public static unsafe class IntegrationTests
{
    private const uint BufferCapacity = 16384;
    private const ulong Year2020 = 132_223_104_000_000_000; // 100 ns since 1601

    public static void Run()
    {
        Check.Run("integration.heartbeat"u8, &Heartbeat);
        Check.Run("integration.time"u8, &Time);
        Check.Run("integration.shutdown"u8, &Shutdown);
    }

    private static void Heartbeat()
    {
        if (!TryNegotiate(DeviceClasses.Heartbeat, new IcVersion(3, 0), out Channel channel, out byte* buffer)) return;
        ulong previous = 0;
        for (int beat = 0; beat < 2; beat++)
        {
            if (!TryReceive(ref channel, buffer, IcMessageType.Heartbeat, out IcMessageHeader* header)) return;
            HeartbeatMessage* message = (HeartbeatMessage*)(header + 1);
            Check.That(beat == 0 || message->SequenceNumber == previous + 1, "the numbers of the heartbeats do not follow one another"u8);
            previous = message->SequenceNumber;
            message->SequenceNumber++;
            if (!TryAnswer(ref channel, header)) return;
        }
        GuestBus.Leave();
    }

    private static void Time()
    {
        if (!TryNegotiate(DeviceClasses.TimeSynchronization, new IcVersion(4, 0), out Channel channel, out byte* buffer)) return;
        if (!TryReceive(ref channel, buffer, IcMessageType.TimeSync, out IcMessageHeader* header)) return;
        TimeSyncReferenceMessage* message = (TimeSyncReferenceMessage*)(header + 1);
        Check.That(message->ParentTime > Year2020, "the host's time is long ago"u8);
        Check.Between("reference time"u8, message->VmReferenceTime, 1, Clock.Reference);
        GuestBus.Leave();
    }

    private static void Shutdown()
    {
        if (TryNegotiate(DeviceClasses.Shutdown, new IcVersion(3, 2), out _, out _)) GuestBus.Leave();
    }

    /// <summary>Opens a service and agrees on version 3.0 of the framework and one of the service. False: the check has failed.</summary>
    private static bool TryNegotiate(VMBusGuid service, IcVersion version, out Channel channel, out byte* buffer)
    {
        channel = default;
        buffer = null;
        if (!GuestBus.Join() || !Channel.TryOpen(GuestBus.Find(service), 4, out channel)) return false;
        buffer = Pages.Take(BufferCapacity / Pages.Size);
        if (!TryReceive(ref channel, buffer, IcMessageType.Negotiate, out IcMessageHeader* header)) return false;
        IcNegotiateMessage* message = (IcNegotiateMessage*)(header + 1);
        IcVersion* versions = (IcVersion*)(message + 1);
        if (!Check.That(IsOffered(versions, message->FrameworkVersionCount, new IcVersion(3, 0)), "framework version 3.0 is not offered"u8)) return false;
        if (!Check.That(IsOffered(versions + message->FrameworkVersionCount, message->MessageVersionCount, version), "the service's version is not offered"u8)) return false;
        message->FrameworkVersionCount = message->MessageVersionCount = 1;
        versions[0] = new IcVersion(3, 0);
        versions[1] = version;
        return TryAnswer(ref channel, header);
    }

    private static bool IsOffered(IcVersion* versions, uint count, IcVersion wanted)
    {
        for (uint i = 0; i < Math.Min(count, 16); i++) if (versions[i].Matches(wanted)) return true;
        return false;
    }

    private static bool TryReceive(ref Channel channel, byte* buffer, ushort type, out IcMessageHeader* header)
    {
        header = null;
        Patience patience = Patience.Usual;
        while (true)
        {
            RingStatus status = channel.Incoming.TryRead(buffer, BufferCapacity, out RingPacket packet);
            if (status == RingStatus.Ok)
            {
                channel.Release();
                if (!Check.That(packet.Type == PacketType.InBand && packet.Payload.Length >= sizeof(PipeHeader) + sizeof(IcMessageHeader), "a message without form"u8)) return false;
                fixed (byte* payload = packet.Payload) header = (IcMessageHeader*)(payload + sizeof(PipeHeader));
                return Check.Equal("message type"u8, header->MessageType, type);
            }
            if (status != RingStatus.Empty) return Check.That(false, status.Text());
            if (!patience.Wait()) return Check.That(false, "the service says nothing"u8);
        }
    }

    /// <summary>The message goes back as it lies in the buffer.</summary>
    private static bool TryAnswer(ref Channel channel, IcMessageHeader* header)
    {
        header->Flags = IcMessageFlags.Transaction | IcMessageFlags.Response;
        header->Status = IcStatus.Success;
        PipeHeader* pipe = (PipeHeader*)header - 1;
        bool sent = channel.Outgoing.TryWriteInBand(0, false, new ReadOnlySpan<byte>(pipe, (int)pipe->MessageSize + sizeof(PipeHeader))) == RingStatus.Ok;
        channel.Commit();
        return Check.That(sent, "the answer does not fit into the ring"u8);
    }
}
