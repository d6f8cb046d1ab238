// Where the editor's tables live and where their pages come from.
namespace Lamina.X64.Paging;

/// <summary>Access to page-table memory by physical address, and the account that table pages are taken from.</summary>
public interface IPageTableMemory
{
    /// <summary>Reads one eight-byte entry; <paramref name="physical"/> is a multiple of eight.</summary>
    ulong ReadEntry(ulong physical);

    /// <summary>Writes one entry by a single eight-byte store that no later store overtakes (Volatile.Write).</summary>
    void WriteEntry(ulong physical, ulong value);

    /// <summary>Takes a zeroed 4 KiB page, never the one at physical address 0; false when the account is empty.</summary>
    bool TryAllocatePage(out ulong physical);

    /// <summary>Gives back a page that no processor can reach any more; its content is all zero.</summary>
    void FreePage(ulong physical);
}
