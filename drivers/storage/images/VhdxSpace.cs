// Which MiB of a VHDX file are in use: finds overlaps when an image is opened, and room for new blocks after that.

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// One bit a MiB of the file as far as it can grow, in four maps: what is in use, and what waits to be free. A request may still be
/// reading or writing where a block was that has been discarded; so that room is free only when every request that had begun by then
/// has finished. What a log entry may name that could not be written for sure waits, before that, for an entry that supersedes it.
/// </summary>
internal unsafe struct VhdxSpace
{
    private const uint Maps = 4;

    private readonly ulong capacity;
    private readonly ulong* used, doubtful;
    private ulong* draining, next;
    private ulong nextForBitmap, nextForBlock;
    private bool isDraining, hasNext, hasDoubtful;
    private uint epoch;
    private fixed uint active[2];

    /// <param name="memory">Zeroed, <see cref="MemoryBytes"/> of <paramref name="capacity"/>.</param>
    /// <param name="capacity">MiB.</param>
    public VhdxSpace(byte* memory, ulong capacity)
    {
        this = default;
        this.capacity = capacity;
        used = (ulong*)memory;
        draining = used + Words;
        next = draining + Words;
        doubtful = next + Words;
    }

    /// <summary>There will be more room once others have finished.</summary>
    public readonly bool IsDraining => isDraining;

    private readonly ulong Words => (capacity + 63) / 64;

    public static ulong MemoryBytes(ulong capacity) => (capacity + 63) / 64 * 8 * Maps;

    private readonly bool IsUsed(ulong index) => (used[index / 64] >> (int)(index % 64) & 1) != 0;

    private static void Set(ulong* map, ulong offset, ulong length)
    {
        ulong first = offset / VhdxLayout.MiB, end = (offset + length + VhdxLayout.MiB - 1) / VhdxLayout.MiB;
        for (ulong i = first; i < end; i++) map[i / 64] |= 1UL << (int)(i % 64);
    }

    /// <summary>Marks a place, in bytes; false if some of it is in use already or it lies beyond the capacity. Nothing is marked then.</summary>
    public bool TryClaim(ulong offset, ulong length)
    {
        ulong first = offset / VhdxLayout.MiB, count = (length + VhdxLayout.MiB - 1) / VhdxLayout.MiB;
        if (first > capacity || count > capacity - first) return false;
        for (ulong i = first; i < first + count; i++)
            if (IsUsed(i)) return false;
        Set(used, offset, length);
        return true;
    }

    /// <summary>The first free place for a sector bitmap block or a payload block, in bytes; false if there is none.</summary>
    public bool TryAllocate(uint length, bool isBitmap, out ulong offset)
    {
        ulong count = length / VhdxLayout.MiB, run = 0, i = isBitmap ? nextForBitmap : nextForBlock;
        for (; i < capacity && run < count; i++)
        {
            // Whole words that are full, at once.
            if (i % 64 == 0 && used[i / 64] == ulong.MaxValue)
            {
                run = 0;
                i += 63;
                continue;
            }
            run = IsUsed(i) ? 0 : run + 1;
        }
        offset = (i - count) * VhdxLayout.MiB;
        if (run < count || !TryClaim(offset, length)) return false;
        if (isBitmap) nextForBitmap = i;
        else nextForBlock = i;
        return true;
    }

    /// <summary>Nothing on the disk names this place any more.</summary>
    public void Free(ulong offset, ulong length)
    {
        Set(next, offset, length);
        hasNext = true;
        if (!isDraining) Drain();
    }

    /// <summary>At most a log entry names this place, that the next one supersedes.</summary>
    public void Doubt(ulong offset, ulong length)
    {
        Set(doubtful, offset, length);
        hasDoubtful = true;
    }

    /// <summary>A log entry is on the disk: those that were in doubt do not count any more.</summary>
    public void EndDoubt()
    {
        if (!hasDoubtful) return;
        hasDoubtful = false;
        for (ulong i = 0; i < Words; i++)
        {
            next[i] |= doubtful[i];
            doubtful[i] = 0;
        }
        hasNext = true;
        if (!isDraining) Drain();
    }

    /// <summary>A request begins; what <see cref="Leave"/> wants to know.</summary>
    public uint Enter()
    {
        active[epoch]++;
        return epoch;
    }

    public void Leave(uint entered)
    {
        active[entered]--;
        if (!isDraining || entered == epoch || active[entered] != 0) return;
        for (ulong i = 0; i < Words; i++)
        {
            used[i] &= ~draining[i];
            draining[i] = 0;
        }
        isDraining = false;
        nextForBitmap = nextForBlock = 0;
        if (hasNext) Drain();
    }

    /// <summary>From now on requests are counted anew; once the others have finished, what is free now can be used.</summary>
    private void Drain()
    {
        ulong* empty = draining;
        draining = next;
        next = empty;
        hasNext = false;
        isDraining = true;
        epoch ^= 1;
        // Nobody to wait for: as if one had come and gone.
        active[epoch ^ 1]++;
        Leave(epoch ^ 1);
    }
}
