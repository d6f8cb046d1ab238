// Damaged exFAT volumes, mounted and used all the same: nothing may hang, leave the volume or write where it may not.
using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed class ExFatFuzzTests
{
    private const int ClusterBytes = 1024;
    private static readonly string[] Names = ["/one", "/d/two", "/d/three three three three", "/d/e/four"];

    /// <summary>Where things are on the volume that <see cref="Populated"/> makes.</summary>
    private sealed record Layout(SparseFile File, long Fat, int FatEntries, long[] Directories);

    private static Layout Populated()
    {
        SparseFile file = ExFatUnderTest.Format(1 << 20, ClusterBytes);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        volume.Create("d", true);
        volume.Create("d/e", true);
        List<ExFatUnderTest.OpenFile> files = [.. Names.Select(name => volume.Created(name))];
        for (int round = 0; round < 6; round++)
            foreach (ExFatUnderTest.OpenFile one in files)
            {
                one.Write((ulong)round * 2048, new byte[2048]);
                one.Flush();
            }
        foreach (ExFatUnderTest.OpenFile one in files) one.Close();
        volume.Unmount();
        byte[] boot = new byte[512];
        file.Read(0, boot);
        long fat = BinaryPrimitives.ReadUInt32LittleEndian(boot.AsSpan(80)) * 512L, heap = BinaryPrimitives.ReadUInt32LittleEndian(boot.AsSpan(88)) * 512L;
        long root = heap + (BinaryPrimitives.ReadUInt32LittleEndian(boot.AsSpan(96)) - 2) * ClusterBytes;
        return new(file, fat, (int)BinaryPrimitives.ReadUInt32LittleEndian(boot.AsSpan(92)) + 2, [root, .. Directories(file, heap, root)]);
    }

    private static IEnumerable<long> Directories(SparseFile file, long heap, long at)
    {
        byte[] entries = new byte[ClusterBytes];
        file.Read(at, entries);
        for (int i = 0; i < ClusterBytes; i += 32)
        {
            if (entries[i] != 0x85 || (entries[i + 4] & 0x10) == 0) continue;
            long found = heap + (BinaryPrimitives.ReadUInt32LittleEndian(entries.AsSpan(i + 52)) - 2) * ClusterBytes;
            yield return found;
            foreach (long below in Directories(file, heap, found)) yield return below;
        }
    }

    [Fact]
    public void DamagedVolumesAreHarmless()
    {
        Random random = new(4);
        Layout layout = Populated();
        int mounted = 0, opened = 0, recovered = 0;
        for (int i = 0; i < 1500 * Fuzz.Factor; i++)
        {
            SparseFile file = layout.File.Clone();
            for (int k = 1 + random.Next(4); k > 0; k--) Damage(random, file, layout);
            using ExFatUnderTest volume = new(file) { MemoryLimit = 1 << 20 };
            if (volume.Mount() != ImageStatus.Success) continue;
            mounted++;
            if (random.Next(2) == 0 && volume.Recover(out _) == ImageStatus.Success) recovered++;
            opened += Use(random, volume);
            volume.Unmount();
        }
        Assert.True(mounted > 200 && opened > 300 && recovered > 50, $"only {mounted} volumes mounted, {opened} files opened, {recovered} recoveries");
    }

    private static int Use(Random random, ExFatUnderTest volume)
    {
        int opened = 0;
        List<ExFatUnderTest.OpenFile> files = [];
        foreach (string name in Names)
        {
            if (volume.Open(name, random.Next(3) != 0, out ExFatUnderTest.OpenFile file, runs: 1 + (uint)random.Next(40)) != ImageStatus.Success) continue;
            opened++;
            files.Add(file);
            for (int k = 0; k < 4; k++)
            {
                ulong offset = 512 * (ulong)random.NextInt64((long)Math.Min(file.Length, 1 << 20) / 512 + 20);
                file.Run((ExFatOperation)random.Next(3), offset, new byte[512 * random.Next(20)]);
            }
            if (random.Next(4) == 0) file.Resize((ulong)random.Next(20000));
            if (random.Next(6) == 0) file.Remove();
        }
        for (int k = 0; k < 3; k++) volume.Create($"/d/new {new string('x', random.Next(200))}", random.Next(2) == 0);
        foreach (ExFatUnderTest.OpenFile file in files) file.Abandon();
        return opened;
    }

    private static void Damage(Random random, SparseFile file, Layout layout)
    {
        switch (random.Next(5))
        {
            case 0:
                Poke(random, file, random.Next(3) == 0 ? random.Next(512) : 64 + random.Next(60), 1 + random.Next(4));
                if (random.Next(4) != 0) SealBoot(file, 0);
                break;
            case 1:
                int entry = random.Next(layout.FatEntries);
                byte[] link = new byte[4];
                BinaryPrimitives.WriteInt32LittleEndian(link, random.Next(4) == 0 ? random.Next() : random.Next(Math.Min(layout.FatEntries, 60)));
                file.Write(layout.Fat + Math.Min(entry, random.Next(4) == 0 ? entry : entry % 60) * 4L, link);
                break;
            default:
                long directory = layout.Directories[random.Next(layout.Directories.Length)];
                Poke(random, file, directory + random.Next(ClusterBytes), 1 + random.Next(4));
                if (random.Next(4) != 0) SealSets(file, directory);
                break;
        }
    }

    private static void Poke(Random random, SparseFile file, long at, int count)
    {
        for (int i = 0; i < count; i++) file.Write(at + i, [Fuzz.Byte(random)]);
    }

    private static void SealBoot(SparseFile file, long at)
    {
        byte[] region = new byte[12 * 512];
        file.Read(at, region);
        uint sum = 0;
        for (int i = 0; i < 11 * 512; i++)
            if (i is not (106 or 107 or 112)) sum = uint.RotateRight(sum, 1) + region[i];
        for (int i = 11 * 512; i < region.Length; i += 4) BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(i), sum);
        file.Write(at, region);
    }

    private static void SealSets(SparseFile file, long directory)
    {
        byte[] entries = new byte[ClusterBytes];
        file.Read(directory, entries);
        for (int at = 0; at < ClusterBytes; at += 32)
        {
            int length = (entries[at + 1] + 1) * 32;
            if (entries[at] != 0x85 || at + length > ClusterBytes) continue;
            ushort sum = 0;
            for (int i = 0; i < length; i++)
                if (i is not (2 or 3)) sum = (ushort)((ushort)(sum << 15 | sum >> 1) + entries[at + i]);
            BinaryPrimitives.WriteUInt16LittleEndian(entries.AsSpan(at + 2), sum);
        }
        file.Write(directory, entries);
    }

    [Fact]
    public void TheBackupBootRegionServesWhenTheMainOneIsDamaged()
    {
        foreach (int sectorBytes in new[] { 512, 1024, 2048, 4096 })
        {
            SparseFile file = ExFatUnderTest.Format(4 << 20, 4096, sectorBytes);
            using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
            {
                volume.Created("a").Write(0, new byte[512]);
            }
            file.Write(100, [0xFF]);   // no checksum fits any more
            using ExFatUnderTest again = ExFatUnderTest.Mounted(file);
            Assert.True(again.Volume.FromBackup && !again.Volume.IsWritable);
            Assert.Equal(ImageStatus.ReadOnly, again.Open("a", true, out _));
            Assert.Equal(ImageStatus.ReadOnly, again.Create("b"));
            Assert.Equal(ImageStatus.Success, again.Open("a", false, out _));
            file.Write(12 * sectorBytes + 100, [0xFF]);
            using ExFatUnderTest third = new(file);
            Assert.Equal(ImageStatus.Invalid, third.Mount());
        }
    }

    [Fact]
    public void WhatIsBeyondUsIsRefused()
    {
        ImageStatus Mounted(Action<SparseFile> change)
        {
            SparseFile file = ExFatUnderTest.Format(2 << 20);
            change(file);
            SealBoot(file, 0);
            using ExFatUnderTest volume = new(file);
            return volume.Mount();
        }
        Assert.Equal(ImageStatus.Success, Mounted(_ => { }));
        Assert.Equal(ImageStatus.Unsupported, Mounted(file => file.Write(110, [2])));      // TexFAT
        Assert.Equal(ImageStatus.Unsupported, Mounted(file => file.Write(105, [2])));      // revision 2.00
        Assert.Equal(ImageStatus.Invalid, Mounted(file => file.Length = 1 << 20));         // the volume is longer than the disk
        using ExFatUnderTest small = new(ExFatUnderTest.Format(2 << 20)) { MemoryLimit = 1000 };
        Assert.Equal(ImageStatus.NoMemory, small.Mount());
    }

    /// <summary>Every step fails once, anywhere: the planner says so, and the same operation done again leaves the volume as if nothing had been.</summary>
    [Fact]
    public void FailingStepsLeaveTheVolumeUsable()
    {
        Random random = new(3);
        for (int round = 0; round < 30 * Fuzz.Factor; round++)
        {
            SparseFile file = ExFatUnderTest.Format(2 << 20, 512 << random.Next(4));
            using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
            int countdown = -1;
            file.Fail = _ => countdown >= 0 && countdown-- == 0;
            ImageStatus Again(Func<ImageStatus> operation)
            {
                countdown = random.Next(12);
                ImageStatus status = operation();
                countdown = -1;
                return status == ImageStatus.InputOutputError ? operation() : status;
            }
            List<(ExFatUnderTest.OpenFile File, byte[] Content)> files = [];
            for (int i = 0; i < 3; i++)
            {
                // A write that failed may have been done.
                Assert.Contains(Again(() => volume.Create($"f{i}")), new[] { ImageStatus.Success, ImageStatus.Exists });
                files.Add((volume.Opened($"f{i}"), []));
            }
            for (int i = 0; i < 40; i++)
            {
                int which = random.Next(3), offset = 512 * random.Next(100);
                var (one, content) = files[which];
                byte[] data = new byte[512 * (1 + random.Next(30))];
                random.NextBytes(data);
                switch (random.Next(4))
                {
                    case 0: Assert.Equal(ImageStatus.Success, Again(one.Flush)); break;
                    case 1:
                        Assert.Equal(ImageStatus.Success, Again(() => one.Resize((ulong)offset)));
                        Array.Resize(ref content, offset);
                        break;
                    default:
                        Assert.Equal(ImageStatus.Success, Again(() => one.Write((ulong)offset, data)));
                        Array.Resize(ref content, Math.Max(content.Length, offset + data.Length));
                        data.CopyTo(content, offset);
                        break;
                }
                files[which] = (one, content);
            }
            foreach (var (one, content) in files)
            {
                Assert.Equal(ImageStatus.Success, one.Flush());
                one.Close();
            }
            Assert.Equal(ImageStatus.Success, Again(volume.Unmount));
            ExFatChecker checker = new(file);
            Assert.Empty(checker.Errors);
            for (int i = 0; i < 3; i++) Assert.Equal(files[i].Content, checker.Content($"/f{i}"));
        }
    }
}
