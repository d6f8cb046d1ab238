// A pair that the guest told us, in a form that may be shown.

using System;
using Lamina.Text;

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>A bounded copy. Lies in memory that the owner gave, at a fixed address, so that its texts can be handed out.</summary>
public unsafe struct KeyValueItem
{
    /// <summary>Linux's longest name has 26 characters; its list of IPv6 addresses may be longer than what is kept.</summary>
    public const int KeyCapacity = 64, ValueCapacity = 512;

    private byte keyLength;
    private ushort valueLength;
    private bool truncated;
    private fixed byte key[KeyCapacity];
    private fixed byte value[ValueCapacity];

    /// <summary>The guest had more to say.</summary>
    public readonly bool IsTruncated => truncated;

    /// <summary>UTF-8 without control characters. Valid until the item changes.</summary>
    public static ReadOnlySpan<byte> KeyOf(KeyValueItem* item) => new(item->key, item->keyLength);
    public static ReadOnlySpan<byte> ValueOf(KeyValueItem* item) => new(item->value, item->valueLength);

    /// <summary>Copies a pair, whose sizes are checked here; false if it is unusable: no key, or a size beyond its field.</summary>
    internal static bool TryCopy(KvpValue* pair, out KeyValueItem item)
    {
        item = default;
        if (pair->KeySize > KvpValue.MaximumKeySize || pair->ValueSize > KvpValue.MaximumValueSize) return false;
        fixed (KeyValueItem* target = &item)
        {
            target->keyLength = (byte)GuestText.ToUtf8(pair->Key, pair->KeySize, target->key, KeyCapacity, out bool keyCut);
            target->valueLength = (ushort)CopyValue(pair, target->value, out bool valueCut);
            target->truncated = keyCut | valueCut;
        }
        return item.keyLength != 0;
    }

    private static int CopyValue(KvpValue* pair, byte* target, out bool truncated)
    {
        truncated = false;
        bool isWide = pair->ValueType == KvpValueType.UInt64;
        if (pair->ValueType == KvpValueType.UInt32 || isWide)
        {
            if (pair->ValueSize < (isWide ? 8 : 4)) return 0;
            var number = new TextWriter(target, ValueCapacity);
            number.Decimal(isWide ? *(ulong*)pair->Value : *(uint*)pair->Value);
            return number.Length;
        }
        // Guests that know other types write text in them, too; at worst it is text that means nothing.
        return GuestText.ToUtf8(pair->Value, pair->ValueSize, target, ValueCapacity, out truncated);
    }

    internal static bool AreSame(KeyValueItem* one, KeyValueItem* other) =>
        one->truncated == other->truncated && KeyOf(one).SequenceEqual(KeyOf(other)) && ValueOf(one).SequenceEqual(ValueOf(other));
}
