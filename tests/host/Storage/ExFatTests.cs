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
}
