// lamina.img: a disk that UEFI and BIOS machines start from, with a volume for the disk images of VMs.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>
/// GPT: 1 GRUB for a BIOS, 2 the EFI system partition with both ways in and lamina.json with its files, 3 an exFAT volume "data".
/// </summary>
public static class BootImage
{
    private const int Sector = 512;
    private const long Megabyte = 1 << 20, SectorsPerMegabyte = Megabyte / Sector;
    private const string Kernel = "boot/lamina.mb2";

    public static async Task WriteAsync(string image, BootFiles files, long dataBytes)
    {
        string scratch = Directory.CreateTempSubdirectory("lamina-image-").FullName;
        try
        {
            string volume = Path.Combine(scratch, "esp.img"), configuration = Path.Combine(scratch, "grub.cfg");
            await File.WriteAllTextAsync(configuration, GrubConfiguration.Text("/" + Kernel, files, GrubScreen.Framebuffer));
            var content = new Dictionary<string, string>(files.UefiVolume) { [Kernel] = files.Multiboot2, ["boot/grub/grub.cfg"] = configuration };
            await FatVolume.WriteAsync(volume, content);
            await AssembleAsync(image, volume, dataBytes);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    private static async Task AssembleAsync(string image, string volume, long dataBytes)
    {
        long grub = SectorsPerMegabyte, esp = 2 * SectorsPerMegabyte;
        long data = esp + (new FileInfo(volume).Length + Megabyte - 1) / Megabyte * SectorsPerMegabyte;
        long end = data + (dataBytes + Megabyte - 1) / Megabyte * SectorsPerMegabyte;
        File.Delete(image);
        using (FileStream made = File.Create(image))
            made.SetLength(end * Sector + Megabyte); // the second table is behind it
        string Range(int number, long from, long to) => string.Create(CultureInfo.InvariantCulture, $"--new={number}:{from}:{to - 1}");
        await ChildProcess.RequireAsync("sgdisk",
        [
            "--clear", Range(1, grub, esp), "--typecode=1:ef02", "--change-name=1:GRUB", Range(2, esp, data), "--typecode=2:ef00", "--change-name=2:Lamina",
            Range(3, data, end), "--typecode=3:0700", "--change-name=3:data", image,
        ]);
        await ChildProcess.RequireAsync("dd", ["if=" + volume, "of=" + image, "bs=1M", "seek=" + (esp / SectorsPerMegabyte).ToString(CultureInfo.InvariantCulture), "conv=sparse,notrunc", "status=none"]);
        await GrubDisk.InstallAsync(image, grub, esp - grub, volume: 2);
        ExFatVolume.Create(image, (end - data) * Sector, "data", data * Sector);
    }
}

/// <summary>What a TFTP server hands out to a UEFI machine that boots from the network.</summary>
public static class PxeFolder
{
    public const string BootFile = "BOOTX64.EFI";

    public static void Write(string folder, BootFiles files)
    {
        Directory.CreateDirectory(folder);
        File.Copy(files.Loader, Path.Combine(folder, BootFile), overwrite: true);
        foreach ((string name, string source) in files.Beside)
        {
            string target = Path.Combine(folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(target));
            File.Copy(source, target, overwrite: true);
        }
    }
}
