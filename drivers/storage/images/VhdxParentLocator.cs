// Which image a differencing VHDX names as its parent, and where it says that is. MS-VHDX, "Parent Locator".
using System;
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Storage.Images;

/// <summary>A checked view of the item, which lies in the image's memory.</summary>
public readonly unsafe struct VhdxParentLocator
{
    public const uint HeaderBytes = 20, EntryBytes = 12;

    internal static VhdxGuid LocatorType => VhdxGuid.Of(0xB04AEFB7, 0xD19E, 0x4A81, 0xB78925B8E9445913);

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public uint KeyOffset, ValueOffset;
        public ushort KeyLength, ValueLength;
    }

    private readonly byte* item;
    private readonly uint bytes;

    internal VhdxParentLocator(byte* item, uint bytes)
    {
        this.item = item;
        this.bytes = bytes;
    }

    private ushort Count => *(ushort*)(item + 18);
    private Entry* Entries => (Entry*)(item + HeaderBytes);

    /// <summary>Success; unsupported when it is of another type; else invalid.</summary>
    internal ImageStatus Check()
    {
        if (bytes < HeaderBytes) return ImageStatus.Invalid;
        if (!(*(VhdxGuid*)item).Equals(LocatorType)) return ImageStatus.Unsupported;
        if (HeaderBytes + (uint)Count * EntryBytes > bytes) return ImageStatus.Invalid;
        for (uint i = 0; i < Count; i++)
        {
            Entry entry = Entries[i];
            if (!IsInside(entry.KeyOffset, entry.KeyLength) || !IsInside(entry.ValueOffset, entry.ValueLength)) return ImageStatus.Invalid;
        }
        return TryFindLinkage("parent_linkage"u8, out _) ? ImageStatus.Success : ImageStatus.Invalid;
    }

    private bool IsInside(uint offset, uint length) => length != 0 && length % 2 == 0 && offset >= HeaderBytes && offset <= bytes && length <= bytes - offset;

    /// <summary>The value of a key in ASCII ("relative_path", "volume_path", "absolute_win32_path": to be tried in this order): UTF-16, little-endian, not terminated.</summary>
    public bool TryFind(ReadOnlySpan<byte> key, out byte* value, out uint valueBytes)
    {
        for (uint i = 0; item != null && i < Count; i++)
        {
            Entry entry = Entries[i];
            if (entry.KeyLength != key.Length * 2) continue;
            bool same = true;
            for (int c = 0; c < key.Length && same; c++) same = item[entry.KeyOffset + c * 2] == key[c] && item[entry.KeyOffset + c * 2 + 1] == 0;
            if (!same) continue;
            value = item + entry.ValueOffset;
            valueBytes = entry.ValueLength;
            return true;
        }
        value = null;
        valueBytes = 0;
        return false;
    }

    /// <summary>Whether an image of this DataWriteGuid is the parent: the content that the child was made from, unchanged since.</summary>
    public bool IsParent(VhdxGuid dataWriteGuid) =>
        (TryFindLinkage("parent_linkage"u8, out VhdxGuid linkage) && linkage.Equals(dataWriteGuid)) ||
        (TryFindLinkage("parent_linkage2"u8, out linkage) && linkage.Equals(dataWriteGuid));

    private bool TryFindLinkage(ReadOnlySpan<byte> key, out VhdxGuid guid)
    {
        guid = default;
        return TryFind(key, out byte* text, out uint textBytes) && VhdxGuid.TryReadText(text, textBytes, out guid);
    }
}
