// 256 KiB of our own memory for data that a device does not take where the guest has it.
using System.Numerics;

namespace Lamina.Drivers.Vsp.Storage.Scsi;

/// <summary>64 pages, given out in runs.</summary>
public unsafe struct BufferPool(byte* pages)
{
    public const uint PageBytes = 4096, Bytes = 64 * PageBytes;

    private readonly byte* pages = pages;
    private ulong taken;

    public readonly uint FreeBytes => (uint)(64 - BitOperations.PopCount(taken)) * PageBytes;

    /// <summary>A page-aligned piece of 1 to <see cref="Bytes"/> bytes, or null: there is none now.</summary>
    public byte* Take(uint bytes)
    {
        int count = (int)((bytes + PageBytes - 1) / PageBytes);
        ulong run = Run(count);
        for (int first = 0; first <= 64 - count; first++)
        {
            if ((taken & run << first) != 0) continue;
            taken |= run << first;
            return pages + (uint)first * PageBytes;
        }
        return null;
    }

    /// <summary>Takes a piece back, with the size that it was taken with.</summary>
    public void Give(byte* piece, uint bytes) =>
        taken &= ~(Run((int)((bytes + PageBytes - 1) / PageBytes)) << (int)((ulong)(piece - pages) / PageBytes));

    private static ulong Run(int count) => count == 64 ? ulong.MaxValue : (1ul << count) - 1;
}
