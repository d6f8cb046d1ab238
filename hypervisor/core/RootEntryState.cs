// What the root needs to take its first steps: page tables and a little stack, in its own reservation. It replaces them at once.
using System.Threading;
using Lamina.Abi;
using Lamina.Hypervisor.Diagnostics;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Core;

/// <summary>Table pages out of the root's reservation, from its end downwards.</summary>
public readonly unsafe struct RootTableMemory : IPageTableMemory
{
    public ulong ReadEntry(ulong physical) => *(ulong*)PhysicalMap.ToPointer(physical);
    public void WriteEntry(ulong physical, ulong value) => Volatile.Write(ref *(ulong*)PhysicalMap.ToPointer(physical), value);

    public bool TryAllocatePage(out ulong physical) => RootEntryState.TryTakePage(out physical);
    public void FreePage(ulong physical) { }
}

public static unsafe class RootEntryState
{
    private const ulong StackBytes = 0x4000, FourGiB = 1UL << 32;
    private static ulong next, lowest;

    internal static bool TryTakePage(out ulong physical)
    {
        next -= 0x1000;
        physical = next;
        if (next < lowest)
            return false;
        ulong* words = (ulong*)PhysicalMap.ToPointer(physical);
        for (int i = 0; i < 512; i++) words[i] = 0;
        return true;
    }

    /// <summary>Identity map of everything below 4 GiB, of all RAM and of the framebuffer, and the image at its linked base.</summary>
    public static void Build(BootHandover* handover, out ulong cr3, out ulong entry, out ulong stack)
    {
        PeImage image = new(PhysicalMap.ToPointer(handover->RootImagePhysical));
        if (!image.IsValid)
            Panic.Stop("root: its image is not a PE image"u8);
        stack = handover->RootMemoryPhysical + handover->RootMemorySize - 64;
        next = handover->RootMemoryPhysical + handover->RootMemorySize - StackBytes;
        lowest = handover->RootImagePhysical + handover->RootImageSize;
        PageSize largest = Preflight.HasPages1G ? PageSize.Page1G : PageSize.Page2M;

        PageTableEditor<LongModeFormat, RootTableMemory> editor = new(new RootTableMemory(), 0);
        bool complete = editor.TryCreateRoot();
        complete &= editor.Map(0, 0, FourGiB >> 12, PagePermissions.ReadWriteExecute, largest).Succeeded;
        for (int i = 0; i < PhysicalMemoryRanges.Count; i++)
        {
            PhysicalMemoryRanges.Get(i, out ulong start, out ulong end);
            if (end > FourGiB)
            {
                start = System.Math.Max(start, FourGiB);
                complete &= editor.Map(start, start, (end - start) >> 12, PagePermissions.ReadWriteExecute, largest).Succeeded;
            }
        }
        FramebufferInfo screen = handover->Framebuffer;
        if (screen.Base >= FourGiB)
            complete &= editor.Map(screen.Base & ~0xFFFUL, screen.Base & ~0xFFFUL, (screen.Size + 0x1FFF) >> 12, PagePermissions.ReadWrite, largest).Succeeded;
        complete &= editor.Map(image.ImageBase, handover->RootImagePhysical, handover->RootImageSize >> 12, PagePermissions.ReadWriteExecute, PageSize.Page4K).Succeeded;
        if (!complete)
            Panic.Stop("root: its reservation is too small for its first page tables"u8);
        cr3 = editor.Root;
        entry = image.ImageBase + image.EntryPoint;
    }
}
