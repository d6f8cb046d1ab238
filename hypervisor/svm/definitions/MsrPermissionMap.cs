// Where in the MSR permission map a register's two bits are. APM 2, "MSR Intercepts".

namespace Lamina.Hypervisor.Svm;

/// <summary>The map: 8 KiB, two bits a register, the lower one for reads, the upper one for writes; one means intercept.</summary>
public static class MsrPermissionMap
{
    /// <summary>In bytes; physically contiguous, page-aligned.</summary>
    public const int Size = 0x2000;

    /// <summary>Registers of one of the three ranges.</summary>
    private const uint RangeLength = 0x2000;

    /// <summary>
    /// The bit of <paramref name="msr"/>'s read intercept, counted from the map's start; the write intercept is the next one.
    /// False for a register that the map does not cover: those are always intercepted.
    /// </summary>
    public static bool TryGetBit(uint msr, out uint bit)
    {
        uint rangeStart;
        uint byteOffset;
        if (msr < RangeLength)
        {
            rangeStart = 0;
            byteOffset = 0x000;
        }
        else if (msr - 0xC0000000 < RangeLength)
        {
            rangeStart = 0xC0000000;
            byteOffset = 0x800;
        }
        else if (msr - 0xC0010000 < RangeLength)
        {
            rangeStart = 0xC0010000;
            byteOffset = 0x1000;
        }
        else
        {
            bit = 0;
            return false;
        }
        bit = byteOffset * 8 + (msr - rangeStart) * 2;
        return true;
    }

    /// <summary>Sets both intercepts of a register; false when the map does not cover it.</summary>
    public static unsafe bool TrySet(byte* map, uint msr, bool interceptRead, bool interceptWrite)
    {
        if (!TryGetBit(msr, out uint bit))
            return false;
        // Two bits never straddle a byte: the read bit is even.
        int shift = (int)(bit & 7);
        int wanted = (interceptRead ? 1 : 0) | (interceptWrite ? 2 : 0);
        map[bit >> 3] = (byte)(map[bit >> 3] & ~(3 << shift) | wanted << shift);
        return true;
    }
}
