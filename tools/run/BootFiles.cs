// Gathers what goes onto the boot volume for a configuration.
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Lamina.Tools.Run;

/// <summary>The loader, lamina.json and the files that it names.</summary>
public static class BootFiles
{
    public const string Loader = "EFI/BOOT/BOOTX64.EFI";
    public const string Folder = "lamina/";

    /// <summary>Looks each file up beside the configuration, then among the products and the guest material.</summary>
    public static Dictionary<string, string> Collect(Workspace workspace, string config)
    {
        var files = new Dictionary<string, string>
        {
            [Loader] = Path.Combine(workspace.Out, "BOOTX64.EFI"),
            [Folder + "lamina.json"] = config,
        };
        string beside = Path.GetDirectoryName(Path.GetFullPath(config));
        foreach (string name in FatVolume.NamedFiles(File.ReadAllText(config)))
        {
            string found = new[] { beside, workspace.Out, workspace.Cache }.Select(f => Path.Combine(f, name)).FirstOrDefault(File.Exists);
            if (found != null)
                files[Folder + name] = found;
            else
                Report.Say($"note: {Path.GetFileName(config)} names {name}, which is not beside it");
        }
        return files;
    }
}
