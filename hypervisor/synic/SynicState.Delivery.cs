// Delivery of messages into the SIM page and of event flags into the SIEF page.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.Abi;

namespace Lamina.Hypervisor.Synic;

public unsafe partial struct SynicState
{
    /// <summary>SINTs that have messages queued, one bit each.</summary>
    public readonly uint QueuedSints => _queuedSints;

    /// <summary>
    /// Posts a message if its slot is free and nothing stands before it. It is copied; nothing is queued.
    /// </summary>
    /// <param name="sint">0 to 15.</param>
    /// <param name="vector">To assert after Posted; 0: no interrupt.</param>
    public PostResult TryPostMessage(int sint, HvMessage* message, out byte vector)
    {
        bool queued = (_queuedSints >> sint & 1) != 0;
        return TryFillSlot(sint, &message->Header, message->Payload, queued, false, out vector);
    }

    /// <summary>
    /// Posts a timer message. TLFS, "Synthetic Timer Expiration Message". Busy: the timer keeps it and tries again at EOM.
    /// </summary>
    // Every field is written: no zeroing, which would go through XMM registers on a path that may not have saved them.
    [SkipLocalsInit]
    public PostResult TryPostTimerMessage(int sint, uint timer, ulong expiration, ulong delivery, out byte vector)
    {
        HvMessageHeader header;
        header.MessageType = HvMessageType.HvMessageTimerExpired;
        header.PayloadSize = (byte)sizeof(HvTimerMessagePayload);
        header.MessageFlags = 0;
        header.Reserved = 0;
        header.SenderOrPort = 0;
        HvTimerMessagePayload payload;
        payload.TimerIndex = timer;
        payload.Reserved = 0;
        payload.ExpirationTime = expiration;
        payload.DeliveryTime = delivery;
        bool queued = (_queuedSints >> sint & 1) != 0;
        return TryFillSlot(sint, &header, (ulong*)&payload, queued, false, out vector);
    }

    /// <summary>
    /// Queues a message behind those of its SINT and delivers what can be delivered; never fails. While SynIC or SIM
    /// page are disabled it waits (a port's message must not come here then: see <see cref="AcceptsMessages"/>).
    /// </summary>
    /// <returns>Vector to assert; 0: none.</returns>
    public byte Enqueue(int sint, PendingMessage* node)
    {
        _queues[sint].Append(node);
        _queuedSints |= 1u << sint;
        DeliverHead(sint, out byte vector);
        return vector;
    }

    /// <summary>A SINT's slot, to be filled in place and given away by <see cref="Publish"/>; null when it is taken, or others wait for it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly HvMessage* TryClaim(int sint)
    {
        if (!AcceptsMessages || (_queuedSints >> sint & 1) != 0) return null;
        // SAFETY: as in TryFillSlot. The type is its first word.
        uint* slot = (uint*)(_messages + sint * SynicLimits.HV_MESSAGE_SIZE);
        return Volatile.Read(ref *slot) == HvMessageType.HvMessageTypeNone ? (HvMessage*)slot : null;
    }

    /// <summary>Lets the guest see what was put into a claimed slot: all but its type, with no flag set.</summary>
    /// <returns>Vector to assert; 0: none.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly byte Publish(int sint, HvMessage* slot, uint messageType)
    {
        Volatile.Write(ref slot->Header.MessageType, messageType);
        return GetInterruptVector(sint);
    }

    /// <summary>
    /// Scans the queues: to be called on EOM, on an EOI while <see cref="QueuedSints"/> is not zero, and when SynIC or SIM
    /// page have been enabled. One message per SINT at most.
    /// </summary>
    /// <returns>SINTs that received a message, one bit each: assert <see cref="GetInterruptVector"/> of each unless 0.</returns>
    public uint Redeliver()
    {
        uint delivered = 0;
        for (uint left = _queuedSints; left != 0; left &= left - 1)
        {
            int sint = BitOperations.TrailingZeroCount(left);
            if (DeliverHead(sint, out _)) delivered |= 1u << sint;
        }
        return delivered;
    }

    /// <summary>Takes a queued message back, for the deletion of its sender. False: not in that SINT's queue.</summary>
    public bool Withdraw(int sint, PendingMessage* node)
    {
        if (!_queues[sint].Remove(node)) return false;
        if (_queues[sint].IsEmpty) _queuedSints &= ~(1u << sint);
        return true;
    }

    /// <summary>Sets an event flag. May be called from any processor while the SIEF page stays mapped.</summary>
    /// <param name="sint">0 to 15.</param>
    /// <param name="flag">0 to 2047.</param>
    /// <param name="vector">To assert after Signaled; 0: no interrupt.</param>
    // TLFS, "Event Flag Delivery".
    public readonly SignalResult TrySignalEvent(int sint, uint flag, out byte vector)
    {
        vector = 0;
        byte* events = _events;
        SintMsr register = new SintMsr(_sints[sint]);
        if (events == null || !IsEnabled || register.Masked) return SignalResult.Unavailable;
        // SAFETY: guest memory, one aligned 32-bit word inside the page: sint < 16 and flag is reduced below 2048.
        uint* word = (uint*)(events + sint * SynicLimits.HV_EVENT_FLAGS_BYTE_COUNT) + (flag % SynicLimits.HV_EVENT_FLAGS_COUNT >> 5);
        uint bit = 1u << (int)flag;
        if ((Interlocked.Or(ref *word, bit) & bit) != 0) return SignalResult.AlreadySet;
        vector = register.Polling ? (byte)0 : register.Vector;
        return SignalResult.Signaled;
    }

    // Moves the first queued message into its slot. The buffer is given back last: then it may be refilled elsewhere.
    private bool DeliverHead(int sint, out byte vector)
    {
        PendingMessage* node = _queues[sint].Head;
        HvMessage* message = node->Message;
        if (TryFillSlot(sint, &message->Header, message->Payload, false, node->_next != null, out vector) != PostResult.Posted) return false;
        _queues[sint].RemoveHead();
        if (_queues[sint].IsEmpty) _queuedSints &= ~(1u << sint);
        node->Release();
        return true;
    }

    // The guest frees a slot by clearing the type, then looks at MessagePending, then writes EOM if it is set. So we set
    // MessagePending first and look at the type again after a full barrier: either we see the slot free, or the guest sees the flag.
    private readonly PostResult TryFillSlot(int sint, HvMessageHeader* header, ulong* payload, bool mustWait, bool moreWait, out byte vector)
    {
        vector = 0;
        if (!AcceptsMessages) return PostResult.Unavailable;
        // SAFETY: guest memory that we only write, but for the type, of which only "zero or not" counts. A guest that
        // races with us spoils its own messages.
        HvMessage* slot = (HvMessage*)(_messages + sint * SynicLimits.HV_MESSAGE_SIZE);
        if (mustWait || Volatile.Read(ref slot->Header.MessageType) != HvMessageType.HvMessageTypeNone)
        {
            Volatile.Write(ref slot->Header.MessageFlags, HvMessageHeader.MessagePending);
            Interlocked.MemoryBarrier();
            if (mustWait || Volatile.Read(ref slot->Header.MessageType) != HvMessageType.HvMessageTypeNone) return PostResult.Busy;
        }
        uint size = header->PayloadSize;
        if (size > SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT) size = SynicLimits.HV_MESSAGE_PAYLOAD_BYTE_COUNT;
        for (uint i = 0; i < (size + 7) / 8; i++) slot->Payload[i] = payload[i];
        slot->Header.SenderOrPort = header->SenderOrPort;
        slot->Header.PayloadSize = (byte)size;
        slot->Header.MessageFlags = moreWait ? HvMessageHeader.MessagePending : (byte)0;
        slot->Header.Reserved = 0;
        // The type publishes the message.
        Volatile.Write(ref slot->Header.MessageType, header->MessageType);
        vector = GetInterruptVector(sint);
        return PostResult.Posted;
    }
}
