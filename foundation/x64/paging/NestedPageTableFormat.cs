// AMD's nested page tables: long-mode tables over guest-physical addresses, walked as user accesses.
// APM 2, "Nested Paging".
namespace Lamina.X64.Paging;

/// <summary>
/// Second-stage tables for N_CR3. Every nested access counts as a user access, so US is always set; there is no
/// global flag. NX needs EFER.NXE of the host; memory types are those of the host's PAT.
/// </summary>
public struct NestedPageTableFormat : IPageTableFormat
{
    public static int Levels => 4;

    public static bool CoversRange(ulong first, ulong last) => last >= first && last >> 48 == 0;

    public static bool CanEncode(PagePermissions permissions) => permissions.Read;

    public static bool IsPresent(ulong entry) => (entry & LongModeEntry.P) != 0;

    public static bool IsLeaf(ulong entry, int level) => LongModeFormat.IsLeaf(entry, level);

    public static ulong AddressOf(ulong entry, int level) => LongModeFormat.AddressOf(entry, level);

    public static PagePermissions PermissionsOf(ulong entry, int level) => LongModeFormat.PermissionsOf(entry, level);

    public static ulong MakeLeaf(ulong physical, int level, PagePermissions permissions) =>
        physical | LongModeEntry.LeafBits(level, permissions) | LongModeEntry.US;

    public static ulong MakeTable(ulong physical) => LongModeFormat.MakeTable(physical);
}
