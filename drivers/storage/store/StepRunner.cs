// Performs the steps of any number of planners on one block device: the format code plans, this submits, waits and wakes.
using System;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Store;

/// <summary>Lives at a fixed address. One turn performs whatever is ready and kicks the device once; completions come back in a turn of their own.</summary>
internal unsafe struct StepRunner
{
    private StoreHost* host;
    private BlockDevice* device;
    private byte* zeroPage;
    private StepTask* firstReady, lastReady, waiting;
    private WorkItem work;
    private bool isRunning, needsKick;

    /// <param name="zeroPage">A page of zeros that nobody writes.</param>
    public static void Initialize(StepRunner* runner, StoreHost* host, BlockDevice* device, byte* zeroPage)
    {
        *runner = default;
        runner->host = host;
        runner->device = device;
        runner->zeroPage = zeroPage;
        runner->work = new WorkItem { Handler = &OnWork, Context = runner };
    }

    /// <summary>Starts a task that is idle, in the present turn or the next; outside of a turn <see cref="Run"/> begins one at once.</summary>
    public void Start(StepTask* task)
    {
        fixed (StepRunner* runner = &this) task->Runner = runner;
        task->Success = true;
        task->Step = default;
        MakeReady(task);
        if (!isRunning) Queue();
    }

    /// <summary>Until nothing is ready. From within a turn it does nothing, as that sees to everything.</summary>
    public void Run()
    {
        if (isRunning) return;
        isRunning = true;
        while (firstReady != null || needsKick)
        {
            while (firstReady != null)
            {
                StepTask* task = firstReady;
                firstReady = task->Next;
                Perform(task);
            }
            if (!needsKick) continue;
            needsKick = false;
            device->Kick(0);
        }
        isRunning = false;
    }

    /// <summary>Nothing runs any more, and the runner's memory may go. Not from within a turn.</summary>
    public void Stop()
    {
        fixed (WorkItem* item = &work) host->Cancel(item);
    }

    private static void OnWork(void* context) => ((StepRunner*)context)->Run();

    private void Queue()
    {
        fixed (WorkItem* item = &work) host->Queue(item);
    }

    private void MakeReady(StepTask* task)
    {
        task->State = StepTask.Phase.Ready;
        task->Next = null;
        if (firstReady == null) firstReady = task;
        else lastReady->Next = task;
        lastReady = task;
    }

    private void Perform(StepTask* task)
    {
        if (task->Success && task->HasRest)
        {
            SubmitPiece(task);
            return;
        }
        byte* memory = null;
        while (true)
        {
            BlockStep step = task->Advance(task->Planner, task->Success, memory);
            if (step.Kind == StepKind.Wait)
            {
                task->State = StepTask.Phase.Waiting;
                task->Next = waiting;
                waiting = task;
                return;
            }
            WakeWaiting();
            task->Step = step;
            task->Done = 0;
            task->Success = true;
            switch (step.Kind)
            {
                case StepKind.Finished:
                    task->State = StepTask.Phase.Idle;
                    task->Finished(task->Context, step.Status);
                    return;
                case StepKind.NeedMemory:
                    memory = task->Memory == null ? null : task->Memory->TryAllocate(host, step.Length);
                    break;
                case StepKind.ZeroData:
                    task->ClearData(step.DataOffset, step.Length);
                    break;
                case StepKind.Flush when !device->Limits.HasWriteCache:
                    break;
                case StepKind.Flush:
                    Submit(task, BlockOperation.Flush, 0, 0);
                    return;
                case StepKind.Read:
                case StepKind.Write:
                case StepKind.WriteZeros:
                    if (step.Length == 0) break;
                    SubmitPiece(task);
                    return;
                default:
                    // A planner of a file system has no parent.
                    task->Success = false;
                    break;
            }
        }
    }

    /// <summary>What waited asks again, as another planner went on.</summary>
    private void WakeWaiting()
    {
        while (waiting != null)
        {
            StepTask* task = waiting;
            waiting = task->Next;
            MakeReady(task);
        }
    }

    private void SubmitPiece(StepTask* task)
    {
        uint left = task->Step.Length - task->Done, segments = 0;
        BlockOperation operation = task->Step.Kind switch { StepKind.Read => BlockOperation.Read, StepKind.Write => BlockOperation.Write, _ => BlockOperation.WriteZeros };
        if (operation == BlockOperation.WriteZeros && device->Limits.CanWriteZeros)
            task->Piece = (uint)Math.Min(left, Math.Max(device->Limits.MaximumDiscardBytes, 4096) & ~4095UL);
        else
        {
            if (operation == BlockOperation.WriteZeros) operation = BlockOperation.Write;
            task->Piece = task->FillSegments(Math.Min(left, BlockLimits.LeastTransferBytes), zeroPage, out segments);
        }
        Submit(task, operation, segments, task->Piece);
    }

    private void Submit(StepTask* task, BlockOperation operation, uint segments, uint length)
    {
        task->State = StepTask.Phase.InFlight;
        task->Request = new BlockRequest
        {
            Operation = operation, Offset = task->Step.Offset + task->Done, Length = length, Segments = task->Segments, SegmentCount = segments,
            Completed = &OnCompleted, Context = task,
        };
        if (operation == BlockOperation.Flush) task->Request.Offset = 0;
        needsKick = true;
        device->Submit(0, &task->Request);
    }

    private static void OnCompleted(BlockRequest* request)
    {
        StepTask* task = (StepTask*)request->Context;
        StepRunner* runner = task->Runner;
        task->Success = request->Status == BlockStatus.Success;
        task->Done += task->Piece;
        // One that moved nothing would move nothing again.
        if (task->Piece == 0 && request->Operation != BlockOperation.Flush) task->Success = false;
        runner->MakeReady(task);
        if (!runner->isRunning) runner->Queue();
    }
}
