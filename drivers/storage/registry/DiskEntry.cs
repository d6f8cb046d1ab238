// A disk or a partition in the machine's list: its device, and what the partition table says of it.
using System;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Partitions;

namespace Lamina.Drivers.Storage.Registry;

/// <summary>Lives in the registry's memory and stays there: entries are never taken out, a device that died answers with errors.</summary>
public unsafe struct DiskEntry
{
    /// <summary>A GPT name of 36 UTF-16 units, as UTF-8.</summary>
    public const int LabelCapacity = 36 * 3;

    /// <summary>What reads and writes it.</summary>
    public BlockDevice* Device { get; internal set; }

    /// <summary>The disk that a partition lies on; null for a whole disk.</summary>
    public DiskEntry* Disk { get; internal set; }

    /// <summary>Of a partition: where it begins on its disk, in bytes, and its slot in the table, from 1.</summary>
    public ulong FirstByte { get; internal set; }
    public uint Number { get; internal set; }

    /// <summary>Of a whole disk: its partition table, how reading it went, and whether only GPT's backup was good.</summary>
    public PartitionScheme Scheme { get; internal set; }
    public ImageStatus TableStatus { get; internal set; }
    public bool FromBackup { get; internal set; }
    public uint PartitionCount { get; internal set; }

    /// <summary>Of a partition; the GUIDs are GPT's, the type byte MBR's.</summary>
    public GptGuid Type { get; internal set; }
    public GptGuid Unique { get; internal set; }
    public byte MbrType { get; internal set; }

    /// <summary>It can be found; false while its disk's partition table is being read.</summary>
    public bool IsReady { get; internal set; }

    /// <summary>A partition's own device, and its requests that cannot be.</summary>
    internal BlockDevice PartitionDevice;
    internal BlockRequestList Refused;

    /// <summary>Of a whole disk: its place among the disks in the order of controllers, numbers and namespaces.</summary>
    internal ulong Order;

    /// <summary>A whole disk's place in the line of those whose table is to be read.</summary>
    internal DiskEntry* NextToScan;

    private fixed byte label[LabelCapacity];
    private int labelLength;

    public readonly bool IsPartition => Disk != null;
    public readonly ReadOnlySpan<byte> Name => Device->Name;

    /// <summary>A GPT partition's name in UTF-8, empty where there is none. Of unknown origin: print it with care.</summary>
    public ReadOnlySpan<byte> Label
    {
        get { fixed (byte* text = label) return new ReadOnlySpan<byte>(text, labelLength); }
    }

    /// <summary>Both are, at least in part, the same blocks.</summary>
    public static bool Overlap(DiskEntry* a, DiskEntry* b) => a == b || a->Disk == b || b->Disk == a;

    /// <summary>Takes a name of 36 UTF-16 units, little-endian, ended by zero; half a surrogate pair becomes '?'.</summary>
    internal void SetLabel(byte* utf16)
    {
        fixed (byte* text = label)
        {
            labelLength = 0;
            for (int i = 0; i < 36; i++)
            {
                uint unit = Unit(utf16, i);
                if (unit == 0) return;
                uint low = i < 35 ? Unit(utf16, i + 1) : 0;
                bool isPair = unit is >= 0xD800 and < 0xDC00 && low is >= 0xDC00 and < 0xE000;
                if (isPair) i++;
                else if (unit is >= 0xD800 and < 0xE000) unit = '?';
                Append(text, isPair ? 0x10000 + (unit - 0xD800 << 10) + (low - 0xDC00) : unit);
            }
        }
    }

    private static uint Unit(byte* utf16, int index) => utf16[2 * index] | (uint)utf16[2 * index + 1] << 8;

    private void Append(byte* text, uint scalar)
    {
        if (scalar < 0x80)
        {
            text[labelLength++] = (byte)scalar;
            return;
        }
        int continuations = scalar < 0x800 ? 1 : scalar < 0x10000 ? 2 : 3;
        text[labelLength++] = (byte)(0xF0 << 3 - continuations | (int)(scalar >> 6 * continuations));
        for (int i = continuations - 1; i >= 0; i--) text[labelLength++] = (byte)(0x80 | scalar >> 6 * i & 0x3F);
    }
}
