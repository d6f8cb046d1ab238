// One step of an image's planner, performed on the image's file: a planner above a planner.
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Store;

/// <summary>Lives in its owner's memory and stays put while it runs.</summary>
internal unsafe struct FileTask
{
    internal StepTask Task;
    private ExFatRequest request;
    private BlockSegment buffer;
    private bool isImmediate;

    /// <summary>Begins a step of an image; its data, if it is not a buffer's, is in the segments. Its end is told to the task's Finished.</summary>
    public static void Begin(FileTask* task, StepRunner* runner, ExFatFile* file, in BlockStep step, BlockSegment* data, uint dataCount)
    {
        task->Task.Planner = task;
        task->Task.Advance = &Advance;
        task->Task.DataIsZeros = step.Kind == StepKind.WriteZeros;
        task->isImmediate = step.Kind == StepKind.ZeroData;
        if (step.Buffer != null)
        {
            task->buffer = new BlockSegment { Physical = (ulong)step.Buffer, Length = step.Length };
            task->Task.Data = &task->buffer;
            task->Task.DataCount = 1;
            task->Task.DataStart = 0;
        }
        else
        {
            task->Task.Data = data;
            task->Task.DataCount = dataCount;
            task->Task.DataStart = step.DataOffset;
        }
        if (task->isImmediate) SegmentList.Clear(data, dataCount, step.DataOffset, step.Length);
        else task->request = new ExFatRequest(file, OperationOf(step.Kind), step.Offset, step.Length);
        runner->Start(&task->Task);
    }

    private static ExFatOperation OperationOf(StepKind kind) => kind switch
    {
        StepKind.Read => ExFatOperation.Read,
        StepKind.Flush => ExFatOperation.Flush,
        _ => ExFatOperation.Write,
    };

    private static BlockStep Advance(void* planner, bool success, byte* memory)
    {
        FileTask* task = (FileTask*)planner;
        return task->isImmediate ? BlockStep.Finish(ImageStatus.Success) : task->request.Advance(success);
    }
}
