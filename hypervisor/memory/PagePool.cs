// A pool of free 4 KiB pages: the core's own, and each partition's deposit account.
using System.Runtime.CompilerServices;

namespace Lamina.Hypervisor.Memory;

/// <summary>
/// Free pages, linked through their own first eight bytes. A page is zeroed when it comes in, so nothing that its last
/// owner wrote is ever seen by the next one. Not thread-safe: its owner's lock covers it. The empty pool is all zero
/// bits. Physical address 0 ends the list, so that page cannot be a member.
/// </summary>
public unsafe struct PagePool<TMap>
    where TMap : struct, IPhysicalMap
{
    private const ulong PageBytes = 4096;

    private ulong first;

    /// <summary>Number of free pages.</summary>
    public ulong Count { get; private set; }

    /// <summary>Zeroes a page that nobody uses any more and takes it in; false, with nothing done, for 0 or a misaligned address.</summary>
    public bool Add(ulong page)
    {
        if (page == 0 || (page & (PageBytes - 1)) != 0)
        {
            return false;
        }
        ulong* words = (ulong*)TMap.ToPointer(page);
        for (int i = 0; i < (int)(PageBytes / sizeof(ulong)); i++)
        {
            words[i] = 0;
        }
        Link(page, words);
        return true;
    }

    /// <summary>Takes in a page that is known to be all zero, such as a page table given back by its editor.</summary>
    public bool AddZeroed(ulong page)
    {
        if (page == 0 || (page & (PageBytes - 1)) != 0)
        {
            return false;
        }
        Link(page, (ulong*)TMap.ToPointer(page));
        return true;
    }

    /// <summary>Adds the whole pages of a range that starts and ends at page borders; how many were added.</summary>
    public ulong AddRange(ulong start, ulong pageCount)
    {
        ulong added = 0;
        // Highest first: pages then come out in ascending order, which keeps neighbours together.
        for (ulong i = pageCount; i > 0; i--)
        {
            added += Add(start + (i - 1) * PageBytes) ? 1UL : 0;
        }
        return added;
    }

    /// <summary>Takes a page out, all zero; false and 0 when the pool is empty.</summary>
    public bool TryTake(out ulong page)
    {
        page = first;
        if (page == 0)
        {
            return false;
        }
        ulong* words = (ulong*)TMap.ToPointer(page);
        first = words[0];
        words[0] = 0;
        Count--;
        return true;
    }

    /// <summary>Moves every page to another pool, as when a partition's account is closed.</summary>
    public void MoveAllTo(ref PagePool<TMap> other)
    {
        while (TryTake(out ulong page))
        {
            other.AddZeroed(page);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Link(ulong page, ulong* words)
    {
        words[0] = first;
        first = page;
        Count++;
    }
}
