// The I/O permission map: a bit for each port. APM 2, "IOIO Intercepts".

namespace Lamina.Hypervisor.Svm;

/// <summary>The map: 12 KiB; one means intercept. An access of n bytes looks at n bits.</summary>
public static class IoPermissionMap
{
    /// <summary>In bytes; physically contiguous, page-aligned. The third page is for accesses that begin at the last ports.</summary>
    public const int Size = 0x3000;

    /// <summary>Sets or clears the intercept of one port.</summary>
    public static unsafe void Set(byte* map, ushort port, bool intercept)
    {
        byte mask = (byte)(1 << (port & 7));
        if (intercept)
            map[port >> 3] |= mask;
        else
            map[port >> 3] &= (byte)~mask;
    }
}
