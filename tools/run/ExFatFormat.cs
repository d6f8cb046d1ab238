// Writes an empty exFAT file system. exFAT specification 1.00.
using System;
using System.Buffers.Binary;
using System.IO;
using System.Text;

namespace Lamina.Tools.Run;

/// <summary>Where things lie on a volume of a size; all in bytes.</summary>
public sealed class ExFatFormat
{
    private const int RegionSectors = 12, EntryBytes = 32, LabelUnits = 11;
    private const uint FirstCluster = 2, EndOfChain = 0xFFFFFFFF;
    private const long MiB = 1 << 20;

    private readonly long size, fatAt, fatBytes, heapAt;
    private readonly int sectorShift, clusterShift;
    private readonly uint clusterCount, upCaseCluster, rootCluster;
    private readonly byte[] upCase;

    /// <param name="clusterBytes">0: by size, as Windows does.</param>
    public ExFatFormat(long size, int sectorBytes = 512, int clusterBytes = 0)
    {
        if (clusterBytes == 0) clusterBytes = Math.Max(sectorBytes, size <= 256 * MiB ? 4096 : size <= 32768 * MiB ? 32768 : 131072);
        if (size < MiB || sectorBytes is not (512 or 1024 or 2048 or 4096) || clusterBytes < sectorBytes || clusterBytes > 32 * MiB || !int.IsPow2(clusterBytes))
            throw new Failure($"an exFAT volume of {size} bytes, sectors of {sectorBytes} and clusters of {clusterBytes} cannot be");
        this.size = size;
        sectorShift = int.Log2(sectorBytes);
        clusterShift = int.Log2(clusterBytes);
        long boundary = size >= 64 * MiB ? MiB : Math.Max(4096, sectorBytes);
        fatAt = Align(2 * RegionSectors * sectorBytes, boundary);
        long most = Math.Min((size - fatAt) >> clusterShift, 0xFFFFFFF5);
        fatBytes = Align((most + FirstCluster) * 4, sectorBytes);
        heapAt = Align(fatAt + fatBytes, boundary);
        clusterCount = (uint)Math.Max(0, Math.Min((size - heapAt) >> clusterShift, 0xFFFFFFF5));
        upCase = UpCaseTable();
        upCaseCluster = FirstCluster + Clusters(BitmapBytes);
        rootCluster = upCaseCluster + Clusters(upCase.Length);
        if (rootCluster + 1 >= FirstCluster + clusterCount) throw new Failure($"{size} bytes are too few for an exFAT volume with clusters of {clusterBytes}");
    }

    private long BitmapBytes => (clusterCount + 7L) / 8;

    private static long Align(long value, long to) => (value + to - 1) / to * to;

    private uint Clusters(long bytes) => (uint)((bytes + (1L << clusterShift) - 1) >> clusterShift);

    /// <summary>Writes it at an offset; what the volume's free clusters held stays there.</summary>
    public void Write(Stream stream, long offset, string label)
    {
        if (label.Length > LabelUnits) throw new Failure($"the label \"{label}\" is longer than {LabelUnits} characters");
        byte[] region = BootRegion();
        Put(stream, offset, region);
        Put(stream, offset + region.Length, region);
        PutZeros(stream, offset + 2 * region.Length, fatAt - 2 * region.Length);
        PutZeros(stream, offset + fatAt, heapAt - fatAt);
        Put(stream, offset + fatAt, FatStart());
        PutZeros(stream, offset + heapAt, (long)(rootCluster + 1 - FirstCluster) << clusterShift);
        Put(stream, offset + heapAt, Bitmap());
        Put(stream, offset + ClusterOffset(upCaseCluster), upCase);
        Put(stream, offset + ClusterOffset(rootCluster), RootDirectory(label));
    }

    private long ClusterOffset(uint cluster) => heapAt + ((long)(cluster - FirstCluster) << clusterShift);

    private static void Put(Stream stream, long at, byte[] data)
    {
        stream.Position = at;
        stream.Write(data);
    }

    /// <summary>Only where there is something else, so that a sparse file stays one.</summary>
    private static void PutZeros(Stream stream, long at, long count)
    {
        byte[] buffer = new byte[1 << 16];
        for (long end = at + count; at < end;)
        {
            int length = (int)Math.Min(buffer.Length, end - at);
            stream.Position = at;
            int read = stream.ReadAtLeast(buffer.AsSpan(0, length), length, false);
            if (read < length || buffer.AsSpan(0, length).ContainsAnyExcept((byte)0)) Put(stream, at, new byte[length]);
            at += length;
        }
    }

    private byte[] BootRegion()
    {
        int sectorBytes = 1 << sectorShift;
        byte[] region = new byte[RegionSectors * sectorBytes];
        Span<byte> boot = region.AsSpan(0, sectorBytes);
        ((ReadOnlySpan<byte>)[0xEB, 0x76, 0x90]).CopyTo(boot);
        "EXFAT   "u8.CopyTo(boot[3..]);
        BinaryPrimitives.WriteInt64LittleEndian(boot[72..], size >> sectorShift);
        BinaryPrimitives.WriteUInt32LittleEndian(boot[80..], (uint)(fatAt >> sectorShift));
        BinaryPrimitives.WriteUInt32LittleEndian(boot[84..], (uint)(fatBytes >> sectorShift));
        BinaryPrimitives.WriteUInt32LittleEndian(boot[88..], (uint)(heapAt >> sectorShift));
        BinaryPrimitives.WriteUInt32LittleEndian(boot[92..], clusterCount);
        BinaryPrimitives.WriteUInt32LittleEndian(boot[96..], rootCluster);
        BinaryPrimitives.WriteUInt32LittleEndian(boot[100..], (uint)Random.Shared.NextInt64(1, uint.MaxValue));
        BinaryPrimitives.WriteUInt16LittleEndian(boot[104..], 0x0100);
        boot[108] = (byte)sectorShift;
        boot[109] = (byte)(clusterShift - sectorShift);
        boot[110] = 1;
        boot[111] = 0x80;
        boot[112] = (byte)((rootCluster + 1 - FirstCluster) * 100UL / clusterCount);
        boot[120..510].Fill(0xF4);   // HLT: nobody boots from here
        BinaryPrimitives.WriteUInt16LittleEndian(boot[510..], 0xAA55);
        for (int i = 1; i <= 8; i++) BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan((i + 1) * sectorBytes - 4), 0xAA550000);
        uint checksum = 0;
        for (int i = 0; i < (RegionSectors - 1) * sectorBytes; i++)
            if (i is not (106 or 107 or 112)) checksum = uint.RotateRight(checksum, 1) + region[i];
        for (int i = (RegionSectors - 1) * sectorBytes; i < region.Length; i += 4) BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(i), checksum);
        return region;
    }

    private byte[] FatStart()
    {
        byte[] fat = new byte[(rootCluster + 1) * 4];
        for (uint cluster = FirstCluster; cluster <= rootCluster; cluster++)
        {
            bool last = cluster + 1 == upCaseCluster || cluster + 1 == rootCluster || cluster == rootCluster;
            BinaryPrimitives.WriteUInt32LittleEndian(fat.AsSpan((int)cluster * 4), last ? EndOfChain : cluster + 1);
        }
        BinaryPrimitives.WriteUInt32LittleEndian(fat, 0xFFFFFFF8);
        BinaryPrimitives.WriteUInt32LittleEndian(fat.AsSpan(4), EndOfChain);
        return fat;
    }

    private byte[] Bitmap()
    {
        byte[] bitmap = new byte[BitmapBytes];
        for (uint bit = 0; bit <= rootCluster - FirstCluster; bit++) bitmap[bit / 8] |= (byte)(1 << (int)(bit % 8));
        return bitmap;
    }

    private byte[] RootDirectory(string label)
    {
        byte[] entries = new byte[3 * EntryBytes];
        entries[0] = label.Length == 0 ? (byte)0x03 : (byte)0x83;
        entries[1] = (byte)label.Length;
        Encoding.Unicode.GetBytes(label).CopyTo(entries, 2);
        TableEntry(entries.AsSpan(EntryBytes), 0x81, FirstCluster, BitmapBytes);
        Span<byte> table = entries.AsSpan(2 * EntryBytes);
        TableEntry(table, 0x82, upCaseCluster, upCase.Length);
        uint checksum = 0;
        foreach (byte b in upCase) checksum = uint.RotateRight(checksum, 1) + b;
        BinaryPrimitives.WriteUInt32LittleEndian(table[4..], checksum);
        return entries;
    }

    private static void TableEntry(Span<byte> entry, byte type, uint cluster, long length)
    {
        entry[0] = type;
        BinaryPrimitives.WriteUInt32LittleEndian(entry[20..], cluster);
        BinaryPrimitives.WriteInt64LittleEndian(entry[24..], length);
    }

    /// <summary>.NET's simple upper-case mappings of single units, with runs of units that map to themselves as FFFFh and their number.</summary>
    private static byte[] UpCaseTable()
    {
        using MemoryStream table = new();
        void Add(int unit) => table.Write([(byte)unit, (byte)(unit >> 8)]);
        for (int unit = 0; unit < 65536;)
        {
            int end = unit;
            while (end < 65536 && char.ToUpperInvariant((char)end) == end) end++;
            // The 128 mandatory mappings are listed one by one.
            if (unit >= 128 && end - unit > 2)
            {
                Add(0xFFFF);
                Add(end - unit);
                unit = end;
            }
            else Add(char.ToUpperInvariant((char)unit++));
        }
        return table.ToArray();
    }
}
