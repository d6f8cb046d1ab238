// How one kind of page table encodes its entries: the seam between the editor and the processor's formats.
namespace Lamina.X64.Paging;

/// <summary>
/// A page-table format. All members are static: the editor is compiled once per format, without dispatch.
/// Levels count from 1 (maps 4 KiB) upwards. A table entry allows everything; the leaf decides.
/// Leaves are made with their accessed and dirty flags set, so that the processor never writes an entry
/// that the editor is about to replace. An entry whose low twelve bits are zero must be not present.
/// </summary>
public interface IPageTableFormat
{
    /// <summary>Level of the root table.</summary>
    static abstract int Levels { get; }

    /// <summary>Whether both ends of a range (inclusive, in bytes) are addresses that these tables translate, without a hole between them.</summary>
    static abstract bool CoversRange(ulong first, ulong last);

    /// <summary>Whether a leaf can carry these permissions and this memory type.</summary>
    static abstract bool CanEncode(PagePermissions permissions);

    static abstract bool IsPresent(ulong entry);

    /// <summary>For a present entry: whether it maps memory rather than pointing to a table.</summary>
    static abstract bool IsLeaf(ulong entry, int level);

    /// <summary>Physical address of the page or table that a present entry points to.</summary>
    static abstract ulong AddressOf(ulong entry, int level);

    /// <summary>Permissions that a present entry gives on its own; of a table entry, the memory type says nothing.</summary>
    static abstract PagePermissions PermissionsOf(ulong entry, int level);

    static abstract ulong MakeLeaf(ulong physical, int level, PagePermissions permissions);

    static abstract ulong MakeTable(ulong physical);
}
