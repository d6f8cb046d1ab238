// What the boot loader hands to the core, and the core on to the root. Little endian, naturally aligned, addresses physical.

using System.Runtime.InteropServices;

namespace Lamina.Abi;

/// <summary>The handover, 168 bytes. Its address is the argument of an image's entry point.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BootHandover
{
    /// <summary>Must be <see cref="ExpectedMagic"/>.</summary>
    public ulong Magic;

    /// <summary>Must be <see cref="ExpectedVersion"/>.</summary>
    public uint Version;

    /// <summary>Size of this structure, in bytes.</summary>
    public uint Size;

    /// <summary>The core's image as it lies in memory: relocated, .bss included.</summary>
    public ulong CoreImagePhysical;
    public ulong CoreImageSize;

    /// <summary>The core's reservation, 2 MiB-aligned: its image at the start, then the core's page pool.</summary>
    public ulong CoreMemoryPhysical;
    public ulong CoreMemorySize;

    /// <summary>The root's image, page-aligned, laid out by RVA, .bss zeroed.</summary>
    public ulong RootImagePhysical;
    public ulong RootImageSize;

    /// <summary>The root's reservation, 2 MiB-aligned: its image at the start, then room for first page tables and stack.</summary>
    public ulong RootMemoryPhysical;
    public ulong RootMemorySize;

    /// <summary>One page below 1 MiB to start further processors in; 0: none was found.</summary>
    public ulong TrampolinePhysical;

    /// <summary>The ACPI root pointer; 0: none.</summary>
    public ulong Rsdp;

    /// <summary>An array of <see cref="MemoryRange"/>, sorted by base, not overlapping, page-aligned.</summary>
    public ulong MemoryMapPhysical;
    public uint MemoryMapCount;

    /// <summary>Number of <see cref="BootModule"/>s at <see cref="ModulesPhysical"/>; "lamina.json" is number 0.</summary>
    public uint ModuleCount;
    public ulong ModulesPhysical;
    public FramebufferInfo Framebuffer;

    /// <summary>The TSC when the loader began.</summary>
    public ulong BootTsc;

    /// <summary>A constant of <see cref="Lamina.Abi.BootSource"/>.</summary>
    public uint BootSource;
    public uint Flags;

    /// <summary>"LAMOVR1" in ASCII, then a zero.</summary>
    public const ulong ExpectedMagic = 0x0031_5256_4F4D_414C;
    public const uint ExpectedVersion = 1;
}

/// <summary>Who loaded the images.</summary>
public static class BootSource
{
    public const uint Uefi = 1;
    public const uint Multiboot2 = 2;
}

/// <summary>A linear framebuffer of 32 bits a pixel.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FramebufferInfo
{
    public ulong Base;

    /// <summary>In bytes.</summary>
    public ulong Size;
    public uint Width;
    public uint Height;

    /// <summary>Pixels, not bytes, from one line to the next.</summary>
    public uint PixelsPerScanLine;

    /// <summary>A constant of <see cref="FramebufferFormat"/>.</summary>
    public uint Format;
}

/// <summary>Order of a pixel's bytes in memory.</summary>
public static class FramebufferFormat
{
    public const uint None = 0;
    public const uint Rgbx = 1;
    public const uint Bgrx = 2;
}

/// <summary>One range of the memory map.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryRange
{
    public ulong Base;

    /// <summary>In bytes.</summary>
    public ulong Length;

    /// <summary>A constant of <see cref="MemoryRangeType"/>.</summary>
    public uint Type;
    public uint Reserved;
}

/// <summary>What a range of the memory map is.</summary>
public static class MemoryRangeType
{
    public const uint Usable = 1;
    public const uint Reserved = 2;
    public const uint AcpiReclaimable = 3;
    public const uint AcpiNvs = 4;
    public const uint Mmio = 5;

    /// <summary>The core's reservation.</summary>
    public const uint Hypervisor = 6;

    /// <summary>The root's reservation.</summary>
    public const uint RootImage = 7;

    /// <summary>Handover, map and modules: kept until consumed.</summary>
    public const uint BootData = 8;
    public const uint Bad = 9;
}

/// <summary>A file that the loader brought, 128 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct BootModule
{
    public ulong Base;

    /// <summary>In bytes.</summary>
    public ulong Size;

    /// <summary>UTF-8, zero-terminated, as written in lamina.json.</summary>
    public fixed byte Name[NameLength];

    public const int NameLength = 112;
}
