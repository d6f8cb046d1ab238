// Loads a kernel with a Multiboot header (version 1). Source: "Multiboot Specification version 0.6.96".
using System;
using Lamina.Root.Devices;
using Lamina.Text;

namespace Lamina.Root.Loader;

/// <summary>
/// The image is an ELF of either class, or anything whose header says where it goes (the "a.out kludge"). The processor starts
/// in 32-bit protected mode, EAX with the boot loader's magic, EBX at the information structure. The initrd is module 0.
/// </summary>
public static unsafe class Multiboot1
{
    private const uint HeaderMagic = 0x1BADB002, LoaderMagic = 0x2BADB002;
    private const int SearchLength = 8192, HeaderSize = 12, AddressesSize = 32;
    // Bit 2 asks for a video mode, which a guest without a screen has to do without, as under QEMU.
    private const uint AlignModules = 1 << 0, WantsMemory = 1 << 1, WantsVideo = 1 << 2, RequiredMask = 0xFFFF, HasAddresses = 1 << 16;

    private const uint InfoMemory = 1 << 0, InfoCommandLine = 1 << 2, InfoModules = 1 << 3, InfoMemoryMap = 1 << 6, InfoLoaderName = 1 << 9;
    private const ulong Modules = BootLayout.Info + 0x100, LoaderName = BootLayout.Info + 0x140, MemoryMapTable = BootLayout.Info + 0x200;
    private const int MemoryMapEntrySize = 24;

    /// <summary>Whether a valid header lies in the first 8 KiB.</summary>
    public static bool HasHeader(ReadOnlySpan<byte> kernel) => FindHeader(kernel) >= 0;

    /// <summary>Loads kernel, initrd, command line and information. False with one line in <paramref name="error"/>.</summary>
    public static bool TryLoad(in LoadRequest request, out InitialRegisters registers, ref TextWriter error)
    {
        registers = default;
        int header = FindHeader(request.Kernel);
        if (header < 0) { error.Text("kernel: no Multiboot header in the first 8 KiB"u8); return false; }
        uint flags = request.Kernel.U32(header + 4);
        uint unknown = flags & RequiredMask & ~(AlignModules | WantsMemory | WantsVideo);
        if (unknown != 0) { error.Text("kernel: requires Multiboot features "u8).Hex(unknown).Text(" that are not known"u8); return false; }
        ulong entry, end;
        bool loaded = (flags & HasAddresses) != 0
            ? TryLoadByAddresses(request, header, out entry, out end, ref error)
            : TryLoadElf(request, out entry, out end, ref error);
        if (!loaded) return false;
        if (!Placement.TryPlaceInitrd(request, end, GuestMemory.HoleStart, out ulong initrd, ref error)) return false;
        if (!BootLayout.TryWriteCommandLine(request.Memory, request.KernelName, request.CommandLine, uint.MaxValue, ref error)) return false;
        if (!BootLayout.TryWriteGdt(request.Memory) || !TryWriteInfo(request, initrd)) return Placement.RefuseForMemory(request, BootLayout.KernelFloor, ref error);
        registers = InitialRegisters.CreateProtected32(entry, BootLayout.StackTop);
        registers.Rax = LoaderMagic;
        registers.Rbx = BootLayout.Info;
        return true;
    }

    private static int FindHeader(ReadOnlySpan<byte> kernel)
    {
        int limit = Math.Min(kernel.Length, SearchLength) - HeaderSize;
        for (int at = 0; at <= limit; at += 4)
            if (kernel.U32(at) == HeaderMagic && HeaderMagic + kernel.U32(at + 4) + kernel.U32(at + 8) == 0) return at;
        return -1;
    }

    private static bool TryLoadElf(in LoadRequest request, out ulong entry, out ulong end, ref TextWriter error)
    {
        entry = end = 0;
        if (!ElfImage.HasMagic(request.Kernel)) { error.Text("kernel: a Multiboot image that is no ELF and gives no load addresses"u8); return false; }
        if (!ElfImage.TryOpen(request.Kernel, out ElfImage image, ref error) || !image.TryLoad(request, out end, ref error)) return false;
        entry = image.Entry;
        // The entry is a virtual address; paging is off, so what counts is where its segment went.
        for (int i = 0; i < image.SegmentCount; i++)
        {
            ElfSegment segment = image.Segment(i);
            if (!segment.HoldsVirtual(image.Entry)) continue;
            entry = image.Entry - segment.VirtualAddress + segment.PhysicalAddress;
            break;
        }
        if (image.Loads(entry)) return true;
        error.Text("kernel: its entry "u8).Hex(entry).Text(" is in no loaded segment"u8);
        return false;
    }

    // header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr follow the three fields that every header has.
    private static bool TryLoadByAddresses(in LoadRequest request, int header, out ulong entry, out ulong end, ref TextWriter error)
    {
        entry = end = 0;
        ReadOnlySpan<byte> kernel = request.Kernel;
        if (!kernel.Holds((ulong)header, AddressesSize)) { error.Text("kernel: truncated: its Multiboot header ends beyond the file"u8); return false; }
        uint headerAddress = kernel.U32(header + 12), loadStart = kernel.U32(header + 16), loadEnd = kernel.U32(header + 20), bssEnd = kernel.U32(header + 24);
        entry = kernel.U32(header + 28);
        // The header's own place in the file tells which part of the file is loaded.
        if (headerAddress < loadStart || headerAddress - loadStart > (uint)header) { error.Text("kernel: its Multiboot load address "u8).Hex(loadStart).Text(" lies before the file's start"u8); return false; }
        ulong fileStart = (ulong)header - (headerAddress - loadStart), fileLength = (ulong)kernel.Length - fileStart;
        if (loadEnd != 0)
        {
            if (loadEnd < loadStart || loadEnd - loadStart > fileLength) { error.Text("kernel: truncated: its Multiboot header loads up to "u8).Hex(loadEnd).Text(", the file ends at "u8).Hex(loadStart + fileLength); return false; }
            fileLength = loadEnd - loadStart;
        }
        end = Math.Max(loadStart + fileLength, bssEnd);
        if (loadStart < BootLayout.KernelFloor || end > GuestMemory.HoleStart) { error.Text("kernel: goes to "u8).Hex(loadStart).Text(", expected from 1 MiB to 3 GiB"u8); return false; }
        if (end > request.Memory.LowEnd) return Placement.RefuseForMemory(request, end, ref error);
        if (entry < loadStart || entry >= end) { error.Text("kernel: its entry "u8).Hex(entry).Text(" is outside of what is loaded"u8); return false; }
        request.Memory.TryCopyIn(loadStart, kernel.Slice((int)fileStart, (int)fileLength));
        return request.Memory.TryZero(loadStart + fileLength, end - loadStart - fileLength);
    }

    private static bool TryWriteInfo(in LoadRequest request, ulong initrd)
    {
        if (!request.Memory.TryZero(BootLayout.Info, BootLayout.InfoLength) || !request.Memory.TryGetPointer(BootLayout.Info, BootLayout.InfoLength, out byte* page)) return false;
        uint* info = (uint*)page;
        info[0] = InfoMemory | InfoCommandLine | InfoMemoryMap | InfoLoaderName;
        info[1] = (uint)(BootLayout.LowEnd >> 10); // mem_lower, KiB from 0
        info[2] = (uint)(request.Memory.LowEnd - BootLayout.KernelFloor >> 10); // mem_upper, KiB from 1 MiB up to the first hole
        info[4] = (uint)BootLayout.CommandLine;
        if (request.Initrd.Length != 0)
        {
            info[0] |= InfoModules;
            info[5] = 1;
            info[6] = (uint)Modules;
            uint* module = (uint*)(page + (Modules - BootLayout.Info));
            module[0] = (uint)initrd;
            module[1] = (uint)initrd + (uint)request.Initrd.Length;
        }
        info[11] = WriteMemoryMap(request.Memory, page + (MemoryMapTable - BootLayout.Info));
        info[12] = (uint)MemoryMapTable;
        info[16] = (uint)LoaderName;
        return request.Memory.TryCopyIn(LoaderName, "Lamina\0"u8);
    }

    // Each entry is preceded by its size, not counting that field. Returns the length of all.
    private static uint WriteMemoryMap(in GuestMemory memory, byte* table)
    {
        uint count = 0;
        for (; count < MemoryMap.MaxEntries && MemoryMap.TryGet(memory, (int)count, out MemoryMapEntry entry); count++)
        {
            byte* slot = table + count * MemoryMapEntrySize;
            *(uint*)slot = MemoryMapEntrySize - 4;
            *(ulong*)(slot + 4) = entry.Start;
            *(ulong*)(slot + 12) = entry.Length;
            *(uint*)(slot + 20) = (uint)entry.Type;
        }
        return count * MemoryMapEntrySize;
    }
}
