// Reading of the guest's pairs: index by index until it has no more, but not beyond our memory.

using System;

namespace Lamina.Drivers.Vsp.Integration;

public unsafe partial struct KeyValueService
{
    private void FillPairQuestion(byte* body)
    {
        if (!reading)
        {
            reading = true;
            changed = false;
            index = 0;
        }
        var message = (KvpEnumerateMessage*)body;
        message->Header.Operation = KvpOperation.Enumerate;
        message->Header.Pool = KvpPool.Auto;
        message->Index = index;
    }

    private void PairAnswered(in IcAnswer answer, ulong now)
    {
        KeyValueItem item = default;
        if (answer.Status == IcStatus.NoMoreItems || (answer.Status == IcStatus.Success && !TryCopy(answer.Body, out item))) EndReading(now, false);
        else if (answer.Status != IcStatus.Success) FailReading(now);
        else if (index >= capacity) EndReading(now, true);
        else Store(&item, now);
    }

    // A pair without a key is how the oldest Linux daemons end the row; a message without form ends it as well.
    private static bool TryCopy(ReadOnlySpan<byte> body, out KeyValueItem item)
    {
        item = default;
        if (body.Length < sizeof(KvpEnumerateMessage)) return false;
        fixed (byte* first = body) return KeyValueItem.TryCopy(&((KvpEnumerateMessage*)first)->Pair, out item);
    }

    private void Store(KeyValueItem* item, ulong now)
    {
        if (index >= count || !KeyValueItem.AreSame(items + index, item))
        {
            items[index] = *item;
            changed = true;
        }
        index++;
        if (index > count) count = index;
    }

    private void EndReading(ulong now, bool truncated)
    {
        if (index < count)
        {
            count = index;
            changed = true;
        }
        IsTruncated = truncated;
        IsComplete = true;
        reading = failing = false;
        refreshInterval = changed ? RefreshInterval : Math.Min(refreshInterval * 2, LongestRefreshInterval);
        nextReading = now + refreshInterval;
    }

    // What was read before stays, but for the pairs that this reading has replaced.
    private void FailReading(ulong now)
    {
        reading = false;
        failing = true;
        nextReading = now + FailureInterval;
    }
}
