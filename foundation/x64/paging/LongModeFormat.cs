// Four-level long-mode page tables, as CR3 of a 64-bit host or guest points to them.
// SDM 3A, "4-Level Paging and 5-Level Paging"; APM 2, "Long-Mode Page Translation".
namespace Lamina.X64.Paging;

/// <summary>Bits of a long-mode page-table entry, by the manual's names.</summary>
public static class LongModeEntry
{
    public const ulong P = 1UL << 0;
    public const ulong RW = 1UL << 1;
    public const ulong US = 1UL << 2;
    public const ulong PWT = 1UL << 3;
    public const ulong PCD = 1UL << 4;
    public const ulong A = 1UL << 5;
    public const ulong D = 1UL << 6;
    /// <summary>In entries of level 2 and 3; at level 1 the same bit is PAT.</summary>
    public const ulong PS = 1UL << 7;
    public const ulong Pat4K = 1UL << 7;
    public const ulong G = 1UL << 8;
    public const ulong PatLarge = 1UL << 12;
    public const ulong NX = 1UL << 63;
    public const ulong AddressMask = 0x000F_FFFF_FFFF_F000;

    /// <summary>
    /// IA32_PAT for which the memory types of these tables are exact: entries 0–3 are the processor's reset values,
    /// 5 is write-combining and 6 write-protected. With the reset value instead, those two become WT and UC-.
    /// </summary>
    public const ulong Pat = 0x0005_0106_0007_0406;

    public static ulong AddressOf(ulong entry, int level) => entry & AddressMask & ~(PageGeometry.BytesOf(level) - 1);

    public static ulong MemoryTypeBits(MemoryType type, int level)
    {
        ulong pat = level == 1 ? Pat4K : PatLarge;
        return type switch
        {
            MemoryType.WriteBack => 0,
            MemoryType.WriteThrough => PWT,
            MemoryType.WriteCombining => pat | PWT,
            MemoryType.WriteProtected => pat | PCD,
            _ => PCD | PWT,
        };
    }

    public static MemoryType MemoryTypeOf(ulong entry, int level)
    {
        int index = (int)(entry >> 3) & 3;
        if ((entry & (level == 1 ? Pat4K : PatLarge)) != 0)
        {
            index += 4;
        }
        byte type = (byte)((Pat >> (8 * index)) & 7);
        return type == 7 ? MemoryType.Uncacheable : (MemoryType)type; // 7 is UC-, which only an MTRR tells from UC
    }

    public static ulong LeafBits(int level, PagePermissions permissions)
    {
        ulong bits = P | A | D | MemoryTypeBits(permissions.Type, level);
        bits |= permissions.Write ? RW : 0;
        bits |= permissions.Execute ? 0 : NX;
        bits |= level == 1 ? 0 : PS;
        return bits;
    }

    public static PagePermissions PermissionsOf(ulong entry, int level, bool leaf) => new(
        read: true,
        write: (entry & RW) != 0,
        execute: (entry & NX) == 0,
        user: (entry & US) != 0,
        global: leaf && (entry & G) != 0,
        type: leaf ? MemoryTypeOf(entry, level) : MemoryType.WriteBack);
}

/// <summary>Ordinary long-mode tables. NX needs EFER.NXE, G needs CR4.PGE, write-combining needs <see cref="LongModeEntry.Pat"/>.</summary>
public struct LongModeFormat : IPageTableFormat
{
    public static int Levels => 4;

    // Canonical on both ends and in the same half: bits 63:47 all equal.
    public static bool CoversRange(ulong first, ulong last)
    {
        long low = (long)first >> 47;
        long high = (long)last >> 47;
        return last >= first && low == high && (low == 0 || low == -1);
    }

    public static bool CanEncode(PagePermissions permissions) => permissions.Read;

    public static bool IsPresent(ulong entry) => (entry & LongModeEntry.P) != 0;

    public static bool IsLeaf(ulong entry, int level) => level == 1 || (level <= 3 && (entry & LongModeEntry.PS) != 0);

    public static ulong AddressOf(ulong entry, int level) =>
        IsLeaf(entry, level) ? LongModeEntry.AddressOf(entry, level) : entry & LongModeEntry.AddressMask;

    public static PagePermissions PermissionsOf(ulong entry, int level) => LongModeEntry.PermissionsOf(entry, level, IsLeaf(entry, level));

    public static ulong MakeLeaf(ulong physical, int level, PagePermissions permissions) =>
        physical | LongModeEntry.LeafBits(level, permissions)
        | (permissions.User ? LongModeEntry.US : 0) | (permissions.Global ? LongModeEntry.G : 0);

    public static ulong MakeTable(ulong physical) => physical | LongModeEntry.P | LongModeEntry.RW | LongModeEntry.US | LongModeEntry.A;
}
