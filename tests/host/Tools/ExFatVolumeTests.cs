// exFAT volumes that tools make and fill.
using System;
using System.IO;
using Lamina.Tests.Host.Storage;
using Lamina.Tools;
using Lamina.Tools.Run;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public sealed class ExFatVolumeTests
{
    private const int MiB = 1 << 20;

    [Theory]
    [InlineData(0)]
    [InlineData(3 * MiB)]
    public void FilesGoOntoAVolumeAndComeBack(long offset)
    {
        using Scratch scratch = new();
        string image = scratch.File("volume.img"), source = scratch.File("disk.raw"), back = scratch.File("back.raw"), alone = scratch.File("alone.img");
        ExFatVolume.Create(image, 120 * MiB, "IMAGES", offset);
        byte[] data = new byte[5 * MiB + 1234];
        new Random(1).NextBytes(data);
        using (FileStream stream = File.Create(source))
        {
            stream.SetLength(60 * MiB);
            stream.Position = 47 * MiB + 5;
            stream.Write(data);
        }
        ExFatVolume.AddFile(image, "vms/debian/disk.raw", source, offset);
        File.WriteAllText(scratch.File("text"), "twice");
        ExFatVolume.AddFile(image, @"\vms\note.txt", image.Replace("volume.img", "text"), offset);
        ExFatVolume.AddFile(image, "VMS/Debian/DISK.RAW", source, offset);   // replaced
        ExFatVolume.ExtractFile(image, "vms/debian/disk.raw", back, offset);
        Assert.Equal(File.ReadAllBytes(source), File.ReadAllBytes(back));
        ExFatVolume.ExtractFile(image, "vms/note.txt", back, offset);
        Assert.Equal("twice", File.ReadAllText(back));
        Assert.Throws<Failure>(() => ExFatVolume.ExtractFile(image, "vms/none", back, offset));

        using (FileStream stream = File.OpenRead(image), to = File.Create(alone))
        {
            stream.Position = offset;
            stream.CopyTo(to);
        }
        ExFatChecker checker = ExFatTests.AssertSound(SparseFile.Load(alone));
        Assert.False(checker.Dirty);
        Assert.Equal((60L * MiB, 60L * MiB), (checker.Files["/vms/debian/DISK.RAW"].Length, checker.Files["/vms/debian/DISK.RAW"].Valid));
    }

    [Fact]
    public void AVolumeTooSmallIsAFailure()
    {
        using Scratch scratch = new();
        Assert.Throws<Failure>(() => ExFatVolume.Create(scratch.File("a"), 1000, "X"));
        Assert.Throws<Failure>(() => ExFatVolume.Create(scratch.File("a"), 4 * MiB, "TWELVELETTER"));
        ExFatVolume.Create(scratch.File("a"), 4 * MiB, "X");
        using (FileStream stream = File.Create(scratch.File("big"))) stream.SetLength(5 * MiB);
        Assert.Throws<Failure>(() => ExFatVolume.AddFile(scratch.File("a"), "big", scratch.File("big")));
    }
}
