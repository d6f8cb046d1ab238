// One entry of the firmware's memory map. UEFI Specification 2.10, "EFI_BOOT_SERVICES.GetMemoryMap()".
using System.Runtime.InteropServices;

namespace Lamina.Boot.Efi;

/// <summary>EFI_MEMORY_DESCRIPTOR; entries lie DescriptorSize bytes apart, which may be more than this structure's 40.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct EfiMemoryDescriptor
{
    /// <summary>A constant of <see cref="EfiMemoryType"/>.</summary>
    public uint Type;
    public ulong PhysicalStart;
    public ulong VirtualStart;

    /// <summary>Pages of 4 KiB.</summary>
    public ulong NumberOfPages;
    public ulong Attribute;

    public const ulong EFI_MEMORY_WB = 0x8;
    public const ulong EFI_MEMORY_SP = 0x40000;
    public const ulong EFI_MEMORY_RUNTIME = 1UL << 63;
}

/// <summary>EFI_MEMORY_TYPE.</summary>
public static class EfiMemoryType
{
    public const uint EfiReservedMemoryType = 0;
    public const uint EfiLoaderCode = 1;
    public const uint EfiLoaderData = 2;
    public const uint EfiBootServicesCode = 3;
    public const uint EfiBootServicesData = 4;
    public const uint EfiRuntimeServicesCode = 5;
    public const uint EfiRuntimeServicesData = 6;
    public const uint EfiConventionalMemory = 7;
    public const uint EfiUnusableMemory = 8;
    public const uint EfiACPIReclaimMemory = 9;
    public const uint EfiACPIMemoryNVS = 10;
    public const uint EfiMemoryMappedIO = 11;
    public const uint EfiMemoryMappedIOPortSpace = 12;
    public const uint EfiPalCode = 13;
    public const uint EfiPersistentMemory = 14;
    public const uint EfiUnacceptedMemoryType = 15;
}
