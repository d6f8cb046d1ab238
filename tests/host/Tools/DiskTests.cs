// Disks of emulated machines: how they are named, what the emulator is told, and that a check of them can fail.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading.Tasks;
using Lamina.Tools;
using Lamina.Tools.Run;
using Lamina.Tools.Test;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class DiskTests
{
    [Fact]
    public void A_disk_is_read_from_one_argument()
    {
        using var folder = new Scratch();
        string file = folder.File("a.img");
        File.WriteAllText(file, "");
        Assert.Equal(new MachineDisk { File = file }, MachineDisk.Parse(file));
        Assert.Equal(new MachineDisk { File = file, Kind = "nvme", Format = "qcow2", ReadOnly = true, Overlay = true, Device = "logical_block_size=4096,x=1", Drive = "throttling.iops-total=40" },
            MachineDisk.Parse(file + ",kind=nvme,format=qcow2,readonly,overlay,device.logical_block_size=4096,drive.throttling.iops-total=40,device.x=1"));
    }

    [Theory]
    [InlineData(",kind=floppy", "there are virtio, nvme, ahci")]
    [InlineData(",format=vhd", "there are raw, qcow2")]
    [InlineData(",overlaid", "\"overlaid\" is none of")]
    [InlineData(",kind", "\"kind\" is none of")]
    [InlineData(",kind=ahci,readonly", "cannot be read-only")]
    public void A_disk_that_cannot_be_had_is_refused_in_one_line(string rest, string why)
    {
        using var folder = new Scratch();
        File.WriteAllText(folder.File("a.img"), "");
        Failure failure = Assert.Throws<Failure>(() => MachineDisk.Parse(folder.File("a.img") + rest));
        Assert.Contains(why, failure.Message);
        Assert.Equal(2, failure.ExitCode);
        Assert.Contains("no file", Assert.Throws<Failure>(() => MachineDisk.Parse(folder.File("b.img"))).Message);
    }

    [Fact]
    public void Each_disk_becomes_a_drive_and_a_device()
    {
        MachineDisk[] disks =
        [
            new() { File = "a,b.img", Scratch = true }, new() { File = "n", Kind = "nvme", ReadOnly = true, Device = "logical_block_size=4096" },
            new() { File = "s", Kind = "ahci", Drive = "throttling.iops-total=40" }, new() { File = "t", Kind = "ahci", Format = "qcow2" },
        ];
        Assert.Equal(
        [
            "-drive", "if=none,id=disk0,format=raw,discard=unmap,cache=unsafe,file=a,,b.img", "-device", "virtio-blk-pci,drive=disk0,serial=lamina-disk0",
            "-drive", "if=none,id=disk1,format=raw,discard=unmap,readonly=on,file=n", "-device", "nvme,drive=disk1,serial=lamina-disk1,logical_block_size=4096",
            "-drive", "if=none,id=disk2,format=raw,discard=unmap,throttling.iops-total=40,file=s", "-device", "ide-hd,bus=ide.1,drive=disk2,serial=lamina-disk2",
            "-drive", "if=none,id=disk3,format=qcow2,discard=unmap,file=t", "-device", "ide-hd,bus=ide.2,drive=disk3,serial=lamina-disk3",
        ], MachineDisk.Arguments(disks));
        var many = Enumerable.Repeat(new MachineDisk { File = "x", Kind = "ahci" }, 6).ToArray();
        Assert.Contains("five AHCI ports", Assert.Throws<Failure>(() => MachineDisk.Arguments(many).Count()).Message);
    }

    [Fact]
    public async Task Sources_of_a_row_are_made_and_put_into_a_partition()
    {
        using var folder = new Scratch();
        MachineDisk[] disks = await Disks(folder, new RowDisk { Source = JsonNode.Parse("""{"zero": 3000000}""") },
            new RowDisk { Source = JsonNode.Parse("""{"random": 1500000, "seed": 7}"""), Gpt = true }, new RowDisk { Source = JsonNode.Parse("""{"random": 1500000, "seed": 7}""") }).PrepareAsync();
        Assert.All(disks, d => Assert.True(d.Scratch));
        Assert.Equal(3000000, new FileInfo(disks[0].File).Length);
        byte[] wrapped = File.ReadAllBytes(disks[1].File), plain = File.ReadAllBytes(disks[2].File);
        Assert.Equal("EFI PART"u8.ToArray(), wrapped[512..520]);
        Assert.Equal("EFI PART"u8.ToArray(), wrapped[^512..^504]);
        Assert.Equal(plain, wrapped[1048576..][..plain.Length]);
        Assert.True(BitConverter.ToInt64(wrapped, 1024 + 40) >= 2048 + plain.Length / 512 - 1); // "LastLBA" of the first entry
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_broken_file_system_is_found_and_a_sound_one_is_not(bool gpt)
    {
        using var folder = new Scratch();
        string image = folder.File("fs.img");
        using (FileStream made = File.Create(image))
            made.SetLength(8 << 20);
        Directory.CreateDirectory(folder.File("tree"));
        File.WriteAllText(folder.File("tree/file"), new string('x', 100000));
        await ChildProcess.RequireAsync("mke2fs", ["-q", "-F", "-t", "ext4", "-d", folder.File("tree"), image]);
        Assert.Null(await CheckAsync(folder, gpt));
        // An inode that points at blocks counted as free: the bitmap is the kind of thing that a lost write leaves behind.
        await ChildProcess.RequireAsync("debugfs", ["-w", "-R", "freeb 1000 3000", image]);
        Assert.Contains("fs: e2fsck -fn ended with 4", await CheckAsync(folder, gpt));
        await ChildProcess.RequireAsync("debugfs", ["-w", "-R", "set_super_value state 2", image]);
        Assert.Contains("errors", await CheckAsync(folder, gpt));
    }

    [Fact]
    public async Task A_check_of_a_disk_that_is_not_there_fails_before_the_machine_starts()
    {
        using var folder = new Scratch();
        BootDisks disks = Disks(folder, [new AfterCheck { Fsck = "roof" }], new RowDisk { Name = "root", Source = JsonNode.Parse("""{"zero": 4096}""") });
        Assert.Contains("no disk roof; there are: root", (await Assert.ThrowsAsync<Failure>(disks.PrepareAsync)).Message);
    }

    private static async Task<string> CheckAsync(Scratch folder, bool gpt)
    {
        BootDisks disks = Disks(folder, [new AfterCheck { Fsck = "fs" }], new RowDisk { Name = "fs", Source = "fs.img", Gpt = gpt });
        await disks.PrepareAsync();
        return await disks.CheckAsync();
    }

    private static BootDisks Disks(Scratch folder, params RowDisk[] disks) => Disks(folder, [], disks);

    private static BootDisks Disks(Scratch folder, AfterCheck[] after, params RowDisk[] disks)
    {
        string scratch = Directory.CreateDirectory(folder.File("scratch" + Guid.NewGuid())).FullName;
        var row = new BootRow { Name = "row", Folder = folder.Folder, Disks = disks, After = after };
        var workspace = new Workspace(folder.Folder, folder.File("out"));
        return new BootDisks(new BootVolume(workspace, row, scratch), row, workspace.Cache, scratch);
    }
}
