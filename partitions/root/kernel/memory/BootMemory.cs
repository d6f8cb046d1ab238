// What the loader left in memory: the memory map and the files it brought.
using System;
using Lamina.Abi;

namespace Lamina.Root.Kernel;

/// <summary>The boot memory map.</summary>
public static unsafe class BootMemory
{
    public static ReadOnlySpan<MemoryRange> Map(BootHandover* handover) => new((void*)handover->MemoryMapPhysical, (int)handover->MemoryMapCount);

    /// <summary>RAM of any use, in bytes: everything but memory-mapped devices, reserved and bad ranges.</summary>
    public static ulong MemoryBytes(BootHandover* handover)
    {
        ulong bytes = 0;
        foreach (MemoryRange range in Map(handover))
            if (IsMemory(range.Type)) bytes += range.Length;
        return bytes;
    }

    public static bool IsMemory(uint type) => type is MemoryRangeType.Usable or MemoryRangeType.AcpiReclaimable or MemoryRangeType.AcpiNvs
        or MemoryRangeType.RootImage or MemoryRangeType.BootData or MemoryRangeType.Hypervisor;
}

/// <summary>The files that the loader brought: lamina.json and those it names.</summary>
public static unsafe class BootModules
{
    private static BootModule* modules;
    private static uint count;

    public static uint Count => count;

    public static void Initialize(BootHandover* handover)
    {
        modules = (BootModule*)handover->ModulesPhysical;
        count = handover->ModuleCount;
    }

    /// <summary>Looks a file up by its name as written in lamina.json; that file itself is "lamina.json".</summary>
    public static bool TryFind(ReadOnlySpan<byte> name, out byte* data, out ulong size)
    {
        for (uint i = 0; i < count; i++)
        {
            if (!NameOf(i).SequenceEqual(name)) continue;
            data = (byte*)modules[i].Base;
            size = modules[i].Size;
            return true;
        }
        data = null;
        size = 0;
        return false;
    }

    public static ReadOnlySpan<byte> NameOf(uint index)
    {
        byte* name = modules[index].Name;
        int length = 0;
        while (length < BootModule.NameLength && name[length] != 0) length++;
        return new ReadOnlySpan<byte>(name, length);
    }

    public static ulong SizeOf(uint index) => modules[index].Size;
}
