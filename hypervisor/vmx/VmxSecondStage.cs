// Extended page tables: the second stage of translation. SDM 3C, "The Extended Page Table Mechanism (EPT)".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Vmx;

public readonly unsafe partial struct VmxBackend
{
    private static PageTableEditor<EptFormat, PartitionTableMemory> EditorOf(Partition* partition) =>
        new(new PartitionTableMemory(partition), partition->SecondStageRoot);

    public static HvStatus InitializeSecondStage(Partition* partition)
    {
        PageTableEditor<EptFormat, PartitionTableMemory> editor = EditorOf(partition);
        if (!editor.TryCreateRoot())
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        partition->SecondStageRoot = editor.Root;
        // Another partition's root table may have been in the same page; translations are tagged with its address.
        Invalidate(partition);
        return HvStatus.HV_STATUS_SUCCESS;
    }

    private static void Invalidate(Partition* partition) =>
        InvEpt(VmxFeatures.Ept.SingleContextINVEPT ? InvalidationType.SingleContext : InvalidationType.AllContexts, EptPointer.Make(partition->SecondStageRoot));

    /// <summary>The partition's map lost or changed something since the virtual processor last ran: whatever was cached of it goes.</summary>
    private static void DropTranslations(VirtualProcessor* vp)
    {
        vp->SecondStageGeneration = vp->Partition->SecondStageGeneration;
        Invalidate(vp->Partition);
    }

    public static PageTableResult MapGpa(Partition* partition, ulong gpa, ulong physical, ulong pageCount, PagePermissions permissions, PageSize largest)
    {
        // CPUID speaks of the processor's own tables; EPT has its own word for large pages.
        PageSize supported = VmxFeatures.Ept.Page1G ? PageSize.Page1G : VmxFeatures.Ept.Page2M ? PageSize.Page2M : PageSize.Page4K;
        PageTableEditor<EptFormat, PartitionTableMemory> editor = EditorOf(partition);
        PageTableResult result = partition->IsRoot ? MapOfMachine(ref editor, gpa, physical, pageCount, permissions, largest < supported ? largest : supported)
            : editor.Map(gpa, physical, pageCount, permissions, largest < supported ? largest : supported);
        Finish(partition, ref editor);
        return result;
    }

    /// <summary>
    /// The root's map holds devices, too. With EPT the MTRRs have no say in a guest's memory types, the entries have: each piece gets the type
    /// that the MTRRs give it.
    /// </summary>
    private static PageTableResult MapOfMachine(ref PageTableEditor<EptFormat, PartitionTableMemory> editor, ulong gpa, ulong physical, ulong pageCount,
        PagePermissions permissions, PageSize largest)
    {
        ulong done = 0;
        while (done < pageCount)
        {
            ulong start = physical + (done << 12);
            MemoryType type = MachineMemoryTypes.TypeAt(start, out ulong end);
            ulong part = System.Math.Min(pageCount - done, (end - start) >> 12);
            PageTableResult result = editor.Map(gpa + (done << 12), start, part, permissions.WithType(type), largest);
            if (!result.Succeeded)
                return new PageTableResult(result.Status, done + result.PagesDone);
            done += part;
        }
        return new PageTableResult(PageTableStatus.Success, done);
    }

    public static PageTableResult UnmapGpa(Partition* partition, ulong gpa, ulong pageCount)
    {
        PageTableEditor<EptFormat, PartitionTableMemory> editor = EditorOf(partition);
        PageTableResult result = editor.Unmap(gpa, pageCount);
        Finish(partition, ref editor);
        return result;
    }

    public static bool TryTranslateGpa(Partition* partition, ulong gpa, out ulong physical, out PagePermissions permissions) =>
        EditorOf(partition).TryTranslate(gpa, out physical, out permissions, out _);

    public static bool TryTranslateGpa(Partition* partition, ulong gpa, out ulong physical, out PagePermissions permissions, out PageSize size) =>
        EditorOf(partition).TryTranslate(gpa, out physical, out permissions, out size);

    public static void DestroySecondStage(Partition* partition)
    {
        PageTableEditor<EptFormat, PartitionTableMemory> editor = EditorOf(partition);
        Invalidate(partition);
        editor.DestroyAll();
        partition->SecondStageRoot = 0;
        partition->SecondStageGeneration++;
    }

    // Tables that were unlinked are free once nobody walks them any more: whoever enters next sees the new generation first.
    private static void Finish(Partition* partition, ref PageTableEditor<EptFormat, PartitionTableMemory> editor)
    {
        if (editor.FlushRequired)
        {
            System.Threading.Volatile.Write(ref partition->SecondStageGeneration, partition->SecondStageGeneration + 1);
            Quiescence.Leave(partition);
        }
        editor.CompleteFlush();
    }
}
