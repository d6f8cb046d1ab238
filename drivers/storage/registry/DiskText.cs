// Disks and partitions as lines of text: for the console's list, and for the log when they appear.
using System;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;
using Lamina.Text;

namespace Lamina.Drivers.Storage.Registry;

/// <summary>What comes from a disk (serial numbers, labels) is printed as harmless text.</summary>
public static unsafe class DiskText
{
    public const int LineCapacity = 240;
    private const int SizeColumn = 16, BlockColumn = 28, ContentColumn = 35, SerialColumn = 58, ClaimColumn = SerialColumn + GuidText.Length + 2;

    public static void Heading(ref TextWriter line) =>
        line.Text("NAME"u8).Column(SizeColumn).Text("SIZE"u8).Column(BlockColumn).Text("BLOCK"u8).Column(ContentColumn).Text("CONTENT"u8)
            .Column(SerialColumn).Text("SERIAL OR GUID"u8).Column(ClaimColumn).Text("USED BY"u8);

    /// <summary>A disk or partition as a line of the list.</summary>
    public static void Row(ref TextWriter line, BlockRegistry* registry, DiskEntry* entry)
    {
        if (entry->IsPartition) line.Text("  "u8);
        line.Text(entry->Name).Char((byte)' ').Column(SizeColumn);
        Size(ref line, entry->Device->Limits.Bytes);
        line.Column(BlockColumn).Decimal(entry->Device->Limits.BlockBytes).Column(ContentColumn);
        if (entry->IsPartition) Partition(ref line, entry);
        else
        {
            Table(ref line, entry);
            if (entry->Device->Limits.IsReadOnly) line.Text(", read-only"u8);
            line.Char((byte)' ').Column(SerialColumn).Printable(entry->Device->Serial);
        }
        line.Char((byte)' ').Column(ClaimColumn);
        Claims(ref line, registry, entry);
        while (line.Length > 0 && line.Buffer[line.Length - 1] == ' ') line.Length--;
    }

    /// <summary>A whole disk in one sentence, when its table has been read.</summary>
    public static void Announcement(ref TextWriter line, DiskEntry* disk)
    {
        line.Text("disk "u8).Text(disk->Name).Text(": "u8);
        Size(ref line, disk->Device->Limits.Bytes);
        line.Text(", blocks of "u8).Decimal(disk->Device->Limits.BlockBytes);
        if (disk->Device->Limits.IsReadOnly) line.Text(", read-only"u8);
        if (disk->Device->Serial.Length != 0) line.Text(", serial "u8).Printable(disk->Device->Serial);
        line.Text(", "u8);
        Table(ref line, disk);
    }

    /// <summary>"DISK is used by OWNER", for the line that refuses a claim.</summary>
    public static void Conflict(ref TextWriter line, DiskClaim* conflict)
    {
        line.Text(conflict->Disk->Name).Text(" is used by "u8).Printable(conflict->Owner);
        if (!conflict->Writes) line.Text(", which reads it"u8);
    }

    /// <summary>In the largest unit that leaves three digits or more before the point, down.</summary>
    public static void Size(ref TextWriter line, ulong bytes)
    {
        if (bytes >= 100UL << 40) line.Decimal(bytes >> 40).Text(" TiB"u8);
        else if (bytes >= 10UL << 30) line.Decimal(bytes >> 30).Text(" GiB"u8);
        else if (bytes >= 10UL << 20) line.Decimal(bytes >> 20).Text(" MiB"u8);
        else line.Decimal(bytes >> 10).Text(" KiB"u8);
    }

    private static void Table(ref TextWriter line, DiskEntry* disk)
    {
        if (!disk->IsReady) line.Text("being read"u8);
        else if (disk->TableStatus == ImageStatus.InputOutputError) line.Text("cannot be read"u8);
        else if (disk->TableStatus != ImageStatus.Success) line.Text("damaged GPT"u8);
        else if (disk->Scheme == PartitionScheme.None) line.Text("no partition table"u8);
        else
        {
            line.Text(disk->Scheme == PartitionScheme.Gpt ? "GPT"u8 : "MBR"u8).Text(", "u8).Decimal(disk->PartitionCount).Text(disk->PartitionCount == 1 ? " partition"u8 : " partitions"u8);
            if (disk->FromBackup) line.Text(" (backup)"u8);
        }
    }

    private static void Partition(ref TextWriter line, DiskEntry* partition)
    {
        if (partition->Disk->Scheme == PartitionScheme.Mbr)
        {
            line.Text("type "u8).HexDigits(partition->MbrType, 2).Char((byte)' ');
            return;
        }
        // A label may be longer than its column: cut there, so that the rest of the line stays in place.
        ReadOnlySpan<byte> label = partition->Label;
        const int width = SerialColumn - ContentColumn - 1;
        line.Printable(label.Slice(0, Math.Min(label.Length, width))).Char((byte)' ').Column(SerialColumn).Guid(partition->Unique);
    }

    private static void Claims(ref TextWriter line, BlockRegistry* registry, DiskEntry* entry)
    {
        bool first = true;
        for (DiskClaim* claim = registry->NextClaim(entry, null); claim != null; claim = registry->NextClaim(entry, claim))
        {
            if (!first) line.Text(", "u8);
            line.Printable(claim->Owner);
            if (!claim->Writes) line.Text(" (reads)"u8);
            first = false;
        }
    }
}
