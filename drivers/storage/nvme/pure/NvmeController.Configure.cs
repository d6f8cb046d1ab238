// The admin commands that a controller is sent when it has become ready: who it is, its queues, its namespaces.
using System;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Block;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Nvme;

public unsafe partial struct NvmeController<THost, TFunction> where THost : struct, IDriverHost where TFunction : struct, INvmeFunction
{
    private void Configure()
    {
        phase = NvmePhase.Configuring;
        Begin(isRestart ? Step.SetQueues : Step.IdentifyController);
    }

    /// <summary>Sends the command of a step; its completion leads to the next one.</summary>
    private void Begin(Step next)
    {
        step = next;
        NvmeIoQueue* queue = Queue(queueInHand);
        ulong buffer = Physical(identifyBuffer);
        uint number = queueInHand + 1, entries = Entries(IoEntries);
        Send(next switch
        {
            Step.IdentifyController => NvmeCommand.Identify(NvmeCns.Controller, 0, buffer),
            Step.IdentifyCommandSet => NvmeCommand.Identify(NvmeCns.CommandSetController, 0, buffer),
            Step.SetQueues => NvmeCommand.SetNumberOfQueues(queuesWanted),
            Step.CreateCompletionQueue => NvmeCommand.CreateCompletionQueue(number, entries, Physical(queue->Completions), VectorOf(number)),
            Step.CreateSubmissionQueue => NvmeCommand.CreateSubmissionQueue(number, entries, Physical(queue->Commands)),
            Step.ListNamespaces => NvmeCommand.Identify(NvmeCns.ActiveNamespaceList, 0, buffer),
            _ => NvmeCommand.Identify(NvmeCns.Namespace, (namespaces + namespaceInHand)->Id, buffer),
        });
    }

    /// <summary>Queues take the messages in turn; the admin queue's number is 0.</summary>
    private readonly uint VectorOf(uint queue) => queue % vectorCount;

    private void Send(in NvmeCommand command)
    {
        admin.Push(command, null, 0);
        if (admin.TryTakeTail(out uint tail)) function.Write32(capabilities.Doorbell(0, false), tail);
        WaitUntil(THost.Now + AdminPatience);
    }

    private void ReapAdmin()
    {
        // One command is out at a time, and its completion sends the next.
        for (uint i = 0; phase == NvmePhase.Configuring && i < 2 * admin.Entries; i++)
        {
            NvmeReap reap = admin.Reap(out _, out NvmeStatus status, out uint result);
            if (reap == NvmeReap.Nothing) return;
            if (reap == NvmeReap.Broken)
            {
                Break("completes admin commands that it was not given"u8);
                return;
            }
            if (admin.TryTakeHead(out uint head)) function.Write32(capabilities.Doorbell(0, true), head);
            Completed(status, result);
        }
    }

    private void Completed(NvmeStatus status, uint result)
    {
        fixed (DeadlineTimer* timer = &stepTimer) THost.Cancel(timer);
        new ReadOnlySpan<byte>(identifyBuffer, (int)IdentifyBytes).CopyTo(new Span<byte>(identifyCopy, (int)IdentifyBytes));
        switch (step)
        {
            case Step.IdentifyController when status.IsSuccess: IdentifyController(); break;
            case Step.IdentifyCommandSet:
                if (status.IsSuccess) identity.AddCommandSet(identifyCopy);
                Begin(Step.SetQueues);
                break;
            case Step.SetQueues when status.IsSuccess: SetQueues(result); break;
            case Step.CreateCompletionQueue when status.IsSuccess: Begin(Step.CreateSubmissionQueue); break;
            case Step.CreateSubmissionQueue when status.IsSuccess: QueueCreated(); break;
            case Step.ListNamespaces: ListNamespaces(status.IsSuccess); break;
            case Step.IdentifyNamespace: IdentifyNamespace(status.IsSuccess); break;
            default: Break("refuses an admin command, status"u8, status.Value); break;
        }
    }

    private void IdentifyController()
    {
        identity = NvmeControllerIdentity.Parse(identifyCopy);
        serialLength = NvmeControllerIdentity.Serial(identifyCopy).Length;
        fixed (byte* text = serial) NvmeControllerIdentity.Serial(identifyCopy).CopyTo(new Span<byte>(text, BlockDevice.SerialCapacity));
        if (!identity.HasUsualEntries) Break("wants queue entries of unusual size"u8);
        else Begin(function.Read32(NvmeRegister.VS) >= Version20 ? Step.IdentifyCommandSet : Step.SetQueues);
    }

    /// <summary>The completion holds the numbers of submission and completion queues allotted, each less one.</summary>
    private void SetQueues(uint allotted)
    {
        uint granted = Math.Min((allotted & 0xFFFF) + 1, (allotted >> 16) + 1);
        // Namespaces have told their users how many queues there are: there cannot be fewer after a reset.
        if (isRestart && granted < queueCount)
        {
            Break("has fewer queues after a reset"u8);
            return;
        }
        if (!isRestart) queueCount = Math.Min(granted, queuesWanted);
        uint entries = Entries(IoEntries);
        for (uint i = 0; i < queueCount; i++) Queue(i)->Rings.Initialize((ushort)(i + 1), Queue(i)->Commands, Queue(i)->Completions, Queue(i)->Slots, entries, entries - 1);
        queueInHand = 0;
        Begin(Step.CreateCompletionQueue);
    }

    private void QueueCreated()
    {
        if (++queueInHand < queueCount) Begin(Step.CreateCompletionQueue);
        else if (isRestart) Run();
        else Begin(Step.ListNamespaces);
    }

    /// <summary>Ids in ascending order, zero at the end. A controller of 1.0 has no such list, but ids from 1 on.</summary>
    private void ListNamespaces(bool hasList)
    {
        uint previous = 0;
        for (uint i = 0; i < IdentifyBytes / sizeof(uint) && namespaceCount < MaximumNamespaces; i++)
        {
            uint id = hasList ? ((uint*)identifyCopy)[i] : i < identity.HighestNamespace ? i + 1 : 0;
            if (id == 0) break;
            if (id <= previous)
            {
                Break("lists its namespaces out of order"u8);
                return;
            }
            namespaces[namespaceCount++] = new NvmeNamespace { Id = previous = id };
        }
        namespaceInHand = 0;
        if (namespaceCount != 0) Begin(Step.IdentifyNamespace);
        else Run();
    }

    private void IdentifyNamespace(bool isIdentified)
    {
        NvmeNamespace* space = namespaces + namespaceInHand;
        NvmeNamespaceFault fault = NvmeNamespaceFault.Empty;
        NvmeNamespaceIdentity found = default;
        if (isIdentified) fault = NvmeNamespaceIdentity.Parse(identifyCopy, out found);
        if (fault == NvmeNamespaceFault.None) Describe(space, found);
        else if (fault == NvmeNamespaceFault.Metadata) Report("blocks with metadata are not supported, namespace"u8, space->Id, true);
        else if (fault == NvmeNamespaceFault.Format) Report("unusable block format, namespace"u8, space->Id, true);
        if (++namespaceInHand < namespaceCount) Begin(Step.IdentifyNamespace);
        else Run();
    }

    private void Describe(NvmeNamespace* space, NvmeNamespaceIdentity found)
    {
        fixed (NvmeController<THost, TFunction>* controller = &this) space->Controller = controller;
        space->Shift = found.BlockShift;
        // The blocks of one command are counted by 16 bits, those of a range by 32.
        ulong blocksLimit = 65536ul << found.BlockShift;
        space->TransferLimit = (uint)Limit(identity.MaximumTransferBytes, Math.Min(PrpList.MaximumTransferBytes, blocksLimit), found);
        space->ZeroesLimit = Limit(identity.MaximumZeroesBytes != 0 ? identity.MaximumZeroesBytes : identity.MaximumTransferBytes, blocksLimit, found);
        space->DeallocateLimit = Limit((ulong)identity.MaximumDeallocateBlocks << found.BlockShift, (ulong)uint.MaxValue << found.BlockShift, found);
        space->Device.Limits = new BlockLimits
        {
            Bytes = found.Blocks << found.BlockShift, BlockBytes = found.BlockBytes, PhysicalBlockBytes = found.PhysicalBlockBytes,
            MaximumTransferBytes = PrpList.MaximumTransferBytes, MaximumSegments = PrpList.Capacity + 1, SegmentAlignment = 4, NeedsPageSegments = true,
            IsReadOnly = found.IsReadOnly, HasWriteCache = identity.HasWriteCache, CanDiscard = identity.HasDeallocate, CanWriteZeros = identity.HasWriteZeroes,
            MaximumDiscardBytes = MaximumDiscardBytes, MaximumInFlight = queueCount * (Entries(IoEntries) - 1),
        };
        space->Device.QueueCount = queueCount;
        space->Device.Context = space;
        space->Device.SubmitFunction = &Submit;
        space->Device.KickFunction = &Kick;
        SetSerial(space);
        space->IsUsable = true;
    }

    /// <summary>What one command may do, in whole blocks; none or an absurdly small limit is the most that its fields hold, or one block.</summary>
    private static ulong Limit(ulong told, ulong most, NvmeNamespaceIdentity found)
    {
        ulong limit = told == 0 || told > most ? most : told;
        return Math.Max(limit & ~(ulong)(found.BlockBytes - 1), found.BlockBytes);
    }

    /// <summary>The controller's serial number; where it has several namespaces, each with its number, as a serial number is for one disk.</summary>
    private void SetSerial(NvmeNamespace* space)
    {
        byte* buffer = stackalloc byte[BlockDevice.SerialCapacity];
        TextWriter text = new(buffer, BlockDevice.SerialCapacity);
        fixed (byte* bytes = serial) space->Device.SetSerial(new ReadOnlySpan<byte>(bytes, serialLength));
        if (namespaceCount == 1) return;
        text.Text(space->Device.Serial).Text("-n"u8).Decimal(space->Id);
        space->Device.SetSerial(text.Written);
    }

    /// <summary>The controller works: its namespaces are for all, and what has waited goes out.</summary>
    private void Run()
    {
        phase = NvmePhase.Running;
        isRestart = true;
        for (uint i = 0; i < namespaceCount && !isFinished; i++)
        {
            NvmeNamespace* space = namespaces + i;
            if (space->IsUsable && registry->AddDisk(registration, 0, space->Id, &space->Device) == null) Report("no place in the list of disks, namespace"u8, space->Id, true);
        }
        Finish();
        for (uint i = 0; i < queueCount && phase == NvmePhase.Running; i++) Work(Queue(i));
    }
}
