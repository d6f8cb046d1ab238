// The root's memory: every usable page of the boot map. Guests' memory, page tables, buffers all come from here.
using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Lamina.Abi;

namespace Lamina.Root.Kernel;

/// <summary>
/// Pages by physical address, which is also where they are mapped: <c>(byte*)physical</c> reads and writes them. A page is zero when
/// it is handed out.
/// </summary>
public static unsafe class PhysicalMemory
{
    private const int PageShift = PageCount.PageShift;

    /// <summary>Below 1 MiB live firmware's leftovers, start-up code of processors and the core's epitaph: not worth the few pages.</summary>
    private const ulong Lowest = 0x100000;
    private static PageAllocator allocator;

    [RuntimeImport("*", "root_zero_pages"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void ZeroPages(ulong address, ulong pageCount);

    public static ulong FreePageCount => allocator.FreePageCount;
    public static ulong TotalPageCount => allocator.TotalPageCount;

    /// <summary>Takes over the usable ranges of the boot map, less the pages that the bookkeeping itself needs.</summary>
    public static void Initialize(BootHandover* handover)
    {
        ReadOnlySpan<MemoryRange> map = BootMemory.Map(handover);
        ulong limit = 0;
        foreach (MemoryRange range in map)
            if (range.Type is MemoryRangeType.Usable or MemoryRangeType.RootImage) limit = Math.Max(limit, range.Base + range.Length);
        ulong storagePages = PageCount.ForBytes(PageAllocator.StorageBytes(limit >> PageShift)).Value;
        ulong storage = FindStorage(map, storagePages << PageShift);
        if (storage == 0) RootPanic.Stop("no room for the page bitmap"u8);
        ZeroPages(storage, storagePages);
        allocator = new PageAllocator((byte*)storage, limit >> PageShift);
        foreach (MemoryRange range in map)
            if (range.Type == MemoryRangeType.Usable) AddAround(range, storage, storage + (storagePages << PageShift));
    }

    /// <summary>Adjacent zeroed pages, the first at a multiple of <paramref name="alignmentInPages"/> (a power of two); false when there are none.</summary>
    public static bool TryAllocate(ulong pageCount, ulong alignmentInPages, out ulong physical)
    {
        bool found = allocator.TryTake(pageCount, alignmentInPages, out ulong first);
        physical = first << PageShift;
        if (found) ZeroUnknown(first, pageCount);
        return found;
    }

    /// <summary>Pages that the kernel itself cannot do without.</summary>
    public static byte* RequirePages(ulong pageCount)
    {
        if (!TryAllocate(pageCount, 1, out ulong physical)) RootPanic.Stop("out of memory"u8);
        return (byte*)physical;
    }

    /// <summary>Gives pages back and zeroes them. Freeing what is free is a defect and stops the root.</summary>
    public static void Free(ulong physical, ulong pageCount)
    {
        if (pageCount == 0) return;
        if ((physical & (PageCount.PageSize - 1)) != 0 || !allocator.TryRelease(physical >> PageShift, pageCount)) RootPanic.Stop("memory freed that was not allocated"u8);
        ZeroPages(physical, pageCount);
    }

    /// <summary>Hands over to the allocator what the boot map kept apart, once its content is no longer needed.</summary>
    public static void Reclaim(ulong physical, ulong pageCount)
    {
        if (pageCount != 0 && !allocator.TryAdd(physical >> PageShift, pageCount)) RootPanic.Stop("memory reclaimed twice"u8);
    }

    private static void ZeroUnknown(ulong first, ulong count)
    {
        ulong end = first + count;
        for (ulong page = first; page < end; page++)
        {
            ulong start = page;
            while (page < end && allocator.TakeUnknown(page)) page++;
            if (page > start) ZeroPages(start << PageShift, page - start);
        }
    }

    /// <summary>The top of the lowest usable range above 1 MiB that is big enough.</summary>
    private static ulong FindStorage(ReadOnlySpan<MemoryRange> map, ulong bytes)
    {
        foreach (MemoryRange range in map)
            if (range.Type == MemoryRangeType.Usable && range.Base >= Lowest && range.Length >= bytes) return range.Base + range.Length - bytes;
        return 0;
    }

    private static void AddAround(MemoryRange range, ulong holeStart, ulong holeEnd)
    {
        ulong start = Math.Max(range.Base, Lowest);
        ulong end = range.Base + range.Length;
        if (start <= holeStart && holeEnd <= end)
        {
            AddRange(start, holeStart);
            AddRange(holeEnd, end);
        }
        else AddRange(start, end);
    }

    private static void AddRange(ulong start, ulong end)
    {
        if (start < end && !allocator.TryAdd(start >> PageShift, (end - start) >> PageShift)) RootPanic.Stop("the boot memory map overlaps itself"u8);
    }
}
