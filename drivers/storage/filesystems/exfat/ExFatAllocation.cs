// Finds clusters for files that grow, so that each stays in few pieces.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>
/// All in memory: nothing is written. A file takes what is free behind it first; else a run that leaves room for
/// <see cref="ExFatFile.GrowthWindowBytes"/> more; else the longest. The windows behind other files that have grown are left alone as long
/// as there is anything elsewhere.
/// </summary>
internal static unsafe class ExFatAllocation
{
    /// <summary>Success, NoSpace, or NoMemory when the run list is full; then the file has what it had.</summary>
    public static ImageStatus Grow(ExFatFile* file, uint clusters)
    {
        ExFatVolume* volume = file->Volume;
        uint before = file->ClusterCount;
        if (clusters <= before) return ImageStatus.Success;
        if (clusters - before > volume->Bitmap.FreeClusters) return ImageStatus.NoSpace;
        while (file->ClusterCount < clusters)
        {
            uint need = clusters - file->ClusterCount, first = Find(file, need, out uint count);
            if (count == 0 || !file->TryAppend(first, count))
            {
                file->TrimTo(before);
                return count == 0 ? ImageStatus.NoSpace : ImageStatus.NoMemory;
            }
            volume->Bitmap.Use(first, count);
            volume->SearchFrom = first + count;
        }
        file->HasGrown = true;
        return ImageStatus.Success;
    }

    private static uint Find(ExFatFile* file, uint need, out uint count)
    {
        ExFatVolume* volume = file->Volume;
        uint from = volume->SearchFrom;
        if (file->ClusterCount != 0)
        {
            from = file->LastCluster + 1;
            count = FreeFrom(volume, from, need);
            if (count != 0) return from;
        }
        if (from >= volume->Bitmap.End) from = ExFatBootSector.FirstCluster;
        // A directory grows by one cluster at a time, and rarely.
        uint window = file->IsDirectory ? need : Math.Max(need, WindowClusters(volume));
        uint first = Search(file, from, window, true, out count);
        if (count == 0) first = Search(file, from, window, false, out count);
        count = Math.Min(count, need);
        return first;
    }

    private static uint WindowClusters(ExFatVolume* volume) => Math.Max(1, ExFatFile.GrowthWindowBytes >> volume->ClusterShift);

    private static uint FreeFrom(ExFatVolume* volume, uint cluster, uint most)
    {
        if (cluster >= volume->Bitmap.End) return 0;
        uint end = cluster + Math.Min(most, volume->Bitmap.End - cluster);
        return volume->Bitmap.NextUsed(cluster, end) - cluster;
    }

    /// <summary>The first free run of a length, going round from a cluster; if there is none, the longest.</summary>
    private static uint Search(ExFatFile* file, uint from, uint wanted, bool leaveWindows, out uint count)
    {
        ExFatVolume* volume = file->Volume;
        uint best = 0;
        count = 0;
        for (uint pass = 0; pass < 2; pass++)
        {
            uint at = pass == 0 ? from : ExFatBootSector.FirstCluster, limit = pass == 0 ? volume->Bitmap.End : from;
            while ((at = volume->Bitmap.NextFree(at, limit)) < limit)
            {
                uint free = FreeFrom(volume, at, wanted);
                if (leaveWindows && IsInWindow(file, at, ref free, out uint windowEnd))
                {
                    at = windowEnd;
                    continue;
                }
                if (free > count)
                {
                    best = at;
                    count = free;
                    if (free == wanted) return best;
                }
                at += free;
            }
        }
        return best;
    }

    /// <summary>Whether a cluster is in the window behind another file; if not, the run from it on is cut where such a window begins.</summary>
    private static bool IsInWindow(ExFatFile* file, uint cluster, ref uint run, out uint windowEnd)
    {
        windowEnd = 0;
        uint window = WindowClusters(file->Volume);
        for (ExFatFile* other = file->Volume->FirstOpen; other != null; other = other->NextOpen)
        {
            if (other == file || !other->HasGrown || other->ClusterCount == 0) continue;
            uint first = other->LastCluster + 1;
            windowEnd = first + Math.Min(window, file->Volume->Bitmap.End - first);
            if (cluster >= first && cluster < windowEnd) return true;
            if (first > cluster && first - cluster < run) run = first - cluster;
        }
        return false;
    }
}
