// A disk of the emulated machine: the file behind it and the controller in front of it.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>One disk, as --disk and the boot tests' rows name it.</summary>
public sealed record MachineDisk
{
    public static readonly string[] Kinds = ["virtio", "nvme", "ahci"];
    private static readonly string[] Formats = ["raw", "qcow2"];

    public string File { get; init; }
    /// <summary>The controller: one of <see cref="Kinds"/>.</summary>
    public string Kind { get; init; } = "virtio";
    /// <summary>How the file holds the disk: raw or qcow2.</summary>
    public string Format { get; init; } = "raw";
    public bool ReadOnly { get; init; }
    /// <summary>Writes go to a file of the machine's own that is thrown away with it; the file named stays as it is.</summary>
    public bool Overlay { get; init; }
    /// <summary>The file is thrown away after the run: nothing need reach this machine's own disk.</summary>
    public bool Scratch { get; init; }
    /// <summary>More properties of the emulator's device, as it names them: "logical_block_size=4096,num-queues=2".</summary>
    public string Device { get; init; }
    /// <summary>More properties of the emulator's drive, as it names them: "throttling.iops-total=40" makes a slow disk.</summary>
    public string Drive { get; init; }

    /// <summary>Reads FILE[,kind=…][,format=…][,readonly][,overlay][,device.PROPERTY=VALUE][,drive.PROPERTY=VALUE]. A file name has no comma.</summary>
    /// <exception cref="Failure">What is wrong with it, in one line.</exception>
    public static MachineDisk Parse(string text)
    {
        string[] parts = text.Split(',');
        var disk = new MachineDisk { File = parts[0] };
        List<string> device = [], drive = [];
        foreach (string part in parts[1..])
        {
            if (part.StartsWith("device.", StringComparison.Ordinal) && part.Contains('='))
                device.Add(part["device.".Length..]);
            else if (part.StartsWith("drive.", StringComparison.Ordinal) && part.Contains('='))
                drive.Add(part["drive.".Length..]);
            else
                disk = part.Split('=', 2) switch
                {
                    ["kind", var kind] => disk with { Kind = kind },
                    ["format", var format] => disk with { Format = format },
                    ["readonly"] => disk with { ReadOnly = true },
                    ["overlay"] => disk with { Overlay = true },
                    _ => throw new Failure($"--disk {text}: \"{part}\" is none of kind=, format=, readonly, overlay, device.PROPERTY=, drive.PROPERTY=", 2),
                };
        }
        disk = disk with { Device = Join(device), Drive = Join(drive) };
        if (!System.IO.File.Exists(disk.File))
            throw new Failure($"--disk {text}: no file {disk.File}", 2);
        disk.Check($"--disk {text}");
        return disk;
    }

    private static string Join(List<string> properties) => properties.Count > 0 ? string.Join(',', properties) : null;

    /// <summary>Refuses kinds and formats that there are not.</summary>
    public void Check(string where)
    {
        if (!Kinds.Contains(Kind))
            throw new Failure($"{where}: kind {Kind}: there are {string.Join(", ", Kinds)}", 2);
        if (!Formats.Contains(Format))
            throw new Failure($"{where}: format {Format}: there are {string.Join(", ", Formats)}", 2);
        if (Kind == "ahci" && ReadOnly)
            throw new Failure($"{where}: the emulator's ahci disks cannot be read-only", 2);
    }

    /// <summary>Makes the overlay if one is wanted.</summary>
    /// <param name="folder">Where the overlay goes.</param>
    /// <param name="index">Place of the disk among the machine's, part of the overlay's name.</param>
    /// <returns>The disk to give to the machine.</returns>
    public async Task<MachineDisk> PrepareAsync(string folder, int index)
    {
        if (!Overlay)
            return this;
        string overlay = Path.Combine(folder, $"disk{index}.qcow2");
        await ChildProcess.RequireAsync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", Path.GetFullPath(File), "-F", Format, overlay]);
        return this with { File = overlay, Format = "qcow2", Overlay = false, Scratch = true };
    }

    /// <summary>The emulator's arguments for the disks of a machine. The boot volume has the first AHCI port.</summary>
    public static IEnumerable<string> Arguments(IReadOnlyList<MachineDisk> disks)
    {
        int port = 0;
        for (int index = 0; index < disks.Count; index++)
        {
            MachineDisk disk = disks[index];
            string id = "disk" + index, more = $"drive={id},serial=lamina-{id}" + (disk.Device == null ? "" : "," + disk.Device);
            yield return "-drive";
            yield return $"if=none,id={id},format={disk.Format},discard=unmap{(disk.ReadOnly ? ",readonly=on" : "")}{(disk.Scratch ? ",cache=unsafe" : "")}{(disk.Drive == null ? "" : "," + disk.Drive)},file={Qemu.InOption(disk.File)}";
            yield return "-device";
            yield return disk.Kind switch
            {
                "nvme" => "nvme," + more,
                "ahci" when ++port <= 5 => $"ide-hd,bus=ide.{port},{more}",
                "ahci" => throw new Failure("the emulated machine has five AHCI ports besides that of the boot volume", 2),
                _ => "virtio-blk-pci," + more,
            };
        }
    }
}
