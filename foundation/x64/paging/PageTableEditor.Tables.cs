// The page-table editor's housekeeping: tables that hold nothing any more, and the end of a whole tree.
using System;

namespace Lamina.X64.Paging;

public partial struct PageTableEditor<TFormat, TMemory>
{
    /// <summary>
    /// Unlinks the tables under the range that map nothing. They are given back by <see cref="CompleteFlush"/>.
    /// The root table stays. False for a range that <see cref="Unmap"/> would refuse.
    /// </summary>
    public bool FreeEmptyTables(ulong address, ulong pageCount)
    {
        if (!IsValid(address, pageCount))
        {
            return false;
        }
        Prune(Root, TFormat.Levels, address, address + ((pageCount << 12) - 1));
        return true;
    }

    /// <summary>To be called when the caller has flushed what <see cref="FlushRequired"/> asked for: gives unlinked tables back.</summary>
    public void CompleteFlush()
    {
        flushRequired = false;
        while (retired != 0)
        {
            ulong table = retired;
            retired = memory.ReadEntry(table);
            memory.WriteEntry(table, 0);
            memory.FreePage(table);
        }
    }

    /// <summary>Gives back every table, the root too. No processor may use the tree any more, nor have it cached.</summary>
    public void DestroyAll()
    {
        CompleteFlush();
        if (Root != 0)
        {
            Destroy(Root, TFormat.Levels);
            Root = 0;
        }
    }

    /// <summary>Prunes below one table; <paramref name="first"/> and <paramref name="last"/> (inclusive) lie in what it covers.</summary>
    private void Prune(ulong table, int level, ulong first, ulong last)
    {
        ulong spanMask = PageGeometry.BytesOf(level) - 1;
        ulong address = first;
        while (true)
        {
            ulong end = Math.Min(address | spanMask, last);
            ulong slot = SlotOf(table, address, level);
            ulong entry = memory.ReadEntry(slot);
            if (TFormat.IsPresent(entry) && !TFormat.IsLeaf(entry, level))
            {
                ulong child = TFormat.AddressOf(entry, level);
                if (level > 2)
                {
                    Prune(child, level - 1, address, end);
                }
                if (IsEmpty(child))
                {
                    Store(slot, entry, 0);
                    Retire(child);
                }
            }
            if (end == last)
            {
                return;
            }
            address = end + 1;
        }
    }

    private void Destroy(ulong table, int level)
    {
        for (ulong i = 0; i < PageGeometry.EntriesPerTable; i++)
        {
            ulong entry = memory.ReadEntry(table + 8 * i);
            if (entry == 0)
            {
                continue;
            }
            if (TFormat.IsPresent(entry) && !TFormat.IsLeaf(entry, level))
            {
                Destroy(TFormat.AddressOf(entry, level), level - 1);
            }
            memory.WriteEntry(table + 8 * i, 0);
        }
        memory.FreePage(table);
    }

    private bool IsEmpty(ulong table)
    {
        for (ulong i = 0; i < PageGeometry.EntriesPerTable; i++)
        {
            if (TFormat.IsPresent(memory.ReadEntry(table + 8 * i)))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Keeps an unlinked empty table until the flush. The link is a not-present entry: a stale walk finds nothing, as before.</summary>
    private void Retire(ulong table)
    {
        memory.WriteEntry(table, retired);
        retired = table;
    }
}
