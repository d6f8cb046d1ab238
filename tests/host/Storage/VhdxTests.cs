// VHDX: against qemu-img both ways, past 4 GiB, sectors of 512 and 4096, differencing chains, discards.
using System;
using System.Collections.Generic;
using System.IO;
using Lamina.Drivers.Storage.Images;
using Xunit;
using static Lamina.Tests.Host.Storage.ImageContent;

namespace Lamina.Tests.Host.Storage;

public class VhdxTests
{
    private const int MiB = 1 << 20;

    [ProgramTheory("qemu-img", "qemu-utils")]
    [InlineData("subformat=fixed", true)]
    [InlineData("subformat=dynamic", false)]
    [InlineData("subformat=dynamic,block_size=1M,block_state_zero=off", false)]
    [InlineData("subformat=dynamic,block_size=256M,log_size=4M", false)]
    public void ReadsAndWritesWhatQemuMade(string options, bool isFixed) => Temporary(folder =>
    {
        Random random = new(7);
        SparseFile raw = new() { Length = 17 * MiB };
        for (int i = 0; i < 6; i++) raw.Write(random.Next(16 * MiB), Pattern(random, 70000));
        string rawPath = Path.Combine(folder, "a.raw"), vhdxPath = Path.Combine(folder, "a.vhdx");
        raw.Save(rawPath);
        Programs.Run("qemu-img", "convert", "-f", "raw", "-O", "vhdx", "-o", options, rawPath, vhdxPath);
        SparseFile file = SparseFile.Load(vhdxPath);
        using VhdxUnderTest image = VhdxUnderTest.Opened(file);
        Assert.Equal(isFixed, image.Image.IsFixed);
        AssertEqual(raw, image);
        for (int i = 0; i < 20; i++)
        {
            ulong offset = 512 * (ulong)random.Next(30000);
            byte[] data = Pattern(random, 512 * (1 + random.Next(200)));
            Assert.Equal(ImageStatus.Success, image.Write(offset, data));
            raw.Write((long)offset, data);
        }
        Assert.Equal(ImageStatus.Success, image.Close());
        raw.Save(rawPath);
        file.Save(vhdxPath);
        Assert.Contains("No errors", Programs.Run("qemu-img", "check", "-f", "vhdx", vhdxPath));
        Programs.Run("qemu-img", "compare", "-f", "vhdx", "-F", "raw", vhdxPath, rawPath);
    });

    /// <summary>The 4 GiB that a sector bitmap block covers end within the disk: its entry lies between those of the blocks.</summary>
    [ProgramFact("qemu-img", "qemu-utils")]
    public void ReadsWhatQemuMadePastFourGibibytes() => Temporary(folder =>
    {
        const long size = 9L << 30;
        string rawPath = Path.Combine(folder, "a.raw"), vhdxPath = Path.Combine(folder, "a.vhdx");
        Random random = new(4);
        SparseFile raw = new() { Length = size };
        List<(long Offset, byte[] Data)> places = [];
        foreach (long offset in new[] { 0, (4L << 30) - 4096, (4L << 30) + 40960, (8L << 30) - 512, size - 65536 })
        {
            places.Add((offset, Pattern(random, 65536)));
            raw.Write(offset, places[^1].Data);
        }
        raw.Save(rawPath);
        Programs.Run("qemu-img", "convert", "-f", "raw", "-O", "vhdx", "-o", "subformat=dynamic,block_size=1M", rawPath, vhdxPath);
        using VhdxUnderTest image = VhdxUnderTest.Opened(SparseFile.Load(vhdxPath), writable: false);
        Assert.Equal((ulong)size, image.VirtualBytes);
        foreach (var (offset, _) in places)
        {
            byte[] expected = new byte[65536];
            raw.Read(offset, expected);
            Assert.Equal(expected, image.Read((ulong)offset, expected.Length));
        }
        Assert.Equal(new byte[MiB], image.Read(5UL << 30, MiB));
    });

    [ProgramTheory("qemu-img", "qemu-utils")]
    [InlineData(VhdxType.Fixed, 20UL << 20, 1u << 20, 512u)]
    [InlineData(VhdxType.Fixed, (20UL << 20) + 512, 0u, 512u)]
    [InlineData(VhdxType.Dynamic, (20UL << 20) + 512, 0u, 512u)]
    [InlineData(VhdxType.Dynamic, 20UL << 20, 1u << 20, 512u)]
    [InlineData(VhdxType.Dynamic, 600UL << 20, 256u << 20, 512u)]
    public void QemuReadsWhatWeMade(VhdxType type, ulong size, uint block, uint sector) => Temporary(folder =>
    {
        SparseFile file = VhdxUnderTest.Create(type, size, block, sector);
        string rawPath = Path.Combine(folder, "a.raw"), vhdxPath = Path.Combine(folder, "a.vhdx");
        file.Save(vhdxPath);
        Assert.Contains("No errors", Programs.Run("qemu-img", "check", "-f", "vhdx", vhdxPath));
        using VhdxUnderTest image = VhdxUnderTest.Opened(file);
        SparseFile raw = WriteRandomly(new(3), image, 12, size);
        Assert.Equal(ImageStatus.Success, image.Close());
        raw.Save(rawPath);
        file.Save(vhdxPath);
        Assert.Contains("No errors", Programs.Run("qemu-img", "check", "-f", "vhdx", vhdxPath));
        Programs.Run("qemu-img", "compare", "-f", "vhdx", "-F", "raw", vhdxPath, rawPath);
        if (size > 1UL << 30) return;
        using VhdxUnderTest again = VhdxUnderTest.Opened(file);
        AssertEqual(raw, again);
    });

    /// <summary>Disks that nobody wants to compare as a whole.</summary>
    [ProgramTheory("qemu-io", "qemu-utils")]
    [InlineData(1UL << 40, 1u << 20)]
    [InlineData(64UL << 40, 0u)]
    public void QemuReadsWhatWeMadeOfAnySize(ulong size, uint block) => Temporary(folder =>
    {
        SparseFile file = VhdxUnderTest.Create(VhdxType.Dynamic, size, block);
        string path = Path.Combine(folder, "a.vhdx");
        List<string> reads = ["-r", "-f", "vhdx"];
        Random random = new(6);
        using (VhdxUnderTest image = VhdxUnderTest.Opened(file))
        {
            for (int i = 1; i < 20; i++)
            {
                ulong offset = i == 1 ? size - 65536 : (ulong)random.NextInt64((long)size / 512 - 128) * 512;
                byte[] data = new byte[65536];
                data.AsSpan().Fill((byte)i);
                Assert.Equal(ImageStatus.Success, image.Write(offset, data));
                reads.AddRange(["-c", $"read -P {i} {offset} {data.Length}"]);
            }
            Assert.Equal(ImageStatus.Success, image.Close());
        }
        file.Save(path);
        Assert.Contains("No errors", Programs.Run("qemu-img", "check", "-f", "vhdx", path));
        Assert.DoesNotContain("failed", Programs.Run("qemu-io", [.. reads, path]));
    });

    /// <summary>qemu-img replays our log as we do: an image that nobody closed, the place of the last commit made what it was before it.</summary>
    [ProgramFact("qemu-img", "qemu-utils")]
    public void QemuReplaysOurLog() => Temporary(folder =>
    {
        SparseFile file = VhdxUnderTest.Create(VhdxType.Dynamic, 40 * MiB, MiB);
        string rawPath = Path.Combine(folder, "a.raw"), vhdxPath = Path.Combine(folder, "a.vhdx");
        using VhdxUnderTest image = VhdxUnderTest.Opened(file);
        SparseFile raw = WriteRandomly(new(5), image, 9, 40 * MiB);
        byte[] bat = new byte[4096];
        file.Read((long)image.Image.Regions.Bat.Offset, bat);
        byte[] data = Pattern(new(1), 4096);
        Assert.True(image.Read(39 * MiB, MiB).AsSpan().IndexOfAnyExcept((byte)0) < 0);
        Assert.Equal(ImageStatus.Success, image.Write(39 * MiB, data));
        raw.Write(39 * MiB, data);
        file.Write((long)image.Image.Regions.Bat.Offset, bat);
        raw.Save(rawPath);
        file.Save(vhdxPath);
        Programs.Run("qemu-img", "check", "-r", "all", "-f", "vhdx", vhdxPath);
        Programs.Run("qemu-img", "compare", "-f", "vhdx", "-F", "raw", vhdxPath, rawPath);
        using VhdxUnderTest again = VhdxUnderTest.Opened(file);
        AssertEqual(raw, again);
    });

    [Theory]
    [InlineData(1u << 20, 512u)]
    [InlineData(0u, 512u)]
    [InlineData(0u, 4096u)]
    public void TheLargestDiskSparse(uint block, uint sector)
    {
        ulong size = block == 0 ? VhdxLayout.MaximumVirtualBytes : 2UL << 40;
        SparseFile file = VhdxUnderTest.Create(VhdxType.Dynamic, size, block, sector);
        Random random = new(5);
        (ulong, byte[])[] writes = new (ulong, byte[])[40];
        using (VhdxUnderTest image = VhdxUnderTest.Opened(file))
        {
            Assert.Equal((int)sector, image.SectorBytes);
            for (int i = 0; i < writes.Length; i++)
            {
                writes[i] = ((ulong)random.NextInt64((long)image.VirtualBytes / 4096 - 16) * 4096, Pattern(random, 4096 * 16));
                Assert.Equal(ImageStatus.Success, image.Write(writes[i].Item1, writes[i].Item2));
            }
            Assert.Equal(ImageStatus.Success, image.Write(image.VirtualBytes - 4096, writes[0].Item2[..4096]));
        }
        using VhdxUnderTest again = VhdxUnderTest.Opened(file);
        foreach (var (offset, data) in writes) Assert.True(data.AsSpan().SequenceEqual(again.Read(offset, data.Length)));
        Assert.Equal(writes[0].Item2[..4096], again.Read(size - 4096, 4096));
    }

    [Theory]
    [InlineData(1u << 20, 512u)]
    [InlineData(2u << 20, 512u)]
    [InlineData(32u << 20, 512u)]
    [InlineData(2u << 20, 4096u)]
    public void DifferencingChain(uint block, uint sector)
    {
        ulong size = 40 * MiB + sector;
        Random random = new(11);
        using VhdxUnderTest oldest = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size, MiB, sector));
        SparseFile raw = WriteRandomly(random, oldest, 10, size);
        using VhdxUnderTest middle = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Differencing, size, block, sector, oldest), oldest);
        using VhdxUnderTest child = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Differencing, size, 0, sector, middle), middle);
        SparseFile beneath = oldest.File.Clone();
        foreach (VhdxUnderTest image in new[] { middle, child })
        {
            AssertEqual(raw, image);
            for (int i = 0; i < 40; i++)
            {
                ulong offset = sector * (ulong)random.Next((int)(size / sector));
                byte[] data = Pattern(random, (int)Math.Min(sector * (ulong)(1 + random.Next(i % 8 == 0 ? 8000 : 100)), size - offset));
                Assert.Equal(ImageStatus.Success, image.Write(offset, data));
                raw.Write((long)offset, data);
            }
            AssertEqual(raw, image);
        }
        Assert.Equal(beneath.Length, oldest.File.Length);
        Assert.Equal(ImageStatus.Success, child.Close());
        using VhdxUnderTest again = VhdxUnderTest.Opened(child.File, middle, writable: false);
        AssertEqual(raw, again);
    }

    [Fact]
    public void ParentIsNamed()
    {
        SparseFile parentFile = VhdxUnderTest.Create(VhdxType.Dynamic, 4 * MiB);
        using VhdxUnderTest parent = VhdxUnderTest.Opened(parentFile);
        using VhdxUnderTest child = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Differencing, 4 * MiB, 0, 0, parent), parent);
        Assert.True(child.Image.HasParent);
        Assert.True(child.Image.VirtualDiskId.Equals(parent.Image.VirtualDiskId));
        Assert.Equal(@".\parent.vhdx", child.Locator("relative_path"));
        Assert.Equal(@"\\?\c:\disks\parent.vhdx", child.Locator("absolute_win32_path"));
        Assert.Null(child.Locator("volume_path"));
        Assert.Equal(38, child.Locator("parent_linkage").Length);
        Assert.True(child.Image.ParentLocator.IsParent(parent.Image.DataWriteGuid));
        // A discard of nothing, or opening, leaves it a parent; a write does not.
        using (VhdxUnderTest opened = VhdxUnderTest.Opened(parentFile))
        {
            Assert.True(child.Image.ParentLocator.IsParent(opened.Image.DataWriteGuid));
            Assert.Equal(ImageStatus.Success, opened.Write(0, new byte[512]));
        }
        using VhdxUnderTest written = VhdxUnderTest.Opened(parentFile);
        Assert.False(child.Image.ParentLocator.IsParent(written.Image.DataWriteGuid));
    }

    [Theory]
    [InlineData(VhdxType.Fixed)]
    [InlineData(VhdxType.Dynamic)]
    [InlineData(VhdxType.Differencing)]
    public void DiscardsAndZeros(VhdxType type)
    {
        const int size = 9 * MiB + 512;
        Random random = new(21);
        using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size, MiB));
        SparseFile raw = type == VhdxType.Differencing ? WriteRandomly(random, parent, 30, size) : new() { Length = size };
        SparseFile file = VhdxUnderTest.Create(type, size, MiB, 0, type == VhdxType.Differencing ? parent : null);
        long longest = 0;
        for (int round = 0; round < 8; round++)
        {
            using VhdxUnderTest image = VhdxUnderTest.Opened(file, parent);
            for (int i = 0; i < 20; i++)
            {
                ulong offset = 512 * (ulong)random.Next(size / 512);
                byte[] data = Pattern(random, (int)Math.Min(512u * (ulong)(1 + random.Next(4000)), size - offset));
                ImageOperation operation = random.Next(3) switch { 0 => ImageOperation.Write, 1 => ImageOperation.WriteZeros, _ => ImageOperation.Discard };
                Assert.Equal(ImageStatus.Success, image.Run(operation, offset, data));
                if (operation == ImageOperation.Write) raw.Write((long)offset, data);
                else if (operation == ImageOperation.WriteZeros) raw.Write((long)offset, new byte[data.Length]);
                else
                {
                    // Whole blocks read zero, of a fixed disk nothing changes.
                    long first = ((long)offset + MiB - 1) / MiB * MiB, end = (long)offset + data.Length;
                    if (end != size) end = end / MiB * MiB;
                    if (type != VhdxType.Fixed && end > first) raw.Write(first, new byte[end - first]);
                }
            }
            AssertEqual(raw, image);
            Assert.Equal(ImageStatus.Success, image.Close());
            if (round == 3) longest = file.Length;
        }
        // Room of blocks that were given up is used again: without that every round adds blocks.
        if (type != VhdxType.Fixed) Assert.True(file.Length <= longest + 12 * MiB, $"grew from {longest} to {file.Length}");
    }

    [Fact]
    public void ClosedIsClosed()
    {
        SparseFile file = VhdxUnderTest.Create(VhdxType.Dynamic, 8 * MiB, MiB);
        using VhdxUnderTest image = VhdxUnderTest.Opened(file);
        Assert.Equal(ImageStatus.Success, image.Write(0, new byte[512]));
        using (VhdxUnderTest early = new(file, writable: false)) Assert.Equal(ImageStatus.NeedsReplay, early.Open());
        Assert.Equal(ImageStatus.Success, image.Close());
        Assert.Equal(ImageStatus.ReadOnly, image.Write(0, new byte[512]));
        Assert.Equal(new byte[512], image.Read(0, 512));
        using VhdxUnderTest reader = VhdxUnderTest.Opened(file, writable: false);
        Assert.Equal(ImageStatus.ReadOnly, reader.Write(0, new byte[512]));
    }

    [Fact]
    public void RequestsOutsideTheDiskAreRefused()
    {
        using VhdxUnderTest image = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, 4 * MiB, 0, 4096));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(4 * MiB, new byte[4096]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(4 * MiB - 4096, new byte[8192]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(ulong.MaxValue - 4095, new byte[8192]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(512, new byte[4096]));
        Assert.Equal(ImageStatus.OutOfRange, image.Write(0, new byte[512]));
        Assert.Equal(ImageStatus.Success, image.Write(4 * MiB, []));
    }

    [Theory]
    [InlineData(VhdxType.Dynamic)]
    [InlineData(VhdxType.Differencing)]
    public void FailingStepsLeaveTheImageUsable(VhdxType type)
    {
        const int size = 6 * MiB;
        Random random = new(9);
        for (int round = 0; round < 20; round++)
        {
            using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size));
            SparseFile file = VhdxUnderTest.Create(type, size, MiB, 0, parent);
            SparseFile raw = new() { Length = size };
            using VhdxUnderTest image = VhdxUnderTest.Opened(file, parent);
            for (int i = 0; i < 60; i++)
            {
                int offset = 512 * random.Next(size / 512 - 3000), countdown = random.Next(16);
                byte[] data = Pattern(random, 512 * (1 + random.Next(i % 4 == 0 ? 3000 : 40)));
                ImageOperation operation = i % 3 == 0 ? ImageOperation.WriteZeros : ImageOperation.Write;
                file.Fail = _ => countdown-- == 0;
                bool failed = image.Run(operation, (ulong)offset, data) != ImageStatus.Success;
                file.Fail = _ => false;   // what a failed write leaves is undefined: do it again
                if (failed) Assert.Equal(ImageStatus.Success, image.Run(operation, (ulong)offset, data));
                if (operation == ImageOperation.WriteZeros) data.AsSpan().Clear();
                raw.Write(offset, data);
            }
            AssertEqual(raw, image);
            if (round % 2 == 0) Assert.Equal(ImageStatus.Success, image.Close());
            using VhdxUnderTest again = VhdxUnderTest.Opened(file, parent);
            AssertEqual(raw, again);
        }
    }

    /// <summary>A block that found no room must not be missed when power fails after that: the image is opened on the volume as it is.</summary>
    [Fact]
    public void OnAFullVolumeTheLogAsksForNoMoreRoom()
    {
        SparseFile file = VhdxUnderTest.Create(VhdxType.Dynamic, 64 * MiB, 8 * MiB);
        byte[] data = Pattern(new(1), 4096);
        using (VhdxUnderTest image = VhdxUnderTest.Opened(file))
        {
            Assert.Equal(ImageStatus.Success, image.Write(0, data));
            Assert.Equal(ImageStatus.Success, image.Write(8 * MiB, data));
            file.Room = (ulong)file.Length;
            Assert.Equal(ImageStatus.InputOutputError, image.Write(16 * MiB, data));
            Assert.Equal(ImageStatus.Success, image.Run(ImageOperation.WriteZeros, 0, new byte[8 * MiB]));
        }
        using VhdxUnderTest again = new(file);
        Assert.Equal(ImageStatus.Success, again.Open());
        Assert.Equal(data, again.Read(8 * MiB, data.Length));
    }

    /// <summary>However blocks are given up in between, the last one finds room: bitmaps come to lie where blocks were.</summary>
    [Fact]
    public void BitmapsInPlacesOfBlocksTakeNoRoomFromOthers()
    {
        const uint block = 32 * MiB;
        const ulong perBitmap = 4UL << 30, size = 2 * perBitmap;
        using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size, block));
        using VhdxUnderTest image = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Differencing, size, block, 0, parent), parent);
        byte[] data = Pattern(new(1), 512);
        for (ulong at = 0; at < perBitmap; at += block) Assert.Equal(ImageStatus.Success, image.Write(at, data));
        Assert.Equal(ImageStatus.Success, image.Run(ImageOperation.Discard, 5 * block, new byte[block]));
        for (ulong at = perBitmap; at < size; at += block) Assert.Equal(ImageStatus.Success, image.Write(at, data));
        Assert.Equal(ImageStatus.Success, image.Write(5 * block, data));
        for (ulong at = 0; at < size; at += block) Assert.Equal(data, image.Read(at, data.Length));
    }

    /// <summary>An entry of the log that failed may be there all the same: what came after it counts.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhatFailedDoesNotComeBack(bool logIsActive)
    {
        SparseFile file = VhdxUnderTest.Create(VhdxType.Fixed, 4 * MiB, MiB);
        file.Write(2 * MiB + (64 << 10) + 4, new byte[4]);   // all blocks are there, but may be given up
        byte[] first = Pattern(new(1), MiB), second = Pattern(new(2), 4096);
        using (VhdxUnderTest image = VhdxUnderTest.Opened(file))
        {
            Assert.Equal(ImageStatus.Success, image.Write(MiB, first));
            if (logIsActive) Assert.Equal(ImageStatus.Success, image.Run(ImageOperation.Discard, 3 * MiB, new byte[MiB]));
            int flushes = 0;
            file.Fail = step => step == StepKind.Flush && ++flushes == (logIsActive ? 2 : 4);
            Assert.Equal(ImageStatus.InputOutputError, image.Run(ImageOperation.Discard, MiB, new byte[MiB]));
            file.Fail = _ => false;
            Assert.Equal(ImageStatus.Success, image.Write(MiB, second));
            Assert.Equal(ImageStatus.Success, image.Flush());
        }
        using VhdxUnderTest again = VhdxUnderTest.Opened(file);
        Assert.Equal(second, again.Read(MiB, second.Length));
    }

    [Theory]
    [InlineData(VhdxType.Fixed, 1u << 20, 512u)]
    [InlineData(VhdxType.Dynamic, 1u << 20, 512u)]
    [InlineData(VhdxType.Dynamic, 2u << 20, 4096u)]
    [InlineData(VhdxType.Differencing, 1u << 20, 512u)]
    [InlineData(VhdxType.Differencing, 1u << 20, 4096u)]
    public void PowerMayFailAtAnyWrite(VhdxType type, uint block, uint sector)
    {
        const ulong size = 3 * MiB;
        for (int seed = 0; seed < 3 * Fuzz.Factor; seed++)
        {
            using VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, size, 0, sector));
            if (type == VhdxType.Differencing) PowerLoss.Fill(parent, 1);
            SparseFile file = VhdxUnderTest.Create(type, size, block, sector, type == VhdxType.Differencing ? parent : null);
            uint initial = type == VhdxType.Differencing ? 1u : 0;
            PowerLoss.Check(seed, file, (int)block / 512, 60, initial, f => new VhdxUnderTest(f) { Parent = parent });
        }
    }
}
