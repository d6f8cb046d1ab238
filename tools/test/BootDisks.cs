// The disks of a boot row: made fresh for each run, looked at when the machine has ended.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Tasks;
using Lamina.Tools.Run;

namespace Lamina.Tools.Test;

/// <summary>A disk as a row says it.</summary>
public sealed record RowDisk
{
    /// <summary>For the row's checks; default: disk0, disk1, … by place.</summary>
    public string Name { get; init; }
    /// <summary>
    /// The name of an image (guest material, a product, a file beside the row), or {"zero": BYTES}, or {"random": BYTES, "seed": N}, or
    /// {"exfat": LABEL, "bytes": BYTES, "files": {PATH: …}}: a volume with disk images, each {"format": raw, vhd or vhdx, "type": dynamic or
    /// fixed, "of": NAME of a raw image} or, empty, {"format": …, "type": …, "bytes": BYTES}.
    /// </summary>
    public JsonNode Source { get; init; }
    /// <summary>virtio, nvme or ahci.</summary>
    public string Kind { get; init; } = "virtio";
    /// <summary>How a named source holds the disk: raw or qcow2.</summary>
    public string Format { get; init; } = "raw";
    /// <summary>False: writes go to the named image itself. A row that does this to material of the cache is refused.</summary>
    public bool Overlay { get; init; } = true;
    public bool ReadOnly { get; init; }
    /// <summary>The source becomes the one partition of a disk with a GPT, from its first megabyte on.</summary>
    public bool Gpt { get; init; }
    /// <summary>More properties of the emulator's device: "logical_block_size=4096".</summary>
    public string Device { get; init; }
    /// <summary>More properties of the emulator's drive: "throttling.iops-total=40" makes a slow disk.</summary>
    public string Drive { get; init; }
}

/// <summary>What to look at after the machine has ended; each key is one check, its value the name of a disk.</summary>
public sealed record AfterCheck
{
    /// <summary>The ext4 file system of the disk (of its first partition if it has a GPT): the journal replayed, nothing may be wrong with it.</summary>
    public string Fsck { get; init; }
    /// <summary>"NAME:PATH", a disk image on the exFAT volume of a disk: the volume and the image's format must be sound, and its ext4 file system as above.</summary>
    public string Image { get; init; }
}

/// <summary>Makes a row's disks in its scratch folder and judges them afterwards.</summary>
public sealed class BootDisks(BootVolume volume, BootRow row, string cache, string scratch)
{
    private const long Megabyte = 1 << 20;
    private const int Sector = 512;
    private readonly List<(RowDisk Row, MachineDisk Machine)> disks = [];

    public async Task<MachineDisk[]> PrepareAsync()
    {
        if (row.Disks.Length > 0)
            await Requirements.EnsureAsync(Requirements.Disks);
        foreach (RowDisk disk in row.Disks)
        {
            string name = disk.Name ?? "disk" + disks.Count, where = $"disk {name}";
            if (disks.Any(d => d.Row.Name == name))
                throw new Failure($"{where}: two disks of that name");
            (string file, bool fresh) = await MakeAsync(disk, where);
            var machine = new MachineDisk
            {
                File = file, Kind = disk.Kind, Format = disk.Format, ReadOnly = disk.ReadOnly, Device = disk.Device, Drive = disk.Drive, Scratch = fresh,
                Overlay = disk.Overlay && !fresh && !disk.ReadOnly,
            };
            machine.Check(where);
            disks.Add((disk with { Name = name }, await machine.PrepareAsync(scratch, disks.Count)));
        }
        foreach (AfterCheck check in row.After)
            Find(check.Fsck ?? check.Image.Split(':')[0]);
        return disks.Select(d => d.Machine).ToArray();
    }

    /// <summary>The row's checks of its disks.</summary>
    /// <returns>What is wrong, or null.</returns>
    public async Task<string> CheckAsync()
    {
        foreach (AfterCheck check in row.After)
            if (await (check.Image != null ? CheckImageAsync(check.Image) : FsckAsync(Find(check.Fsck))) is { } why)
                return why;
        return null;
    }

    private (RowDisk Row, MachineDisk Machine) Find(string name) =>
        disks.FirstOrDefault(d => d.Row.Name == name) is { Row: not null } found ? found
            : throw new Failure($"after: there is no disk {name}; there are: {string.Join(", ", disks.Select(d => d.Row.Name))}");

    private async Task<(string File, bool Fresh)> MakeAsync(RowDisk disk, string where)
    {
        string target = Path.Combine(scratch, $"source{disks.Count}.img");
        (string file, bool fresh) = (target, true);
        if (disk.Source is null)
            throw new Failure($"{where} has no source");
        if (disk.Source.GetValueKind() == JsonValueKind.String)
        {
            string name = disk.Source.GetValue<string>();
            (file, fresh) = (await volume.FindAsync(name) ?? throw new Failure($"{where}: no file {name}"), false);
            if (!disk.Overlay && !disk.ReadOnly && Path.GetDirectoryName(file) == cache)
                throw new Failure($"{where}: {name} is material of the cache and must keep its overlay");
        }
        else if (disk.Source["zero"] is { } zeroes)
            using (FileStream made = File.Create(target))
                made.SetLength(zeroes.GetValue<long>());
        else if (disk.Source["random"] is { } random)
            FillRandomly(target, random.GetValue<long>(), disk.Source["seed"]?.GetValue<int>() ?? 1);
        else if (disk.Source["exfat"] is { } label)
            await new ImageVolume(volume, scratch).MakeAsync(target, label.GetValue<string>(), disk.Source, where);
        else
            throw new Failure($"{where}: a source is a name, or an object with zero, random or exfat");
        return disk.Gpt ? (await WrapAsync(file, disk.Format, target + ".gpt"), true) : (file, fresh);
    }

    private static void FillRandomly(string target, long bytes, int seed)
    {
        var random = new Random(seed);
        var block = new byte[Megabyte];
        using FileStream made = File.Create(target);
        for (long left = bytes; left > 0; left -= block.Length)
        {
            random.NextBytes(block);
            made.Write(block.AsSpan(0, (int)Math.Min(left, block.Length)));
        }
    }

    /// <summary>A disk with a GPT whose one partition, from the first megabyte on, holds the source. Room for the second GPT is behind it.</summary>
    private static async Task<string> WrapAsync(string source, string format, string target)
    {
        if (format != "raw")
            throw new Failure($"gpt: {Path.GetFileName(source)} is {format}, only a raw source can be put into a partition");
        long sectors = (new FileInfo(source).Length + Sector - 1) / Sector, first = Megabyte / Sector;
        using (FileStream made = File.Create(target))
            made.SetLength((first + sectors) * Sector + Megabyte);
        // Fixed identifiers: the same source gives the same disk.
        await ChildProcess.RequireAsync("sgdisk",
        [
            "--clear", $"--new=1:{first}:{first + sectors - 1}", "--typecode=1:8300", "--change-name=1:lamina",
            "--disk-guid=6C616D69-6E61-4469-736B-000000000000", "--partition-guid=1:6C616D69-6E61-4469-736B-000000000001", target,
        ]);
        await ChildProcess.RequireAsync("dd", ["if=" + source, "of=" + target, "bs=1M", "seek=1", "conv=sparse,notrunc", "status=none"]);
        return target;
    }

    /// <summary>
    /// On a copy: first what a mount would do (replay the journal, deal with files that were open when they were deleted, sum up the counts),
    /// then a full check that repairs nothing and must find nothing.
    /// </summary>
    private async Task<string> FsckAsync((RowDisk Row, MachineDisk Machine) disk)
    {
        string copy = Path.Combine(scratch, "checked.img"), name = disk.Row.Name;
        await ChildProcess.RequireAsync("qemu-img", ["convert", "-f", disk.Machine.Format, "-O", "raw", disk.Machine.File, copy]);
        if (disk.Row.Gpt)
        {
            string part = copy + ".1";
            await ChildProcess.RequireAsync("dd", ["if=" + copy, "of=" + part, "bs=1M", "skip=1", "conv=sparse", "status=none"]);
            File.Move(part, copy, overwrite: true);
        }
        return await FsckAsync(copy, name);
    }

    private async Task<string> CheckImageAsync(string place)
    {
        int colon = place.IndexOf(':');
        (RowDisk Row, MachineDisk Machine) disk = Find(place[..colon]);
        string copy = Path.Combine(scratch, "checked.img");
        string why = await new ImageVolume(volume, scratch).CheckAsync(disk.Machine.File, disk.Row.Gpt ? Megabyte : 0, place[(colon + 1)..], copy);
        return why ?? await FsckAsync(copy, place);
    }

    private static async Task<string> FsckAsync(string copy, string name)
    {
        Outcome replay = await ChildProcess.RunAsync("e2fsck", ["-p", copy]);
        if (replay.ExitCode > 1)
            return $"{name}: e2fsck -p ended with {replay.ExitCode}: {replay.Text}";
        if (replay.Text.Contains("contains a file system with errors"))
            return $"{name}: the guest found errors in its file system: {replay.Text}";
        Outcome check = await ChildProcess.RunAsync("e2fsck", ["-fn", copy]);
        File.Delete(copy);
        return check.ExitCode == 0 ? null : $"{name}: e2fsck -fn ended with {check.ExitCode}: {check.Text}";
    }
}
