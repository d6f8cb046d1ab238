// Pages from the firmware, remembered so that a failed start gives them all back.
using System;
using Lamina.Abi;
using Lamina.Boot.Efi;

namespace Lamina.Boot;

/// <summary>Allocations of whole pages; each carries the type that it gets in the handover's memory map.</summary>
public static unsafe class LoaderMemory
{
    /// <summary>Most blocks that can be had: modules, reservations and tables together.</summary>
    public const int MaximumBlocks = 160;

    private static EfiBootServices* services;
    private static Blocks blocks;

    private struct Blocks
    {
        public fixed ulong Base[MaximumBlocks];
        public fixed ulong Bytes[MaximumBlocks];
        public fixed uint Type[MaximumBlocks];
        public int Count;
    }

    public static void Initialize(EfiBootServices* bootServices) => services = bootServices;

    /// <summary>Allocates pages anywhere. <paramref name="type"/> is what they become in the handover (<see cref="MemoryRangeType"/>).</summary>
    public static bool TryAllocate(ulong bytes, uint type, out ulong address) =>
        TryAllocate(EfiAllocateType.AllocateAnyPages, bytes, type, 0, out address);

    /// <summary>Allocates the highest pages that end below <paramref name="limit"/>.</summary>
    public static bool TryAllocateBelow(ulong limit, ulong bytes, uint type, out ulong address) =>
        TryAllocate(EfiAllocateType.AllocateMaxAddress, bytes, type, limit - 1, out address);

    /// <summary>Allocates a 2 MiB-aligned block as high as possible below 4 GiB, or else above.</summary>
    public static bool TryAllocateLarge(ulong bytes, uint type, out ulong address)
    {
        if (TryReadMap(out FirmwareMemoryMap map, out void* buffer, out ulong bufferPages))
        {
            // What the map shows as free can still be refused: then the next block below is tried.
            bool found = TryPlace(map, bytes, type, BootPages.FourGiB, out address) || TryPlace(map, bytes, type, ulong.MaxValue, out address);
            services->FreePages((ulong)buffer, bufferPages);
            return found;
        }
        address = 0;
        return false;
    }

    /// <summary>Reads the memory map into pages of its own, which the caller frees or leaves to <see cref="FreeAll"/>'s end.</summary>
    public static bool TryReadMap(out FirmwareMemoryMap map, out void* buffer, out ulong pages)
    {
        ulong size = 0, key, descriptorSize = 0;
        uint version;
        services->GetMemoryMap(&size, null, &key, &descriptorSize, &version);
        pages = (size + 16 * 1024) / BootPages.PageBytes; // the allocation itself adds descriptors
        ulong address = 0;
        map = default;
        buffer = null;
        if (EfiStatus.IsError(services->AllocatePages(EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData, pages, &address)))
        {
            return false;
        }
        size = pages * BootPages.PageBytes;
        if (EfiStatus.IsError(services->GetMemoryMap(&size, (void*)address, &key, &descriptorSize, &version)))
        {
            services->FreePages(address, pages);
            return false;
        }
        buffer = (void*)address;
        map = new FirmwareMemoryMap(buffer, size, descriptorSize);
        return true;
    }

    /// <summary>Adds every block that is not plain usable memory to the map. False: no room.</summary>
    public static bool TryAddTo(ref MemoryMapBuilder builder)
    {
        for (int i = 0; i < blocks.Count; i++)
        {
            if (!builder.TryAdd(blocks.Base[i], blocks.Bytes[i], blocks.Type[i]))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Gives one block back.</summary>
    public static void Free(ulong address)
    {
        for (int i = 0; i < blocks.Count; i++)
        {
            if (blocks.Base[i] == address)
            {
                services->FreePages(address, blocks.Bytes[i] / BootPages.PageBytes);
                blocks.Count--;
                blocks.Base[i] = blocks.Base[blocks.Count];
                blocks.Bytes[i] = blocks.Bytes[blocks.Count];
                blocks.Type[i] = blocks.Type[blocks.Count];
                return;
            }
        }
    }

    /// <summary>Gives everything back, before the loader returns to the firmware.</summary>
    public static void FreeAll()
    {
        while (blocks.Count > 0)
        {
            Free(blocks.Base[blocks.Count - 1]);
        }
    }

    private static bool TryPlace(FirmwareMemoryMap map, ulong bytes, uint type, ulong limit, out ulong address)
    {
        while (map.TryFindFree(bytes, BootPages.LargePageBytes, limit, out ulong candidate))
        {
            if (TryAllocate(EfiAllocateType.AllocateAddress, bytes, type, candidate, out address))
            {
                return true;
            }
            limit = candidate + bytes - 1;
        }
        address = 0;
        return false;
    }

    private static bool TryAllocate(EfiAllocateType how, ulong bytes, uint type, ulong where, out ulong address)
    {
        bytes = BootPages.RoundUp(bytes, BootPages.PageBytes);
        ulong result = where;
        address = 0;
        if (blocks.Count == MaximumBlocks || bytes == 0
            || EfiStatus.IsError(services->AllocatePages(how, EfiMemoryType.EfiLoaderData, bytes / BootPages.PageBytes, &result)))
        {
            return false;
        }
        blocks.Base[blocks.Count] = result;
        blocks.Bytes[blocks.Count] = bytes;
        blocks.Type[blocks.Count] = type;
        blocks.Count++;
        address = result;
        return true;
    }
}

/// <summary>The same for what is shared with the other way in.</summary>
public struct FirmwarePages : IBootMemory
{
    public readonly bool TryAllocate(ulong bytes, uint type, out ulong address) => LoaderMemory.TryAllocate(bytes, type, out address);

    public readonly bool TryAllocateLarge(ulong bytes, uint type, out ulong address) => LoaderMemory.TryAllocateLarge(bytes, type, out address);
}
