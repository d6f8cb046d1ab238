// Maps single pages at addresses above the first 4 GiB, so that virtual and physical addresses differ.
using Lamina.X64;

namespace Lamina.Guest;

/// <summary>One 2 MiB window with a page table of its own. Checks that use it call <see cref="Begin"/> first and <see cref="End"/> last.</summary>
public static unsafe class Alias
{
    /// <summary>Where the window begins; its 512 pages are unmapped at first.</summary>
    public const ulong Start = 0x1_8000_0000;
    public const ulong NoExecute = 1UL << 63;
    private const ulong PresentWritable = 3;

    private static ulong* Directory => (ulong*)GuestPages.Expected;
    private static ulong* Table => (ulong*)(GuestPages.Expected + 4096);
    private static ulong* Pointers => (ulong*)(*(ulong*)(Instructions.ReadCr3() & ~0xFFFul) & ~0xFFFul);

    public static void Begin()
    {
        for (int i = 0; i < 512; i++) Directory[i] = Table[i] = 0;
        Directory[0] = (ulong)Table | PresentWritable;
        Pointers[Start >> 30] = (ulong)Directory | PresentWritable;
    }

    /// <summary>Maps page number <paramref name="page"/> of the window; returns its address.</summary>
    public static ulong Map(uint page, ulong physical, ulong flags = 0)
    {
        Table[page] = physical | PresentWritable | flags;
        Instructions.InvLpg(Start + page * 4096ul);
        return Start + page * 4096ul;
    }

    public static ulong Entry(uint page) => Mmio.Read64((ulong)(Table + page));

    public static void End()
    {
        Pointers[Start >> 30] = 0;
        Instructions.WriteCr3(Instructions.ReadCr3());
    }
}
