// The core's own page tables: its image by section (W^X), the window on physical memory (never executable), device pages, stacks with guards.
using System;
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>Table pages while the core still runs on the loader's identity map, and from the window afterwards: both reach the core's own reservation.</summary>
public readonly unsafe struct CoreTableMemory : IPageTableMemory
{
    private readonly ulong windowBase;
    public CoreTableMemory(ulong windowBase) => this.windowBase = windowBase;

    public ulong ReadEntry(ulong physical) => *(ulong*)(windowBase + physical);
    public void WriteEntry(ulong physical, ulong value) => Volatile.Write(ref *(ulong*)(windowBase + physical), value);

    public bool TryAllocatePage(out ulong physical)
    {
        if (!CoreAddressSpace.TryTakeBootPage(out physical))
            return false;
        ulong* words = (ulong*)(windowBase + physical);
        for (int i = 0; i < 512; i++) words[i] = 0;
        return true;
    }

    public void FreePage(ulong physical) { }
}

public static unsafe class CoreAddressSpace
{
    public const ulong ImageBase = 0xFFFF_FFFF_8000_0000;
    private const ulong DeviceBase = 0xFFFF_FF00_0000_0000;
    private const ulong AreaBase = 0xFFFF_FF10_0000_0000;
    /// <summary>Of a processor's area: its structure, an unmapped page, its stack, an unmapped page.</summary>
    private const ulong StructurePages = 2, StackPages = 8, StackEnd = StructurePages + 1 + StackPages;

    private static ulong bootPageNext, bootPageEnd, nextDevice;
    private static PageTableEditor<LongModeFormat, CoreTableMemory> editor;

    public static ulong Root => editor.Root;

    /// <summary>Table pages come from a fixed run of the reservation: the page pool needs the window, and the window needs tables.</summary>
    internal static bool TryTakeBootPage(out ulong physical)
    {
        physical = bootPageNext;
        if (bootPageNext >= bootPageEnd)
            return false;
        bootPageNext += 0x1000;
        return true;
    }

    /// <summary>Builds everything while the loader's identity map is still in force; the caller then switches to <see cref="Root"/>.</summary>
    public static void Build(BootHandover* handover, ulong tablePages, ulong tablePageCount, PageSize largest)
    {
        bootPageNext = tablePages;
        bootPageEnd = tablePages + (tablePageCount << 12);
        nextDevice = DeviceBase;
        editor = new PageTableEditor<LongModeFormat, CoreTableMemory>(new CoreTableMemory(0), 0);
        if (!editor.TryCreateRoot())
            Panic.Stop("core: no page for the core's page tables"u8);

        for (int i = 0; i < PhysicalMemoryRanges.Count; i++)
        {
            PhysicalMemoryRanges.Get(i, out ulong start, out ulong end);
            Require(editor.Map(PhysicalMap.WindowBase + start, start, (end - start) >> 12, PagePermissions.ReadWrite.WithGlobal(), largest));
        }
        MapImage(handover->CoreImagePhysical);
    }

    /// <summary>One mapping a section, with the section's own rights; its alias in the window loses the right to write where code or constants lie.</summary>
    private static void MapImage(ulong imagePhysical)
    {
        PeImage image = new((byte*)imagePhysical);
        Require(editor.Map(ImageBase, imagePhysical, 1, PagePermissions.ReadOnly.WithGlobal(), PageSize.Page4K));
        for (int i = 0; i < image.SectionCount; i++)
        {
            image.GetSection(i, out uint rva, out uint size, out bool writable, out bool executable);
            ulong pages = ((ulong)size + 0xFFF) >> 12;
            PagePermissions rights = new(read: true, write: writable, execute: executable, global: true);
            if (writable && executable)
                Panic.Stop("core: a section of the core is both writable and executable"u8);
            Require(editor.Map(ImageBase + rva, imagePhysical + rva, pages, rights, PageSize.Page4K));
            if (!writable)
                Require(editor.Protect(PhysicalMap.WindowBase + imagePhysical + rva, pages, PagePermissions.ReadOnly.WithGlobal()));
        }
    }

    /// <summary>After the switch: the tables are reached through the window from here on.</summary>
    public static void UseWindow() =>
        editor = new PageTableEditor<LongModeFormat, CoreTableMemory>(new CoreTableMemory(PhysicalMap.WindowBase), editor.Root);

    /// <summary>Maps device registers or a framebuffer; the address of the first byte.</summary>
    public static ulong MapDevice(ulong physical, ulong length, MemoryType type)
    {
        ulong offset = physical & 0xFFF;
        ulong pages = (offset + length + 0xFFF) >> 12;
        ulong at = nextDevice;
        nextDevice += (pages + 1) << 12;
        Require(editor.Map(at, physical - offset, pages, new PagePermissions(true, true, false, global: true, type: type), PageSize.Page4K));
        return at + offset;
    }

    /// <summary>
    /// Memory of a processor's own: its <see cref="LogicalProcessor"/>, and a stack between two unmapped pages. False: out of pages; the first
    /// processor's pages are the loader's, since the pool comes later.
    /// </summary>
    public static bool TryCreateArea(int index, out LogicalProcessor* processor, out ulong stackTop)
    {
        ulong area = AreaBase + (ulong)index * LogicalProcessor.AreaBytes;
        processor = (LogicalProcessor*)area;
        stackTop = area + (StackEnd << 12);
        for (ulong page = 0; page < StackEnd; page++)
        {
            if (page == StructurePages)
                continue;
            if (!(index == 0 ? TryTakeBootPage(out ulong physical) : CoreMemory.TryTakePage(out physical))
                || !editor.Map(area + (page << 12), physical, 1, PagePermissions.ReadWrite.WithGlobal(), PageSize.Page4K).Succeeded)
                return false;
        }
        return true;
    }

    private static void Require(PageTableResult result)
    {
        if (!result.Succeeded)
            Panic.Stop("core: building the core's page tables failed (out of table pages)"u8);
    }
}
