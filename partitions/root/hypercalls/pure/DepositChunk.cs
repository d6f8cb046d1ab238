// Which pages of one 2 MiB piece of memory are deposited with the core.
using System;
using System.Numerics;

namespace Lamina.Root.Hypercalls;

/// <summary>512 pages; a bit is one while its page is with the core.</summary>
public unsafe struct DepositChunk
{
    public const ulong PageCount = 512;

    private fixed ulong _deposited[(int)PageCount / 64];

    /// <summary>Page number of the first page; 0 while the chunk is not in use.</summary>
    public ulong FirstPage { get; private set; }

    /// <summary>How many of the pages are with the core.</summary>
    public uint DepositedCount { get; private set; }

    public readonly bool IsInUse => FirstPage != 0;

    public void Begin(ulong firstPage)
    {
        this = default;
        FirstPage = firstPage;
    }

    public void End() => this = default;

    /// <summary>Takes up to <paramref name="limit"/> pages, lowest first; returns how many were written to <paramref name="pages"/>.</summary>
    public uint Take(ulong* pages, uint limit)
    {
        uint taken = 0;
        for (int word = 0; word < (int)PageCount / 64; word++)
        {
            while (taken < limit && _deposited[word] != ulong.MaxValue)
            {
                int bit = BitOperations.TrailingZeroCount(~_deposited[word]);
                _deposited[word] |= 1UL << bit;
                pages[taken++] = FirstPage + (uint)(word * 64 + bit);
            }
        }
        DepositedCount += taken;
        return taken;
    }

    /// <summary>A page came back. False: it is not one of this chunk's, or was not with the core.</summary>
    public bool TryReturn(ulong page)
    {
        if (!IsInUse || page < FirstPage || page - FirstPage >= PageCount) return false;
        ulong index = page - FirstPage;
        ulong bit = 1UL << (int)(index % 64);
        if ((_deposited[(int)(index / 64)] & bit) == 0) return false;
        _deposited[(int)(index / 64)] &= ~bit;
        DepositedCount--;
        return true;
    }
}
