// What is refused, and images that read what their parents hold.
using System;
using System.IO;
using System.Linq;
using System.Text;
using Lamina.Drivers.Storage.Block;
using Lamina.Drivers.Storage.Images;
using Lamina.Drivers.Storage.Store;
using Lamina.Root.Kernel;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public sealed unsafe partial class StoreTests
{
    [Fact]
    public void What_is_not_there_is_said()
    {
        string file = Path("f.img");
        File.WriteAllBytes(file, new byte[4096]);
        AddVolume("data", ("f.img", file));
        foreach ((string name, ImageStatus expected) in new[]
        {
            ("other:/f.img", ImageStatus.NoVolume), ("data:/g.img", ImageStatus.NotFound), ("data:/x/f.img", ImageStatus.NotFound), ("data:/", ImageStatus.WrongKind),
            ("data:/f.img/x", ImageStatus.NotFound), ("f.img", ImageStatus.NoVolume), (":/f.img", ImageStatus.NoVolume),
        })
        {
            Assert.True(Open(name) == null, name);
            Assert.True(s_status == expected || s_status == ImageStatus.WrongKind || s_status == ImageStatus.NotFound && expected == ImageStatus.WrongKind, $"{name}: {s_status}");
        }
        ImageDisk* disk = Open("mem0:/f.img");
        Assert.True(disk != null);
        Assert.True(Open("data:/f.img") == null);
        Assert.Equal(ImageStatus.Busy, s_status);
        Close(disk);
        Assert.False(StorageDrivers.Disks->IsClaimed(StorageDrivers.Disks->At(0)));
    }

    [Fact]
    public void What_only_looks_like_an_image_is_refused()
    {
        string file = Path("f.vhdx");
        File.WriteAllBytes(file, Enumerable.Range(0, 1 << 16).Select(i => (byte)(i * 7)).ToArray());
        AddVolume("data", ("f.vhdx", file), ("f.vhd", file), ("f.img", file));
        Assert.True(Open("data:/f.vhdx") == null);
        Assert.Equal(ImageStatus.Invalid, s_status);
        Assert.True(Open("data:/f.vhd") == null);
        ImageDisk* raw = Open("data:/f.img", writable: false);
        Assert.Equal(65536ul, raw->Device->Limits.Bytes);
        Assert.Equal(BlockStatus.ReadOnly, Perform(raw->Device, BlockOperation.Write, 0, new byte[512]));
        Close(raw);
    }

    [Fact]
    public void A_differencing_image_reads_its_parent()
    {
        const int bytes = 8 << 20;
        var model = new byte[bytes];
        new Random(3).NextBytes(model.AsSpan(0, bytes / 2));
        using (VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, bytes, 1 << 20)))
        {
            Assert.Equal(ImageStatus.Success, parent.Write(0, model.AsSpan(0, bytes / 2).ToArray()));
            SparseFile childFile = VhdxUnderTest.Create(VhdxType.Differencing, bytes, 2 << 20, 0, parent);
            Assert.Equal(ImageStatus.Success, parent.Close());
            parent.File.Save(Path("parent.vhdx"));
            childFile.Save(Path("child.vhdx"));
        }
        AddVolume("data", ("vms/parent.vhdx", Path("parent.vhdx")), ("vms/child.vhdx", Path("child.vhdx")));
        ImageDisk* disk = Open("data:/vms/child.vhdx");
        Assert.Equal(ImageStatus.Success, s_status);
        var random = new Random(5);
        for (int i = 0; i < 200; i++)
        {
            int length = random.Next(1, 129) * 512, offset = random.Next(0, (bytes - length) / 512 + 1) * 512;
            var data = new byte[length];
            if (random.Next(2) == 0)
            {
                random.NextBytes(data);
                Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Write, (ulong)offset, data, random));
                data.CopyTo(model, offset);
                continue;
            }
            Assert.Equal(BlockStatus.Success, Perform(disk->Device, BlockOperation.Read, (ulong)offset, data, random));
            Assert.True(model.AsSpan(offset, length).SequenceEqual(data));
        }
        // Its parent is in use, too, and must not change under it.
        Assert.True(Open("data:/vms/parent.vhdx") == null);
        Assert.Equal(ImageStatus.Busy, s_status);
        Close(disk);
    }

    /// <summary>Its blocks are larger than the sectors that a guest may read: better refused than failing at each of them.</summary>
    [Fact]
    public void A_parent_of_larger_sectors_is_none()
    {
        const int bytes = 8 << 20;
        using (VhdxUnderTest parent = VhdxUnderTest.Opened(VhdxUnderTest.Create(VhdxType.Dynamic, bytes, 1 << 20, 4096)))
        {
            VhdxUnderTest.Create(VhdxType.Differencing, bytes, 2 << 20, 512, parent).Save(Path("child.vhdx"));
            parent.File.Save(Path("parent.vhdx"));
        }
        AddVolume("data", ("parent.vhdx", Path("parent.vhdx")), ("child.vhdx", Path("child.vhdx")));
        ImageDisk* disk = Open("data:/child.vhdx");
        if (disk != null) Close(disk);
        Assert.Equal(ImageStatus.WrongParent, s_status);
    }

    [Theory]
    [InlineData("/vms/child.vhdx", @".\base.vhdx", "/vms/base.vhdx")]
    [InlineData("/vms/a/child.vhdx", @"..\base.vhdx", "/vms/base.vhdx")]
    [InlineData("/child.vhdx", "base.vhdx", "/base.vhdx")]
    [InlineData("child.vhdx", @"..\..\base.vhdx", @"/..\..\base.vhdx")]
    [InlineData("/vms/child.vhdx", @"C:\images\base.vhdx", "/vms/base.vhdx")]
    [InlineData("/vms/child.vhdx", @"\\?\Volume{0}\images\Größe.vhdx", "/vms/Größe.vhdx")]
    [InlineData("/vms/child.vhdx", "", "")]
    public void A_parent_is_found_beside_its_child(string child, string name, string expected)
    {
        byte* target = stackalloc byte[256];
        foreach (bool bigEndian in new[] { false, true })
        {
            byte[] units = [.. (bigEndian ? Encoding.BigEndianUnicode : Encoding.Unicode).GetBytes(name), 0, 0];
            fixed (byte* first = units)
            {
                int length = ParentPath.Write(Encoding.UTF8.GetBytes(child), first, (uint)units.Length, bigEndian, target, 256);
                Assert.Equal(expected, Encoding.UTF8.GetString(target, length));
            }
        }
    }
}
