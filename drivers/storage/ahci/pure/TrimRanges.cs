// The data of DATA SET MANAGEMENT with TRIM: one block of ranges. ACS-3, "DATA SET MANAGEMENT".
using System;

namespace Lamina.Drivers.Storage.Ahci;

public static class TrimRanges
{
    public const int Bytes = 512, Capacity = Bytes / 8;
    private const uint BlocksInRange = 0xFFFF;
    private const int CountShift = 48;

    /// <summary>Blocks that one command can name.</summary>
    public const ulong MaximumBlocks = Capacity * BlocksInRange;

    /// <summary>Fills the 512 bytes; entries that are not needed are zero. False: more than fits.</summary>
    public static bool TryWrite(Span<byte> data, ulong lba, ulong blocks)
    {
        if (blocks > MaximumBlocks) return false;
        for (int entry = 0; entry < Capacity; entry++)
        {
            ulong count = Math.Min(blocks, BlocksInRange);
            ulong range = count == 0 ? 0 : lba | count << CountShift;
            for (int i = 0; i < 8; i++) data[8 * entry + i] = (byte)(range >> 8 * i);
            lba += count;
            blocks -= count;
        }
        return true;
    }
}
