// Nested page tables: the second stage of translation. APM 2, "Nested Paging".
using Lamina.Abi;
using Lamina.Hypervisor.Core;
using Lamina.X64.Paging;

namespace Lamina.Hypervisor.Svm;

public readonly unsafe partial struct SvmBackend
{
    private static PageTableEditor<NestedPageTableFormat, PartitionTableMemory> EditorOf(Partition* partition) =>
        new(new PartitionTableMemory(partition), partition->SecondStageRoot);

    public static HvStatus InitializeSecondStage(Partition* partition)
    {
        PageTableEditor<NestedPageTableFormat, PartitionTableMemory> editor = EditorOf(partition);
        if (!editor.TryCreateRoot())
            return HvStatus.HV_STATUS_INSUFFICIENT_MEMORY;
        partition->SecondStageRoot = editor.Root;
        return HvStatus.HV_STATUS_SUCCESS;
    }

    public static PageTableResult MapGpa(Partition* partition, ulong gpa, ulong physical, ulong pageCount, PagePermissions permissions, PageSize largest)
    {
        PageTableEditor<NestedPageTableFormat, PartitionTableMemory> editor = EditorOf(partition);
        PageTableResult result = editor.Map(gpa, physical, pageCount, permissions, largest);
        Finish(partition, ref editor);
        return result;
    }

    public static PageTableResult UnmapGpa(Partition* partition, ulong gpa, ulong pageCount)
    {
        PageTableEditor<NestedPageTableFormat, PartitionTableMemory> editor = EditorOf(partition);
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
        PageTableEditor<NestedPageTableFormat, PartitionTableMemory> editor = EditorOf(partition);
        editor.DestroyAll();
        partition->SecondStageRoot = 0;
        partition->SecondStageGeneration++;
    }

    // Tables that were unlinked are free once nobody walks them any more: whoever enters next sees the new generation first.
    private static void Finish(Partition* partition, ref PageTableEditor<NestedPageTableFormat, PartitionTableMemory> editor)
    {
        if (editor.FlushRequired)
        {
            System.Threading.Volatile.Write(ref partition->SecondStageGeneration, partition->SecondStageGeneration + 1);
            Quiescence.Leave(partition);
        }
        editor.CompleteFlush();
    }
}
