// An exFAT volume with disk images on it: made for a boot row, and judged afterwards by the tools of others.
using System.Collections.Generic;
using System.IO;
using System.Text.Json.Nodes;
using System.Threading.Tasks;
using Lamina.Tools.Run;

namespace Lamina.Tools.Test;

/// <summary>See <see cref="RowDisk.Source"/>.</summary>
public sealed class ImageVolume(BootVolume volume, string scratch)
{
    private static readonly Dictionary<string, string> QemuNames = new() { ["raw"] = "raw", ["vhd"] = "vpc", ["vhdx"] = "vhdx" };

    public async Task MakeAsync(string target, string label, JsonNode source, string where)
    {
        long bytes = source["bytes"]?.GetValue<long>() ?? throw new Failure($"{where}: an exfat source has bytes");
        ExFatVolume.Create(target, bytes, label);
        foreach ((string path, JsonNode file) in source["files"]?.AsObject() ?? throw new Failure($"{where}: an exfat source has files"))
            ExFatVolume.AddFile(target, path, await MakeImageAsync(path, file, where));
    }

    private async Task<string> MakeImageAsync(string path, JsonNode file, string where)
    {
        string format = file["format"]?.GetValue<string>() ?? "raw", type = file["type"]?.GetValue<string>() ?? "dynamic";
        if (!QemuNames.TryGetValue(format, out string name))
            throw new Failure($"{where}: {path}: a format is raw, vhd or vhdx");
        string made = Path.Combine(scratch, path.Replace('/', '_'));
        string[] options = format == "raw" ? [] : ["-o", format == "vhd" ? $"subformat={type},force_size=on" : $"subformat={type}"];
        if (file["of"] is { } of)
        {
            string raw = await volume.FindAsync(of.GetValue<string>()) ?? throw new Failure($"{where}: no file {of}");
            await ChildProcess.RequireAsync("qemu-img", ["convert", "-f", "raw", "-O", name, .. options, raw, made]);
        }
        else
            await ChildProcess.RequireAsync("qemu-img", ["create", "-q", "-f", name, .. options, made, (file["bytes"]?.GetValue<long>() ?? throw new Failure($"{where}: {path} has neither of nor bytes")).ToString()]);
        return made;
    }

    /// <summary>Copies an image's content, raw, to <paramref name="content"/>. Returns what is wrong with volume or image, or null.</summary>
    /// <param name="offset">Where on the disk the volume begins.</param>
    public async Task<string> CheckAsync(string disk, long offset, string path, string content)
    {
        string image = Path.Combine(scratch, "checked" + Path.GetExtension(path));
        if (ChildProcess.Find("fsck.exfat") != null && offset == 0)
        {
            Outcome check = await ChildProcess.RunAsync("fsck.exfat", ["-n", disk]);
            if (check.ExitCode != 0)
                return $"fsck.exfat ended with {check.ExitCode}: {check.Text}";
        }
        ExFatVolume.ExtractFile(disk, path, image, offset);
        string format = Path.GetExtension(path) switch { ".vhd" => "vpc", ".vhdx" => "vhdx", _ => "raw" };
        if (format == "vhdx")
        {
            Outcome check = await ChildProcess.RunAsync("qemu-img", ["check", "-f", "vhdx", "-r", "all", image]);
            if (check.ExitCode != 0)
                return $"{path}: qemu-img check ended with {check.ExitCode}: {check.Text}";
        }
        await ChildProcess.RequireAsync("qemu-img", ["convert", "-f", format, "-O", "raw", image, content]);
        File.Delete(image);
        return null;
    }
}
