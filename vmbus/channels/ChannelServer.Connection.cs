// Connect, reconnect, unload: a new answer goes out only when the devices have let go of everything of the old connection.

using System;

namespace Lamina.VMBus;

/// <summary>Where a guest's connection stands.</summary>
public enum ConnectionPhase : byte
{
    Disconnected = 0,
    Connected,
    /// <summary>The guest left; devices still have requests in flight.</summary>
    Leaving,
}

public unsafe partial struct ChannelServer<TSink, TDevices>
{
    private enum AfterLeaving : byte { Nothing, Contact, Unload, Broken }

    public readonly ConnectionPhase Connection => connection;

    private void OnInitiateContact(ReadOnlySpan<byte> bytes)
    {
        // A short one gets its refusal, too: the guest waits without a time limit.
        if (!Wire.TryRead(bytes, out contact)) contact = default;
        Leave(AfterLeaving.Contact);
    }

    private void OnUnload() => Leave(AfterLeaving.Unload);

    /// <summary>The guest was reset: forgets its connection, keeps the offers.</summary>
    public void Reset() => Leave(AfterLeaving.Nothing);

    // Closes everything; what is to happen then happens at once, or when the last device has let go. A later reason replaces an earlier one.
    private void Leave(AfterLeaving then)
    {
        bool was = connection == ConnectionPhase.Connected;
        if (then != AfterLeaving.Broken || was) afterLeaving = then;
        queueHead = queueLength = 0;
        offersRequested = allOffersPending = false;
        if (was)
        {
            connection = ConnectionPhase.Leaving;
            for (uint relid = 1; relid <= memory.ChannelCount; relid++)
            {
                ChannelSlot* channel = memory.Channels + relid - 1;
                channel->OfferPending = channel->RescindPending = false;
                if (channel->State == ChannelState.Open) CloseDevice(relid, channel);
            }
            for (uint i = 0; i < memory.GpadlCount; i++) BeginTeardown(memory.Gpadls + i, false);
        }
        ContinueLeaving();
    }

    private void ContinueLeaving()
    {
        if (connection == ConnectionPhase.Leaving)
        {
            if (gpadlsUsed != 0) return;
            for (uint i = 0; i < memory.ChannelCount; i++) if (memory.Channels[i].State == ChannelState.Closing) return;
            for (uint i = 0; i < memory.ChannelCount; i++) ForgetByGuest(memory.Channels + i);
            connection = ConnectionPhase.Disconnected;
            Devices.Disconnected();
        }
        if (connection != ConnectionPhase.Disconnected) return;
        AfterLeaving then = afterLeaving;
        afterLeaving = AfterLeaving.Nothing;
        if (then == AfterLeaving.Contact) AnswerContact();
        if (then == AfterLeaving.Unload)
        {
            ChannelMessageHeader answer = HeaderOf(ChannelMessageType.UnloadResponse);
            Answer(ref answer);
        }
    }

    private void AnswerContact()
    {
        VersionResponseMessage answer = default;
        answer.Header = HeaderOf(ChannelMessageType.VersionResponse);
        if (VMBusVersion.IsSupported(contact.VersionRequested) && contact.TargetMessageVp < limits.VpCount &&
            contact.TargetSint is > 0 and < 16 && contact.TargetVtl == 0)
        {
            connection = ConnectionPhase.Connected;
            Version = contact.VersionRequested;
            MessageVp = contact.TargetMessageVp;
            MessageSint = contact.TargetSint;
            answer.VersionSupported = 1;
            answer.State = ConnectionState.Successful;
            answer.MessageConnectionId = ChannelLimits.MessageConnectionId;
        }
        Answer(ref answer);
    }

    // Vsock is not served here; the guest's connect() gets a clear no.
    private void OnTlConnectRequest(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out TlConnectRequestMessage request)) return;
        TlConnectResultMessage answer = default;
        answer.Header = HeaderOf(ChannelMessageType.TlConnectResult);
        answer.EndpointId = request.EndpointId;
        answer.ServiceId = request.ServiceId;
        answer.Status = ChannelStatus.ConnectionRefused;
        Answer(ref answer);
    }
}
