// The root's own page tables: its image with each section's rights, all memory identity-mapped and never executable, devices on demand.
using System.Threading;
using Lamina.Abi;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Root.Kernel;

/// <summary>Page tables in pages of <see cref="PhysicalMemory"/>, edited through the identity map.</summary>
public unsafe struct RootPageTableMemory : IPageTableMemory
{
    public readonly ulong ReadEntry(ulong physical) => *(ulong*)physical;
    public readonly void WriteEntry(ulong physical, ulong value) => Volatile.Write(ref *(ulong*)physical, value);
    public readonly bool TryAllocatePage(out ulong physical) => PhysicalMemory.TryAllocate(1, 1, out physical);
    public readonly void FreePage(ulong physical) => PhysicalMemory.Free(physical, 1);
}

/// <summary>The root's address space. Nothing in it is both writable and executable.</summary>
public static unsafe class AddressSpace
{
    private const ulong PageMask = PageCount.PageSize - 1;
    private static PageTableEditor<LongModeFormat, RootPageTableMemory> tables;
    private static ulong imagePhysical;

    /// <summary>Leaves the core's first tables for the root's own.</summary>
    public static void Initialize(BootHandover* handover)
    {
        imagePhysical = handover->RootImagePhysical;
        tables = new PageTableEditor<LongModeFormat, RootPageTableMemory>(default, 0);
        if (!tables.TryCreateRoot()) RootPanic.Stop("no memory for page tables"u8);
        MapImage();
        foreach (MemoryRange range in BootMemory.Map(handover))
            if (BootMemory.IsMemory(range.Type) && range.Type is not (MemoryRangeType.Hypervisor or MemoryRangeType.RootImage)) MapMemory(range.Base, range.Base + range.Length);
        MapMemory(ImageEnd(handover), ReservationEnd(handover));
        Unmap(RootImage.Layout->StackGuard);
        Unmap(RootImage.Layout->FaultStackGuard);
        Activate();
        PhysicalMemory.Reclaim(ImageEnd(handover), (ReservationEnd(handover) - ImageEnd(handover)) >> PageCount.PageShift);
    }

    /// <summary>The physical address of something in the image.</summary>
    public static ulong PhysicalOf(ulong imageAddress) => imageAddress - RootImage.Layout->ImageBase + imagePhysical;

    /// <summary>Makes device registers or device memory accessible at their physical address, if they are not already.</summary>
    public static bool TryMapDevice(ulong physical, ulong bytes, MemoryType type) => TryMap(physical, bytes, PagePermissions.Device.WithType(type));

    /// <summary>Makes tables that the firmware left accessible, wherever they lie.</summary>
    public static bool TryMapFirmware(ulong physical, ulong bytes) => TryMap(physical, bytes, PagePermissions.ReadOnly);

    private static bool TryMap(ulong physical, ulong bytes, PagePermissions permissions)
    {
        if (physical < PageCount.PageSize || bytes == 0 || physical >> 46 != 0 || bytes > 1UL << 46) return false;
        ulong page = physical & ~PageMask;
        ulong end = (physical + bytes + PageMask) & ~PageMask;
        while (page < end)
        {
            ulong start = page;
            while (page < end && !tables.TryTranslate(page, out _, out _, out _)) page += PageCount.PageSize;
            if (page > start && !tables.Map(start, start, (page - start) >> PageCount.PageShift, permissions, PageSize.Page2M).Succeeded) return false;
            page += PageCount.PageSize;
        }
        return true;
    }

    // The image has no second, writable mapping; what follows it in the reservation held the first tables and becomes ordinary memory.
    private static ulong ImageEnd(BootHandover* handover) => (handover->RootImagePhysical + RootImage.Size + PageMask) & ~PageMask;
    private static ulong ReservationEnd(BootHandover* handover) => (handover->RootMemoryPhysical + handover->RootMemorySize) & ~PageMask;

    private static void MapImage()
    {
        ulong imageBase = RootImage.Layout->ImageBase;
        Require(tables.Map(imageBase, imagePhysical, PageCount.ForBytes(RootImage.HeadersSize).Value, PagePermissions.ReadOnly, PageSize.Page4K));
        for (int i = 0; i < RootImage.SectionCount; i++)
        {
            ImageSection section = RootImage.Section(i);
            PagePermissions permissions = section.IsWritable ? PagePermissions.ReadWrite
                : section.IsExecutable ? PagePermissions.ReadExecute : PagePermissions.ReadOnly;
            Require(tables.Map(section.Address, PhysicalOf(section.Address), section.PageCount, permissions, PageSize.Page4K));
        }
    }

    private static void MapMemory(ulong start, ulong end)
    {
        if (start == 0) start = PageCount.PageSize; // a null pointer must fault
        if (start < end) Require(tables.Map(start, start, (end - start) >> PageCount.PageShift, PagePermissions.ReadWrite, PageSize.Page1G));
    }

    private static void Unmap(ulong page) => Require(tables.Unmap(page, 1));

    private static void Require(PageTableResult result)
    {
        if (!result.Succeeded) RootPanic.Stop("the root's page tables cannot be built"u8);
    }

    /// <summary>The rights only hold with NXE and WP set, the memory types only with the editor's PAT; all before CR3.</summary>
    private static void Activate()
    {
        Instructions.WrMsr(Msr.IA32_EFER, new Efer(Instructions.RdMsr(Msr.IA32_EFER)).WithNXE(true).Value);
        Instructions.WriteCr0(new Cr0(Instructions.ReadCr0()).WithWP(true).Value);
        Instructions.WrMsr(Msr.IA32_PAT, LongModeEntry.Pat);
        Instructions.WriteCr3(tables.Root);
    }
}
