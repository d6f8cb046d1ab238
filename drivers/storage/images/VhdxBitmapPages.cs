// A few pages of a differencing VHDX's sector bitmaps in memory: the bitmaps of a large disk are too large to hold.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// Pages of 4 KiB by where they lie in the file. Who uses one pins it; the one that was not used for longest makes way. What a page
/// holds changes only by a commit, which pins it until the file has the change too.
/// </summary>
internal unsafe struct VhdxBitmapPages
{
    public const uint Count = 64, PageBytes = 4096, SectorsPerPage = PageBytes * 8, None = uint.MaxValue;
    public static uint MemoryBytes => Count * (PageBytes + (uint)sizeof(Page));

    private struct Page
    {
        public ulong FileOffset;   // 0: empty
        public uint LastUse;
        public ushort Pins;
        public bool IsLoaded;
    }

    private readonly byte* data;
    private readonly Page* pages;
    private uint clock;

    /// <param name="memory">Zeroed, <see cref="MemoryBytes"/>, 8-byte aligned.</param>
    public VhdxBitmapPages(byte* memory)
    {
        this = default;
        data = memory;
        pages = (Page*)(memory + Count * PageBytes);
    }

    public readonly byte* Data(uint index) => data + index * PageBytes;
    public readonly bool IsLoaded(uint index) => pages[index].IsLoaded;

    public readonly uint Find(ulong fileOffset)
    {
        for (uint i = 0; i < Count; i++)
            if (pages[i].FileOffset == fileOffset) return i;
        return None;
    }

    public void Pin(uint index)
    {
        pages[index].Pins++;
        pages[index].LastUse = ++clock;
    }

    private readonly uint Victim()
    {
        uint victim = None;
        for (uint i = 0; i < Count; i++)
            if (pages[i].Pins == 0 && (victim == None || clock - pages[i].LastUse > clock - pages[victim].LastUse)) victim = i;
        return victim;
    }

    /// <summary>Whether there is one to be had for a page that is not here.</summary>
    public readonly bool HasRoom => Victim() != None;

    /// <summary>Makes a pinned, zeroed page for a place that is not here; None if all are pinned. Reading it in is up to the caller, who says <see cref="SetLoaded"/>.</summary>
    public uint Claim(ulong fileOffset)
    {
        uint index = Victim();
        if (index == None) return None;
        pages[index] = new Page { FileOffset = fileOffset };
        new Span<byte>(Data(index), (int)PageBytes).Clear();
        Pin(index);
        return index;
    }

    public readonly void SetLoaded(uint index) => pages[index].IsLoaded = true;

    public readonly void Unpin(uint index) => pages[index].Pins--;

    /// <summary>Unpins a page that was never read in or is of a bitmap that did not come to be.</summary>
    public readonly void Drop(uint index) => pages[index] = default;

    /// <summary>A piece of the file has become zeros.</summary>
    public readonly void Clear(ulong offset, ulong length)
    {
        for (uint i = 0; i < Count; i++)
            if (pages[i].FileOffset != 0 && pages[i].FileOffset >= offset && pages[i].FileOffset < offset + length) new Span<byte>(Data(i), (int)PageBytes).Clear();
    }
}

/// <summary>Bits of a sector bitmap: bit 0 of byte 0 is the first sector.</summary>
internal static unsafe class VhdxBits
{
    public static bool IsSet(byte* bits, uint index) => (bits[index / 8] >> (int)(index % 8) & 1) != 0;

    public static void Set(byte* bits, uint first, uint count)
    {
        for (uint i = first; i < first + count;)
            if (i % 8 == 0 && first + count - i >= 8)
            {
                bits[i / 8] = 0xFF;
                i += 8;
            }
            else bits[i / 8] |= (byte)(1 << (int)(i++ % 8));
    }

    /// <summary>How many from the first on, at most <paramref name="count"/>, are the same as it.</summary>
    public static uint Run(byte* bits, uint first, uint count)
    {
        bool value = IsSet(bits, first);
        byte same = value ? (byte)0xFF : (byte)0;
        uint i = first;
        while (i < first + count)
            if (i % 8 == 0 && first + count - i >= 8 && bits[i / 8] == same) i += 8;
            else if (IsSet(bits, i) == value) i++;
            else break;
        return i - first;
    }

    public static bool AllSet(byte* bits, uint first, uint count) => IsSet(bits, first) && Run(bits, first, count) == count;
}
