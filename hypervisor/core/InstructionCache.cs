// Instructions that exit again and again, at the same few places: decoded once, and compared with what the guest's memory holds each time.
using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Lamina.X64.Decode;

namespace Lamina.Hypervisor.Core;

/// <summary>
/// What it gives is what fetching and decoding would give now. It belongs to the virtual processor's own processor, and its pointers are used between two
/// exits only: whatever leaves the partition's map changes the generation first and waits for that (<see cref="Quiescence"/>).
/// </summary>
public static unsafe class InstructionCache<TBackend> where TBackend : struct, IBackend
{
    /// <summary>The instruction at CS:RIP, if it is one with a memory operand and no string's; null if not. Good until the next call.</summary>
    [SkipLocalsInit]
    public static MmioInstruction* Find(VirtualProcessor* vp)
    {
        FetchState state;
        TBackend.GetFetchState(vp, &state);
        uint generation = Volatile.Read(ref vp->Partition->SecondStageGeneration);
        if (CachedInstructions.TryFind(&vp->MmioInstructions, &state, generation, out CachedInstruction* entry) || TryFollow(vp, entry, &state, generation) || TryDecode(vp, entry, &state, generation))
            return &entry->Instruction;
        return null;
    }

    private static bool TryFollow(VirtualProcessor* vp, CachedInstruction* entry, FetchState* state, uint generation)
    {
        if (!entry->TryGetTable(state, GuestTableLimits.AddressBits, out ulong table) || !GuestPages<TBackend>.TryGetPointer(vp->Partition, table, false, out byte* page))
            return false;
        entry->SetTable(state->Cr3, page);
        return CachedInstructions.TryFind(&vp->MmioInstructions, state, generation, out _);
    }

    /// <param name="generation">As of before: what leaves the map meanwhile makes the finding void.</param>
    private static bool TryDecode(VirtualProcessor* vp, CachedInstruction* entry, FetchState* state, uint generation)
    {
        entry->IsValid = false;
        entry->State = *state;
        entry->Generation = generation;
        entry->Walk.Count = 0;
        ProcessorMode mode = state->Mode;
        if (!GuestPages<TBackend>.TryTranslateGva(vp, state->Linear, &entry->Walk, out ulong gpa) || !GuestPages<TBackend>.TryGetPointer(vp->Partition, gpa, false, out byte* page))
            return false;
        entry->IsValid = entry->TryDecode(page, (uint)gpa & 0xFFF, mode);
        if (!entry->IsValid)
        {
            // It may go on in the next page, which an entry knows nothing of.
            byte* bytes = stackalloc byte[16];
            int count = GuestInstruction<TBackend>.Fetch(vp, bytes);
            if (!MmioInstruction.TryDecode(new ReadOnlySpan<byte>(bytes, count), mode, out entry->Instruction))
                return false;
        }
        // Such an entry is found again, and refused again, here.
        return !entry->Instruction.IsString || (entry->IsValid = false);
    }
}
