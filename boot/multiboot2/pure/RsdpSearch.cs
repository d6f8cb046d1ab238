// Finds the ACPI root pointer in a BIOS' memory. ACPI Specification 6.5, "Finding the RSDP on IA-PC Systems".
using System;

namespace Lamina.Boot;

public static class RsdpSearch
{
    /// <summary>The read-only memory of the BIOS, searched after the first KiB of the EBDA.</summary>
    public const ulong BiosArea = 0xE0000;
    public const int BiosAreaBytes = 0x20000;
    public const int EbdaBytes = 1024;

    /// <summary>Where the BIOS says in which segment its extended data area begins.</summary>
    public const ulong EbdaSegmentPointer = 0x40E;

    private const int Alignment = 16;
    private const int OldBytes = 20;
    private const int NewBytes = 36;

    /// <summary>Offset of the first valid root pointer on a 16-byte boundary; -1: none.</summary>
    public static int Find(ReadOnlySpan<byte> area)
    {
        for (int offset = 0; offset + OldBytes <= area.Length; offset += Alignment)
        {
            if (LengthOf(area.Slice(offset)) != 0)
            {
                return offset;
            }
        }
        return -1;
    }

    /// <summary>Length of the root pointer that these bytes begin with, 20 or more; 0: they do not, or its checksum is wrong.</summary>
    public static int LengthOf(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < OldBytes || !bytes.Slice(0, 8).SequenceEqual("RSD PTR "u8) || Sum(bytes.Slice(0, OldBytes)) != 0)
        {
            return 0;
        }
        if (bytes[15] < 2) // Revision
        {
            return OldBytes;
        }
        uint length = bytes.Length < NewBytes ? 0 : (uint)(bytes[20] | bytes[21] << 8 | bytes[22] << 16 | bytes[23] << 24);
        return length < NewBytes || length > (uint)bytes.Length || Sum(bytes.Slice(0, (int)length)) != 0 ? 0 : (int)length;
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            sum += bytes[i];
        }
        return sum;
    }
}
