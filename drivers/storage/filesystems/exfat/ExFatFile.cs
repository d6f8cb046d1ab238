// An open file: where its bytes are on the volume, and how far it is valid.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// Lives at a fixed address in caller-supplied memory, together with its run list. <see cref="ExFatOpen"/> or <see cref="ExFatCreate"/>
/// and then Open fill it; any number of <see cref="ExFatRequest"/>s at a time use it; <see cref="TryClose"/> ends it. What it holds in memory
/// may be ahead of the disk: clusters, lengths and valid length become durable by a flush.
/// </summary>
public unsafe struct ExFatFile
{
    /// <summary>Behind a file that has grown since it was opened this much is left to it as long as there is room elsewhere.</summary>
    public const uint GrowthWindowBytes = 64 << 20;

    internal ExFatVolume* Volume;
    internal ExFatFile* NextOpen;
    internal ExFatSet Set;
    internal bool HasGrown, Contiguous;    // Contiguous: NoFatChain on the disk
    internal bool CommitPending;           // what the disk says of the file is not certain
    internal bool MustEndChain;            // the chain on the disk goes on behind the file's end
    internal bool IsBeingRemoved;
    internal bool HasChanged, MustStamp;   // since its entries were last written; the next flush writes them whatever else it has to do
    internal ulong DiskLength, DiskValidLength;
    internal uint DiskClusters, ClusterCount, Running;
    internal void* Extender;               // the request that moves the end of the file or of what is valid
    internal fixed byte Tail[512];         // the extender's
    private ExFatRun* runs;
    private uint runCount, runCapacity;

    public bool IsOpen { get; internal set; }
    public bool IsWritable { get; internal set; }
    public bool IsDirectory { get; internal set; }
    /// <summary>Bytes that the file has; what lies beyond <see cref="ValidDataLength"/> reads as zeros.</summary>
    public ulong DataLength { get; internal set; }
    public ulong ValidDataLength { get; internal set; }
    public readonly uint RunCount => runCount;
    /// <summary>False for a file of other systems whose two entries that change lie in different sectors: a loss of power while its length changes can cost the file.</summary>
    public readonly bool ChangesAtOnce => Set.Count == 0 || Set.ChangesAtOnce;
    /// <summary>Something is in memory that only a flush makes durable.</summary>
    public readonly bool NeedsFlush => IsWritable && !IsBeingRemoved && (DataLength != DiskLength || ValidDataLength != DiskValidLength || MustEndChain || MustStamp);

    /// <summary>The next flush writes the time of the last change, if there was one, even where only data has changed. Before a file is closed.</summary>
    public void StampWithNextFlush() => MustStamp = HasChanged;

    /// <summary>Where a byte of the file lies, and how many follow it there without a gap; false beyond its clusters. Ignores what is valid.</summary>
    public readonly bool TryMap(ulong offset, out ulong volumeOffset, out ulong length)
    {
        volumeOffset = length = 0;
        int shift = Volume->ClusterShift;
        if (offset >> shift >= ClusterCount) return false;
        uint index = (uint)(offset >> shift), run = RunOf(index);
        ulong inRun = offset - ((ulong)runs[run].InFile << shift);
        volumeOffset = Volume->ClusterOffset(runs[run].Cluster) + inRun;
        length = ((ulong)RunLength(run) << shift) - inRun;
        return true;
    }

    /// <summary>Takes the file from its volume's list; false while requests run or something needs a flush.</summary>
    public bool TryClose()
    {
        if (!IsOpen) return true;
        if (Running != 0 || NeedsFlush) return false;
        Abandon();
        return true;
    }

    /// <summary>Closes whatever the disk says, as when it is gone: no request may run any more. What was not flushed is lost.</summary>
    public void Abandon()
    {
        if (!IsOpen) return;
        fixed (ExFatFile* self = &this)
            for (ExFatFile** link = &Volume->FirstOpen; *link != null; link = &(*link)->NextOpen)
            {
                if (*link != self) continue;
                *link = NextOpen;
                break;
            }
        // What the disk gives to the file is not known then, so nothing is given back: a recovery must look, and the volume say so until then.
        if (IsWritable && (CommitPending || MustEndChain)) Volume->WasDirty = true;
        else if (IsWritable && ClusterCount > DiskClusters) TrimTo(DiskClusters);
        IsOpen = false;
    }

    internal void Bind(ExFatVolume* volume, ExFatRun* list, uint capacity)
    {
        this = default;
        Volume = volume;
        runs = list;
        runCapacity = capacity;
    }

    /// <summary>Takes lengths and attributes from <see cref="Set"/>; false if they contradict each other or the volume.</summary>
    internal bool TakeSet()
    {
        ExFatStreamEntry* stream = Set.Stream;
        IsDirectory = Set.IsDirectory;
        Contiguous = (stream->GeneralSecondaryFlags & ExFatStreamEntry.NoFatChain) != 0;
        DataLength = DiskLength = stream->DataLength;
        ValidDataLength = DiskValidLength = stream->ValidDataLength;
        if (ValidDataLength > DataLength || DataLength > Volume->MaximumFileBytes) return false;
        if (IsDirectory && (DataLength > ExFatVolume.MaximumDirectoryBytes || DataLength % Volume->ClusterBytes != 0 || ValidDataLength != DataLength)) return false;
        DiskClusters = Volume->ClustersFor(DataLength);
        return DiskClusters == 0 || Volume->IsCluster(stream->FirstCluster);
    }

    internal readonly uint ClusterOf(uint index)
    {
        uint run = RunOf(index);
        return runs[run].Cluster + (index - runs[run].InFile);
    }

    /// <summary>The file's first clusters are one run.</summary>
    internal readonly bool IsOneRun(uint clusters) => runCount <= 1 || runs[1].InFile >= clusters;

    internal readonly uint FirstCluster => ClusterCount == 0 ? 0 : runs[0].Cluster;
    internal readonly uint LastCluster => runs[runCount - 1].Cluster + RunLength(runCount - 1) - 1;

    private readonly uint RunLength(uint run) => (run + 1 < runCount ? runs[run + 1].InFile : ClusterCount) - runs[run].InFile;

    private readonly uint RunOf(uint index)
    {
        uint low = 0, high = runCount;
        while (high - low > 1)
        {
            uint middle = low + (high - low) / 2;
            if (runs[middle].InFile <= index) low = middle;
            else high = middle;
        }
        return low;
    }

    /// <summary>False when the run list is full.</summary>
    internal bool TryAppend(uint cluster, uint count)
    {
        if (runCount == 0 || LastCluster + 1 != cluster)
        {
            if (runCount == runCapacity) return false;
            runs[runCount++] = new ExFatRun { InFile = ClusterCount, Cluster = cluster };
        }
        ClusterCount += count;
        return true;
    }

    /// <summary>Gives clusters back, in memory.</summary>
    internal void TrimTo(uint count)
    {
        while (ClusterCount > count)
        {
            uint run = runCount - 1, keep = Math.Max(count, runs[run].InFile);
            Volume->Bitmap.Free(runs[run].Cluster + (keep - runs[run].InFile), ClusterCount - keep);
            if (keep == runs[run].InFile) runCount--;
            ClusterCount = keep;
        }
    }

    /// <summary>Every cluster is in use by the bitmap's account, and none is the bitmap's or the up-case table's.</summary>
    internal readonly bool IsAccountedFor()
    {
        for (uint run = 0; run < runCount; run++)
            if (!Volume->Bitmap.AreUsed(runs[run].Cluster, RunLength(run))) return false;
        return true;
    }

    internal readonly bool TouchesSystem()
    {
        for (uint run = 0; run < runCount; run++)
            if (Volume->IsSystem(runs[run].Cluster, RunLength(run))) return true;
        return false;
    }
}
