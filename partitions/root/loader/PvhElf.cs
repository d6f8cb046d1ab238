// Loads an ELF kernel that has a PVH entry point. Source: Xen, "x86/HVM direct boot ABI" and its header start_info.h.
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Loader;

/// <summary>The processor starts at the note's address in 32-bit protected mode, EBX at a start info of version 1.</summary>
public static unsafe class PvhElf
{
    private const uint XenElfnotePhys32Entry = 18, StartInfoMagic = 0x336EC578, StartInfoVersion = 1;
    private const int MemoryMapEntrySize = 24;
    private const ulong ModuleList = BootLayout.Info + 0x100, MemoryMapTable = BootLayout.Info + 0x200;

    /// <summary>Whether the file is an ELF with the note; false for anything that is not.</summary>
    public static bool HasEntry(ReadOnlySpan<byte> kernel)
    {
        TextWriter nowhere = default;
        return ElfImage.HasMagic(kernel) && ElfImage.TryOpen(kernel, out ElfImage image, ref nowhere) && image.TryFindNumber("Xen"u8, XenElfnotePhys32Entry, out _);
    }

    /// <summary>Loads kernel, initrd, command line and start info. False with one line in <paramref name="error"/>.</summary>
    public static bool TryLoad(in LoadRequest request, out InitialRegisters registers, ref TextWriter error)
    {
        registers = default;
        if (!ElfImage.TryOpen(request.Kernel, out ElfImage image, ref error)) return false;
        if (!image.TryFindNumber("Xen"u8, XenElfnotePhys32Entry, out ulong entry)) { error.Text("kernel: an ELF without a PVH entry note"u8); return false; }
        if (!image.Loads(entry)) { error.Text("kernel: its PVH entry "u8).Hex(entry).Text(" is in no loaded segment"u8); return false; }
        if (!image.TryLoad(request, out ulong end, ref error)) return false;
        if (!Placement.TryPlaceInitrd(request, end, GuestMemory.HoleStart, out ulong initrd, ref error)) return false;
        if (!BootLayout.TryWriteCommandLine(request.Memory, default, request.CommandLine, uint.MaxValue, ref error)) return false;
        if (!BootLayout.TryWriteGdt(request.Memory) || !TryWriteStartInfo(request, initrd)) return Placement.RefuseForMemory(request, BootLayout.KernelFloor, ref error);
        registers = InitialRegisters.CreateProtected32(entry, BootLayout.StackTop);
        registers.Rbx = BootLayout.Info;
        return true;
    }

    private static bool TryWriteStartInfo(in LoadRequest request, ulong initrd)
    {
        if (!request.Memory.TryZero(BootLayout.Info, BootLayout.InfoLength) || !request.Memory.TryGetPointer(BootLayout.Info, BootLayout.InfoLength, out byte* info)) return false;
        bool hasInitrd = request.Initrd.Length != 0;
        *(uint*)info = StartInfoMagic;
        *(uint*)(info + 4) = StartInfoVersion;
        *(uint*)(info + 12) = hasInitrd ? 1u : 0u;
        *(ulong*)(info + 16) = hasInitrd ? ModuleList : 0;
        *(ulong*)(info + 24) = BootLayout.CommandLine;
        *(ulong*)(info + 32) = request.AcpiRsdp;
        *(ulong*)(info + 40) = MemoryMapTable;
        ulong* module = (ulong*)(info + (ModuleList - BootLayout.Info));
        module[0] = initrd;
        module[1] = (ulong)request.Initrd.Length;
        uint count = 0;
        for (; count < MemoryMap.MaxEntries && MemoryMap.TryGet(request.Memory, (int)count, out MemoryMapEntry entry); count++)
        {
            byte* slot = info + (MemoryMapTable - BootLayout.Info) + count * MemoryMapEntrySize;
            *(ulong*)slot = entry.Start;
            *(ulong*)(slot + 8) = entry.Length;
            *(uint*)(slot + 16) = (uint)entry.Type;
        }
        *(uint*)(info + 48) = count;
        return true;
    }
}
