// Gathers what a machine boots from: our images, lamina.json and the files that it names.
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Lamina.Tools.Run;

/// <summary>What goes onto a boot medium, whichever it is.</summary>
/// <param name="Products">Folder with BOOTX64.EFI and lamina.mb2.</param>
/// <param name="Files">lamina.json and the files beside it: name there to file on this machine.</param>
public sealed record BootFiles(string Products, IReadOnlyDictionary<string, string> Files)
{
    public const string Configuration = "lamina.json";

    public string Loader => Path.Combine(Products, "BOOTX64.EFI");
    public string Multiboot2 => Path.Combine(Products, "lamina.mb2");

    /// <summary>Path to file of a volume that UEFI boots from.</summary>
    public Dictionary<string, string> UefiVolume => new(Beside) { ["EFI/BOOT/BOOTX64.EFI"] = Loader };

    /// <summary>Path to file of lamina.json and what it names.</summary>
    public Dictionary<string, string> Beside => Files.ToDictionary(f => NamedFiles.Place(f.Key), f => f.Value);

    /// <summary>Looks each file up beside the configuration, then among the products and the guest material.</summary>
    public static BootFiles Collect(Workspace workspace, string config)
    {
        var files = new Dictionary<string, string> { [Configuration] = config };
        string beside = Path.GetDirectoryName(Path.GetFullPath(config));
        foreach (string name in NamedFiles.In(File.ReadAllText(config)))
        {
            string found = new[] { beside, workspace.Out, workspace.Cache }.Select(f => Path.Combine(f, NamedFiles.Relative(name))).FirstOrDefault(File.Exists);
            if (found != null)
                files[name] = found;
            else
                Report.Say($"note: {Path.GetFileName(config)} names {name}, which is not beside it");
        }
        return new BootFiles(workspace.Out, files);
    }
}
