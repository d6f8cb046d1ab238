// Which volume and which image a name means, how many there may be, and their times.
using System.IO;
using System.Text;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Store;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe partial class StoreTests
{
    /// <summary>More than the store has places for: of other file systems, or exFAT but not wanted.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_volume_is_found_among_any_number(bool othersAreExFat)
    {
        const int bytes = 4 << 20, others = ImageStore.VolumeCapacity + 4;
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[4096]);
        for (int i = 0; i < others; i++)
            if (othersAreExFat) AddVolume(bytes, "other" + i, ("f.img", file));
            else AddDisk(Allocate(bytes), bytes);
        AddVolume(bytes, "data", ("f.img", file));
        ImageDisk* disk = Open("data:/f.img");
        Assert.Equal(ImageStatus.Success, s_status);
        ImageDisk* second = othersAreExFat ? Open($"other{others - 1}:/f.img") : null;
        Assert.Equal(ImageStatus.Success, s_status);
        Close(disk);
        if (second != null) Close(second);
        Assert.True(Open("none:/f.img") == null);
        Assert.Equal(ImageStatus.NoVolume, s_status);
    }

    /// <summary>Of the two that were looked at one may have made way for the others: it counts all the same.</summary>
    [Fact]
    public void A_label_that_two_volumes_have_names_none()
    {
        const int bytes = 4 << 20;
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[4096]);
        AddVolume(bytes, "data", ("f.img", file));
        for (int i = 0; i < ImageStore.VolumeCapacity + 4; i++) AddVolume(bytes, "other" + i);
        AddVolume(bytes, "data", ("f.img", file));
        Assert.True(Open("data:/f.img") == null);
        Assert.Equal(ImageStatus.NoVolume, s_status);
    }

    /// <summary>All disks of all VMs, as when the machine starts.</summary>
    [Fact]
    public void As_many_as_there_can_be_are_opened_at_once()
    {
        const int count = Lamina.Root.Config.MachineConfig.MaxVms * Lamina.Root.Worker.VmDisks.Capacity;
        AddVolume(4 << 20, "data");
        for (int i = 0; i < count; i++) Assert.True(ImageVolumes.Store->TryOpen(Encoding.UTF8.GetBytes($"data:/{i}.img"), true, &Opened, null));
        Executor.RunQueued();
        Assert.Equal(count, s_answers);
        Assert.Equal(ImageStatus.NotFound, s_status);
    }

    /// <summary>Of the volume's only file, as its entry has it.</summary>
    private uint LastModified()
    {
        for (int at = 0; at < VolumeBytes; at += 32)
            if (_volume[at] == 0x85 && _volume[at + 32] == 0xC0) return *(uint*)(_volume + at + 12);
        return 0;
    }

    /// <summary>Whoever copies images elsewhere goes by their times.</summary>
    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, false)]
    public void An_image_that_was_written_says_when(bool grows, bool writes)
    {
        string source = Path(grows ? "f.vhdx" : "f.img");
        if (grows) VhdxUnderTest.Create(VhdxType.Dynamic, 4 << 20, 1 << 20).Save(source);
        else File.WriteAllBytes(source, new byte[65536]);
        AddVolume("data", (System.IO.Path.GetFileName(source), source));
        uint before = LastModified(), now = Lamina.Drivers.Storage.FileSystems.ExFatTimestamp.From(2023, 11, 14, 22, 13, 20);
        Assert.True(before != 0 && before != now);
        ImageDisk* disk = Open("data:/" + System.IO.Path.GetFileName(source));
        if (writes) Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Write, 4096, new byte[4096]));
        Close(disk);
        Assert.Equal(writes ? now : before, LastModified());
    }

    [Theory]
    [InlineData(0ul, 1980u, 1u, 1u, 0u, 0u)]
    [InlineData(315532800ul, 1980u, 1u, 1u, 0u, 0u)]
    [InlineData(951827696ul, 2000u, 2u, 29u, 12u, 34u)]
    [InlineData(4107542399ul, 2100u, 2u, 28u, 23u, 59u)]
    [InlineData(4107542400ul, 2100u, 3u, 1u, 0u, 0u)]
    public void Seconds_become_a_date(ulong seconds, uint year, uint month, uint day, uint hour, uint minute) =>
        Assert.Equal(Lamina.Drivers.Storage.FileSystems.ExFatTimestamp.From(year, month, day, hour, minute, seconds < 315532800 ? 0 : (uint)(seconds % 60)),
            Lamina.Drivers.Storage.FileSystems.ExFatTimestamp.FromUnix(seconds));
}
