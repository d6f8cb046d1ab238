// The console's words about disks.
using System;
using Lamina.Abi;
using Lamina.Drivers.Bus;
using Lamina.Drivers.Storage.Checks;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;
using Lamina.Drivers.Storage.Registry;
using Lamina.Text;

namespace Lamina.Root.Kernel;

public static unsafe class DiskCommands
{
    /// <summary>Each disk, and its partitions below it.</summary>
    public static void List()
    {
        BlockRegistry* disks = StorageDrivers.Disks;
        byte* buffer = stackalloc byte[DiskText.LineCapacity];
        TextWriter line = new(buffer, DiskText.LineCapacity);
        if (disks->Count == 0)
        {
            ConsoleOutput.Line(disks->IsSettled ? "disks: none"u8 : "disks: none yet"u8);
            return;
        }
        DiskText.Heading(ref line);
        ConsoleOutput.Line(line.Written);
        for (DiskEntry* disk = disks->NextDisk(null); disk != null; disk = disks->NextDisk(disk)) ListDisk(disks, disk, buffer);
        if (disks->LostCount == 0) return;
        line = new TextWriter(buffer, DiskText.LineCapacity);
        line.Text("disks: no place for another "u8).Decimal(disks->LostCount);
        ConsoleOutput.Line(line.Written);
    }

    private static void ListDisk(BlockRegistry* disks, DiskEntry* disk, byte* buffer)
    {
        ListEntry(disks, disk, buffer);
        for (int i = 0; i < disks->Count; i++)
            if (disks->At(i)->Disk == disk) ListEntry(disks, disks->At(i), buffer);
    }

    private static void ListEntry(BlockRegistry* disks, DiskEntry* entry, byte* buffer)
    {
        TextWriter line = new(buffer, DiskText.LineCapacity);
        DiskText.Row(ref line, disks, entry);
        ConsoleOutput.Line(line.Written);
    }

    /// <summary>What follows "test disk": a name, and how many bytes, and "write" for scratch disks.</summary>
    public static void Test(ReadOnlySpan<byte> arguments)
    {
        DiskTestCommand command = DiskTestCommand.Parse(arguments);
        if (command.IsWrong) ConsoleOutput.Line("usage: test disk NAME [BYTES] [write]"u8);
        else if (running != null) ConsoleOutput.Line("test disk: still running"u8);
        else if (!StorageDrivers.Disks->TryFind(command.Name, out DiskEntry* disk)) Refuse(command.Name, "there is no such disk"u8);
        else if (!command.Writes) Begin(disk, command);
        else if (disk->IsPartition) Refuse(disk->Name, "only a whole disk is written to"u8);
        else if (disk->Scheme != PartitionScheme.None || disk->TableStatus != ImageStatus.Success) Refuse(disk->Name, "it has a partition table, or none that can be read"u8);
        else if (disk->Device->Limits.IsReadOnly) Refuse(disk->Name, "it is read-only"u8);
        else Begin(disk, command);
    }

    private static DiskTest* running;
    private static DiskClaim* claim;
    private static ulong memory, pages, startedAt;

    private static void Begin(DiskEntry* disk, DiskTestCommand command)
    {
        if (!StorageDrivers.Disks->TryClaim(disk, command.Writes, "test disk"u8, out claim, out DiskClaim* conflict))
        {
            byte* buffer = stackalloc byte[DiskText.LineCapacity];
            TextWriter line = new(buffer, DiskText.LineCapacity);
            if (conflict != null) DiskText.Conflict(ref line, conflict);
            else line.Text("too many claims"u8);
            Refuse(disk->Name, line.Written);
            return;
        }
        ulong bytes = Math.Min(command.Bytes, disk->Device->Limits.Bytes) & ~(ulong)(disk->Device->Limits.BlockBytes - 1);
        pages = PageCount.ForBytes(DiskTest.MemoryBytes(disk->Device, bytes)).Value;
        if (bytes == 0 || !PhysicalMemory.TryAllocate(pages, 1, out memory))
        {
            StorageDrivers.Disks->Release(claim);
            Refuse(disk->Name, bytes == 0 ? "less than a block"u8 : "not enough memory"u8);
            return;
        }
        startedAt = ReferenceClock.Now;
        running = (DiskTest*)memory;
        DiskTest.Start((byte*)memory, disk->Device, bytes, command.Writes, startedAt, &OnTested, null);
    }

    private static void OnTested(void* context)
    {
        byte* buffer = stackalloc byte[DiskText.LineCapacity];
        TextWriter line = new(buffer, DiskText.LineCapacity);
        running->Describe(ref line, (ReferenceClock.Now - startedAt) / ReferenceClock.TicksPerMillisecond);
        ConsoleOutput.Line(line.Written);
        StorageDrivers.Disks->Release(claim);
        release.Handler = &OnRelease;
        fixed (WorkItem* item = &release) DriverHost.Queue(item);
    }

    // The test is still on the stack when it says that it is over.
    private static WorkItem release;

    private static void OnRelease(void* context)
    {
        running = null;
        PhysicalMemory.Free(memory, pages);
    }

    private static void Refuse(ReadOnlySpan<byte> name, ReadOnlySpan<byte> why)
    {
        byte* buffer = stackalloc byte[DiskText.LineCapacity];
        TextWriter line = new(buffer, DiskText.LineCapacity);
        line.Text("FAIL disk "u8).Printable(name).Text(": "u8).Text(why);
        ConsoleOutput.Line(line.Written);
    }
}
