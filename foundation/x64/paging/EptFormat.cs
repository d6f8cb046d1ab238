// Intel's extended page tables.
// SDM 3C, "EPT Translation Mechanism", tables "Format of an EPT …".
namespace Lamina.X64.Paging;

/// <summary>Bits of an EPT entry, by the manual's wording.</summary>
public static class EptEntry
{
    public const ulong ReadAccess = 1UL << 0;
    public const ulong WriteAccess = 1UL << 1;
    public const ulong ExecuteAccess = 1UL << 2;
    public const int MemoryTypeShift = 3;
    public const ulong IgnorePat = 1UL << 6;
    public const ulong Large = 1UL << 7;
    public const ulong Accessed = 1UL << 8;
    public const ulong Dirty = 1UL << 9;
    public const ulong AddressMask = 0x000F_FFFF_FFFF_F000;
}

/// <summary>
/// Second-stage tables for the EPT pointer. Without read nothing is encoded: write without read is a misconfiguration,
/// and execute-only depends on IA32_VMX_EPT_VPID_CAP. Mode-based execute control is not used (bit 10 stays clear).
/// </summary>
public struct EptFormat : IPageTableFormat
{
    private const ulong Access = EptEntry.ReadAccess | EptEntry.WriteAccess | EptEntry.ExecuteAccess;

    public static int Levels => 4;

    public static bool CoversRange(ulong first, ulong last) => last >= first && last >> 48 == 0;

    public static bool CanEncode(PagePermissions permissions) => permissions.Read;

    public static bool IsPresent(ulong entry) => (entry & Access) != 0;

    public static bool IsLeaf(ulong entry, int level) => level == 1 || (level <= 3 && (entry & EptEntry.Large) != 0);

    public static ulong AddressOf(ulong entry, int level)
    {
        ulong address = entry & EptEntry.AddressMask;
        return IsLeaf(entry, level) ? address & ~(PageGeometry.BytesOf(level) - 1) : address;
    }

    public static PagePermissions PermissionsOf(ulong entry, int level) => new(
        read: (entry & EptEntry.ReadAccess) != 0,
        write: (entry & EptEntry.WriteAccess) != 0,
        execute: (entry & EptEntry.ExecuteAccess) != 0,
        user: true,
        type: IsLeaf(entry, level) ? (MemoryType)((entry >> EptEntry.MemoryTypeShift) & 7) : MemoryType.WriteBack);

    public static ulong MakeLeaf(ulong physical, int level, PagePermissions permissions) =>
        physical | EptEntry.ReadAccess | EptEntry.Accessed | EptEntry.Dirty
        | (permissions.Write ? EptEntry.WriteAccess : 0)
        | (permissions.Execute ? EptEntry.ExecuteAccess : 0)
        | ((ulong)permissions.Type << EptEntry.MemoryTypeShift)
        | (level == 1 ? 0 : EptEntry.Large);

    public static ulong MakeTable(ulong physical) => physical | Access | EptEntry.Accessed;
}
