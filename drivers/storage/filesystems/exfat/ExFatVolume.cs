// A mounted exFAT volume: what its files and planners share.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Lives at a fixed address in caller-supplied memory. <see cref="ExFatMount"/> fills it. Planners that read or change metadata hold it
/// one at a time, the others get <see cref="StepKind.Wait"/>; requests on file data that change no metadata do not need it. One
/// executor drives all planners of a volume; nothing here is safe against other processors.
/// </summary>
public unsafe struct ExFatVolume
{
    /// <summary>Boot sector, a window on the FAT, one on directories, the run list of a directory that grows.</summary>
    public const uint WorkspaceBytes = 3 * ExFatWindow.Bytes + DirectoryRuns * 8;
    /// <summary>"Directories": no larger than this.</summary>
    public const uint MaximumDirectoryBytes = 256 << 20;

    internal const uint DirectoryRuns = 512;
    private const uint LabelUnits = 11;

    private enum DirtyState : byte { Clean, Writing, Flushing, Dirty }

    internal readonly ulong VolumeBytes;
    internal readonly byte* BootData;
    internal readonly ExFatRun* DirectoryRunList;
    internal ExFatWindow Fat, Entries;
    internal ExFatBitmap Bitmap;
    internal ExFatUpCase UpCase;
    internal int SectorShift, ClusterShift;
    internal ulong FatAt, FatBytes, HeapAt;
    internal uint RootCluster, UpCaseFirstCluster, UpCaseClusters;

    // Of the planner that holds the volume.
    internal ExFatWalk Walk;
    internal ExFatSearch Search;
    internal ExFatSetWriter SetWriter;
    internal ExFatChain Chain;
    internal ExFatCommit Commit;
    internal ExFatFile Directory;
    private void* holder;
    private DirtyState dirtyState;
    private uint bitmapWriteFirst, bitmapWriteCount;

    internal ExFatFile* FirstOpen;
    internal uint SearchFrom;
    private fixed char label[(int)LabelUnits];

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned; stays the volume's.</param>
    /// <param name="volumeBytes">Of the partition or disk; every step's offset counts from its start.</param>
    public ExFatVolume(byte* workspace, ulong volumeBytes, bool writable)
    {
        this = default;
        VolumeBytes = volumeBytes;
        IsWritable = writable;
        BootData = workspace;
        Fat = new ExFatWindow(workspace + ExFatWindow.Bytes);
        Entries = new ExFatWindow(workspace + 2 * ExFatWindow.Bytes);
        DirectoryRunList = (ExFatRun*)(workspace + 3 * ExFatWindow.Bytes);
        SearchFrom = ExFatBootSector.FirstCluster;
    }

    public bool IsMounted { get; internal set; }
    /// <summary>False too when asked for but only the backup boot sector was good: then nothing is written before a repair.</summary>
    public bool IsWritable { get; internal set; }
    /// <summary>VolumeDirty was set at mount: whoever wrote last did not end properly; or a file was given up while a change of it had failed. It stays set until <see cref="ExFatRecovery"/> has gone through the volume.</summary>
    public bool WasDirty { get; internal set; }
    /// <summary>The main boot region was damaged and the backup taken.</summary>
    public bool FromBackup { get; internal set; }
    public readonly uint SectorBytes => 1u << SectorShift;
    public readonly uint ClusterBytes => 1u << ClusterShift;
    public readonly uint ClusterCount => Bitmap.End - ExFatBootSector.FirstCluster;
    public readonly ulong FreeBytes => (ulong)Bitmap.FreeClusters << ClusterShift;
    public readonly uint VolumeSerialNumber => Boot->VolumeSerialNumber;
    public uint LabelLength { get; internal set; }
    /// <summary>For files that are created or changed from here on; of <see cref="ExFatTimestamp.From"/>, UTC. 0: changes leave the old time.</summary>
    public uint Timestamp { get; set; }

    /// <summary>A UTF-16 unit of the label.</summary>
    public readonly char Label(uint index) => label[index];

    internal void SetLabel(byte* entry)
    {
        LabelLength = entry[1] <= LabelUnits ? entry[1] : 0u;
        for (uint i = 0; i < LabelLength; i++) label[i] = *(char*)(entry + 2 + i * sizeof(char));
    }

    internal readonly ExFatBootSector* Boot => (ExFatBootSector*)BootData;

    internal readonly bool IsCluster(uint cluster) => cluster >= ExFatBootSector.FirstCluster && cluster < Bitmap.End;

    /// <summary>Whether any of the clusters holds the allocation bitmap, the up-case table's or the root directory's start.</summary>
    internal readonly bool IsSystem(uint first, uint count) => Overlaps(first, count, RootCluster, 1)
        || Overlaps(first, count, Bitmap.FirstClusterOnDisk, ClustersFor(((ulong)ClusterCount + 7) / 8)) || Overlaps(first, count, UpCaseFirstCluster, 1);

    private static bool Overlaps(uint first, uint count, uint other, uint otherCount) => first < (ulong)other + otherCount && other < (ulong)first + count;

    internal readonly ulong ClusterOffset(uint cluster) => HeapAt + ((ulong)(cluster - ExFatBootSector.FirstCluster) << ClusterShift);

    internal readonly uint ClustersFor(ulong bytes) => (uint)((bytes + ClusterBytes - 1) >> ClusterShift);

    internal readonly ulong MaximumFileBytes => (ulong)ClusterCount << ClusterShift;

    internal bool TryHold(void* planner)
    {
        if (holder != null && holder != planner) return false;
        holder = planner;
        return true;
    }

    internal void Release(void* planner)
    {
        if (holder == planner) holder = null;
    }

    /// <summary>The holder's last step failed: forget what it was to bring or to change.</summary>
    internal void StepFailed(void* planner)
    {
        if (holder != planner) return;
        Fat.Forget();
        Entries.Forget();
        Bitmap.MarkSectorsDirty(bitmapWriteFirst, bitmapWriteCount);
        bitmapWriteCount = 0;
        if (dirtyState != DirtyState.Dirty) dirtyState = DirtyState.Clean;
    }

    /// <summary>Where a cluster's FAT entry is in memory; false when <paramref name="read"/> has to bring it first.</summary>
    internal bool TryFatEntry(uint cluster, out uint* entry, out BlockStep read)
    {
        ulong offset = FatAt + (ulong)cluster * sizeof(uint), window = (ulong)cluster * sizeof(uint) / ExFatWindow.Bytes * ExFatWindow.Bytes;
        bool held = Fat.Holds(offset);
        read = held ? default : Fat.Load(FatAt + window, (uint)System.Math.Min(ExFatWindow.Bytes, FatBytes - window));
        entry = (uint*)Fat.At(offset);
        return held;
    }

    internal readonly bool HoldsFatEntry(uint cluster) => Fat.Holds(FatAt + (ulong)cluster * sizeof(uint));

    internal readonly BlockStep WriteFat(uint firstCluster, uint lastCluster) =>
        Fat.Write(FatAt + (ulong)firstCluster * sizeof(uint), FatAt + (ulong)lastCluster * sizeof(uint), SectorShift);

    /// <summary>Where an offset in the cluster heap is in memory; false when <paramref name="read"/> has to bring it first.</summary>
    internal bool TryHeap(ulong offset, out byte* at, out BlockStep read)
    {
        uint bytes = System.Math.Min(ExFatWindow.Bytes, ClusterBytes);
        bool held = Entries.Holds(offset);
        read = held ? default : Entries.Load(HeapAt + (offset - HeapAt) / bytes * bytes, bytes);
        at = Entries.At(offset);
        return held;
    }

    /// <summary>"VolumeFlags Field": VolumeDirty is on the disk before anything else changes; false while that takes steps.</summary>
    internal bool IsMarkedDirty(out BlockStep step)
    {
        step = default;
        switch (dirtyState)
        {
            case DirtyState.Clean:
                Boot->VolumeFlags |= ExFatBootSector.VolumeDirty;
                dirtyState = DirtyState.Writing;
                step = WriteBoot();
                return false;
            case DirtyState.Writing:
                dirtyState = DirtyState.Flushing;
                step = BlockStep.Of(StepKind.Flush);
                return false;
            default:
                dirtyState = DirtyState.Dirty;
                return true;
        }
    }

    internal void TakeDirtyFlag()
    {
        WasDirty = (Boot->VolumeFlags & ExFatBootSector.VolumeDirty) != 0;
        dirtyState = WasDirty ? DirtyState.Dirty : DirtyState.Clean;
    }

    internal readonly bool IsDirtyOnDisk => dirtyState == DirtyState.Dirty;

    /// <summary>The volume is as it should be: VolumeDirty may go, unless it was set by someone else before.</summary>
    internal BlockStep WriteClean()
    {
        if (!WasDirty) Boot->VolumeFlags = (ushort)(Boot->VolumeFlags & ~ExFatBootSector.VolumeDirty);
        Boot->PercentInUse = (byte)((ulong)(ClusterCount - Bitmap.FreeClusters) * 100 / ClusterCount);
        dirtyState = DirtyState.Clean;
        return WriteBoot();
    }

    private readonly BlockStep WriteBoot() => BlockStep.Metadata(StepKind.Write, 0, BootData, SectorBytes);

    /// <summary>Writes the allocation bitmap's changes; false while that takes steps.</summary>
    internal bool IsBitmapWritten(out BlockStep step)
    {
        step = default;
        bitmapWriteCount = 0;
        if (!Bitmap.IsDirty) return true;
        step = Bitmap.WriteDirty(out bitmapWriteFirst, out bitmapWriteCount);
        return false;
    }
}
