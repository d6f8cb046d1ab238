// Runs random requests against an image, several at a time, then cuts the power at every point of the writes that they caused: in front
// of the cut everything up to the last flush is on the disk, of what came later any sectors. What a guest had flushed must be there.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public static class PowerLoss
{
    private const int AtATime = 4, MaximumSectors = 24;

    private sealed class Running
    {
        public ImageUnderTest.Request Request;
        public ImageOperation Operation;
        public int First, Count;
        public uint[] CompletedBefore;   // of a flush: what it promises
        public bool Changes => Operation is ImageOperation.Write or ImageOperation.WriteZeros;
    }

    /// <summary>Which versions are zeros.</summary>
    private sealed class Zeroed : HashSet<(int Sector, uint Version)>
    {
        /// <summary>What a sector of a version reads as: zeros are version 0.</summary>
        public uint Seen(int sector, uint version) => Contains((sector, version)) ? 0 : version;

        /// <summary>Whether what is seen is one of a range of versions.</summary>
        public bool IsOneOf(int sector, uint seen, uint from, uint to)
        {
            for (uint version = from; version <= to; version++)
                if (Seen(sector, version) == seen) return true;
            return false;
        }
    }

    /// <summary>What was promised from a place in the log on, and what had been begun there.</summary>
    private readonly record struct Moment(int LogIndex, uint[] Promised, uint[] Begun);

    /// <param name="blockSectors">Requests are placed on a few blocks of this size, so that they meet.</param>
    /// <param name="initial">The version that every sector has at first: 0 for zeros, else what <see cref="Fill"/> wrote to a parent.</param>
    public static void Check(int seed, SparseFile start, int blockSectors, int requests, uint initial, Func<SparseFile, ImageUnderTest> open)
    {
        Random random = new(seed);
        SparseFile before = start.Clone();
        start.Log = [];
        List<Moment> moments = [];
        Zeroed zeroed = [];
        using (ImageUnderTest image = open(start))
        {
            Assert.Equal(ImageStatus.Success, image.Open());
            Drive(random, image, blockSectors, requests, initial, moments, zeroed);
        }
        int stride = Math.Max(1, start.Log.Count / 60);
        for (int cut = random.Next(stride); cut <= start.Log.Count; cut += 1 + random.Next(2 * stride - 1))
            CheckCut(random, before, start.Log, cut, moments.FindLast(m => m.LogIndex <= cut), zeroed, open);
    }

    /// <summary>Gives every sector of a (small) image a version: what shows through a child must be this, not zeros that were never written.</summary>
    public static void Fill(ImageUnderTest image, uint version)
    {
        byte[] data = new byte[image.VirtualBytes];
        for (int i = 0; i < data.Length / 512; i++) Stamp(data.AsSpan(i * 512, 512), i, version);
        Assert.Equal(ImageStatus.Success, image.Write(0, data));
    }

    private static void Drive(Random random, ImageUnderTest image, int blockSectors, int requests, uint initial, List<Moment> moments, Zeroed zeroed)
    {
        int sectors = (int)Math.Min(image.VirtualBytes / 512, 1 << 20), blocks = (sectors + blockSectors - 1) / blockSectors;
        uint[] begun = new uint[sectors], completed = new uint[sectors], promised = new uint[sectors];
        foreach (uint[] versions in new[] { begun, completed, promised }) versions.AsSpan().Fill(initial);
        moments.Add(new(image.File.Log.Count, [.. promised], [.. begun]));
        List<Running> running = [];
        for (int started = 0; started < requests || running.Count != 0;)
        {
            if (started < requests && running.Count < AtATime && random.Next(3) == 0)
            {
                started++;
                Running next = new() { Operation = random.Next(8) switch { 0 => ImageOperation.Flush, 1 => ImageOperation.Read, 2 => ImageOperation.WriteZeros, _ => ImageOperation.Write } };
                // Of 512 bytes each, as loss of power tears them, in whole sectors of the disk.
                int whole = image.SectorBytes / 512;
                next.First = Math.Min(sectors - 1, random.Next(blocks) * blockSectors + random.Next(blockSectors)) / whole * whole;
                next.Count = Math.Min((1 + random.Next(MaximumSectors)) * whole, sectors - next.First);
                // Zeros of a whole block: formats may give it up.
                if (next.Operation == ImageOperation.WriteZeros && random.Next(2) == 0)
                {
                    next.First = next.First / blockSectors * blockSectors;
                    next.Count = Math.Min(blockSectors, sectors - next.First);
                }
                // The order of overlapping requests is not defined: have none at the same time.
                if (running.Any(r => r.Operation != ImageOperation.Flush && r.First < next.First + next.Count && next.First < r.First + r.Count)) continue;
                byte[] data = next.Operation == ImageOperation.Flush ? [] : new byte[next.Count * 512];
                if (next.Operation == ImageOperation.Write)
                    for (int i = 0; i < next.Count; i++) Stamp(data.AsSpan(i * 512, 512), next.First + i, ++begun[next.First + i]);
                for (int i = next.First; i < next.First + next.Count && next.Operation == ImageOperation.WriteZeros; i++) zeroed.Add((i, ++begun[i]));
                if (next.Operation == ImageOperation.Flush) next.CompletedBefore = [.. completed];
                next.Request = image.Start(next.Operation, (ulong)next.First * 512, data);
                running.Add(next);
            }
            if (running.Count == 0) continue;
            Running one = running[random.Next(running.Count)];
            // What was begun counts for every cut from here on, even one in front of this step.
            moments.Add(new(image.File.Log.Count, [.. promised], [.. begun]));
            if (one.Request.Step()) continue;
            Assert.Equal(ImageStatus.Success, one.Request.Status);
            running.Remove(one);
            one.Request.Dispose();
            for (int i = one.First; i < one.First + one.Count; i++)
                if (one.Changes) completed[i] = begun[i];
                else if (one.Operation == ImageOperation.Read) Assert.Equal(zeroed.Seen(i, begun[i]), VersionOf(one.Request.Data.AsSpan((i - one.First) * 512, 512), i));
            if (one.Operation == ImageOperation.Flush)
                for (int i = 0; i < sectors; i++) promised[i] = Math.Max(promised[i], one.CompletedBefore[i]);
            moments.Add(new(image.File.Log.Count, [.. promised], [.. begun]));
        }
    }

    /// <summary>What a disk may hold after power has failed in front of an entry of the log.</summary>
    private static SparseFile Cut(Random random, SparseFile before, List<(long Offset, byte[] Data)?> log, int cut)
    {
        int durable = cut == 0 ? 0 : log.FindLastIndex(cut - 1, entry => entry == null) + 1;
        int chance = random.Next(6);   // of a sector written after the last flush to be there, in quarters; 3: all; from 4 on: of a whole write, half
        SparseFile disk = before.Clone();
        for (int i = 0; i < cut; i++)
        {
            if (log[i] is not var (offset, data)) continue;
            if (i < durable || chance == 3 || (chance > 3 && random.Next(2) == 0)) disk.Write(offset, data);
            else if (chance < 3)
                for (int at = 0; at < data.Length; at += 512)
                    if (random.Next(4) < chance) disk.Write(offset + at, data.AsSpan(at, 512));
        }
        return disk;
    }

    private static void CheckCut(Random random, SparseFile before, List<(long Offset, byte[] Data)?> log, int cut, Moment moment, Zeroed zeroed, Func<SparseFile, ImageUnderTest> open)
    {
        SparseFile disk = Cut(random, before, log, cut);
        OpenWithFurtherLoss(random, ref disk, open);
        using ImageUnderTest image = open(disk);
        Assert.Equal(ImageStatus.Success, image.Open());
        byte[] all = image.Read(0, moment.Begun.Length * 512);
        for (int i = 0; i < moment.Begun.Length; i++)
        {
            uint version = VersionOf(all.AsSpan(i * 512, 512), i);
            Assert.True(zeroed.IsOneOf(i, version, moment.Promised[i], moment.Begun[i]),
                $"cut at {cut} of {log.Count}: sector {i} has version {version}, {moment.Promised[i]} was promised, {moment.Begun[i]} begun");
        }
        // The image must go on working: a write everywhere, read back after opening it again.
        for (int i = 0; i < moment.Begun.Length; i += 97)
        {
            byte[] sector = new byte[image.SectorBytes];
            int first = i * 512 / sector.Length * sector.Length;
            Stamp(sector, i, 77777);
            Assert.Equal(ImageStatus.Success, image.Write((ulong)first, sector));
            sector.CopyTo(all, first);
        }
        using ImageUnderTest again = open(disk);
        Assert.Equal(ImageStatus.Success, again.Open());
        Assert.True(all.AsSpan().SequenceEqual(again.Read(0, all.Length)));
    }

    /// <summary>Power may fail in the middle of a repair as well: what opening wrote is cut, a few times.</summary>
    private static void OpenWithFurtherLoss(Random random, ref SparseFile disk, Func<SparseFile, ImageUnderTest> open)
    {
        for (int times = random.Next(3); times > 0; times--)
        {
            SparseFile before = disk.Clone();
            disk.Log = [];
            using (ImageUnderTest image = open(disk)) Assert.Equal(ImageStatus.Success, image.Open());
            disk = Cut(random, before, disk.Log, random.Next(disk.Log.Count + 1));
        }
    }

    private static void Stamp(Span<byte> sector, int index, uint version)
    {
        for (int i = 0; i < sector.Length; i += 8)
        {
            BinaryPrimitives.WriteInt32LittleEndian(sector[i..], index);
            BinaryPrimitives.WriteUInt32LittleEndian(sector[(i + 4)..], version);
        }
    }

    private static uint VersionOf(ReadOnlySpan<byte> sector, int index)
    {
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(sector[4..]);
        byte[] expected = new byte[512];
        if (version != 0) Stamp(expected, index, version);
        Assert.True(sector.SequenceEqual(expected), $"sector {index} holds something that was never written there");
        return version;
    }
}
