// The memory map that a guest is told: its RAM without the firmware's part, in the order of addresses.
using Lamina.Root.Devices;

namespace Lamina.Root.Loader;

/// <summary>Types of the ACPI "Address Range Types" table, as e820, PVH and Multiboot use them.</summary>
public enum MemoryType : uint { Usable = 1, Reserved = 2, AcpiData = 3 }

public struct MemoryMapEntry
{
    public ulong Start, Length;
    public MemoryType Type;
}

/// <summary>
/// Enumerates the map: entries come back for index 0, 1, … until TryGet is false.
/// Conventional memory, the firmware area (reserved: the ACPI tables lie there), then all RAM from 1 MiB on.
/// </summary>
public static class MemoryMap
{
    public const int MaxEntries = GuestMemory.MaxRanges + 2;

    public static bool TryGet(in GuestMemory memory, int index, out MemoryMapEntry entry)
    {
        entry = default;
        for (int range = 0; range < memory.RangeCount; range++)
        {
            ulong start = memory.RangeGpa(range), end = start + memory.RangeLength(range);
            if (start == 0)
            {
                if (TryTake(ref index, 0, BootLayout.LowEnd, end, MemoryType.Usable, ref entry)) return true;
                if (TryTake(ref index, BootLayout.FirmwareStart, BootLayout.KernelFloor, end, MemoryType.Reserved, ref entry)) return true;
                start = BootLayout.KernelFloor;
            }
            if (TryTake(ref index, start, end, end, MemoryType.Usable, ref entry)) return true;
        }
        return false;
    }

    private static bool TryTake(ref int index, ulong start, ulong end, ulong limit, MemoryType type, ref MemoryMapEntry entry)
    {
        if (end > limit) end = limit;
        if (start >= end || index-- != 0) return false;
        entry = new MemoryMapEntry { Start = start, Length = end - start, Type = type };
        return true;
    }
}
