// The page tables that carry the machine from its loader into the core, which replaces them at once.
using System;
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
            SpanHelpers.Zero((void*)Next, BootPages.PageBytes);
            Next += BootPages.PageBytes;
            return true;
        }
    }

    /// <summary>
    /// Builds the tables. <paramref name="topOfRam"/>: first address above RAM; the framebuffer may be empty; the core's block is 2 MiB-aligned,
    /// its linked address too. <paramref name="root"/> is the value for CR3. False: no memory of <paramref name="bytes"/> bytes.
    /// </summary>
    public static bool TryBuild<TMemory>(ref TMemory memory, ulong topOfRam, ulong framebuffer, ulong framebufferBytes, ulong coreVirtual,
        ulong corePhysical, ulong coreBytes, out ulong root, out ulong bytes) where TMemory : struct, IBootMemory
    {
        root = 0;
        ulong low = BootPages.RoundUp(Math.Max(topOfRam, BootPages.FourGiB), GiB);
        ulong screen = framebuffer & ~(GiB - 1);
        ulong screenEnd = framebufferBytes == 0 ? screen : BootPages.RoundUp(framebuffer + framebufferBytes, GiB);
        screen = Math.Min(Math.Max(screen, low), screenEnd); // only what the first range leaves out
        coreBytes = BootPages.RoundUp(coreBytes, BootPages.LargePageBytes);
        bytes = (1 + TablesFor(low) + TablesFor(screenEnd - screen) + TablesFor(coreBytes)) * BootPages.PageBytes;
        if (!memory.TryAllocate(bytes, Abi.MemoryRangeType.Usable, out ulong block))
        {
            return false;
        }
        PageTableEditor<LongModeFormat, BlockMemory> editor = new(new BlockMemory { Next = block, End = block + bytes }, 0);
        PageSize largest = HasGigabytePages() ? PageSize.Page1G : PageSize.Page2M;
        bool built = editor.TryCreateRoot()
            && editor.Map(0, 0, low / BootPages.PageBytes, PagePermissions.ReadWriteExecute, largest).Succeeded
            && (screen == screenEnd || editor.Map(screen, screen, (screenEnd - screen) / BootPages.PageBytes, PagePermissions.ReadWriteExecute, largest).Succeeded)
            && editor.Map(coreVirtual, corePhysical, coreBytes / BootPages.PageBytes, PagePermissions.ReadWriteExecute, PageSize.Page2M).Succeeded;
        root = editor.Root;
        return built;
    }

    /// <summary>Most tables below the root that a range of this length needs with pages of 2 MiB, wherever it begins.</summary>
    private static ulong TablesFor(ulong bytes) => bytes == 0 ? 0 : (bytes >> 30) + 2 + (bytes >> 39) + 2;

    /// <summary>Whether the processor has no-execute: CPUID 80000001 EDX bit 20.</summary>
    public static bool HasNoExecute() => (ExtendedFeatures() & 1u << 20) != 0;

    // CPUID 80000001 EDX bit 26. SDM 2A, "CPUID"; APM 3, "Feature Identifiers".
    private static bool HasGigabytePages() => (ExtendedFeatures() & 1u << 26) != 0;

    /// <summary>EDX of CPUID 80000001; 0 when the leaf does not exist.</summary>
    private static uint ExtendedFeatures()
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
