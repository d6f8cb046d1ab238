// Reads what loading needs from the headers of an image that is already laid out as in memory. PE Format, "Optional Header".
using System;

namespace Lamina.Boot;

/// <summary>What is wrong with an image; each names what was expected.</summary>
public enum PeImageFault
{
    None,
    NotAnImage,
    NotX64,
    Truncated,
    BadEntryPoint,
    BadAlignment,
}

/// <summary>The headers of a PE32+ image for x64.</summary>
public struct PeImage
{
    /// <summary>The address it is linked for.</summary>
    public ulong ImageBase;

    /// <summary>Bytes in memory, .bss included, a multiple of 4 KiB.</summary>
    public uint SizeOfImage;

    /// <summary>Offset of the first instruction from ImageBase.</summary>
    public uint AddressOfEntryPoint;

    private const int HeaderBytes = 24 + 112; // signature, file header, optional header without its directories

    /// <summary>
    /// Reads the headers. <paramref name="image"/> holds the image by RVA, trailing zeros may be missing.
    /// ImageBase must be a multiple of <paramref name="alignment"/> (a power of two).
    /// </summary>
    public static PeImageFault Read(ReadOnlySpan<byte> image, ulong alignment, out PeImage result)
    {
        result = default;
        if (image.Length < 64 || image[0] != 'M' || image[1] != 'Z')
        {
            return PeImageFault.NotAnImage;
        }
        uint offset = UInt32At(image, 0x3C);
        if (offset > (uint)image.Length || (uint)image.Length - offset < HeaderBytes)
        {
            return PeImageFault.NotAnImage;
        }
        ReadOnlySpan<byte> header = image.Slice((int)offset);
        if (UInt32At(header, 0) != 0x0000_4550) // "PE", two zeros
        {
            return PeImageFault.NotAnImage;
        }
        if ((ushort)UInt32At(header, 4) != 0x8664 || (ushort)UInt32At(header, 24) != 0x20B) // IMAGE_FILE_MACHINE_AMD64, PE32+
        {
            return PeImageFault.NotX64;
        }
        result.AddressOfEntryPoint = UInt32At(header, 24 + 16);
        result.ImageBase = UInt32At(header, 24 + 24) | (ulong)UInt32At(header, 24 + 28) << 32;
        result.SizeOfImage = (UInt32At(header, 24 + 56) + 4095) & ~4095u;
        if (result.SizeOfImage < (uint)image.Length || result.SizeOfImage == 0)
        {
            return PeImageFault.Truncated;
        }
        if (result.AddressOfEntryPoint == 0 || result.AddressOfEntryPoint >= (uint)image.Length)
        {
            return PeImageFault.BadEntryPoint;
        }
        return (result.ImageBase & (alignment - 1)) != 0 ? PeImageFault.BadAlignment : PeImageFault.None;
    }

    private static uint UInt32At(ReadOnlySpan<byte> bytes, int offset) =>
        (uint)(bytes[offset] | bytes[offset + 1] << 8 | bytes[offset + 2] << 16 | bytes[offset + 3] << 24);
}
