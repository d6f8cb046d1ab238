// Offers, rescinds and the life of channel numbers.

using System;

namespace Lamina.VMBus;

public unsafe partial struct ChannelServer<TSink, TDevices>
{
    private bool TryFind(uint relid, out ChannelSlot* channel)
    {
        channel = null;
        if (relid - 1 >= memory.ChannelCount) return false;
        channel = memory.Channels + relid - 1;
        return channel->State != ChannelState.Free;
    }

    // A channel that this guest may name: it has been offered and not been released.
    private bool TryFindKnown(uint relid, out ChannelSlot* channel)
    {
        if (TryFind(relid, out channel) && channel->State != ChannelState.Available && !channel->OfferPending && !channel->Released) return true;
        EndConnection("message for a channel that was not offered, relid "u8, relid);
        return false;
    }

    /// <summary>Offers a device; the guest hears of it when it asks, or at once if it has asked. Number, connection, dedicated interrupt and
    /// monitor bits of <paramref name="offer"/> are filled in here. False: all numbers are taken.</summary>
    public bool TryOffer(in OfferChannelMessage offer, out uint relid)
    {
        if (!TryPlace(in offer, 0, out relid)) return false;
        Pump();
        return true;
    }

    /// <summary>Adds a sub-channel to an open primary: same device, index from 1 on, gone when the primary closes.</summary>
    public bool TryOfferSubChannel(uint primary, ushort index, out uint relid)
    {
        relid = 0;
        if (index == 0 || !TryFind(primary, out ChannelSlot* channel) || channel->State != ChannelState.Open || channel->Rescinded || channel->Primary != 0)
            return false;
        OfferChannelMessage offer = channel->Offer;
        offer.SubChannelIndex = index;
        if (!TryPlace(in offer, primary, out relid)) return false;
        Pump();
        return true;
    }

    private bool TryPlace(in OfferChannelMessage offer, uint primary, out uint relid)
    {
        for (relid = 1; relid <= memory.ChannelCount; relid++)
        {
            ChannelSlot* channel = memory.Channels + relid - 1;
            if (channel->State != ChannelState.Free) continue;
            *channel = default;
            channel->Offer = offer;
            channel->Offer.Header = HeaderOf(ChannelMessageType.OfferChannel);
            channel->Offer.RelId = relid;
            channel->Offer.MonitorId = 0;
            channel->Offer.MonitorAllocated = 0;
            channel->Offer.IsDedicatedInterrupt = 1;
            channel->Primary = primary;
            channel->State = ChannelState.Available;
            if (connection == ConnectionPhase.Connected && offersRequested) MarkOffered(channel);
            return true;
        }
        relid = 0;
        return false;
    }

    private void MarkOffered(ChannelSlot* channel)
    {
        channel->State = ChannelState.Closed;
        channel->OfferPending = true;
        channel->Offer.ConnectionId = channel->Offer.RelId | (uint)MessageSint << 12;
        offerCursor = 0;
    }

    /// <summary>Takes a device away (hot-remove). The slot is free when the guest has released the number, at once if it never heard of it.</summary>
    public bool Withdraw(uint relid)
    {
        if (!TryFind(relid, out ChannelSlot* channel) || channel->Withdrawn) return false;
        channel->Withdrawn = true;
        if (channel->State == ChannelState.Available) *channel = default;
        else if (!channel->Rescinded) Rescind(relid, channel);
        Pump();
        return true;
    }

    private void Rescind(uint relid, ChannelSlot* channel)
    {
        // Sub-channels have no life of their own; nor do slots whose guest is gone.
        if (channel->State == ChannelState.Available || connection != ConnectionPhase.Connected) return;
        channel->Rescinded = true;
        if (channel->State == ChannelState.Open) CloseDevice(relid, channel);
        // Closing may have answered a teardown, and that have ended the connection.
        if (connection != ConnectionPhase.Connected) return;
        if (channel->OfferPending)
        {
            // The guest never heard of it, so it has nothing to release.
            channel->OfferPending = false;
            channel->Released = true;
            Settle(relid, channel);
            return;
        }
        channel->RescindPending = true;
        offerCursor = 0;
    }

    private void OnRequestOffers()
    {
        if (offersRequested)
        {
            EndConnection("offers requested twice, channels: "u8, memory.ChannelCount);
            return;
        }
        offersRequested = allOffersPending = true;
        for (uint i = 0; i < memory.ChannelCount; i++)
            if (memory.Channels[i].State == ChannelState.Available) MarkOffered(memory.Channels + i);
        offerCursor = 0;
    }

    // Offers and rescinds wait in their slots, so that a busy sink costs no queue.
    private void PumpOffers()
    {
        for (; offerCursor < memory.ChannelCount; offerCursor++)
        {
            ChannelSlot* channel = memory.Channels + offerCursor;
            if (channel->OfferPending)
            {
                if (!SendNow(ref channel->Offer)) return;
                channel->OfferPending = false;
            }
            if (!channel->RescindPending) continue;
            RescindChannelOfferMessage rescind = default;
            rescind.Header = HeaderOf(ChannelMessageType.RescindChannelOffer);
            rescind.RelId = offerCursor + 1;
            if (!SendNow(ref rescind)) return;
            channel->RescindPending = false;
        }
        if (!allOffersPending) return;
        ChannelMessageHeader all = HeaderOf(ChannelMessageType.AllOffersDelivered);
        if (SendNow(ref all)) allOffersPending = false;
    }

    // After a rescind; of a closed sub-channel without one. A primary given back unasked is offered again at the next connection.
    private void OnRelIdReleased(ReadOnlySpan<byte> bytes)
    {
        if (!TryParse(bytes, out RelIdReleasedMessage message) || !TryFindKnown(message.RelId, out ChannelSlot* channel)) return;
        if (channel->State == ChannelState.Open)
        {
            CloseDevice(message.RelId, channel);
            if (connection != ConnectionPhase.Connected) return;
        }
        channel->Rescinded = channel->Released = true;
        channel->RescindPending = false;
        for (uint i = 0; i < memory.GpadlCount; i++)
            if (memory.Gpadls[i].State != GpadlState.Free && memory.Gpadls[i].RelId == message.RelId) BeginTeardown(memory.Gpadls + i, false);
        Settle(message.RelId, channel);
    }

    // A released channel ends when its device and its GPADLs have.
    private void Settle(uint relid, ChannelSlot* channel)
    {
        if (channel->State != ChannelState.Closed || !channel->Released || channel->GpadlCount != 0) return;
        ForgetByGuest(channel);
    }

    private static void ForgetByGuest(ChannelSlot* channel)
    {
        if (channel->State == ChannelState.Free) return;
        if (channel->Withdrawn || channel->Primary != 0)
        {
            *channel = default;
            return;
        }
        channel->State = ChannelState.Available;
        channel->OfferPending = channel->RescindPending = channel->Rescinded = channel->Released = false;
        channel->RingGpadl = 0;
        channel->TargetVp = 0;
    }

    /// <summary>Slots that hold an offer, and channels that are open.</summary>
    public readonly uint OfferCount => CountChannels(false);
    public readonly uint OpenCount => CountChannels(true);

    private readonly uint CountChannels(bool open)
    {
        uint count = 0;
        for (uint i = 0; i < memory.ChannelCount; i++)
            if (open ? memory.Channels[i].State == ChannelState.Open : memory.Channels[i].State != ChannelState.Free) count++;
        return count;
    }

    /// <summary>The state of a number; <see cref="ChannelState.Free"/> for those that are none.</summary>
    public readonly ChannelState StateOf(uint relid) => relid - 1 < memory.ChannelCount ? memory.Channels[relid - 1].State : ChannelState.Free;
}
