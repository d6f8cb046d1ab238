// Requests on their way to the device and back.
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Nvme;

public unsafe partial struct NvmeController<THost, TFunction> where THost : struct, IDriverHost where TFunction : struct, INvmeFunction
{
    /// <summary>Of one request; more commands than one if the device wants it so.</summary>
    private const ulong MaximumDiscardBytes = 256 << 20;

    private static void Submit(void* context, uint queueIndex, BlockRequest* request)
    {
        NvmeNamespace* space = (NvmeNamespace*)context;
        NvmeController<THost, TFunction>* controller = (NvmeController<THost, TFunction>*)space->Controller;
        request->DeviceData = 0;
        NvmeRequestState.Of(request)->Namespace = (ushort)(space - controller->namespaces);
        controller->Queue(queueIndex)->Waiting.Add(request);
    }

    private static void Kick(void* context, uint queueIndex)
    {
        NvmeController<THost, TFunction>* controller = (NvmeController<THost, TFunction>*)((NvmeNamespace*)context)->Controller;
        controller->Work(controller->Queue(queueIndex));
    }

    private static void OnVector(void* context)
    {
        NvmeVector* vector = (NvmeVector*)context;
        NvmeController<THost, TFunction>* controller = (NvmeController<THost, TFunction>*)vector->Controller;
        if (vector->Index == controller->VectorOf(0) && controller->phase == NvmePhase.Configuring) controller->ReapAdmin();
        for (uint i = 0; i < controller->queueCount; i++)
        {
            if (controller->VectorOf(i + 1) != vector->Index) continue;
            if (controller->phase == NvmePhase.Running) controller->Reap(controller->Queue(i));
            else controller->Work(controller->Queue(i));
        }
    }

    /// <summary>Comes back to the queue when others have had their turn.</summary>
    private void WorkLater(NvmeIoQueue* queue)
    {
        uint vector = VectorOf((uint)(queue - Queue(0)) + 1);
        fixed (VectorSlots* slots = &vectors) THost.Queue(&((NvmeVector*)slots + vector)->Item);
    }

    /// <summary>
    /// Takes what the device has completed, lets waiting requests go, and tells the device all of it by two doorbells at most. Users
    /// submit and kick from within their completions; that is gathered, too.
    /// </summary>
    private void Reap(NvmeIoQueue* queue)
    {
        queue->IsBusy = true;
        uint limit = 2 * queue->Rings.Entries, taken = 0;
        NvmeReap reap = NvmeReap.Completed;
        while (taken < limit && phase == NvmePhase.Running && (reap = queue->Rings.Reap(out uint slot, out NvmeStatus status, out _)) == NvmeReap.Completed)
        {
            taken++;
            CommandDone(queue, (BlockRequest*)queue->Rings.Slot(slot)->Context, status.ToBlockStatus());
        }
        queue->IsBusy = false;
        if (phase != NvmePhase.Running) return;
        if (reap == NvmeReap.Broken)
        {
            Break("completes commands that it was not given"u8);
            return;
        }
        if (queue->Rings.TryTakeHead(out uint head)) function.Write32(capabilities.Doorbell((uint)(queue - Queue(0)) + 1, true), head);
        if (taken != 0) resets = 0;
        Work(queue);
        if (taken == limit) WorkLater(queue);
    }

    /// <summary>Lets waiting requests go as far as there are slots, then rings.</summary>
    private void Work(NvmeIoQueue* queue)
    {
        if (queue->IsBusy) return;
        if (phase == NvmePhase.Failed) Answer(queue);
        if (phase != NvmePhase.Running) return;
        queue->IsBusy = true;
        uint turns = 0, limit = 2 * queue->Rings.Entries;
        for (; turns < limit && phase == NvmePhase.Running && queue->Waiting.First != null && queue->Rings.HasFreeSlot; turns++) Issue(queue, queue->Waiting.First);
        queue->IsBusy = false;
        if (turns == limit) WorkLater(queue); // what is refused may be submitted again and again
        if (phase != NvmePhase.Running || !queue->Rings.TryTakeTail(out uint tail)) return;
        function.Write32(capabilities.Doorbell((uint)(queue - Queue(0)) + 1, false), tail);
        if (!ageTimer.IsArmed) ArmAge();
    }

    /// <summary>Sends one command for the first waiting request, or refuses it.</summary>
    private void Issue(NvmeIoQueue* queue, BlockRequest* request)
    {
        NvmeRequestState* state = NvmeRequestState.Of(request);
        NvmeNamespace* space = namespaces + state->Namespace;
        BlockStatus status = queue->Position == 0 ? space->Device.Check(request) : BlockStatus.Success;
        bool isEmpty = request->Length == 0 && request->Operation != BlockOperation.Flush;
        if (status != BlockStatus.Success || isEmpty)
        {
            End(queue, request, status);
            return;
        }
        if (!Build(queue, space, request, out NvmeCommand command, out ulong step))
        {
            End(queue, request, BlockStatus.Unsupported);
            return;
        }
        state->Outstanding++;
        queue->Rings.Push(command, request, age);
        queue->Position += step;
        if (request->Operation == BlockOperation.Flush || queue->Position == request->Length) Leave(queue, request);
    }

    /// <summary>No more of the first waiting request goes out.</summary>
    private static void End(NvmeIoQueue* queue, BlockRequest* request, BlockStatus status)
    {
        Leave(queue, request);
        if (NvmeRequestState.Of(request)->Status == BlockStatus.Success) NvmeRequestState.Of(request)->Status = status;
        EndIfDone(request);
    }

    /// <summary>The command for the next part of a request, and how much of it that is. False: its segments are not as they must be.</summary>
    private bool Build(NvmeIoQueue* queue, NvmeNamespace* space, BlockRequest* request, out NvmeCommand command, out ulong step)
    {
        ulong left = request->Length - queue->Position, first = request->Offset + queue->Position >> space->Shift;
        byte* list = queue->Lists + queue->Rings.NextSlot * PrpList.Bytes;
        step = 0;
        command = default;
        switch (request->Operation)
        {
            case BlockOperation.Flush:
                command = new NvmeCommand { Opcode = NvmeOpcode.Flush, NamespaceId = space->Id };
                return true;
            case BlockOperation.WriteZeros:
                step = left < space->ZeroesLimit ? left : space->ZeroesLimit;
                command = NvmeCommand.Blocks(NvmeOpcode.WriteZeroes, space->Id, first, (uint)(step >> space->Shift), request->ForceUnitAccess);
                return true;
            case BlockOperation.Discard:
                step = left < space->DeallocateLimit ? left : space->DeallocateLimit;
                *(NvmeRange*)list = new NvmeRange { LengthInBlocks = (uint)(step >> space->Shift), StartingBlock = first };
                command = NvmeCommand.Deallocate(space->Id, Physical(list));
                return true;
            default:
                step = left < space->TransferLimit ? left : space->TransferLimit;
                bool isWrite = request->Operation == BlockOperation.Write;
                if (!PrpList.TryBuild(request, ref queue->Cursor, (uint)step, (ulong*)list, Physical(list), out ulong prp1, out ulong prp2)) return false;
                command = NvmeCommand.Blocks(isWrite ? NvmeOpcode.Write : NvmeOpcode.Read, space->Id, first, (uint)(step >> space->Shift), isWrite && request->ForceUnitAccess);
                command.Prp1 = prp1;
                command.Prp2 = prp2;
                return true;
        }
    }

    /// <summary>The first waiting request waits no more.</summary>
    private static void Leave(NvmeIoQueue* queue, BlockRequest* request)
    {
        queue->Waiting.Take();
        queue->Position = 0;
        queue->Cursor = default;
        NvmeRequestState.Of(request)->IsIssued = true;
    }

    private static void CommandDone(NvmeIoQueue* queue, BlockRequest* request, BlockStatus status)
    {
        NvmeRequestState* state = NvmeRequestState.Of(request);
        state->Outstanding--;
        if (status != BlockStatus.Success && state->Status == BlockStatus.Success)
        {
            state->Status = status;
            // Only the first waiting request can be out in part; the rest of it is not worth sending.
            if (!state->IsIssued) Leave(queue, request);
        }
        EndIfDone(request);
    }

    private static void EndIfDone(BlockRequest* request)
    {
        NvmeRequestState* state = NvmeRequestState.Of(request);
        if (!state->IsIssued || state->Outstanding != 0) return;
        request->Status = state->Status;
        request->Completed(request);
    }
}
