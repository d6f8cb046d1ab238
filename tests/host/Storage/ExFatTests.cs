// exFAT: volumes, paths, files that grow and shrink, against a checker of our own and against exfatprogs.
using System;
using System.IO;
using System.Linq;
using Lamina.Drivers.Storage.FileSystems;
using Lamina.Drivers.Storage.Images;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed class ExFatTests
{
    private const int MiB = 1 << 20;

    private static byte[] Pattern(Random random, int length)
    {
        byte[] data = new byte[length];
        random.NextBytes(data);
        return data;
    }

    /// <summary>Our checker finds nothing, and neither does fsck.exfat where it is installed.</summary>
    internal static ExFatChecker AssertSound(SparseFile file, bool leaksAllowed = false)
    {
        ExFatChecker checker = new(file);
        Assert.Empty(checker.Errors);
        if (!leaksAllowed) Assert.Equal((0, 0), (checker.LeakedClusters, checker.LongChains.Count));
        if (!Programs.Has("fsck.exfat")) return checker;
        string path = Path.GetTempFileName();
        try
        {
            file.Save(path);
            Programs.Run("fsck.exfat", "-n", path);
        }
        finally { File.Delete(path); }
        return checker;
    }

    [Fact]
    public void AnEmptyVolumeMounts()
    {
        SparseFile file = ExFatUnderTest.Format(4 * MiB, label: "Lamina");
        AssertSound(file);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        Assert.Equal((4096u, 512u, true, false), (volume.Volume.ClusterBytes, volume.Volume.SectorBytes, volume.Volume.IsWritable, volume.Volume.WasDirty));
        Assert.Equal("Lamina", string.Concat(Enumerable.Range(0, (int)volume.Volume.LabelLength).Select(i => volume.Volume.Label((uint)i))));
    }

    [Fact]
    public void AFileIsWrittenAndFoundAgain()
    {
        Random random = new(1);
        SparseFile file = ExFatUnderTest.Format(8 * MiB);
        byte[] data = Pattern(random, 300 * 512);
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
        {
            Assert.Equal(ImageStatus.Success, volume.Create("/vms", directory: true));
            ExFatUnderTest.OpenFile disk = volume.Created(@"\vms\Debian 12 ä€𝄞.vhdx");
            Assert.Equal(ImageStatus.Success, disk.Write(0, data));
            Assert.Equal(ImageStatus.Success, disk.Flush());
            disk.Close();
            Assert.True(new ExFatChecker(file).Dirty);
            Assert.Equal(ImageStatus.Success, volume.Unmount());
        }
        ExFatChecker checker = AssertSound(file);
        Assert.False(checker.Dirty);
        Assert.Equal(data, checker.Content("/vms/Debian 12 ä€𝄞.vhdx"));
        using ExFatUnderTest again = ExFatUnderTest.Mounted(file);
        Assert.Equal(data, again.Opened("/VMS//DEBIAN 12 Ä€𝄞.VHDX", false).ReadAll());
        Assert.Equal(ImageStatus.NotFound, again.Open("/vms/debian", false, out _));
        Assert.Equal(ImageStatus.Exists, again.Create("/Vms/Debian 12 Ä€𝄞.VHDX"));
        Assert.Equal(ImageStatus.WrongKind, again.Open("/vms", false, out _));
    }

    [Fact]
    public void GrowthInOnePieceNeedsNoChainAndOtherwiseBecomesOne()
    {
        Random random = new(2);
        SparseFile file = ExFatUnderTest.Format(8 * MiB);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        ExFatUnderTest.OpenFile first = volume.Created("first"), second = volume.Created("second");
        byte[] a = Pattern(random, 100 * 4096), b = Pattern(random, 4096);
        Assert.Equal(ImageStatus.Success, first.Write(0, a[..(50 * 4096)]));
        Assert.Equal(ImageStatus.Success, first.Flush());
        Assert.Equal(ImageStatus.Success, second.Write(0, b));
        Assert.Equal(ImageStatus.Success, second.Flush());
        ExFatChecker checker = AssertSound(file);
        Assert.True(checker.Files["/first"].Contiguous && checker.Files["/second"].Contiguous);
        // The window behind the first file is left to it; on so small a volume there is nothing else, so the second lies in it all the same.
        Assert.Equal(ImageStatus.Success, first.Write(50 * 4096, a[(50 * 4096)..]));
        Assert.Equal(ImageStatus.Success, first.Flush());
        checker = AssertSound(file);
        Assert.False(checker.Files["/first"].Contiguous);
        Assert.Equal(2u, first.Runs);
        Assert.Equal(a, checker.Content("/first"));
        Assert.Equal(b, checker.Content("/second"));
    }

    [Fact]
    public void FilesThatGrowAtTheSameTimeStayApart()
    {
        SparseFile file = ExFatUnderTest.Format(1L << 30, 32768);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        ExFatUnderTest.OpenFile[] files = [volume.Created("a"), volume.Created("b"), volume.Created("c")];
        for (int i = 1; i <= 1000; i++)
            foreach (ExFatUnderTest.OpenFile one in files) Assert.Equal(ImageStatus.Success, one.Resize((ulong)i * 65536));
        foreach (ExFatUnderTest.OpenFile one in files)
        {
            Assert.Equal(ImageStatus.Success, one.Flush());
            Assert.Equal(1u, one.Runs);
        }
        AssertSound(file);
    }

    [Fact]
    public void WhatWasNeverWrittenReadsAsZeros()
    {
        Random random = new(6);
        SparseFile file = ExFatUnderTest.Format(4 * MiB);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        ExFatUnderTest.OpenFile old = volume.Created("old");
        Assert.Equal(ImageStatus.Success, old.Write(0, Pattern(random, 3 * MiB)));
        Assert.Equal(ImageStatus.Success, old.Remove());
        // The clusters hold what the removed file did.
        ExFatUnderTest.OpenFile disk = volume.Created("disk");
        Assert.Equal(ImageStatus.Success, disk.Resize(2 * MiB + 700));
        Assert.Equal((2 * MiB + 700ul, 0ul), (disk.Length, disk.Valid));
        Assert.False(disk.ReadAll().AsSpan().ContainsAnyExcept((byte)0));
        byte[] data = Pattern(random, 1024);
        Assert.Equal(ImageStatus.Success, disk.Write(MiB, data));
        Assert.Equal(MiB + 1024ul, disk.Valid);
        byte[] expected = new byte[2 * MiB + 700];
        data.CopyTo(expected, MiB);
        Assert.True(expected.AsSpan().SequenceEqual(disk.ReadAll()));
        // A valid length within a sector: the rest of that sector is zeros too.
        Assert.Equal(ImageStatus.Success, disk.Resize(MiB + 100));
        Assert.Equal(ImageStatus.Success, disk.Resize(2 * MiB));
        Assert.Equal(ImageStatus.Success, disk.Write(MiB + 4096, data));
        expected = new byte[2 * MiB];
        data[..100].CopyTo(expected, MiB);
        data.CopyTo(expected, MiB + 4096);
        Assert.True(expected.AsSpan().SequenceEqual(disk.ReadAll()));
        Assert.Equal(ImageStatus.Success, disk.Flush());
        Assert.True(expected.AsSpan().SequenceEqual(AssertSound(file).Content("/disk")));
    }

    [Fact]
    public void MetadataIsWrittenAtFlushesOnly()
    {
        SparseFile file = ExFatUnderTest.Format(64 * MiB);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        ExFatUnderTest.OpenFile disk = volume.Created("disk");
        Assert.Equal(ImageStatus.Success, disk.Write(0, new byte[4096]));
        Assert.Equal(ImageStatus.Success, disk.Flush());
        file.Log = [];
        for (int i = 1; i < 100; i++) Assert.Equal(ImageStatus.Success, disk.Write((ulong)i * 65536, new byte[65536]));
        Assert.DoesNotContain(null, file.Log);
        int before = file.Log.Count;
        Assert.Equal(ImageStatus.Success, disk.Flush());
        // The bitmap's sector | flush | the set's | flush.
        Assert.Equal([512, 0, 512, 0], file.Log.Skip(before).Select(w => w?.Data.Length ?? 0));
        file.Log.Clear();
        Assert.Equal(ImageStatus.Success, disk.Write(65536, new byte[65536]));
        Assert.Equal(ImageStatus.Success, disk.Flush());
        Assert.Equal([65536, 0], file.Log.Select(w => w?.Data.Length ?? 0));
    }

    [Fact]
    public void RequestsWithinWhatIsValidNeverWait()
    {
        SparseFile file = ExFatUnderTest.Format(8 * MiB);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        ExFatUnderTest.OpenFile disk = volume.Created("disk");
        Assert.Equal(ImageStatus.Success, disk.Write(0, new byte[65536]));
        ExFatUnderTest.Running growth = disk.Start(ExFatOperation.Write, 131072, new byte[65536]), another = disk.Start(ExFatOperation.Write, 1 << 20, new byte[512]);
        Assert.True(growth.Step() && !growth.Waiting);
        Assert.True(another.Step() && another.Waiting);
        ExFatUnderTest.Running flush = disk.Start(ExFatOperation.Flush, 0, []), secondFlush = disk.Start(ExFatOperation.Flush, 0, []);
        Assert.True(flush.Step() && !flush.Waiting);
        Assert.True(secondFlush.Step() && secondFlush.Waiting);
        foreach (ExFatOperation operation in new[] { ExFatOperation.Read, ExFatOperation.Write })
        {
            ExFatUnderTest.Running within = disk.Start(operation, 4096, new byte[8192]);
            while (within.Step()) Assert.False(within.Waiting);
            Assert.Equal(ImageStatus.Success, within.Status);
        }
        ExFatUnderTest.Running shrink = disk.Start(ExFatOperation.Resize, 4096, []);
        Assert.True(shrink.Step() && shrink.Waiting);
        while (flush.Step()) { }
        while (growth.Step()) { }
        while (secondFlush.Step()) { }
        while (another.Step()) { }
        while (shrink.Step()) Assert.False(shrink.Waiting);
        Assert.All(new[] { growth, another, flush, secondFlush, shrink }, one => Assert.Equal(ImageStatus.Success, one.Status));
        Assert.Equal(4096ul, disk.Length);
        AssertSound(file);
    }

    [Theory]
    [InlineData(1, 512)]
    [InlineData(3, 512)]
    [InlineData(20, 512)]
    [InlineData(3, 4096)]
    public void DirectoriesGrow(int nameLength, int clusterBytes)
    {
        SparseFile file = ExFatUnderTest.Format(4 * MiB, clusterBytes);
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
        {
            foreach (string folder in new[] { "", "/sub" })
            {
                if (folder != "") Assert.Equal(ImageStatus.Success, volume.Create(folder, true));
                // Others lie in between, so that the directory cannot stay in one piece.
                for (int i = 0; i < 300; i++)
                    Assert.Equal(ImageStatus.Success, volume.Create($"{folder}/{i:000}{new string('n', nameLength)}", directory: i % 50 == 0));
            }
            Assert.Equal(ImageStatus.Success, volume.Unmount());
        }
        ExFatChecker checker = AssertSound(file);
        Assert.Equal((588, 13), (checker.Files.Count, checker.Directories.Count));
        using ExFatUnderTest again = ExFatUnderTest.Mounted(file);
        for (int i = 299; i > 0; i -= 7)
            if (i % 50 != 0) again.Opened($"SUB/{i:000}{new string('N', nameLength)}").Close();
    }

    [Fact]
    public void NamesThatCannotBeAreRefused()
    {
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(ExFatUnderTest.Format(2 * MiB));
        foreach (string name in new[] { "a*", "a?", "a:b", "a|", "<", ">", "\"", "a.", "a ", ".", "..", "a\tb", new string('x', 256), new string('x', 211), new string('x', 209) + "𝄞" })
            Assert.Equal(ImageStatus.BadName, volume.Create(name));
        Assert.Equal(ImageStatus.Exists, volume.Create("/"));
        Assert.Equal(ImageStatus.WrongKind, volume.Open("", false, out _));
        Assert.Equal(ImageStatus.NotFound, volume.Create("no/such"));
        Assert.Equal(ImageStatus.Success, volume.Create(new string('x', 210)));
        foreach (byte[] bytes in new byte[][] { [0x80], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xFF] })
            Assert.Equal(ImageStatus.BadName, volume.Open(bytes, false, out _));
        Assert.Equal(ImageStatus.Success, volume.Create("file"));
        Assert.Equal(ImageStatus.WrongKind, volume.Open("file/below", false, out _));
    }

    [Fact]
    public void AFileIsOpenForWritingOnce()
    {
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(ExFatUnderTest.Format(2 * MiB));
        ExFatUnderTest.OpenFile one = volume.Created("x");
        Assert.Equal(ImageStatus.Busy, volume.Open("X", false, out _));
        one.Close();
        ExFatUnderTest.OpenFile reader = volume.Opened("x", false), second = volume.Opened("x", false);
        Assert.Equal(ImageStatus.Busy, volume.Open("x", true, out _));
        Assert.Equal(ImageStatus.ReadOnly, reader.Write(0, new byte[512]));
        reader.Close();
        second.Close();
        volume.Opened("x").Close();
    }

    [Fact]
    public void AFullVolumeSaysSoAndAFullRunListToo()
    {
        SparseFile file = ExFatUnderTest.Format(1 * MiB, 512);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        ulong free = volume.Volume.FreeBytes;
        ExFatUnderTest.OpenFile a = volume.Created("a", runs: 8), b = volume.Created("b");
        Assert.Equal(ImageStatus.NoSpace, a.Resize(free + 512));
        Assert.Equal(ImageStatus.NoSpace, a.Resize(ulong.MaxValue));
        Assert.Equal(ImageStatus.NoSpace, a.Write(1UL << 62, new byte[512]));
        Assert.Equal(ImageStatus.OutOfRange, a.Run(ExFatOperation.Write, ulong.MaxValue - 511, new byte[1024]));
        Assert.Equal(free, volume.Volume.FreeBytes);
        ImageStatus status = ImageStatus.Success;
        for (ulong i = 1; status == ImageStatus.Success && i < 100; i++)
        {
            Assert.Equal(ImageStatus.Success, b.Resize(i * 512));
            status = a.Resize(i * 512);
        }
        Assert.Equal(ImageStatus.NoMemory, status);
        Assert.Equal(8u, a.Runs);
        Assert.Equal((ImageStatus.Success, ImageStatus.Success), (a.Flush(), b.Flush()));
        a.Close();
        Assert.Equal(ImageStatus.NoMemory, volume.Open("a", false, out _, runs: 7));
        volume.Opened("a", runs: 8).Close();
        AssertSound(file);
    }

    /// <summary>A terabyte volume, a file of 64 GiB in the worst shape: every other cluster.</summary>
    [Fact]
    public void ALargeFileInManyPiecesFitsItsRunList()
    {
        SparseFile file = ExFatUnderTest.Format(1L << 40);
        using ExFatUnderTest volume = ExFatUnderTest.Mounted(file);
        Assert.Equal(131072u, volume.Volume.ClusterBytes);
        ExFatUnderTest.OpenFile disk = volume.Created("disk.raw", runs: 16), other = volume.Created("other");
        Assert.Equal(ImageStatus.Success, disk.Resize(64UL << 30));
        Assert.Equal(1u, disk.Runs);
        Assert.Equal(ImageStatus.Success, disk.Flush());
        Assert.Equal(ImageStatus.Success, other.Resize(10UL << 30));
        Assert.Equal(ImageStatus.Success, disk.Resize(100UL << 30));
        Assert.Equal(ImageStatus.Success, disk.Flush());
        Assert.True(disk.Runs <= 3);
        Assert.Equal((ImageStatus.Success, ImageStatus.Success), (disk.Resize(5UL << 30), other.Flush()));
        Assert.Equal(5UL << 30, disk.Length);
        disk.Close();
        disk = volume.Opened("disk.raw", runs: 1);
        byte[] data = Pattern(new Random(1), 4096);
        Assert.Equal(ImageStatus.Success, disk.Write((5UL << 30) + (1 << 20), data));
        Assert.Equal(data, disk.Read((5UL << 30) + (1 << 20), 4096));
    }

    [ProgramTheory("mkfs.exfat", "exfatprogs")]
    [InlineData("64M", "4096", "")]
    [InlineData("64M", "32K", "-L Tässt")]
    [InlineData("600M", "128K", "")]
    public void VolumesOfMkfsAreUsed(string size, string cluster, string label)
    {
        string path = Path.GetTempFileName();
        try
        {
            using (FileStream stream = File.OpenWrite(path)) stream.SetLength(long.Parse(size[..^1]) * MiB);
            Programs.Run("mkfs.exfat", [.. label.Split(' ', StringSplitOptions.RemoveEmptyEntries), "-c", cluster, path]);
            SparseFile file = SparseFile.Load(path);
            byte[] data = Pattern(new Random(8), 3 * MiB);
            using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
            {
                Assert.Equal(label == "" ? 0u : 5u, volume.Volume.LabelLength);
                Assert.Equal(ImageStatus.Success, volume.Create("/VMs", true));
                ExFatUnderTest.OpenFile disk = volume.Created("/vms/ÉÈ.vhd");
                Assert.Equal(ImageStatus.Exists, volume.Create("/vms/éè.VHD"));
                Assert.Equal(ImageStatus.Success, disk.Write(0, data));
                Assert.Equal(ImageStatus.Success, disk.Flush());
                disk.Close();
                Assert.Equal(ImageStatus.Success, volume.Unmount());
            }
            Assert.Equal(data, AssertSound(file).Content("/VMs/ÉÈ.vhd"));
            file.Save(path);
            Assert.Contains($"Cluster Size:", Programs.Run("dump.exfat", path), StringComparison.OrdinalIgnoreCase);
        }
        finally { File.Delete(path); }
    }

    /// <summary>Other systems put an entry set anywhere: its two entries that change may lie in two sectors.</summary>
    [Fact]
    public void ASetAcrossSectorsIsUsedAndSaidToBeSo()
    {
        SparseFile file = ExFatUnderTest.Format(2 * MiB);
        long root = 0;
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
        {
            file.Log = [];
            volume.Created("mover").Close();
            root = file.Log.Last(w => w?.Data.Length == 512).Value.Offset;
            file.Log = null;
        }
        byte[] entries = new byte[1024];
        file.Read(root, entries);
        // Three entries of the volume, three of the file; move those behind filling to the sector's last slot.
        byte[] set = entries.AsSpan(96, 96).ToArray();
        for (int i = 3; i < 15; i++) entries.AsSpan(i * 32, 32).Fill(0);
        for (int i = 3; i < 15; i++) entries[i * 32] = 0x05;
        set.CopyTo(entries, 15 * 32);
        file.Write(root, entries);
        AssertSound(file);
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
        {
            ExFatUnderTest.OpenFile mover = volume.Opened("mover");
            Assert.False(mover.ChangesAtOnce);
            Assert.Equal(ImageStatus.Success, mover.Write(0, new byte[70000 / 512 * 512]));
            Assert.Equal(ImageStatus.Success, mover.Flush());
            mover.Close();
            Assert.True(volume.Created("other").ChangesAtOnce);
        }
        Assert.Equal(70000 / 512 * 512, AssertSound(file).Files["/mover"].Length);
    }

    [Fact]
    public void RecoveryRefusesFilesThatShareAndKeepsWhatItDoesNotKnow()
    {
        SparseFile file = ExFatUnderTest.Format(2 * MiB);
        long at;
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
        {
            foreach (string name in new[] { "a", "b" })
            {
                ExFatUnderTest.OpenFile one = volume.Created(name);
                Assert.Equal(ImageStatus.Success, one.Write(0, new byte[8192]));
                file.Log = [];
                Assert.Equal(ImageStatus.Success, one.Flush());
                one.Close();
            }
            at = file.Log.Last(w => w?.Data.Length == 512).Value.Offset;
            file.Log = null;
        }
        SparseFile shared = file.Clone(), damaged = file.Clone();
        byte[] root = new byte[512];
        shared.Read(at, root);
        root[6 * 32 + 32 + 20] = root[3 * 32 + 32 + 20];   // b's first cluster becomes a's
        ushort sum = 0;
        for (int i = 0; i < 96; i++)
            if (i is not (2 or 3)) sum = (ushort)((ushort)(sum << 15 | sum >> 1) + root[6 * 32 + i]);
        root[6 * 32 + 2] = (byte)sum;
        root[6 * 32 + 3] = (byte)(sum >> 8);
        shared.Write(at, root);
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(shared))
        {
            Assert.True(volume.Volume.WasDirty);
            Assert.Equal(ImageStatus.Invalid, volume.Recover(out _));
        }
        damaged.Write(at + 6 * 32 + 8, [0xDD]);   // a set whose checksum is wrong
        using (ExFatUnderTest volume = ExFatUnderTest.Mounted(damaged))
        {
            ulong free = volume.Volume.FreeBytes;
            Assert.Equal(ImageStatus.Success, volume.Recover(out ExFatRecovery recovery));
            Assert.True(recovery.SawDamage && volume.Volume.WasDirty && recovery.FreedClusters == 0);
            Assert.Equal(free, volume.Volume.FreeBytes);
            Assert.Equal(ImageStatus.Invalid, volume.Open("b", false, out _));
            volume.Opened("a").Close();
        }
        Assert.True(new ExFatChecker(damaged).Dirty);
    }

    /// <summary>A file that is given up while nobody knows what the disk says of it leaves clusters behind; only a recovery finds them.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AVolumeWithAFileThatWasGivenUpIsNotLeftClean(bool inPieces)
    {
        int failAt = 0;
        for (bool failed = true; failed; failAt++)
        {
            SparseFile file = ExFatUnderTest.Format(4 << 20, 4096);
            using (ExFatUnderTest volume = ExFatUnderTest.Mounted(file))
            {
                ExFatUnderTest.OpenFile one = volume.Created("a");
                Assert.Equal(ImageStatus.Success, one.Write(0, new byte[8192]));
                Assert.Equal(ImageStatus.Success, one.Flush());
                if (inPieces)
                {
                    ExFatUnderTest.OpenFile other = volume.Created("b");
                    Assert.Equal(ImageStatus.Success, other.Resize(4096 * 100));
                    Assert.Equal(ImageStatus.Success, other.Flush());
                    other.Close();
                    Assert.Equal(ImageStatus.Success, one.Resize((ulong)(volume.Volume.FreeBytes - 4096 * 200)));
                    Assert.Equal(ImageStatus.Success, one.Flush());
                    Assert.True(one.Runs > 1);
                }
                Assert.Equal(ImageStatus.Success, one.Resize(one.Length + 4096 * 10));
                int countdown = failAt;
                file.Fail = _ => countdown-- == 0;
                failed = one.Flush() != ImageStatus.Success;
                file.Fail = _ => false;
                one.Abandon();
                Assert.Equal(ImageStatus.Success, volume.Unmount());
            }
            ExFatChecker checker = new(file);
            Assert.Empty(checker.Errors);
            Assert.True(checker.Dirty || (checker.LeakedClusters == 0 && checker.LongChains.Count == 0), $"step {failAt}: {checker.LeakedClusters} clusters are lost for good");
            if (!checker.Dirty) continue;
            using ExFatUnderTest again = ExFatUnderTest.Mounted(file);
            Assert.Equal(ImageStatus.Success, again.Recover(out _));
            checker = new(file);
            Assert.False(checker.Dirty || checker.LeakedClusters != 0);
        }
        Assert.True(failAt > 4);
    }
}
