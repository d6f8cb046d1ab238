// The headers of a PE32+ image, as far as a loader needs them. Microsoft PE and COFF Specification.

using System.Runtime.InteropServices;

namespace Lamina.X64;

/// <summary>MS-DOS header: only its magic and the place of the PE signature matter.</summary>
[StructLayout(LayoutKind.Explicit, Size = 64)]
public struct ImageDosHeader
{
    /// <summary>"MZ".</summary>
    public const ushort ExpectedMagic = 0x5A4D;

    [FieldOffset(0)] public ushort Magic;

    /// <summary>File offset of the signature "PE\0\0", which <see cref="ImageFileHeader"/> follows.</summary>
    [FieldOffset(0x3C)] public uint NewHeaderOffset;

    /// <summary>"PE\0\0".</summary>
    public const uint PeSignature = 0x00004550;
}

/// <summary>COFF file header, 20 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ImageFileHeader
{
    /// <summary>IMAGE_FILE_MACHINE_AMD64.</summary>
    public const ushort MachineAmd64 = 0x8664;

    public ushort Machine;
    public ushort NumberOfSections;
    public uint TimeDateStamp;
    public uint PointerToSymbolTable;
    public uint NumberOfSymbols;
    public ushort SizeOfOptionalHeader;
    public ushort Characteristics;
}

/// <summary>A data directory.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ImageDataDirectory
{
    /// <summary>RVA.</summary>
    public uint VirtualAddress;
    public uint Size;

    public const int ExceptionTable = 3;
    public const int BaseRelocationTable = 5;
    public const int Debug = 6;
}

/// <summary>Optional header of PE32+, 112 bytes before its data directories.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct ImageOptionalHeader64
{
    public const ushort MagicPe32Plus = 0x20B;

    public ushort Magic;
    public byte MajorLinkerVersion;
    public byte MinorLinkerVersion;
    public uint SizeOfCode;
    public uint SizeOfInitializedData;
    public uint SizeOfUninitializedData;

    /// <summary>RVA.</summary>
    public uint AddressOfEntryPoint;

    /// <summary>RVA.</summary>
    public uint BaseOfCode;

    /// <summary>The address that the image is linked for.</summary>
    public ulong ImageBase;
    public uint SectionAlignment;
    public uint FileAlignment;
    public ushort MajorOperatingSystemVersion;
    public ushort MinorOperatingSystemVersion;
    public ushort MajorImageVersion;
    public ushort MinorImageVersion;
    public ushort MajorSubsystemVersion;
    public ushort MinorSubsystemVersion;
    public uint Win32VersionValue;

    /// <summary>In memory, a multiple of SectionAlignment.</summary>
    public uint SizeOfImage;
    public uint SizeOfHeaders;
    public uint CheckSum;
    public ushort Subsystem;
    public ushort DllCharacteristics;
    public ulong SizeOfStackReserve;
    public ulong SizeOfStackCommit;
    public ulong SizeOfHeapReserve;
    public ulong SizeOfHeapCommit;
    public uint LoaderFlags;

    /// <summary>How many <see cref="ImageDataDirectory"/> follow.</summary>
    public uint NumberOfRvaAndSizes;
}

/// <summary>Section header, 40 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ImageSectionHeader
{
    public const uint IMAGE_SCN_MEM_DISCARDABLE = 0x02000000;
    public const uint IMAGE_SCN_MEM_EXECUTE = 0x20000000;
    public const uint IMAGE_SCN_MEM_READ = 0x40000000;
    public const uint IMAGE_SCN_MEM_WRITE = 0x80000000;

    /// <summary>ASCII, zero-padded.</summary>
    public fixed byte Name[8];

    /// <summary>In memory; what exceeds SizeOfRawData is zero.</summary>
    public uint VirtualSize;

    /// <summary>RVA.</summary>
    public uint VirtualAddress;
    public uint SizeOfRawData;
    public uint PointerToRawData;
    public uint PointerToRelocations;
    public uint PointerToLinenumbers;
    public ushort NumberOfRelocations;
    public ushort NumberOfLinenumbers;

    /// <summary>Bits of the constants above.</summary>
    public uint Characteristics;
}

/// <summary>Head of a block of base relocations; 16-bit entries follow: type in bits 15:12, offset in the page in bits 11:0.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ImageBaseRelocation
{
    public const int IMAGE_REL_BASED_ABSOLUTE = 0;
    public const int IMAGE_REL_BASED_DIR64 = 10;

    /// <summary>RVA of the page.</summary>
    public uint PageRva;

    /// <summary>Head and entries, in bytes.</summary>
    public uint BlockSize;
}
