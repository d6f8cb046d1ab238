// What opening images takes from whoever hosts it.
using Lamina.Drivers.Bus;

namespace Lamina.Drivers.Storage.Store;

/// <summary>Functions of the root. All of the store runs in its executor.</summary>
public unsafe struct StoreHost
{
    /// <summary>Zeroed memory from a page's beginning on, contiguous for devices; null: there is none.</summary>
    public delegate*<ulong, byte*> TryAllocate;
    public delegate*<byte*, ulong, void> Free;

    /// <summary>Has a work item run soon.</summary>
    public delegate*<WorkItem*, void> Queue;

    /// <summary>Takes a work item back, since its memory is about to go.</summary>
    public delegate*<WorkItem*, void> Cancel;

    /// <summary>Fills memory with what nobody can have used before, for GUIDs.</summary>
    public delegate*<byte*, uint, void> FillRandom;

    /// <summary>Seconds since 1970, UTC.</summary>
    public delegate*<ulong> ReadClock;
}

/// <summary>Memory that was allocated while something was opened and goes when it is closed.</summary>
public unsafe struct StoreMemory
{
    private const int Capacity = 6;
    private fixed ulong addresses[Capacity];
    private fixed ulong sizes[Capacity];
    private int count;

    public byte* TryAllocate(StoreHost* host, ulong bytes)
    {
        byte* memory = count == Capacity ? null : host->TryAllocate(bytes);
        if (memory == null) return null;
        addresses[count] = (ulong)memory;
        sizes[count++] = bytes;
        return memory;
    }

    public void FreeAll(StoreHost* host)
    {
        while (count != 0)
        {
            count--;
            host->Free((byte*)addresses[count], sizes[count]);
        }
    }
}
