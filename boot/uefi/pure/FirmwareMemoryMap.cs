// Reads the firmware's memory map: what each descriptor is to us, where a block of a size can lie, how far RAM reaches.
using Lamina.Abi;
using Lamina.Boot.Efi;

namespace Lamina.Boot;

/// <summary>A view of descriptors as GetMemoryMap wrote them; owns no memory.</summary>
public readonly unsafe struct FirmwareMemoryMap
{
    private const ulong PageBytes = BootPages.PageBytes;

    private readonly byte* descriptors;
    private readonly ulong descriptorSize;

    /// <param name="descriptors">The buffer that GetMemoryMap filled.</param>
    /// <param name="size">Bytes filled.</param>
    /// <param name="descriptorSize">Distance between entries, in bytes, as GetMemoryMap reported it.</param>
    public FirmwareMemoryMap(void* descriptors, ulong size, ulong descriptorSize)
    {
        this.descriptors = (byte*)descriptors;
        this.descriptorSize = descriptorSize;
        Count = descriptorSize == 0 ? 0 : (int)(size / descriptorSize);
    }

    public int Count { get; }

    public EfiMemoryDescriptor* this[int index] => (EfiMemoryDescriptor*)(descriptors + (ulong)index * descriptorSize);

    /// <summary>The constant of <see cref="MemoryRangeType"/> that a descriptor becomes once boot services are gone.</summary>
    public static uint TypeOf(EfiMemoryDescriptor* descriptor)
    {
        switch (descriptor->Type)
        {
            case EfiMemoryType.EfiLoaderCode:
            case EfiMemoryType.EfiLoaderData:
            case EfiMemoryType.EfiBootServicesCode:
            case EfiMemoryType.EfiBootServicesData:
            case EfiMemoryType.EfiConventionalMemory:
                // Memory that cannot be cached is no RAM to give away; EFI_MEMORY_SP is meant for a device's driver.
                return (descriptor->Attribute & EfiMemoryDescriptor.EFI_MEMORY_WB) == 0
                    || (descriptor->Attribute & (EfiMemoryDescriptor.EFI_MEMORY_SP | EfiMemoryDescriptor.EFI_MEMORY_RUNTIME)) != 0
                    ? MemoryRangeType.Reserved : MemoryRangeType.Usable;
            case EfiMemoryType.EfiACPIReclaimMemory:
                return MemoryRangeType.AcpiReclaimable;
            case EfiMemoryType.EfiACPIMemoryNVS:
                return MemoryRangeType.AcpiNvs;
            case EfiMemoryType.EfiMemoryMappedIO:
            case EfiMemoryType.EfiMemoryMappedIOPortSpace:
                return MemoryRangeType.Mmio;
            case EfiMemoryType.EfiUnusableMemory:
                return MemoryRangeType.Bad;
            default:
                return MemoryRangeType.Reserved;
        }
    }

    /// <summary>Adds every descriptor to the handover's map. False: no room.</summary>
    public bool TryAddTo(ref MemoryMapBuilder builder)
    {
        for (int i = 0; i < Count; i++)
        {
            ulong pages = this[i]->NumberOfPages;
            ulong length = pages > ulong.MaxValue >> 12 ? ulong.MaxValue : pages << 12;
            if (!builder.TryAdd(this[i]->PhysicalStart, length, TypeOf(this[i])))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>First address above all memory that is RAM (usable or holding ACPI tables); 0 for an empty map.</summary>
    public ulong TopOfRam()
    {
        ulong top = 0;
        for (int i = 0; i < Count; i++)
        {
            uint type = TypeOf(this[i]);
            ulong end = this[i]->PhysicalStart + this[i]->NumberOfPages * PageBytes;
            if (end > top && type is MemoryRangeType.Usable or MemoryRangeType.AcpiReclaimable or MemoryRangeType.AcpiNvs)
            {
                top = end;
            }
        }
        return top;
    }

    /// <summary>Bytes of memory that will be usable.</summary>
    public ulong UsableBytes()
    {
        ulong sum = 0;
        for (int i = 0; i < Count; i++)
        {
            sum += TypeOf(this[i]) == MemoryRangeType.Usable ? this[i]->NumberOfPages * PageBytes : 0;
        }
        return sum;
    }

    /// <summary>
    /// The highest page below <paramref name="limit"/> that boot services leave behind: for the time after ExitBootServices.
    /// The loader's own pages do not count, nor does the page at 0.
    /// </summary>
    public bool TryFindLeftPage(ulong limit, out ulong address)
    {
        address = 0;
        for (int i = 0; i < Count; i++)
        {
            EfiMemoryDescriptor* descriptor = this[i];
            if (descriptor->Type is EfiMemoryType.EfiLoaderCode or EfiMemoryType.EfiLoaderData || TypeOf(descriptor) != MemoryRangeType.Usable)
            {
                continue;
            }
            ulong end = descriptor->PhysicalStart + descriptor->NumberOfPages * PageBytes;
            end = end < limit ? end : limit;
            if (end >= descriptor->PhysicalStart + PageBytes && end - PageBytes > address)
            {
                address = end - PageBytes;
            }
        }
        return address != 0;
    }

    /// <summary>
    /// The highest free block of <paramref name="bytes"/> bytes, aligned to <paramref name="alignment"/> (a power of two), that
    /// ends at or below <paramref name="limit"/>; false when there is none. Never the page at 0.
    /// </summary>
    public bool TryFindFree(ulong bytes, ulong alignment, ulong limit, out ulong address)
    {
        address = 0;
        for (int i = 0; i < Count; i++)
        {
            EfiMemoryDescriptor* descriptor = this[i];
            if (descriptor->Type != EfiMemoryType.EfiConventionalMemory || TypeOf(descriptor) != MemoryRangeType.Usable)
            {
                continue;
            }
            ulong end = descriptor->PhysicalStart + descriptor->NumberOfPages * PageBytes;
            end = end < limit ? end : limit;
            if (end < bytes)
            {
                continue;
            }
            ulong candidate = (end - bytes) & ~(alignment - 1);
            if (candidate >= descriptor->PhysicalStart && candidate > address)
            {
                address = candidate;
            }
        }
        return address != 0;
    }
}
