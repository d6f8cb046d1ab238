// The three sizes of page that a four-level table can map, named by the level of the entry that maps them.
namespace Lamina.X64.Paging;

/// <summary>Size of one mapping; the value is the level of its leaf entry, counted from 1 at the bottom.</summary>
public enum PageSize : byte
{
    None = 0,
    Page4K = 1,
    Page2M = 2,
    Page1G = 3,
}

/// <summary>Geometry that all formats share: 512 entries of eight bytes per table, nine address bits per level.</summary>
public static class PageGeometry
{
    public const int PageShift = 12;
    public const int IndexBits = 9;
    public const int EntriesPerTable = 512;
    public const ulong PageBytes = 4096;

    /// <summary>Number of address bits below an entry of this level: 12, 21, 30, 39, 48.</summary>
    public static int ShiftOf(int level) => PageShift + IndexBits * (level - 1);

    /// <summary>Bytes that one entry of this level covers.</summary>
    public static ulong BytesOf(int level) => 1UL << ShiftOf(level);

    /// <summary>4 KiB pages that one entry of this level covers.</summary>
    public static ulong PagesOf(int level) => 1UL << (IndexBits * (level - 1));

    public static int IndexOf(ulong address, int level) => (int)(address >> ShiftOf(level)) & (EntriesPerTable - 1);
}
