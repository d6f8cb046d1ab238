// Memory of a request: scattered pages, beginning anywhere in the first of them.
using System;

namespace Lamina.Guest.Bus;

public unsafe struct DiskBuffer
{
    public ulong* PageNumbers;
    public uint PageCount, Offset, Length;

    public static DiskBuffer Take(uint length, uint offset)
    {
        DiskBuffer buffer = new() { Offset = offset, Length = length, PageCount = (offset + length + Pages.Size - 1) / Pages.Size };
        buffer.PageNumbers = Pages.TakeWords(buffer.PageCount);
        Pages.TakeScattered(buffer.PageNumbers, buffer.PageCount);
        return buffer;
    }

    public readonly byte* At(uint index) => Pages.At(PageNumbers[(Offset + index) / Pages.Size]) + (Offset + index) % Pages.Size;

    public readonly ReadOnlySpan<ulong> Numbers => new(PageNumbers, (int)PageCount);

    /// <summary>Bytes that tell a seed and a place from any other.</summary>
    public readonly void Fill(ulong seed)
    {
        for (uint i = 0; i < Length; i++) *At(i) = Pattern(seed, i);
    }

    public readonly bool Holds(ulong seed)
    {
        for (uint i = 0; i < Length; i++) if (*At(i) != Pattern(seed, i)) return false;
        return true;
    }

    /// <summary>All pages, whole, to one value.</summary>
    public readonly void Wipe(byte value)
    {
        for (uint page = 0; page < PageCount; page++) new Span<byte>(Pages.At(PageNumbers[page]), (int)Pages.Size).Fill(value);
    }

    /// <summary>All pages, whole, still have that value.</summary>
    public readonly bool IsWiped(byte value)
    {
        for (uint page = 0; page < PageCount; page++)
            foreach (byte found in new ReadOnlySpan<byte>(Pages.At(PageNumbers[page]), (int)Pages.Size)) if (found != value) return false;
        return true;
    }

    /// <summary>Nothing was written before the first byte or after the last, where a fresh buffer has zeros.</summary>
    public readonly bool HasCleanEdges()
    {
        byte* first = Pages.At(PageNumbers[0]), last = Pages.At(PageNumbers[PageCount - 1]);
        for (uint i = 0; i < Offset; i++) if (first[i] != 0) return false;
        for (uint i = (Offset + Length - 1) % Pages.Size + 1; i < Pages.Size; i++) if (last[i] != 0) return false;
        return true;
    }

    private static byte Pattern(ulong seed, uint index) => (byte)((seed * 0x9E3779B97F4A7C15 >> 32) + index * 7 + (index >> 8) * 13 + 1);
}
