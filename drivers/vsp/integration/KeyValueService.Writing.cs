// Pairs that the host sets and deletes in the guest: one at a time.

using System;

namespace Lamina.Drivers.Vsp.Integration;

public unsafe partial struct KeyValueService
{
    /// <summary>
    /// Sets a pair in the guest's external pool (Linux: /var/lib/hyperv/.kvp_pool_0); sent with the next <see cref="Tick"/> at which the guest owes no
    /// answer, see <see cref="LastWrite"/>. False: not UTF-8, no key, too long (255 and 1023 UTF-16 units), the guest does not listen, or another one is pending.
    /// </summary>
    public bool TrySet(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) => TryWrite(KvpOperation.Set, key, value);

    /// <summary>Deletes a pair of the external pool; otherwise as <see cref="TrySet"/>.</summary>
    public bool TryDelete(ReadOnlySpan<byte> key) => TryWrite(KvpOperation.Delete, key, default);

    private bool TryWrite(byte operation, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        if (channel.State != ServiceState.Ready || LastWrite == KeyValueWrite.Pending || key.Length == 0) return false;
        fixed (byte* keyTarget = writeKey, valueTarget = writeValue)
        {
            if (!GuestText.TryToUtf16(key, keyTarget, KvpValue.MaximumKeySize, out writeKeySize)) return false;
            if (!GuestText.TryToUtf16(value, valueTarget, KvpValue.MaximumValueSize, out writeValueSize)) return false;
        }
        writeOperation = operation;
        LastWrite = KeyValueWrite.Pending;
        return true;
    }

    private void FillWrite(byte* body)
    {
        var header = (KvpHeader*)body;
        header->Operation = writeOperation;
        header->Pool = KvpPool.External;
        if (writeOperation == KvpOperation.Delete)
        {
            var delete = (KvpDeleteMessage*)body;
            delete->KeySize = writeKeySize;
            CopyWrite(delete->Key, null);
            return;
        }
        KvpValue* pair = &((KvpSetMessage*)body)->Pair;
        pair->ValueType = KvpValueType.String;
        pair->KeySize = writeKeySize;
        pair->ValueSize = writeValueSize;
        CopyWrite(pair->Key, pair->Value);
    }

    private void CopyWrite(byte* key, byte* value)
    {
        fixed (byte* keySource = writeKey, valueSource = writeValue)
        {
            new ReadOnlySpan<byte>(keySource, (int)writeKeySize).CopyTo(new Span<byte>(key, (int)writeKeySize));
            if (value != null) new ReadOnlySpan<byte>(valueSource, (int)writeValueSize).CopyTo(new Span<byte>(value, (int)writeValueSize));
        }
    }
}
