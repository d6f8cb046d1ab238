// Channels: opening, closing, and the turns in which their rings are served.
using System;
using System.Numerics;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage;

public unsafe partial struct StorageController<THost>
{
    /// <summary>Packets of one channel in one turn.</summary>
    private const uint TurnPackets = 256;

    /// <summary>
    /// With so many requests of a channel in flight its guest need not signal: the ring is looked at whenever some of them end, and at the
    /// latest after <see cref="PollDelay"/>, 1 ms.
    /// </summary>
    private const uint BusyDepth = 4;
    private const ulong PollDelay = 10_000;

    /// <summary>
    /// The guest opened a channel: <paramref name="subChannelIndex"/> 0 is the primary one. Both rings lie in <paramref name="pages"/>,
    /// the guest's first, ours from <paramref name="downstreamPage"/> on. The owner's <paramref name="channel"/> number names it from now
    /// on until it is closed. Returns a <see cref="ChannelStatus"/>.
    /// </summary>
    public uint Open(uint channel, ushort subChannelIndex, RingPages pages, uint downstreamPage)
    {
        if (subChannelIndex > configuration.SubChannels || Find(channel) != null) return ChannelStatus.InvalidParameter;
        // Sub-channels belong to a primary channel that is open; the index is the place in the table.
        StorageChannel* opened = channels + subChannelIndex;
        if (opened->Phase != StorageChannelPhase.Free || subChannelIndex != 0 && channels[0].Phase != StorageChannelPhase.Open) return ChannelStatus.InvalidParameter;
        if (downstreamPage >= pages.PageCount) return ChannelStatus.InvalidParameter;
        *opened = default;
        if (IncomingRing<RingPages>.TryAttach(pages, 0, downstreamPage, out opened->Incoming) != RingStatus.Ok) return ChannelStatus.InvalidParameter;
        if (OutgoingRing<RingPages>.TryAttach(pages, downstreamPage, pages.PageCount - downstreamPage, out opened->Outgoing) != RingStatus.Ok) return ChannelStatus.InvalidParameter;
        opened->Id = channel;
        opened->SubChannelIndex = subChannelIndex;
        opened->Phase = StorageChannelPhase.Open;
        // Packets may have been there before the ring was attached.
        Queue(opened);
        Serve();
        return ChannelStatus.Success;
    }

    /// <summary>The guest has written to a channel's ring, or freed room in ours. May come without cause.</summary>
    public void Signaled(uint channel)
    {
        Counters.GuestSignals++;
        Continue(channel);
    }

    /// <summary>Another turn for a channel, as the host was asked for.</summary>
    public void Continue(uint channel)
    {
        StorageChannel* signaled = Find(channel);
        if (signaled == null || signaled->Phase != StorageChannelPhase.Open) return;
        Queue(signaled);
        Serve();
    }

    /// <summary>
    /// The guest has closed a channel, or lost it. False: requests are in flight, <see cref="IVspHost.Closed"/> follows. Rings and guest
    /// memory are not touched any more after the one or the other; answers that wait for room are dropped.
    /// </summary>
    public bool Close(uint channel)
    {
        StorageChannel* closing = Find(channel);
        if (closing == null) return true;
        if (closing->Phase == StorageChannelPhase.Closing) return false;
        closing->Phase = StorageChannelPhase.Failed;
        if (closing->SubChannelIndex == 0) ForgetGuest();
        DropAnswers(closing);
        bool isFree = closing->InFlight == 0;
        closing->Phase = isFree ? StorageChannelPhase.Free : StorageChannelPhase.Closing;
        // Slots and buffers that became free may be waited for elsewhere.
        Serve();
        return isFree;
    }

    private readonly StorageChannel* Find(uint id)
    {
        for (uint i = 0; i <= configuration.SubChannels; i++)
            if (channels[i].Id == id && channels[i].Phase != StorageChannelPhase.Free) return channels + i;
        return null;
    }

    private readonly ulong BitOf(StorageChannel* channel) => 1ul << channel->SubChannelIndex;

    private void Queue(StorageChannel* channel) => queued |= BitOf(channel);

    /// <summary>Of the channels that wait for a slot, the next after the one that was resumed last.</summary>
    private void ResumeStalled()
    {
        ulong after = stalled & ~((2ul << lastResumed) - 1);
        lastResumed = BitOperations.TrailingZeroCount(after != 0 ? after : stalled);
        stalled &= ~(1ul << lastResumed);
        queued |= 1ul << lastResumed;
    }

    /// <summary>
    /// Until nothing is to be done: reads requests, hands them to the devices, kicks each of those once, writes answers; then publishes
    /// and signals once a channel. What a device completes from within a kick belongs to the same turn.
    /// </summary>
    private void Serve()
    {
        if (isServing) return;
        isServing = true;
        turn++;
        while (queued != 0 || disksToKick != 0 || touched != 0)
        {
            while (queued != 0)
            {
                int index = BitOperations.TrailingZeroCount(queued);
                queued &= ~(1ul << index);
                if (channels[index].Phase == StorageChannelPhase.Open) ServeChannel(channels + index);
            }
            if (disksToKick != 0)
            {
                KickDevices();
                continue;
            }
            while (touched != 0)
            {
                int index = BitOperations.TrailingZeroCount(touched);
                touched &= ~(1ul << index);
                if (channels[index].Phase == StorageChannelPhase.Open) Publish(channels + index);
            }
        }
        isServing = false;
    }

    private void ServeChannel(StorageChannel* channel)
    {
        if (channel->Turn != turn)
        {
            channel->Turn = turn;
            channel->Budget = TurnPackets;
        }
        touched |= BitOf(channel);
        // Answers first: they free slots, and whoever gets them sends more.
        if (WriteAnswers(channel) && ReadPackets(channel)) WriteAnswers(channel);
        // A slot that this channel was resumed for and did not need is the next one's.
        if (stalled != 0 && freeSlots != null) ResumeStalled();
    }

    /// <summary>Shows the guest what was read and written in this turn, and waits for more.</summary>
    private void Publish(StorageChannel* channel)
    {
        bool isAwaited = channel->Outgoing.Commit() | channel->Incoming.Commit();
        if (channel->IsDrained)
        {
            channel->IsDrained = false;
            if (channel->InFlight >= BusyDepth) Host.ContinueAfter(channel->Id, PollDelay);
            else if (!channel->Incoming.TryUnmask()) Queue(channel);
        }
        else if (channel->Budget == 0 && (stalled & BitOf(channel)) == 0) Host.ContinueSoon(channel->Id);
        if (!isAwaited) return;
        Counters.HostSignals++;
        Host.Signal(channel->Id);
    }

    /// <summary>The channel is at its end: nothing is read or written any more, and the owner will close it.</summary>
    private void Fail(StorageChannel* channel, ReadOnlySpan<byte> reason)
    {
        channel->Phase = StorageChannelPhase.Failed;
        DropAnswers(channel);
        Host.Fail(channel->Id, reason);
    }

    /// <summary>Everything of a channel (which is not open any more) that no device has: answers, resets, commands that wait for a buffer.</summary>
    private void DropAnswers(StorageChannel* channel)
    {
        ulong bit = BitOf(channel);
        queued &= ~bit;
        stalled &= ~bit;
        touched &= ~bit;
        channel->FirstAnswer = channel->LastAnswer = null;
        channel->AnswerCount = 0;
        for (uint i = 0; i < configuration.Slots; i++)
        {
            StorageSlot* slot = slots + i;
            if (slot->Channel != channel) continue;
            if (slot->State == StorageSlotState.AwaitsBuffer) StopWaiting(slot);
            else if (slot->State == StorageSlotState.Resetting)
            {
                resets--;
                ReleaseSlot(slot);
            }
            else if (slot->State == StorageSlotState.Answering) ReleaseSlot(slot);
        }
    }
}
