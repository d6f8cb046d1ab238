// The page tables that carry the machine from the firmware into the core, which replaces them at once.
using System;
using Lamina.Boot.Efi;
using Lamina.X64;
using Lamina.X64.Paging;

namespace Lamina.Boot;

/// <summary>Identity for RAM, the first 4 GiB and the framebuffer, plus the core at its linked address; all writable and executable.</summary>
public static unsafe class TransitionalTables
{
    private const ulong GiB = 1UL << 30;

    /// <summary>Table pages out of one block: they are counted beforehand and never given back.</summary>
    private struct BlockMemory : IPageTableMemory
    {
        public ulong Next;
        public ulong End;

        public ulong ReadEntry(ulong physical) => *(ulong*)physical;
        public void WriteEntry(ulong physical, ulong value) => *(ulong*)physical = value;
        public void FreePage(ulong physical) { }

        public bool TryAllocatePage(out ulong physical)
        {
            physical = Next;
            if (Next >= End)
            {
                return false;
            }
            SpanHelpers.Zero((void*)Next, LoaderMemory.PageBytes);
            Next += LoaderMemory.PageBytes;
            return true;
        }
    }

    /// <summary>
    /// Builds the tables. <paramref name="topOfRam"/>: first address above RAM; the framebuffer may be empty; the core's block is 2 MiB-aligned,
    /// its linked address too. <paramref name="root"/> is the value for CR3. False: no memory of <paramref name="bytes"/> bytes.
    /// </summary>
    public static bool TryBuild(ulong topOfRam, ulong framebuffer, ulong framebufferBytes, ulong coreVirtual, ulong corePhysical,
        ulong coreBytes, out ulong root, out ulong bytes)
    {
        root = 0;
        ulong low = LoaderMemory.RoundUp(Math.Max(topOfRam, LoaderMemory.FourGiB), GiB);
        ulong screen = framebuffer & ~(GiB - 1);
        ulong screenEnd = framebufferBytes == 0 ? screen : LoaderMemory.RoundUp(framebuffer + framebufferBytes, GiB);
        screen = Math.Min(Math.Max(screen, low), screenEnd); // only what the first range leaves out
        coreBytes = LoaderMemory.RoundUp(coreBytes, LoaderMemory.LargePageBytes);
        bytes = (1 + TablesFor(low) + TablesFor(screenEnd - screen) + TablesFor(coreBytes)) * LoaderMemory.PageBytes;
        if (!LoaderMemory.TryAllocate(bytes, Abi.MemoryRangeType.Usable, out ulong block))
        {
            return false;
        }
        PageTableEditor<LongModeFormat, BlockMemory> editor = new(new BlockMemory { Next = block, End = block + bytes }, 0);
        PageSize largest = HasGigabytePages() ? PageSize.Page1G : PageSize.Page2M;
        bool built = editor.TryCreateRoot()
            && editor.Map(0, 0, low / LoaderMemory.PageBytes, PagePermissions.ReadWriteExecute, largest).Succeeded
            && (screen == screenEnd || editor.Map(screen, screen, (screenEnd - screen) / LoaderMemory.PageBytes, PagePermissions.ReadWriteExecute, largest).Succeeded)
            && editor.Map(coreVirtual, corePhysical, coreBytes / LoaderMemory.PageBytes, PagePermissions.ReadWriteExecute, PageSize.Page2M).Succeeded;
        root = editor.Root;
        return built;
    }

    /// <summary>Most tables below the root that a range of this length needs with pages of 2 MiB, wherever it begins.</summary>
    private static ulong TablesFor(ulong bytes) => bytes == 0 ? 0 : (bytes >> 30) + 2 + (bytes >> 39) + 2;

    // CPUID 80000001 EDX bit 26. SDM 2A, "CPUID"; APM 3, "Feature Identifiers".
    private static bool HasGigabytePages() => (ExtendedFeatures() & 1u << 26) != 0;

    /// <summary>EDX of CPUID 80000001; 0 when the leaf does not exist.</summary>
    public static uint ExtendedFeatures()
    {
        uint* registers = stackalloc uint[4];
        Instructions.Cpuid(0x80000000, 0, registers);
        if (registers[0] < 0x80000001)
        {
            return 0;
        }
        Instructions.Cpuid(0x80000001, 0, registers);
        return registers[3];
    }
}
