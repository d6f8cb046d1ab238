// A place in a directory that goes from entry to entry along the directory's clusters.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

internal enum CursorOutcome : byte { Entry, Load, End, Damaged }

internal unsafe struct ExFatCursor
{
    private ulong length;
    private uint cluster, clusterIndex;
    private bool contiguous;

    /// <summary>In bytes of the directory.</summary>
    public ulong Position { get; private set; }

    public static ExFatCursor AtRoot(ExFatVolume* volume) => new() { cluster = volume->RootCluster, length = ExFatVolume.MaximumDirectoryBytes };

    /// <summary>A directory's entry set is from a disk: what is wrong with it shows as <see cref="CursorOutcome.Damaged"/>.</summary>
    public static ExFatCursor At(in ExFatSet directory) => new()
    {
        cluster = directory.Stream->FirstCluster,
        length = Math.Min(directory.Stream->DataLength, ExFatVolume.MaximumDirectoryBytes),
        contiguous = (directory.Stream->GeneralSecondaryFlags & ExFatStreamEntry.NoFatChain) != 0,
    };

    /// <summary>The entry at the position, or the step that brings it or the FAT's entry that leads to it.</summary>
    public CursorOutcome TryEntry(ExFatVolume* volume, out byte* entry, out ulong offset, out BlockStep read)
    {
        entry = null;
        offset = 0;
        read = default;
        if (Position >= length) return CursorOutcome.End;
        while (clusterIndex != Position >> volume->ClusterShift)
        {
            uint next = cluster + 1;
            if (!volume->IsCluster(cluster)) return CursorOutcome.Damaged;
            if (!contiguous)
            {
                if (!volume->TryFatEntry(cluster, out uint* link, out read)) return CursorOutcome.Load;
                next = *link;
                if (next == ExFatBootSector.EndOfChain) return CursorOutcome.End;
            }
            cluster = next;
            clusterIndex++;
        }
        if (!volume->IsCluster(cluster)) return CursorOutcome.Damaged;
        offset = volume->ClusterOffset(cluster) + (Position & volume->ClusterBytes - 1);
        return volume->TryHeap(offset, out entry, out read) ? CursorOutcome.Entry : CursorOutcome.Load;
    }

    public void MoveNext() => Position += ExFatEntryType.Bytes;
}
