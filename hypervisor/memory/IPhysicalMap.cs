// How the core reaches a physical page: the one place where a physical address becomes a pointer.
namespace Lamina.Hypervisor.Memory;

/// <summary>A standing map of physical memory, known at compile time to whoever uses it.</summary>
public unsafe interface IPhysicalMap
{
    /// <summary>Pointer to the byte at a physical address; valid at least to the end of its 4 KiB page.</summary>
    static abstract byte* ToPointer(ulong physical);
}
