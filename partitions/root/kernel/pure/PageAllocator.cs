// Which pages of memory are free: two bits a page and a count for every 2 MiB. Pure bookkeeping, it touches no page.
using System;
using System.Numerics;

namespace Lamina.Root.Kernel;

/// <summary>
/// Hands out runs of 4 KiB pages by page number. Small requests fill blocks (2 MiB, 512 pages) that are already broken into, so
/// that whole blocks remain for guests' memory. Also remembers which pages hold unknown bytes and must be zeroed before use.
/// </summary>
public unsafe struct PageAllocator
{
    public const ulong PagesPerBlock = 512;
    private const int WordsPerBlock = 8;

    private readonly ulong* free;          // one bit a page, 1: free
    private readonly ulong* unknown;       // one bit a page, 1: its content is not known to be zero
    private readonly ushort* freeInBlock;
    private readonly ulong blockCount;
    private ulong firstBroken;             // no block below this one is partly free

    /// <summary>Bytes of bookkeeping for pages 0 to <paramref name="pageLimit"/> (exclusive).</summary>
    public static ulong StorageBytes(ulong pageLimit) => BlocksFor(pageLimit) * (2 * WordsPerBlock * sizeof(ulong) + sizeof(ushort));

    /// <summary>Begins with no page. <paramref name="storage"/> has <see cref="StorageBytes"/> zeroed bytes, 8-byte aligned, and stays the allocator's.</summary>
    public PageAllocator(byte* storage, ulong pageLimit)
    {
        blockCount = BlocksFor(pageLimit);
        free = (ulong*)storage;
        unknown = free + blockCount * WordsPerBlock;
        freeInBlock = (ushort*)(unknown + blockCount * WordsPerBlock);
        firstBroken = 0;
        FreePageCount = 0;
        TotalPageCount = 0;
    }

    public ulong FreePageCount { get; private set; }

    /// <summary>All pages ever added.</summary>
    public ulong TotalPageCount { get; private set; }

    /// <summary>Adds free pages of unknown content; false (and nothing added) if one lies beyond the limit or is already free.</summary>
    public bool TryAdd(ulong first, ulong count)
    {
        if (!TryRelease(first, count)) return false;
        for (ulong page = first; page < first + count; page++) unknown[page / 64] |= 1UL << (int)(page % 64);
        TotalPageCount += count;
        return true;
    }

    /// <summary>Takes <paramref name="count"/> adjacent pages whose first number is a multiple of <paramref name="alignment"/>, a power of two.</summary>
    public bool TryTake(ulong count, ulong alignment, out ulong first)
    {
        first = 0;
        if (count == 0 || count > FreePageCount || !BitOperations.IsPow2(alignment)) return false;
        bool small = count < PagesPerBlock && alignment < PagesPerBlock;
        if (!(small && (TryFindInBroken(count, alignment, out first) || TryFindWholeBlock(out first))) && !TryFindRun(count, alignment, out first)) return false;
        Mark(first, count, toFree: false);
        return true;
    }

    /// <summary>Gives pages back; false (and nothing done) if the range is empty, beyond the limit, or holds a page that is free.</summary>
    public bool TryRelease(ulong first, ulong count)
    {
        ulong limit = blockCount * PagesPerBlock;
        if (count == 0 || first >= limit || count > limit - first) return false;
        for (ulong page = first; page < first + count; page++)
            if (IsFree(page)) return false;
        Mark(first, count, toFree: true);
        return true;
    }

    /// <summary>Whether the page's content was unknown; from now on it counts as zeroed.</summary>
    public readonly bool TakeUnknown(ulong page)
    {
        ulong bit = 1UL << (int)(page % 64);
        bool was = (unknown[page / 64] & bit) != 0;
        unknown[page / 64] &= ~bit;
        return was;
    }

    private static ulong BlocksFor(ulong pageLimit) => (pageLimit + PagesPerBlock - 1) / PagesPerBlock;

    private readonly bool IsFree(ulong page) => (free[page / 64] >> (int)(page % 64) & 1) != 0;

    private bool TryFindInBroken(ulong count, ulong alignment, out ulong first)
    {
        bool leading = true;
        for (ulong block = firstBroken; block < blockCount; block++)
        {
            ulong here = freeInBlock[block];
            if (here == 0 || here == PagesPerBlock) continue;
            if (leading) firstBroken = block;
            leading = false;
            if (here >= count && TryFindWithin(block * PagesPerBlock, (block + 1) * PagesPerBlock, count, alignment, out first)) return true;
        }
        if (leading) firstBroken = blockCount;
        first = 0;
        return false;
    }

    private readonly bool TryFindWholeBlock(out ulong first)
    {
        for (ulong block = 0; block < blockCount; block++)
        {
            first = block * PagesPerBlock;
            if (freeInBlock[block] == PagesPerBlock) return true;
        }
        first = 0;
        return false;
    }

    private readonly bool TryFindRun(ulong count, ulong alignment, out ulong first) => TryFindWithin(0, blockCount * PagesPerBlock, count, alignment, out first);

    /// <summary>The lowest fitting run of free pages in [start, end).</summary>
    private readonly bool TryFindWithin(ulong start, ulong end, ulong count, ulong alignment, out ulong first)
    {
        first = AlignUp(start, alignment);
        while (first < end && end - first >= count)
        {
            ulong taken = FirstTaken(first, first + count);
            if (taken == first + count) return true;
            first = AlignUp(taken + 1, alignment);
            if (freeInBlock[taken / PagesPerBlock] == 0) first = AlignUp((taken / PagesPerBlock + 1) * PagesPerBlock, alignment);
        }
        return false;
    }

    /// <summary>The first page of [page, end) that is not free; <paramref name="end"/> if all are.</summary>
    private readonly ulong FirstTaken(ulong page, ulong end)
    {
        while (page < end)
        {
            if (page % PagesPerBlock == 0 && freeInBlock[page / PagesPerBlock] == PagesPerBlock)
            {
                page += PagesPerBlock;
                continue;
            }
            ulong taken = ~free[page / 64] >> (int)(page % 64);
            if (taken != 0) return Math.Min(page + (ulong)BitOperations.TrailingZeroCount(taken), end);
            page = (page / 64 + 1) * 64;
        }
        return end;
    }

    private void Mark(ulong first, ulong count, bool toFree)
    {
        for (ulong page = first; page < first + count;)
        {
            ulong inWord = Math.Min(64 - page % 64, first + count - page);
            ulong mask = (inWord == 64 ? ulong.MaxValue : (1UL << (int)inWord) - 1) << (int)(page % 64);
            if (toFree) free[page / 64] |= mask; else free[page / 64] &= ~mask;
            ulong block = page / PagesPerBlock;
            freeInBlock[block] = (ushort)(toFree ? freeInBlock[block] + inWord : freeInBlock[block] - inWord);
            page += inWord;
        }
        FreePageCount = toFree ? FreePageCount + count : FreePageCount - count;
        firstBroken = Math.Min(firstBroken, first / PagesPerBlock);
    }

    private static ulong AlignUp(ulong page, ulong alignment) => (page + alignment - 1) & ~(alignment - 1);
}
