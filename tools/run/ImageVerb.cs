// The image verb: what a real machine boots from, by USB stick or network.
using System;
using System.IO;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Guest;

namespace Lamina.Tools.Run;

public static class ImageVerb
{
    /// <param name="config">A lamina.json; null: the reference guest that lives in its initrd.</param>
    /// <param name="data">Size of the volume for disk images: a number with M or G.</param>
    public static async Task RunAsync(Workspace workspace, string config, string data)
    {
        if (config != null && !File.Exists(config))
            throw new Failure($"--config {config}: no such file", 2);
        long bytes = MemorySize.Parse("--data", data) << 20;
        await Requirements.EnsureAsync(Requirements.Build, Requirements.Image);
        await BuildVerb.RunAsync(workspace, config == null ? ["uefi", "multiboot2"] : []);
        BootFiles files = BootFiles.Collect(workspace, config ?? await ReferenceGuest.EnsureAsync(workspace, rootDisk: false));
        string image = Path.Combine(workspace.Out, "lamina.img"), folder = Path.Combine(workspace.Out, "pxe");
        await Report.StepAsync("making lamina.img", () => BootImage.WriteAsync(image, files, bytes));
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
        PxeFolder.Write(folder, files);
        Report.Say($"{Workspace.Show(image)}  {new FileInfo(image).Length / 1e6:0.0} MB: write it to a USB stick as it is; UEFI and BIOS machines start from it");
        Report.Say($"{Workspace.Show(folder)}/  for a TFTP server; the DHCP server names {PxeFolder.BootFile} as the boot file");
    }
}

/// <summary>Sizes as people write them.</summary>
public static class MemorySize
{
    /// <returns>Megabytes.</returns>
    /// <exception cref="Failure">It is none.</exception>
    public static long Parse(string option, string text)
    {
        string digits = text.TrimEnd('M', 'm', 'G', 'g');
        if (text.Length - digits.Length > 1 || !int.TryParse(digits, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int number) || number == 0)
            throw new Failure($"{option} {text}: expected a number with M or G", 2);
        return text[^1] is 'G' or 'g' ? (long)number << 10 : number;
    }
}
