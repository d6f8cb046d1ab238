// An instruction that was fetched and decoded before, with everything that its bytes were found through.
using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.X64.Decode;

namespace Lamina.Hypervisor.Core;

/// <summary>Where a walk read its table entries, top first: the accessed and dirty flags are set there afterwards, or it is looked whether they have changed.</summary>
public unsafe struct GuestWalkTrace
{
    public const int MaximumLevels = 5;
    /// <summary>Guest-physical addresses.</summary>
    public fixed ulong Slots[MaximumLevels];
    /// <summary>The aligned eight bytes that hold each entry: ulong*, and what was read there.</summary>
    public fixed ulong Pointers[MaximumLevels];
    public fixed ulong Values[MaximumLevels];
    public int Count;
}

/// <summary>
/// The guest may have changed any of it since, without a word to anybody: its tables, the bytes, its registers. So all of it is compared before
/// <see cref="Instruction"/> is used again; only pointers are trusted, as long as nothing has left the partition's map (<see cref="Generation"/>).
/// </summary>
public unsafe struct CachedInstruction
{
    private const uint PageBytes = 4096, PageMask = PageBytes - 1;
    /// <summary>What is compared of the code: more than any instruction has.</summary>
    private const uint WindowBytes = 2 * sizeof(ulong);

    /// <summary>What the instruction was decoded for.</summary>
    public FetchState State;
    /// <summary>False: nothing is known of it.</summary>
    public bool IsValid;
    /// <summary>The second-stage generation that the pointers are of.</summary>
    public uint Generation;
    /// <summary>Entries of the guest's tables.</summary>
    public GuestWalkTrace Walk;

    /// <summary>ulong[2] in one page of RAM, around the whole instruction, and what was there.</summary>
    private ulong* window;
    private ulong low, high;

    public MmioInstruction Instruction;

    /// <summary>Whether it is the instruction at a state's CS:RIP: the registers are the same, and the guest's tables still lead to the same bytes.</summary>
    // SAFETY: guest memory, each word read once, only to be compared. What the guest changes between two of the reads it could have changed before or after.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly bool IsCurrent(FetchState* state, uint generation)
    {
        if (!IsValid || Generation != generation || State.Cr3 != state->Cr3 || !State.IsAlike(state))
            return false;
        ulong difference = Volatile.Read(ref window[0]) ^ low | Volatile.Read(ref window[1]) ^ high;
        for (int i = 0; i < Walk.Count; i++)
            difference |= Volatile.Read(ref *(ulong*)Walk.Pointers[i]) ^ Walk.Values[i];
        return difference == 0;
    }

    /// <summary>Reads and decodes the bytes at an offset in a page. False: there is no such instruction, or not all of it is in this page.</summary>
    public bool TryDecode(byte* page, uint offset, ProcessorMode mode)
    {
        uint start = Math.Min(offset, PageBytes - WindowBytes);
        window = (ulong*)(page + start);
        ulong* copy = stackalloc ulong[2];
        // SAFETY: guest memory inside one page, each word read once; only the copy is decoded.
        copy[0] = low = Volatile.Read(ref window[0]);
        copy[1] = high = Volatile.Read(ref window[1]);
        return MmioInstruction.TryDecode(new ReadOnlySpan<byte>((byte*)copy + (offset - start), (int)(WindowBytes - (offset - start))), mode, out Instruction);
    }

    /// <summary>
    /// Whether nothing but CR3 is another: kernels give each process a top-level table of its own, and the same tables below. <paramref name="table"/> is the
    /// page of the other table, whose entry remains to be compared. False, too, for tables of PAE, which may lie anywhere in a page.
    /// </summary>
    public readonly bool TryGetTable(FetchState* state, int addressBits, out ulong table)
    {
        const ulong cr4Pae = 1UL << 5 << 32, eferLma = 1UL << 10 << 32;
        bool isPae = (State.Controls & cr4Pae) != 0;
        table = (isPae ? state->Cr3 & (1UL << addressBits) - 1 : (uint)state->Cr3) & ~(ulong)PageMask;
        return IsValid && Walk.Count != 0 && State.IsAlike(state) && (!isPae || (State.Context & eferLma) != 0);
    }

    /// <summary>The top-level table is another, in this page.</summary>
    public void SetTable(ulong cr3, byte* page)
    {
        State.Cr3 = cr3;
        Walk.Pointers[0] = (ulong)page + (Walk.Pointers[0] & PageMask);
    }
}

/// <summary>As many as a guest has ways to its APIC at a time: an EOI, a command, a timer, a read.</summary>
public unsafe struct CachedInstructions
{
    private const int Count = 4;

    [InlineArray(Count)]
    private struct Table { private CachedInstruction first; }

    private uint next;
    private Table entries;

    /// <summary>False: <paramref name="entry"/> is one for the same RIP, or makes room.</summary>
    public static bool TryFind(CachedInstructions* all, FetchState* state, uint generation, out CachedInstruction* entry)
    {
        CachedInstruction* at = (CachedInstruction*)&all->entries;
        for (int i = 0; i < Count; i++, at++)
        {
            if (at->State.Rip != state->Rip)
                continue;
            entry = at;
            return at->IsCurrent(state, generation);
        }
        entry = at - (1 + (all->next++ & Count - 1));
        return false;
    }
}
