// The bytes of the instruction that exited, read through the guest's own page tables where the processor does not hand them over.
using Lamina.X64.Decode;

namespace Lamina.Hypervisor.Core;

public static unsafe class GuestInstruction<TBackend> where TBackend : struct, IBackend
{
    public const int MaximumLength = 15;

    public static ProcessorMode ModeOf(VirtualProcessor* vp)
    {
        FetchState state;
        TBackend.GetFetchState(vp, &state);
        return state.Mode;
    }

    /// <summary>Copies up to 15 bytes at CS:RIP; how many could be read.</summary>
    public static int Fetch(VirtualProcessor* vp, byte* destination)
    {
        FetchState state;
        TBackend.GetFetchState(vp, &state);
        ulong address = state.Linear;
        int count = 0;
        while (count < MaximumLength)
        {
            if (!GuestPages<TBackend>.TryTranslateGva(vp, address + (ulong)count, null, out ulong gpa) || !GuestPages<TBackend>.TryGetPointer(vp->Partition, gpa & ~0xFFFUL, false, out byte* page))
                return count;
            // SAFETY: a byte copy out of one page of the guest's RAM; the guest may change it meanwhile, and then gets what it wrote.
            for (uint at = (uint)(gpa & 0xFFF); at < 4096 && count < MaximumLength; at++)
                destination[count++] = page[at];
        }
        return count;
    }
}
