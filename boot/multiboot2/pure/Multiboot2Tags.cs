// Reads what a Multiboot2 loader passes. Multiboot2 Specification 2.0, "Boot information format".
using System;
using Lamina.Abi;

namespace Lamina.Boot;

/// <summary>Types of the tags that are read.</summary>
public static class Multiboot2TagType
{
    public const uint End = 0;
    public const uint BootCommandLine = 1;
    public const uint BootLoaderName = 2;
    public const uint Modules = 3;
    public const uint MemoryMap = 6;
    public const uint FramebufferInfo = 8;
    public const uint AcpiOldRsdp = 14;
    public const uint AcpiNewRsdp = 15;
}

/// <summary>One file that the loader brought: where it lies, and the text that the loader was given with it.</summary>
public ref struct Multiboot2Module
{
    public uint Start;
    public uint End;
    public ReadOnlySpan<byte> Text;
}

/// <summary>A screen of character cells, two bytes each.</summary>
public struct TextScreenInfo
{
    public ulong Base;
    public uint Columns;
    public uint Rows;
}

/// <summary>
/// Walks the tags one by one. What claims to reach beyond its tag or beyond the information is cut there; a tag smaller than its
/// own header ends the walk. The span is the whole information, its first eight bytes included.
/// </summary>
public ref struct Multiboot2Tags
{
    /// <summary>What the loader leaves in EAX.</summary>
    public const uint LoaderMagic = 0x36D76289;

    private const int HeaderBytes = 8;
    private const int MemoryMapEntryBytes = 24; // of version 0; a later version may have longer ones

    private readonly ReadOnlySpan<byte> information;
    private int next;

    public Multiboot2Tags(ReadOnlySpan<byte> information)
    {
        uint size = information.Length < HeaderBytes ? 0 : UInt32At(information, 0);
        this.information = information.Slice(0, (int)Math.Min(size, (uint)information.Length));
        next = HeaderBytes;
        Type = 0;
        Body = default;
    }

    /// <summary>Type of the tag that the walk is at: a constant of <see cref="Multiboot2TagType"/>, or one that is not read.</summary>
    public uint Type { get; private set; }

    /// <summary>Its content behind type and size.</summary>
    public ReadOnlySpan<byte> Body { get; private set; }

    /// <summary>Goes to the next tag; false at the end.</summary>
    public bool TryNext()
    {
        if (next > information.Length - HeaderBytes)
        {
            return false;
        }
        ReadOnlySpan<byte> rest = information.Slice(next);
        uint size = UInt32At(rest, 4);
        Type = UInt32At(rest, 0);
        if (Type == Multiboot2TagType.End || size < HeaderBytes)
        {
            return false;
        }
        size = Math.Min(size, (uint)rest.Length);
        Body = rest.Slice(HeaderBytes, (int)size - HeaderBytes);
        next += (int)((size + 7) & ~7u);
        return true;
    }

    /// <summary>The tag's text up to its zero; for tags 1 and 2.</summary>
    public readonly ReadOnlySpan<byte> Text => UpToZero(Body);

    /// <summary>Reads a module tag; false when it ends before it begins.</summary>
    public readonly bool TryReadModule(out Multiboot2Module module)
    {
        module = default;
        if (Body.Length < 8)
        {
            return false;
        }
        module.Start = UInt32At(Body, 0);
        module.End = UInt32At(Body, 4);
        module.Text = UpToZero(Body.Slice(8));
        return module.End >= module.Start;
    }

    /// <summary>Entry <paramref name="index"/> of the memory map; false behind the last. The type is one of <see cref="MemoryRangeType"/>.</summary>
    public readonly bool TryReadMemoryRange(int index, out MemoryRange range)
    {
        range = default;
        uint entryBytes = Body.Length < 8 ? 0 : UInt32At(Body, 0);
        long offset = 8 + (long)index * entryBytes;
        if (entryBytes < MemoryMapEntryBytes || offset > Body.Length - MemoryMapEntryBytes)
        {
            return false;
        }
        ReadOnlySpan<byte> entry = Body.Slice((int)offset);
        range.Base = UInt64At(entry, 0);
        range.Length = UInt64At(entry, 8);
        range.Type = UInt32At(entry, 16) switch
        {
            1 => MemoryRangeType.Usable,
            3 => MemoryRangeType.AcpiReclaimable,
            4 => MemoryRangeType.AcpiNvs,
            5 => MemoryRangeType.Bad,
            _ => MemoryRangeType.Reserved,
        };
        return true;
    }

    /// <summary>Reads the framebuffer tag; false when it is none of 32-bit RGBX or BGRX pixels.</summary>
    public readonly bool TryReadFramebuffer(out FramebufferInfo screen)
    {
        const byte DirectRgb = 1;
        screen = default;
        if (Body.Length < 30 || Body[20] != 32 || Body[21] != DirectRgb || Body[25] != 8 || Body[27] != 8 || Body[29] != 8)
        {
            return false;
        }
        uint pitch = UInt32At(Body, 8), width = UInt32At(Body, 12), height = UInt32At(Body, 16);
        uint positions = (uint)(Body[24] << 16 | Body[26] << 8 | Body[28]); // of red, green and blue in a pixel
        uint format = positions switch
        {
            0x000810 => FramebufferFormat.Rgbx,
            0x100800 => FramebufferFormat.Bgrx,
            _ => FramebufferFormat.None,
        };
        if (format == FramebufferFormat.None || (pitch & 3) != 0 || width == 0 || height == 0 || width > pitch / 4 || UInt64At(Body, 0) == 0)
        {
            return false;
        }
        screen = new FramebufferInfo
        {
            Base = UInt64At(Body, 0), Size = (ulong)pitch * height, Width = width, Height = height, PixelsPerScanLine = pitch / 4, Format = format,
        };
        return true;
    }

    /// <summary>Reads the framebuffer tag of a screen in VGA text mode; false when it is none.</summary>
    public readonly bool TryReadTextScreen(out TextScreenInfo screen)
    {
        const byte EgaText = 2;
        screen = default;
        if (Body.Length < 22 || Body[20] != 16 || Body[21] != EgaText || UInt64At(Body, 0) == 0)
        {
            return false;
        }
        uint pitch = UInt32At(Body, 8), width = UInt32At(Body, 12), height = UInt32At(Body, 16);
        if (width == 0 || height is 0 or > 200 || width > 200 || pitch != 2 * width)
        {
            return false;
        }
        screen = new TextScreenInfo { Base = UInt64At(Body, 0), Columns = width, Rows = height };
        return true;
    }

    private static ReadOnlySpan<byte> UpToZero(ReadOnlySpan<byte> text)
    {
        int length = 0;
        while (length < text.Length && text[length] != 0)
        {
            length++;
        }
        return text.Slice(0, length);
    }

    private static uint UInt32At(ReadOnlySpan<byte> bytes, int offset) =>
        (uint)(bytes[offset] | bytes[offset + 1] << 8 | bytes[offset + 2] << 16 | bytes[offset + 3] << 24);

    private static ulong UInt64At(ReadOnlySpan<byte> bytes, int offset) => UInt32At(bytes, offset) | (ulong)UInt32At(bytes, offset + 4) << 32;
}
