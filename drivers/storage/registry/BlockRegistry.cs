// The machine's disks and their partitions, by name: drivers add disks, partition tables are read, users find and claim.
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Registry;

/// <summary>Who wants to know; in its owner's memory, where it stays. A handler that is null is not called.</summary>
public unsafe struct DiskListener
{
    /// <summary>Context, and a disk or partition that can be found from now on. A disk comes before its partitions.</summary>
    public delegate*<void*, DiskEntry*, void> Added;

    /// <summary>Every controller that was there at start has told its disks and every table has been read, or the time for it is over.</summary>
    public delegate*<void*, void> Settled;
    public void* Context;
    internal DiskListener* Next;
}

/// <summary>
/// Lives at the beginning of the memory it is created in. All of it runs in the executor. A controller announces itself while the bus
/// is gone through, in the order of addresses, which is what numbers its disks; it adds them whenever they are ready.
/// </summary>
public unsafe partial struct BlockRegistry
{
    public const int ControllerCapacity = 32, ClaimCapacity = 128;

    /// <summary>Disks and partitions in all, partitions among them, and partitions of one disk: no disk's table leaves the others without a place.</summary>
    public const int Capacity = 128, PartitionCapacity = 96, PartitionsOfDisk = 32;
    private const int KindCapacity = 8, ScansAtOnce = 4;

    private struct Controller
    {
        public fixed byte Kind[KindCapacity];
        public int KindLength;
        public uint FirstNumber, NumberCount;
        public bool IsFinished;
        public delegate*<void*, void> ShutDown;
        public void* Context;
    }

    private Controller* controllers;
    private DiskEntry* entries;
    private DiskClaim* claims;
    private PartitionScan* scans;
    private DiskEntry* firstToScan, lastToScan;
    private DiskListener* listeners;
    private int controllerCount, entryCount, partitionCount, unfinished, scanning;
    private bool isComplete;

    /// <summary>Bytes of memory for <see cref="Create"/>.</summary>
    public static ulong MemoryBytes => TablesBytes + ScansAtOnce * PartitionScan.WorkspaceBytes;

    private static ulong TablesBytes => ((ulong)(sizeof(BlockRegistry) + ControllerCapacity * sizeof(Controller) + Capacity * sizeof(DiskEntry)
        + ClaimCapacity * sizeof(DiskClaim) + ScansAtOnce * sizeof(PartitionScan)) + 4095) & ~4095UL;

    /// <param name="memory"><see cref="MemoryBytes"/> zeroed bytes that disks can reach, at a page's beginning.</param>
    public static BlockRegistry* Create(byte* memory)
    {
        BlockRegistry* registry = (BlockRegistry*)memory;
        registry->controllers = (Controller*)(registry + 1);
        registry->entries = (DiskEntry*)(registry->controllers + ControllerCapacity);
        registry->claims = (DiskClaim*)(registry->entries + Capacity);
        registry->scans = (PartitionScan*)(registry->claims + ClaimCapacity);
        for (int i = 0; i < ScansAtOnce; i++) registry->scans[i].Workspace = memory + TablesBytes + (ulong)i * PartitionScan.WorkspaceBytes;
        return registry;
    }

    /// <summary>Disks and partitions, in the order in which they came; those that are not ready yet included.</summary>
    public readonly int Count => entryCount;
    public readonly DiskEntry* At(int index) => entries + index;

    /// <summary>The whole disks in the order of controllers, which is that of their names: the first after <paramref name="previous"/> (null: of all); null: no more.</summary>
    public readonly DiskEntry* NextDisk(DiskEntry* previous)
    {
        DiskEntry* next = null;
        for (DiskEntry* entry = entries; entry < entries + entryCount; entry++)
        {
            if (entry->IsPartition || (previous != null && entry->Order <= previous->Order)) continue;
            if (next == null || entry->Order < next->Order) next = entry;
        }
        return next;
    }

    /// <summary>Disks and partitions for which there was no place.</summary>
    public uint LostCount { get; private set; }

    /// <summary>See <see cref="DiskListener.Settled"/>. Once true it stays so.</summary>
    public bool IsSettled { get; private set; }

    /// <summary>Announces a controller whose disks will be named <paramref name="kind"/> (8 characters at most) and a number.</summary>
    /// <param name="numbers">How many numbers it takes: one, or its ports.</param>
    /// <returns>What the other calls want of it; -1: no place.</returns>
    public int AddController(ReadOnlySpan<byte> kind, uint numbers)
    {
        if (controllerCount == ControllerCapacity || kind.Length > KindCapacity) return -1;
        Controller* added = controllers + controllerCount;
        *added = new Controller { KindLength = kind.Length, NumberCount = numbers };
        kind.CopyTo(new Span<byte>(added->Kind, KindCapacity));
        for (int i = 0; i < controllerCount; i++)
            if (KindOf(controllers + i).SequenceEqual(kind)) added->FirstNumber += controllers[i].NumberCount;
        unfinished++;
        return controllerCount++;
    }

    /// <summary>
    /// Adds a disk that is ready to be read: names it and has its partition table read. <paramref name="number"/> counts within the
    /// controller, from 0; a <paramref name="space"/> other than 0 is appended as n1, n2 and so on. Null: no place.
    /// </summary>
    public DiskEntry* AddDisk(int controller, uint number, uint space, BlockDevice* device)
    {
        if (controller < 0 || controller >= controllerCount) return null;
        DiskEntry* entry = NewEntry();
        if (entry == null) return null;
        NameDisk(controllers + controller, number, space, device);
        entry->Device = device;
        entry->Order = (ulong)(uint)controller << 56 | (ulong)(number & 0xFFFFFF) << 32 | space;
        scanning++;
        if (lastToScan == null) firstToScan = entry;
        else lastToScan->NextToScan = entry;
        lastToScan = entry;
        ScanNext();
        return entry;
    }

    /// <summary>The controller has added all the disks it found when it started; it may add others later.</summary>
    public void FinishController(int controller)
    {
        if (controller < 0 || controller >= controllerCount || controllers[controller].IsFinished) return;
        controllers[controller].IsFinished = true;
        unfinished--;
        SettleIfDone();
    }

    /// <summary>What <see cref="ShutDown"/> calls for a controller: it tells its device that power goes, and waits a second or two at most.</summary>
    public void OnShutDown(int controller, delegate*<void*, void> handler, void* context)
    {
        if (controller < 0 || controller >= controllerCount) return;
        controllers[controller].Context = context;
        controllers[controller].ShutDown = handler;
    }

    /// <summary>The machine is about to lose power or be reset. Disks are of no use afterwards.</summary>
    public void ShutDown()
    {
        for (int i = 0; i < controllerCount; i++)
        {
            delegate*<void*, void> handler = controllers[i].ShutDown;
            controllers[i].ShutDown = null;
            if (handler != null) handler(controllers[i].Context);
        }
    }

    /// <summary>All controllers of the machine have been announced.</summary>
    public void Complete()
    {
        isComplete = true;
        SettleIfDone();
    }

    /// <summary>The time for starting is over: whoever waits for disks goes on without those that are still missing.</summary>
    public void StopWaiting()
    {
        if (IsSettled) return;
        IsSettled = true;
        // Whoever is told may leave the list or enter it.
        for (DiskListener* listener = listeners, next; listener != null; listener = next)
        {
            next = listener->Next;
            if (listener->Settled != null) listener->Settled(listener->Context);
        }
    }

    /// <summary>From now on the listener is told; that the disks have settled at once, if they have already.</summary>
    public void Listen(DiskListener* listener)
    {
        listener->Next = listeners;
        listeners = listener;
        if (IsSettled && listener->Settled != null) listener->Settled(listener->Context);
    }

    private static ReadOnlySpan<byte> KindOf(Controller* controller) => new(controller->Kind, controller->KindLength);

    private DiskEntry* NewEntry()
    {
        if (entryCount == Capacity)
        {
            LostCount++;
            return null;
        }
        DiskEntry* entry = entries + entryCount++;
        *entry = default;
        return entry;
    }

    private void SettleIfDone()
    {
        if (isComplete && unfinished == 0 && scanning == 0) StopWaiting();
    }

    private void ScanNext()
    {
        // The registry does not move: it lies at the beginning of its memory.
        fixed (BlockRegistry* registry = &this)
            for (int i = 0; i < ScansAtOnce && firstToScan != null; i++)
            {
                if (scans[i].Disk != null) continue;
                DiskEntry* disk = firstToScan;
                firstToScan = disk->NextToScan;
                if (firstToScan == null) lastToScan = null;
                PartitionScan.Begin(scans + i, registry, disk);
            }
    }

    internal void Scanned(PartitionScan* scan, ImageStatus status)
    {
        DiskEntry* disk = scan->Disk;
        int first = entryCount;
        disk->TableStatus = status;
        disk->Scheme = scan->Table.Scheme;
        disk->FromBackup = scan->Table.FromBackup;
        if (status == ImageStatus.Success) AddPartitions(&scan->Table, disk);
        int end = entryCount;
        scan->Disk = null;
        disk->IsReady = true;
        Tell(disk);
        for (int i = first; i < end; i++) Tell(entries + i);
        scanning--;
        ScanNext();
        SettleIfDone();
    }

    private void AddPartitions(PartitionTable* table, DiskEntry* disk)
    {
        for (uint slot = 0; slot < table->SlotCount; slot++)
        {
            if (!table->TryGetPartition(slot, out PartitionEntry found)) continue;
            DiskEntry* entry = null;
            if (disk->PartitionCount == PartitionsOfDisk || partitionCount == PartitionCapacity) LostCount++;
            else entry = NewEntry();
            if (entry == null) continue;
            partitionCount++;
            disk->PartitionCount++;
            entry->Disk = disk;
            entry->Number = slot + 1;
            entry->FirstByte = found.FirstBlock * disk->Device->Limits.BlockBytes;
            entry->Type = found.Type;
            entry->Unique = found.Unique;
            entry->MbrType = found.MbrType;
            if (found.Name != null) entry->SetLabel(found.Name);
            PartitionDevice.Create(entry, found.BlockCount * disk->Device->Limits.BlockBytes);
            NamePartition(entry);
            entry->IsReady = true;
        }
    }

    private static void NameDisk(Controller* controller, uint number, uint space, BlockDevice* device)
    {
        byte* buffer = stackalloc byte[BlockDevice.NameCapacity];
        TextWriter name = new(buffer, BlockDevice.NameCapacity);
        name.Text(KindOf(controller)).Decimal(controller->FirstNumber + number);
        if (space != 0) name.Char((byte)'n').Decimal(space);
        device->SetName(name.Written);
    }

    private static void NamePartition(DiskEntry* partition)
    {
        byte* buffer = stackalloc byte[BlockDevice.NameCapacity];
        TextWriter name = new(buffer, BlockDevice.NameCapacity);
        name.Text(partition->Disk->Name).Char((byte)'p').Decimal(partition->Number);
        partition->Device->SetName(name.Written);
    }

    private readonly void Tell(DiskEntry* entry)
    {
        for (DiskListener* listener = listeners, next; listener != null; listener = next)
        {
            next = listener->Next;
            if (listener->Added != null) listener->Added(listener->Context, entry);
        }
    }
}
