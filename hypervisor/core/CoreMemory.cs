// The core's own reservation: where it lies, and the pages of it that are free.
using Lamina.Hypervisor.Diagnostics;
using Lamina.Hypervisor.Memory;

namespace Lamina.Hypervisor.Core;

public static unsafe class CoreMemory
{
    private static PagePool<PhysicalMap> pool;
    private static ulong start, end, contiguousNext;

    /// <summary>Takes the reservation over. What lies between the image and <paramref name="contiguousEnd"/> is handed out in runs, the rest by page.</summary>
    public static void Initialize(ulong reservation, ulong size, ulong imageSize, ulong contiguousBytes)
    {
        start = reservation;
        end = reservation + size;
        contiguousNext = reservation + ((imageSize + 0xFFF) & ~0xFFFUL);
        ulong poolStart = contiguousNext + contiguousBytes;
        contiguousEnd = poolStart;
        pool.AddRange(poolStart, (end - poolStart) >> 12);
    }

    private static ulong contiguousEnd;

    public static ulong Start => start;
    public static ulong End => end;
    public static ulong FreePages => pool.Count;

    /// <summary>Whether a range touches the reservation.</summary>
    public static bool Overlaps(ulong physical, ulong length) => physical < end && physical + length > start;

    public static bool TryTakePage(out ulong physical) => pool.TryTake(out physical);
    public static void ReturnPage(ulong physical) => pool.Add(physical);
    public static ref PagePool<PhysicalMap> Pool => ref pool;

    /// <summary>Physically contiguous, zeroed pages for tables that the processor wants so; only at start, never returned.</summary>
    public static ulong RequireContiguous(ulong pageCount)
    {
        ulong physical = contiguousNext;
        contiguousNext += pageCount << 12;
        if (contiguousNext > contiguousEnd)
            Panic.Stop("core: the contiguous part of the core's memory is used up"u8);
        ulong* words = (ulong*)PhysicalMap.ToPointer(physical);
        for (ulong i = 0; i < pageCount * 512; i++) words[i] = 0;
        return physical;
    }
}
