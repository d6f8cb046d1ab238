// Packets in and out: each is copied once, checked, and answered from its slot.
using System;
using Lamina.VMBus;

namespace Lamina.Drivers.Vsp.Storage;

public unsafe partial struct StorageController<THost>
{
    private static uint AnswerBytes => (uint)OutgoingRing<RingPages>.SizeOf(0, sizeof(VstorPacket));

    /// <summary>Room asked for when answers wait, so that the guest does not signal for each of them.</summary>
    private const uint AnswersAwaited = 16;

    /// <summary>Takes requests while there are slots for them. False: the channel has failed.</summary>
    private bool ReadPackets(StorageChannel* channel)
    {
        // Sub-channels carry commands only, so they wait for the primary one to be through with its introduction.
        if (channel->SubChannelIndex != 0 && state != ProtocolState.Ready) return true;
        stalled &= ~BitOf(channel);
        channel->Incoming.Mask();
        while (channel->Budget != 0)
        {
            if (freeSlots == null)
            {
                // The mask stays set: whoever releases a slot resumes this channel.
                Counters.SlotStalls++;
                stalled |= BitOf(channel);
                return true;
            }
            RingStatus status = channel->Incoming.TryRead(packetBuffer, PacketCapacity, out RingPacket packet);
            if (status == RingStatus.Empty)
            {
                channel->IsDrained = true;
                return true;
            }
            if (status != RingStatus.Ok)
            {
                Fail(channel, status.Text());
                return false;
            }
            channel->Budget--;
            if (!TakePacket(channel, packet)) return false;
        }
        return true;
    }

    /// <summary>False: the channel has failed.</summary>
    private bool TakePacket(StorageChannel* channel, in RingPacket packet)
    {
        ReadOnlySpan<byte> payload = packet.Payload;
        ReadOnlySpan<byte> wrong = default;
        if (packet.Type is not (PacketType.GpaDirect or PacketType.InBand)) wrong = "storage packet of a type that is not sent to hosts"u8;
        else if (!packet.CompletionRequested) wrong = "storage packet that asks for no completion"u8;
        else if (payload.Length < VstorPacket.ShortSize) wrong = "storage packet shorter than a request"u8;
        if (wrong.Length != 0)
        {
            Fail(channel, wrong);
            return false;
        }
        StorageSlot* slot = TakeSlot(channel);
        slot->TransactionId = packet.TransactionId;
        // A short one (see VstorPacket.ShortSize) lacks nothing that is looked at.
        if (!Wire.TryRead(payload, out slot->Packet)) payload.CopyTo(new Span<byte>(&slot->Packet, sizeof(VstorPacket)));
        if (slot->Packet.Operation == VstorOperation.ExecuteSrb) ExecuteSrb(slot, packet);
        else Negotiate(slot);
        return true;
    }

    /// <summary>The slot's packet goes back as a completion, if anyone still listens; what its union holds is the caller's.</summary>
    private void Answer(StorageSlot* slot, uint status)
    {
        StorageChannel* channel = slot->Channel;
        if (channel->Phase != StorageChannelPhase.Open)
        {
            ReleaseSlot(slot);
            return;
        }
        slot->State = StorageSlotState.Answering;
        slot->Packet.Operation = VstorOperation.CompleteIo;
        slot->Packet.Flags = 0;
        slot->Packet.Status = status;
        slot->Next = null;
        if (channel->FirstAnswer == null) channel->FirstAnswer = slot;
        else channel->LastAnswer->Next = slot;
        channel->LastAnswer = slot;
        channel->AnswerCount++;
        Queue(channel);
    }

    /// <summary>Moves answers into the ring while there is room, then a wish to be scanned. False: the channel has failed.</summary>
    private bool WriteAnswers(StorageChannel* channel)
    {
        queued &= ~BitOf(channel);
        RingStatus status = RingStatus.Ok;
        while (channel->FirstAnswer != null)
        {
            StorageSlot* slot = channel->FirstAnswer;
            status = Write(channel, slot->TransactionId, &slot->Packet, isAnswer: true);
            if (status != RingStatus.Ok) break;
            channel->FirstAnswer = slot->Next;
            channel->AnswerCount--;
            ReleaseSlot(slot);
        }
        if (status == RingStatus.Ok) status = WriteRescan(channel);
        if (status is RingStatus.Ok or RingStatus.Full) return true;
        Fail(channel, status.Text());
        return false;
    }

    /// <summary>Full: the guest signals when there is room for some of the answers.</summary>
    private RingStatus Write(StorageChannel* channel, ulong transactionId, VstorPacket* packet, bool isAnswer)
    {
        RingStatus status = TryWrite(channel, transactionId, packet, isAnswer);
        if (status == RingStatus.Full && (status = AwaitRoom(channel)) == RingStatus.Ok) status = TryWrite(channel, transactionId, packet, isAnswer);
        if (status == RingStatus.Ok && channel->AwaitsRoom)
        {
            channel->AwaitsRoom = false;
            channel->Outgoing.StopWaiting();
        }
        return status;
    }

    private static RingStatus TryWrite(StorageChannel* channel, ulong transactionId, VstorPacket* packet, bool isAnswer)
    {
        ReadOnlySpan<byte> bytes = new(packet, sizeof(VstorPacket));
        return isAnswer ? channel->Outgoing.TryWriteCompletion(transactionId, bytes) : channel->Outgoing.TryWriteInBand(transactionId, false, bytes);
    }

    private RingStatus AwaitRoom(StorageChannel* channel)
    {
        RingStatus status = channel->Outgoing.AwaitRoom(Math.Min(Math.Max(channel->AnswerCount, 1), AnswersAwaited) * AnswerBytes);
        channel->AwaitsRoom = status == RingStatus.Full;
        if (channel->AwaitsRoom) Counters.RingStalls++;
        return status;
    }
}
