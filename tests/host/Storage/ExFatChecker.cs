// Reads a whole exFAT volume without any of the code under test, and says what is wrong with it.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Lamina.Tests.Host.Storage;

/// <summary>What a check found. Leaks and chains that are longer than their file are what loss of power may leave; an error is not.</summary>
public sealed class ExFatChecker
{
    private const uint EndOfChain = 0xFFFFFFFF;
    private readonly SparseFile file;
    private readonly int sectorShift, clusterShift;
    private readonly long fatAt, heapAt;
    private readonly uint clusterCount;
    private readonly Dictionary<uint, string> owners = [];
    private readonly List<(uint Cluster, string Of)> surplus = [];
    private byte[] bitmap = [];

    public sealed record Found(long Length, long Valid, uint[] Clusters, bool Contiguous);

    public List<string> Errors { get; } = [];
    /// <summary>Chains that go on behind what their file needs.</summary>
    public List<string> LongChains { get; } = [];
    public int LeakedClusters { get; }
    public bool Dirty { get; }
    public Dictionary<string, Found> Files { get; } = [];
    public List<string> Directories { get; } = [];

    public ExFatChecker(SparseFile file)
    {
        this.file = file;
        byte[] boot = Bytes(0, 512);
        sectorShift = boot[108];
        clusterShift = sectorShift + boot[109];
        fatAt = (long)U32(boot, 80) << sectorShift;
        heapAt = (long)U32(boot, 88) << sectorShift;
        clusterCount = U32(boot, 92);
        Dirty = (boot[106] & 2) != 0;
        if (Encoding.ASCII.GetString(boot, 3, 8) != "EXFAT   " || !ChecksumIsRight()) Errors.Add("boot region");
        uint[] root = Chain(U32(boot, 96), long.MaxValue, "the root directory");
        Own(root, "the root directory");
        ReadDirectory(root, "");
        foreach (var (cluster, owner) in owners)
            if (!IsMarked(cluster)) Errors.Add($"cluster {cluster} of {owner} is free by the bitmap");
        // Whoever deletes such a file frees its whole chain.
        foreach (var (cluster, of) in surplus)
            if (!IsMarked(cluster) || owners.ContainsKey(cluster)) Errors.Add($"the chain of {of} goes on into cluster {cluster}, which is {(IsMarked(cluster) ? owners[cluster] : "free")}");
        LeakedClusters = Enumerable.Range(2, (int)clusterCount).Count(cluster => IsMarked((uint)cluster) && !owners.ContainsKey((uint)cluster));
    }

    public byte[] Content(string path)
    {
        Found found = Files[path];
        byte[] data = new byte[found.Length];
        for (long at = 0; at < found.Valid; at += 1 << clusterShift)
            file.Read(Offset(found.Clusters[at >> clusterShift]), data.AsSpan((int)at, (int)Math.Min(1 << clusterShift, found.Valid - at)));
        return data;
    }

    private static uint U32(byte[] data, int at) => BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at));

    private byte[] Bytes(long at, int length)
    {
        byte[] data = new byte[length];
        file.Read(at, data);
        return data;
    }

    private bool ChecksumIsRight()
    {
        byte[] region = Bytes(0, 12 << sectorShift);
        uint sum = 0;
        for (int i = 0; i < 11 << sectorShift; i++)
            if (i is not (106 or 107 or 112)) sum = uint.RotateRight(sum, 1) + region[i];
        return Enumerable.Range(0, (1 << sectorShift) / 4).All(i => U32(region, (11 << sectorShift) + i * 4) == sum);
    }

    private long Offset(uint cluster) => heapAt + ((long)(cluster - 2) << clusterShift);

    private bool IsMarked(uint cluster) => bitmap.Length > (cluster - 2) / 8 && (bitmap[(cluster - 2) / 8] >> (int)((cluster - 2) % 8) & 1) != 0;

    private uint[] Chain(uint first, long wanted, string what)
    {
        List<uint> clusters = [];
        HashSet<uint> seen = [];
        for (uint cluster = first; clusters.Count < wanted;)
        {
            if (cluster < 2 || cluster - 2 >= clusterCount || !seen.Add(cluster))
            {
                Errors.Add($"{what}: its chain breaks behind {clusters.Count} of {wanted} clusters");
                return [.. clusters];
            }
            clusters.Add(cluster);
            cluster = U32(Bytes(fatAt + cluster * 4L, 4), 0);
            if (cluster == EndOfChain)
            {
                if (clusters.Count < wanted && wanted != long.MaxValue) Errors.Add($"{what}: its chain ends behind {clusters.Count} of {wanted} clusters");
                return [.. clusters];
            }
        }
        LongChains.Add(what);
        for (uint cluster = U32(Bytes(fatAt + clusters[^1] * 4L, 4), 0); cluster != EndOfChain; cluster = U32(Bytes(fatAt + cluster * 4L, 4), 0))
        {
            if (cluster < 2 || cluster - 2 >= clusterCount || !seen.Add(cluster))
            {
                Errors.Add($"{what}: its chain breaks behind its end");
                break;
            }
            surplus.Add((cluster, what));
        }
        return [.. clusters];
    }

    private void Own(uint[] clusters, string owner)
    {
        foreach (uint cluster in clusters)
            if (!owners.TryAdd(cluster, owner)) Errors.Add($"cluster {cluster} is of {owners[cluster]} and of {owner}");
    }

    private void ReadDirectory(uint[] clusters, string path)
    {
        byte[] data = new byte[clusters.Length << clusterShift];
        for (int i = 0; i < clusters.Length; i++) file.Read(Offset(clusters[i]), data.AsSpan(i << clusterShift, 1 << clusterShift));
        HashSet<string> names = [];
        for (int at = 0; at < data.Length && data[at] != 0; at += 32)
        {
            switch (data[at])
            {
                case 0x81:
                case 0x82:
                    long length = BinaryPrimitives.ReadInt64LittleEndian(data.AsSpan(at + 24));
                    uint[] table = Chain(U32(data, at + 20), (length + (1 << clusterShift) - 1) >> clusterShift, data[at] == 0x81 ? "the bitmap" : "the up-case table");
                    Own(table, data[at] == 0x81 ? "the bitmap" : "the up-case table");
                    if (data[at] != 0x81) break;
                    bitmap = new byte[table.Length << clusterShift];
                    for (int i = 0; i < table.Length; i++) file.Read(Offset(table[i]), bitmap.AsSpan(i << clusterShift, 1 << clusterShift));
                    break;
                case 0x85:
                    int entries = data[at + 1] + 1;
                    if (entries < 3 || at + entries * 32 > data.Length)
                    {
                        Errors.Add($"{path}: a set of {entries} entries");
                        break;
                    }
                    ReadSet(data.AsSpan(at, entries * 32).ToArray(), path, names);
                    at += (entries - 1) * 32;
                    break;
                case >= 0xC0: Errors.Add($"{path}: a secondary entry {data[at]:x} by itself"); break;
            }
        }
    }

    private void ReadSet(byte[] set, string path, HashSet<string> names)
    {
        ushort sum = 0;
        for (int i = 0; i < set.Length; i++)
            if (i is not (2 or 3)) sum = (ushort)((ushort)(sum << 15 | sum >> 1) + set[i]);
        string name = "";
        for (int i = 0; i < set[35]; i++) name += (char)BinaryPrimitives.ReadUInt16LittleEndian(set.AsSpan(64 + i / 15 * 32 + 2 + i % 15 * 2));
        string full = path + "/" + name;
        if (sum != BinaryPrimitives.ReadUInt16LittleEndian(set.AsSpan(2))) Errors.Add($"{full}: checksum");
        if (!names.Add(name.ToUpperInvariant())) Errors.Add($"{full} is there twice");
        long length = BinaryPrimitives.ReadInt64LittleEndian(set.AsSpan(56)), valid = BinaryPrimitives.ReadInt64LittleEndian(set.AsSpan(40));
        bool contiguous = (set[33] & 2) != 0, directory = (set[4] & 0x10) != 0;
        uint first = U32(set, 52), wanted = (uint)((length + (1 << clusterShift) - 1) >> clusterShift);
        if (set[32] != 0xC0 || valid > length || (wanted == 0) != (first == 0) || (set[33] & 1) == 0) Errors.Add($"{full}: its stream extension");
        uint[] clusters = wanted == 0 ? [] : contiguous ? [.. Enumerable.Range((int)first, (int)wanted).Select(c => (uint)c)] : Chain(first, wanted, full);
        Own(clusters, full);
        if (directory)
        {
            Directories.Add(full);
            if (length == 0 || valid != length || length % (1 << clusterShift) != 0) Errors.Add($"{full}: a directory's length");
            ReadDirectory(clusters, full);
        }
        else Files[full] = new Found(length, valid, clusters, contiguous);
    }
}
