// The console's words about disks.
using System;
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
        for (int i = 0; i < disks->Count; i++)
            if (!disks->At(i)->IsPartition) ListDisk(disks, disks->At(i), buffer);
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
}
