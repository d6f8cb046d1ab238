// Edits a tree of page tables, in any format, while processors walk it.
using System;
using System.Runtime.CompilerServices;

namespace Lamina.X64.Paging;

/// <summary>
/// Maps, unmaps and protects ranges of 4 KiB pages, with the largest pages that fit.
/// Every visible change is one eight-byte store. A table is complete before it is linked, so an address outside the
/// edited range translates the same at every moment, and an address inside goes from its old translation to its new
/// one directly. Tables that become unnecessary are unlinked first and given back by <see cref="CompleteFlush"/>,
/// after the caller has flushed: until then a processor's paging-structure caches may still lead to them.
/// Not thread-safe: one lock per tree. Copying the value copies the bookkeeping; keep it in one place.
/// </summary>
public partial struct PageTableEditor<TFormat, TMemory>
    where TFormat : struct, IPageTableFormat
    where TMemory : struct, IPageTableMemory
{
    private TMemory memory;
    private ulong retired; // first of a list of unlinked empty tables; entry 0 of each holds the next, as a not-present entry
    private bool flushRequired;

    /// <summary>Takes over the tree whose root table lies at <paramref name="root"/>; 0 for none yet.</summary>
    public PageTableEditor(TMemory memory, ulong root)
    {
        this.memory = memory;
        Root = root;
        retired = 0;
        flushRequired = false;
    }

    /// <summary>Physical address of the root table, for CR3, N_CR3 or the EPT pointer; 0 while there is none.</summary>
    public ulong Root { get; private set; }

    /// <summary>
    /// A present entry changed or a table was unlinked since the last <see cref="CompleteFlush"/>: translations of the
    /// edited addresses may be cached. The caller invalidates them on every processor, then calls CompleteFlush.
    /// </summary>
    public readonly bool FlushRequired => flushRequired;

    /// <summary>Allocates an empty root table; false when no page is to be had.</summary>
    public bool TryCreateRoot()
    {
        if (Root != 0)
        {
            return true;
        }
        bool allocated = memory.TryAllocatePage(out ulong page);
        Root = allocated ? page : 0;
        return allocated;
    }

    /// <summary>
    /// Maps <paramref name="pageCount"/> pages of 4 KiB from <paramref name="address"/> to <paramref name="physical"/>,
    /// replacing what is mapped there, with pages up to <paramref name="largest"/>. Out of memory, the first PagesDone
    /// pages are mapped and the rest is as before; calling again for the rest, with more memory, goes on.
    /// </summary>
    public PageTableResult Map(ulong address, ulong physical, ulong pageCount, PagePermissions permissions, PageSize largest)
    {
        if (!IsValid(address, pageCount) || !TFormat.CanEncode(permissions) || largest < PageSize.Page4K || largest > PageSize.Page1G
            || (physical & (PageGeometry.PageBytes - 1)) != 0 || (physical >> 12) + pageCount > 1UL << 40)
        {
            return new PageTableResult(PageTableStatus.InvalidArgument, 0);
        }
        ulong done = 0;
        while (done < pageCount)
        {
            ulong mapped = MapStep(address + (done << 12), physical + (done << 12), pageCount - done, permissions, (int)largest);
            if (mapped == 0)
            {
                return new PageTableResult(PageTableStatus.InsufficientMemory, done);
            }
            done += mapped;
        }
        return new PageTableResult(PageTableStatus.Success, done);
    }

    /// <summary>Unmaps a range; holes in it are fine. Only splitting a large page that the range cuts takes memory.</summary>
    public PageTableResult Unmap(ulong address, ulong pageCount) =>
        Change(address, pageCount, default, unmap: true);

    /// <summary>Gives a mapped range other permissions and memory type; stops with NotMapped at the first hole.</summary>
    public PageTableResult Protect(ulong address, ulong pageCount, PagePermissions permissions) =>
        TFormat.CanEncode(permissions)
            ? Change(address, pageCount, permissions, unmap: false)
            : new PageTableResult(PageTableStatus.InvalidArgument, 0);

    /// <summary>
    /// Physical address of <paramref name="address"/> (with its offset in the page), the permissions that remain of all
    /// levels together, and the size of the page that maps it.
    /// </summary>
    public bool TryTranslate(ulong address, out ulong physical, out PagePermissions permissions, out PageSize size)
    {
        physical = 0;
        permissions = default;
        size = PageSize.None;
        if (Root == 0 || !TFormat.CoversRange(address, address))
        {
            return false;
        }
        PagePermissions allowed = new(true, true, true, true);
        ulong table = Root;
        for (int level = TFormat.Levels; ; level--)
        {
            ulong entry = memory.ReadEntry(SlotOf(table, address, level));
            if (!TFormat.IsPresent(entry))
            {
                return false;
            }
            allowed = allowed.And(TFormat.PermissionsOf(entry, level));
            if (TFormat.IsLeaf(entry, level))
            {
                physical = TFormat.AddressOf(entry, level) + (address & (PageGeometry.BytesOf(level) - 1));
                permissions = allowed;
                size = (PageSize)level;
                return true;
            }
            table = TFormat.AddressOf(entry, level);
        }
    }

    /// <summary>Maps the largest piece at the start of the range that one step can: pages done, 0 when a table could not be allocated.</summary>
    private ulong MapStep(ulong address, ulong physical, ulong pageCount, PagePermissions permissions, int largest)
    {
        ulong table = Root;
        for (int level = TFormat.Levels; level > 1; level--)
        {
            ulong slot = SlotOf(table, address, level);
            ulong entry = memory.ReadEntry(slot);
            bool fits = level <= largest && pageCount >= PageGeometry.PagesOf(level)
                && ((address | physical) & (PageGeometry.BytesOf(level) - 1)) == 0;
            if (fits && TryReplace(slot, entry, level, TFormat.MakeLeaf(physical, level, permissions)))
            {
                return PageGeometry.PagesOf(level);
            }
            if (!TryEnter(slot, entry, level, out table))
            {
                return 0;
            }
        }
        ulong count = Math.Min(pageCount, PagesToTableEnd(address));
        ulong first = SlotOf(table, address, 1);
        for (ulong i = 0; i < count; i++)
        {
            ulong slot = first + 8 * i;
            Store(slot, memory.ReadEntry(slot), TFormat.MakeLeaf(physical + (i << 12), 1, permissions));
        }
        return count;
    }

    private PageTableResult Change(ulong address, ulong pageCount, PagePermissions permissions, bool unmap)
    {
        if (!IsValid(address, pageCount))
        {
            return new PageTableResult(PageTableStatus.InvalidArgument, 0);
        }
        ulong done = 0;
        while (done < pageCount)
        {
            PageTableStatus status = ChangeStep(address + (done << 12), pageCount - done, permissions, unmap, out ulong changed);
            done += changed;
            if (status != PageTableStatus.Success)
            {
                return new PageTableResult(status, done);
            }
        }
        return new PageTableResult(PageTableStatus.Success, done);
    }

    /// <summary>Unmaps or protects the piece at the start of the range that lies under one entry.</summary>
    private PageTableStatus ChangeStep(ulong address, ulong pageCount, PagePermissions permissions, bool unmap, out ulong changed)
    {
        changed = 0;
        ulong table = Root;
        for (int level = TFormat.Levels; level > 1; level--)
        {
            ulong slot = SlotOf(table, address, level);
            ulong entry = memory.ReadEntry(slot);
            ulong span = PageGeometry.PagesOf(level) - ((address >> 12) & (PageGeometry.PagesOf(level) - 1));
            if (!TFormat.IsPresent(entry))
            {
                changed = unmap ? Math.Min(span, pageCount) : 0;
                return unmap ? PageTableStatus.Success : PageTableStatus.NotMapped;
            }
            if (TFormat.IsLeaf(entry, level) && span == PageGeometry.PagesOf(level) && pageCount >= span)
            {
                Store(slot, entry, unmap ? 0 : TFormat.MakeLeaf(TFormat.AddressOf(entry, level), level, permissions));
                changed = span;
                return PageTableStatus.Success;
            }
            if (!TryEnter(slot, entry, level, out table))
            {
                return PageTableStatus.InsufficientMemory;
            }
        }
        return ChangeSmallPages(SlotOf(table, address, 1), Math.Min(pageCount, PagesToTableEnd(address)), permissions, unmap, out changed);
    }

    private PageTableStatus ChangeSmallPages(ulong first, ulong count, PagePermissions permissions, bool unmap, out ulong changed)
    {
        for (changed = 0; changed < count; changed++)
        {
            ulong slot = first + 8 * changed;
            ulong entry = memory.ReadEntry(slot);
            if (TFormat.IsPresent(entry))
            {
                Store(slot, entry, unmap ? 0 : TFormat.MakeLeaf(TFormat.AddressOf(entry, 1), 1, permissions));
            }
            else if (!unmap)
            {
                return PageTableStatus.NotMapped;
            }
        }
        return PageTableStatus.Success;
    }

    /// <summary>The table below an entry: the one it points to, a new empty one, or one that says the same as the large page it replaces.</summary>
    private bool TryEnter(ulong slot, ulong entry, int level, out ulong table)
    {
        bool present = TFormat.IsPresent(entry);
        if (present && !TFormat.IsLeaf(entry, level))
        {
            table = TFormat.AddressOf(entry, level);
            return true;
        }
        if (!memory.TryAllocatePage(out table))
        {
            return false;
        }
        if (present)
        {
            FillSplit(table, entry, level);
        }
        Store(slot, entry, TFormat.MakeTable(table));
        return true;
    }

    private void FillSplit(ulong table, ulong leaf, int level)
    {
        ulong physical = TFormat.AddressOf(leaf, level);
        PagePermissions permissions = TFormat.PermissionsOf(leaf, level);
        ulong step = PageGeometry.BytesOf(level - 1);
        for (ulong i = 0; i < PageGeometry.EntriesPerTable; i++)
        {
            memory.WriteEntry(table + 8 * i, TFormat.MakeLeaf(physical + i * step, level - 1, permissions));
        }
    }

    /// <summary>Puts a large leaf into a slot unless a table with something in it is there.</summary>
    private bool TryReplace(ulong slot, ulong entry, int level, ulong leaf)
    {
        if (!TFormat.IsPresent(entry) || TFormat.IsLeaf(entry, level))
        {
            Store(slot, entry, leaf);
            return true;
        }
        ulong table = TFormat.AddressOf(entry, level);
        if (!IsEmpty(table))
        {
            return false;
        }
        Store(slot, entry, leaf);
        Retire(table);
        return true;
    }

    private void Store(ulong slot, ulong before, ulong after)
    {
        if (before == after)
        {
            return;
        }
        memory.WriteEntry(slot, after);
        flushRequired |= TFormat.IsPresent(before);
    }

    private readonly bool IsValid(ulong address, ulong pageCount) =>
        Root != 0 && pageCount != 0 && pageCount <= 1UL << 36 && (address & (PageGeometry.PageBytes - 1)) == 0
        && TFormat.CoversRange(address, address + ((pageCount << 12) - 1));

    private static ulong PagesToTableEnd(ulong address) =>
        PageGeometry.EntriesPerTable - (ulong)PageGeometry.IndexOf(address, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SlotOf(ulong table, ulong address, int level) =>
        table + 8 * (ulong)PageGeometry.IndexOf(address, level);
}
