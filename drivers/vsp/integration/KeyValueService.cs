// Key-value pairs: what the guest says of itself is read pair by pair, again and again; the host may set pairs in the guest.

using System;

namespace Lamina.Drivers.Vsp.Integration;

public enum KeyValueState : byte
{
    Closed = 0,
    /// <summary>No answer yet. Linux gives none before its daemon (hv_kvp_daemon) runs.</summary>
    NoContact,
    Incompatible,
    /// <summary>Not all pairs are there yet.</summary>
    Reading,
    /// <summary>The pairs are complete and as old as the last reading.</summary>
    Current,
    /// <summary>The guest answered the last question with <see cref="KeyValueService.LastStatus"/>: Linux while its daemon hangs.</summary>
    Failing,
    /// <summary>A question has been without answer for <see cref="KeyValueService.SilentAfter"/>: Linux while its daemon is gone.</summary>
    Silent,
}

/// <summary>What became of the last pair that the host set or deleted.</summary>
public enum KeyValueWrite : byte { None = 0, Pending, Done, Failed }

/// <summary>
/// One question at a time: a guest may leave it unanswered for ever, and then nothing more is asked. All zero is the service before the guest
/// opens its channel; <see cref="Initialize"/> gives it memory for pairs.
/// </summary>
public unsafe partial struct KeyValueService
{
    /// <summary>Between readings: after one that brought something new, and the most that it grows to while nothing changes.</summary>
    public const ulong RefreshInterval = 30 * IntegrationClock.Second, LongestRefreshInterval = 300 * IntegrationClock.Second;
    /// <summary>Linux itself gives up on its daemon after 30 seconds.</summary>
    public const ulong SilentAfter = 60 * IntegrationClock.Second;
    public const ulong FailureInterval = 60 * IntegrationClock.Second;
    /// <summary>Memory for so many pairs holds what Linux has (10) and then some.</summary>
    public const uint UsualItemCount = 24;

    private const IntegrationService Service = IntegrationService.KeyValuePairs;

    private enum Question : byte { None, Pair, Write }

    private ServiceChannel channel;
    private KeyValueItem* items;
    private uint capacity, count;
    private Question question;
    private byte transaction;
    private ulong silentAt;
    private bool silent, failing;

    // A reading.
    private bool reading, changed;
    private uint index;
    private ulong nextReading, refreshInterval;

    // A pair to be set or deleted, as it goes over the wire.
    private byte writeOperation;
    private uint writeKeySize, writeValueSize;
    private fixed byte writeKey[KvpValue.MaximumKeySize];
    private fixed byte writeValue[KvpValue.MaximumValueSize];

    public readonly ServiceState Channel => channel.State;
    public readonly IcVersion Version => channel.Version;
    public readonly uint Ignored => channel.Ignored;
    /// <summary>Of the last answer, the end of a reading included.</summary>
    public uint LastStatus { get; private set; }
    public KeyValueWrite LastWrite { get; private set; }
    /// <summary>The guest had more pairs than there is memory for.</summary>
    public bool IsTruncated { get; private set; }
    /// <summary>All pairs have been read at least once.</summary>
    public bool IsComplete { get; private set; }

    public readonly KeyValueState State => channel.State switch
    {
        ServiceState.Closed => KeyValueState.Closed,
        ServiceState.Negotiating => KeyValueState.NoContact,
        ServiceState.Incompatible => KeyValueState.Incompatible,
        _ => silent ? KeyValueState.Silent : failing ? KeyValueState.Failing : IsComplete ? KeyValueState.Current : KeyValueState.Reading,
    };

    /// <summary>Pairs that are there; in the order in which the guest told them.</summary>
    public readonly uint Count => count;
    public readonly KeyValueItem* this[uint number] => number < count ? items + number : null;

    /// <summary>The value of a key, spelled as the guest spells it. False: there is none.</summary>
    public readonly bool TryGet(ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        for (uint i = 0; i < count; i++)
        {
            if (!KeyValueItem.KeyOf(items + i).SequenceEqual(key)) continue;
            value = KeyValueItem.ValueOf(items + i);
            return true;
        }
        value = default;
        return false;
    }

    /// <param name="memory">Zeroed, at a fixed address, this service's own.</param>
    public void Initialize(KeyValueItem* memory, uint itemCount)
    {
        items = memory;
        capacity = itemCount;
    }

    public void Opened(ulong now)
    {
        Forget();
        channel.Open();
    }

    /// <summary>The pairs are forgotten: what runs next in the VM may be something else.</summary>
    public void Closed()
    {
        Forget();
        channel.Close();
    }

    private void Forget()
    {
        question = Question.None;
        count = index = LastStatus = 0;
        silent = failing = reading = IsTruncated = IsComplete = false;
        if (LastWrite == KeyValueWrite.Pending) LastWrite = KeyValueWrite.Failed;
    }

    /// <summary>The guest has stood still, and had no chance to answer.</summary>
    public void Resumed(ulong now)
    {
        if (question != Question.None && !silent) silentAt = now + SilentAfter;
    }

    public void Received(ReadOnlySpan<byte> payload, ulong now)
    {
        switch (channel.Receive(Service, payload, out IcAnswer answer))
        {
            case Reception.Agreed:
                refreshInterval = RefreshInterval;
                nextReading = now;
                break;
            case Reception.Answer:
                if (answer.MessageType != IcMessageType.KvpExchange || question == Question.None || answer.TransactionId != transaction) channel.CountIgnored();
                else Answered(in answer, now);
                break;
        }
    }

    private void Answered(in IcAnswer answer, ulong now)
    {
        Question answered = question;
        question = Question.None;
        silent = false;
        LastStatus = answer.Status;
        if (answered == Question.Pair) PairAnswered(in answer, now);
        else LastWrite = answer.Status == IcStatus.Success ? KeyValueWrite.Done : KeyValueWrite.Failed;
    }

    /// <summary>Does what is due; answers when to call again at the latest.</summary>
    public ulong Tick<THost>(ulong now, ref THost host) where THost : struct, IIntegrationHost
    {
        if (!channel.TryNegotiate(Service, ref host)) return now + IntegrationClock.RetryInterval;
        if (channel.State != ServiceState.Ready) return IntegrationClock.Never;
        if (question == Question.None)
        {
            if (LastWrite != KeyValueWrite.Pending && !reading && now < nextReading) return nextReading;
            if (!TryAsk(ref host)) return now + IntegrationClock.RetryInterval;
            silentAt = now + SilentAfter;
        }
        if (now >= silentAt) silent = true;
        return silent ? IntegrationClock.Never : silentAt;
    }

    private bool TryAsk<THost>(ref THost host) where THost : struct, IIntegrationHost
    {
        byte* message = stackalloc byte[ServiceChannel.HeaderSize + sizeof(KvpEnumerateMessage)];
        byte* body = message + ServiceChannel.HeaderSize;
        new Span<byte>(body, sizeof(KvpEnumerateMessage)).Clear();
        bool isWrite = LastWrite == KeyValueWrite.Pending;
        if (isWrite) FillWrite(body);
        else FillPairQuestion(body);
        if (!channel.TrySend(Service, message, sizeof(KvpEnumerateMessage), IcMessageType.KvpExchange, ref host, out byte number)) return false;
        transaction = number;
        question = isWrite ? Question.Write : Question.Pair;
        return true;
    }
}
