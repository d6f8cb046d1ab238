// Where the core sees physical memory: one window in its own half, 1:1, never executable.
using System.Runtime.CompilerServices;
using Lamina.Hypervisor.Memory;

namespace Lamina.Hypervisor.Core;

/// <summary>Physical address to pointer and back. Covers all RAM of the boot memory map; device memory is mapped apart.</summary>
public readonly unsafe struct PhysicalMap : IPhysicalMap
{
    public const ulong WindowBase = 0xFFFF_8000_0000_0000;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* ToPointer(ulong physical) => (byte*)(WindowBase + physical);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong ToPhysical(void* pointer) => (ulong)pointer - WindowBase;
}
