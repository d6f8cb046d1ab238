// Where in the MSR bitmaps a register's two bits are. SDM 3C, "MSR-Bitmap Address".

namespace Lamina.Hypervisor.Vmx;

/// <summary>One page: four bitmaps of 1 KiB, for reads of low and of high MSRs, then for writes; one means exit.</summary>
public static class VmxMsrBitmap
{
    /// <summary>In bytes.</summary>
    public const int Size = 0x1000;
    private const uint RangeLength = 0x2000, HighRange = 0xC0000000, WriteOffset = 0x800 * 8, HighOffset = 0x400 * 8;

    /// <summary>The bit of a register's read exit, counted from the page's start. False for one outside both ranges: it always exits.</summary>
    public static bool TryGetReadBit(uint msr, out uint bit)
    {
        bit = msr < RangeLength ? msr : msr - HighRange + HighOffset;
        return msr < RangeLength || msr - HighRange < RangeLength;
    }

    /// <summary>Sets both exits of a register; false when the bitmaps do not cover it.</summary>
    public static unsafe bool TrySet(byte* bitmap, uint msr, bool exitOnRead, bool exitOnWrite)
    {
        if (!TryGetReadBit(msr, out uint bit))
            return false;
        Put(bitmap, bit, exitOnRead);
        Put(bitmap, bit + WriteOffset, exitOnWrite);
        return true;
    }

    private static unsafe void Put(byte* bitmap, uint bit, bool on)
    {
        byte mask = (byte)(1 << (int)(bit & 7));
        bitmap[bit >> 3] = (byte)(on ? bitmap[bit >> 3] | mask : bitmap[bit >> 3] & ~mask);
    }
}
