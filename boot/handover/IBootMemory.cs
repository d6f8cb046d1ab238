// Where a way in gets pages from, as far as what both share needs to know.
namespace Lamina.Boot;

/// <summary>Whole pages below the end of what is mapped one to one; <c>type</c> is what they become in the handover's map (MemoryRangeType).</summary>
public interface IBootMemory
{
    bool TryAllocate(ulong bytes, uint type, out ulong address);

    /// <summary>A 2 MiB-aligned block, below 4 GiB if there is one.</summary>
    bool TryAllocateLarge(ulong bytes, uint type, out ulong address);
}
