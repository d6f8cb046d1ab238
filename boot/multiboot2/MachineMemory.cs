// The memory of a machine whose firmware is gone, in the loader's hands.
using Lamina.Abi;

namespace Lamina.Boot;

/// <summary>Storage for <see cref="FreeMemory"/>, and its blocks as both ways in ask for them. All below 4 GiB: that much is mapped.</summary>
public unsafe struct MachineMemory : IBootMemory
{
    private const int Capacity = 640; // modules, reservations and tables take 140 at most, a big machine's map 300

    private static Storage storage;

    [System.Runtime.CompilerServices.InlineArray(4 * Capacity)]
    private struct Storage
    {
        public MemoryRange First;
    }

    public FreeMemory Free;

    public static MachineMemory Create()
    {
        fixed (MemoryRange* first = &storage.First)
        {
            return new MachineMemory { Free = new FreeMemory(first, Capacity) };
        }
    }

    public bool TryAllocate(ulong bytes, uint type, out ulong address) => Free.TryAllocate(bytes, BootPages.PageBytes, BootPages.FourGiB, type, out address);

    public bool TryAllocateLarge(ulong bytes, uint type, out ulong address) =>
        Free.TryAllocate(bytes, BootPages.LargePageBytes, BootPages.FourGiB, type, out address);
}
