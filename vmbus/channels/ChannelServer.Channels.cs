// Open, close, modify.

using System;

namespace Lamina.VMBus;

public unsafe partial struct ChannelServer<TSink, TDevices>
{
    private void OnOpenChannel(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out OpenChannelMessage message) || !TryFindKnown(message.RelId, out ChannelSlot* channel)) return;
        if (channel->State == ChannelState.Open)
        {
            EndChannel(message.RelId, "opened twice"u8);
            return;
        }
        uint status = channel->Rescinded || channel->State != ChannelState.Closed ? ChannelStatus.Unsuccessful : Open(channel, in message);
        OpenChannelResultMessage answer = default;
        answer.Header = HeaderOf(ChannelMessageType.OpenChannelResult);
        answer.RelId = message.RelId;
        answer.OpenId = message.OpenId;
        answer.Status = status;
        Answer(ref answer);
    }

    private uint Open(ChannelSlot* channel, in OpenChannelMessage message)
    {
        if (message.TargetVp >= limits.VpCount && message.TargetVp != ChannelLimits.NoTargetVp) return ChannelStatus.InvalidParameter;
        GpadlSlot* ring = FindGpadl(message.RingGpadl);
        if (ring == null || ring->RelId != message.RelId || ring->State != GpadlState.Ready) return ChannelStatus.InvalidParameter;
        uint offset = message.DownstreamPageOffset;
        if (ring->ByteOffset != 0 || ring->ByteCount % ChannelLimits.PageSize != 0 || offset < 2 || ring->PageCount < 4 || offset > ring->PageCount - 2)
            return ChannelStatus.InvalidParameter;

        OpenRequest request = default;
        request.RelId = message.RelId;
        request.RingGpadl = message.RingGpadl;
        request.RingPages = new ReadOnlySpan<ulong>(memory.Pages + ring->FirstPage, (int)ring->PageCount);
        request.DownstreamPageOffset = offset;
        request.TargetVp = message.TargetVp;
        fixed (byte* userData = message.UserData)
        {
            request.UserData = new ReadOnlySpan<byte>(userData, OfferChannelMessage.UserDefinedSize);
            uint status = Devices.Opened(in request);
            if (status != ChannelStatus.Success) return status;
        }
        channel->State = ChannelState.Open;
        channel->RingGpadl = message.RingGpadl;
        channel->TargetVp = message.TargetVp;
        return ChannelStatus.Success;
    }

    private void OnCloseChannel(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out CloseChannelMessage message) || !TryFindKnown(message.RelId, out ChannelSlot* channel)) return;
        // After a rescind, which closes by itself, the guest's CLOSE comes late and means nothing.
        if (channel->Rescinded) return;
        if (channel->State != ChannelState.Open)
        {
            EndChannel(message.RelId, "closed without being open"u8);
            return;
        }
        CloseDevice(message.RelId, channel);
    }

    // An open channel becomes closed, by way of Closing if its device is not done at once. A primary takes its sub-channels along.
    private void CloseDevice(uint relid, ChannelSlot* channel)
    {
        channel->State = ChannelState.Closing;
        if (Devices.Closed(relid)) FinishClose(relid, channel);
        if (channel->Primary != 0) return;
        for (uint sub = 1; sub <= memory.ChannelCount; sub++)
        {
            ChannelSlot* other = memory.Channels + sub - 1;
            if (other->State != ChannelState.Free && other->Primary == relid && !other->Rescinded) Rescind(sub, other);
        }
    }

    private void FinishClose(uint relid, ChannelSlot* channel)
    {
        channel->State = ChannelState.Closed;
        channel->RingGpadl = 0;
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].State == GpadlState.TearingDown && memory.Gpadls[i].RelId == relid) ContinueTeardown(memory.Gpadls + i);
        Settle(relid, channel);
    }

    /// <summary>The device behind a channel that answered false to <see cref="IChannelDevices.Closed"/> has let go.</summary>
    public void CloseCompleted(uint relid)
    {
        if (!TryFind(relid, out ChannelSlot* channel) || channel->State != ChannelState.Closing) return;
        FinishClose(relid, channel);
        if (connection == ConnectionPhase.Leaving) ContinueLeaving();
        Pump();
    }

    private void OnModifyChannel(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out ModifyChannelMessage message) || !TryFindKnown(message.RelId, out ChannelSlot* channel)) return;
        bool valid = channel->State == ChannelState.Open && (message.TargetVp < limits.VpCount || message.TargetVp == ChannelLimits.NoTargetVp);
        if (valid)
        {
            channel->TargetVp = message.TargetVp;
            Devices.TargetChanged(message.RelId, message.TargetVp);
        }
        if (Version < VMBusVersion.V5_3) return;
        ModifyChannelResponseMessage answer = default;
        answer.Header = HeaderOf(ChannelMessageType.ModifyChannelResponse);
        answer.RelId = message.RelId;
        answer.Status = valid ? ChannelStatus.Success : ChannelStatus.InvalidParameter;
        Answer(ref answer);
    }
}
