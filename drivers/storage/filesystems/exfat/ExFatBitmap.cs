// Which clusters are in use, in memory: one bit a cluster, and which sectors of it differ from the disk. exFAT specification 1.00, "Allocation Bitmap".
using System;
using System.Numerics;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Clusters are numbered as on the volume, from 2 on; <see cref="End"/> is one past the last.</summary>
internal unsafe struct ExFatBitmap
{
    private const uint MaximumWriteBytes = 64 << 10;

    private ulong* words;
    private ulong* dirty;
    private int sectorShift;
    private uint sectors, dirtySectors;

    public uint FirstClusterOnDisk;
    public ulong OffsetOnDisk;
    public uint End { get; private set; }
    public uint FreeClusters { get; private set; }

    /// <summary>Bytes of whole sectors that hold a bit for every cluster.</summary>
    public static ulong BytesOnDisk(uint clusterCount, int sectorShift) => (((ulong)clusterCount + 7) / 8 + (1u << sectorShift) - 1) >> sectorShift << sectorShift;

    /// <summary>Memory for it; a multiple of 8.</summary>
    public static ulong MemoryBytes(uint clusterCount, int sectorShift) => BytesOnDisk(clusterCount, sectorShift) + DirtyBytes(clusterCount, sectorShift);

    private static ulong DirtyBytes(uint clusterCount, int sectorShift) => ((BytesOnDisk(clusterCount, sectorShift) >> sectorShift) + 63) / 64 * 8;

    /// <param name="memory"><see cref="MemoryBytes"/>, zeroed.</param>
    public void Attach(byte* memory, uint clusterCount, int shift)
    {
        words = (ulong*)memory;
        dirty = (ulong*)(memory + BytesOnDisk(clusterCount, shift));
        sectorShift = shift;
        sectors = (uint)(BytesOnDisk(clusterCount, shift) >> shift);
        dirtySectors = 0;
        End = ExFatBootSector.FirstCluster + clusterCount;
    }

    public readonly byte* Memory => (byte*)words;
    public readonly uint MemoryWords => sectors << sectorShift - 3;

    public void CountFree()
    {
        FreeClusters = 0;
        for (uint cluster = ExFatBootSector.FirstCluster; cluster < End;)
        {
            uint free = NextFree(cluster, End), used = NextUsed(free, End);
            FreeClusters += used - free;
            cluster = used;
        }
    }

    public readonly bool IsUsed(uint cluster)
    {
        uint bit = cluster - ExFatBootSector.FirstCluster;
        return (words[bit / 64] >> (int)(bit % 64) & 1) != 0;
    }

    public readonly bool AreUsed(uint first, uint count) => NextFree(first, first + count) == first + count;

    /// <summary>The clusters were free.</summary>
    public void Use(uint first, uint count)
    {
        Set(first, count, ulong.MaxValue);
        FreeClusters -= count;
        MarkDirty(first, count);
    }

    /// <summary>The clusters were in use.</summary>
    public void Free(uint first, uint count)
    {
        Set(first, count, 0);
        FreeClusters += count;
        MarkDirty(first, count);
    }

    private readonly void Set(uint first, uint count, ulong to)
    {
        for (uint bit = first - ExFatBootSector.FirstCluster; count != 0;)
        {
            uint inWord = bit % 64, bits = Math.Min(64 - inWord, count);
            ulong mask = ulong.MaxValue >> (int)(64 - bits) << (int)inWord;
            words[bit / 64] = (words[bit / 64] & ~mask) | (to & mask);
            bit += bits;
            count -= bits;
        }
    }

    /// <summary>The first free cluster from one on, or <paramref name="end"/>.</summary>
    public readonly uint NextFree(uint cluster, uint end) => Next(cluster, end, ulong.MaxValue);

    /// <summary>The first cluster in use from one on, or <paramref name="end"/>.</summary>
    public readonly uint NextUsed(uint cluster, uint end) => Next(cluster, end, 0);

    private readonly uint Next(uint cluster, uint end, ulong flip)
    {
        while (cluster < end)
        {
            uint bit = cluster - ExFatBootSector.FirstCluster;
            ulong wanted = (words[bit / 64] ^ flip) >> (int)(bit % 64);
            if (wanted != 0)
            {
                uint distance = (uint)BitOperations.TrailingZeroCount(wanted);
                return distance < end - cluster ? cluster + distance : end;
            }
            uint toNextWord = 64 - bit % 64;
            if (toNextWord >= end - cluster) break;
            cluster += toNextWord;
        }
        return end;
    }

    private void MarkDirty(uint first, uint count)
    {
        if (count == 0) return;
        int bitShift = sectorShift + 3;
        uint from = first - ExFatBootSector.FirstCluster >> bitShift, to = first - ExFatBootSector.FirstCluster + count - 1 >> bitShift;
        MarkSectorsDirty(from, to - from + 1);
    }

    public void MarkSectorsDirty(uint first, uint count)
    {
        for (uint sector = first; sector < first + count; sector++)
        {
            ulong bit = 1UL << (int)(sector % 64);
            if ((dirty[sector / 64] & bit) == 0) dirtySectors++;
            dirty[sector / 64] |= bit;
        }
    }

    /// <summary>Takes over what another bitmap of the volume says; sectors that differ become dirty.</summary>
    public void ReplaceBy(ExFatBitmap* other)
    {
        int wordShift = sectorShift - 3;
        for (uint i = 0; i < MemoryWords; i++)
        {
            if (words[i] == other->words[i]) continue;
            words[i] = other->words[i];
            MarkSectorsDirty(i >> wordShift, 1);
        }
        CountFree();
    }

    public readonly bool IsDirty => dirtySectors != 0;

    /// <summary>A write of dirty sectors, which count as clean from here on: what changes while they are written makes them dirty again.</summary>
    public BlockStep WriteDirty(out uint first, out uint count)
    {
        first = 0;
        while (dirty[first / 64] == 0) first += 64;
        first += (uint)BitOperations.TrailingZeroCount(dirty[first / 64]);
        count = 0;
        while (first + count < sectors && (dirty[(first + count) / 64] >> (int)((first + count) % 64) & 1) != 0 && count + 1 << sectorShift <= MaximumWriteBytes)
        {
            dirty[(first + count) / 64] &= ~(1UL << (int)((first + count) % 64));
            dirtySectors--;
            count++;
        }
        return BlockStep.Metadata(StepKind.Write, OffsetOnDisk + ((ulong)first << sectorShift), Memory + ((ulong)first << sectorShift), count << sectorShift);
    }
}
