// The reference guest: Debian kernels, a busybox initrd and the configuration that starts them.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools.Guest;

/// <summary>A kernel of the cache: which Debian package, and which of its versions.</summary>
public sealed record Kernel(string File, string Package, string Series);

/// <summary>Makes the material and says where it is. File names are stable; the versions behind them are in versions.txt.</summary>
public sealed class ReferenceGuest(Workspace workspace)
{
    public const string Name = "debian";
    private const string Initrd = "initrd.img";

    public static readonly Kernel[] Kernels =
    [
        new("vmlinuz-cloud-6.1", "linux-image-cloud-amd64", "6.1."),
        new("vmlinuz-cloud-6.12", "linux-image-cloud-amd64", "6.12."),
        new("vmlinuz-full-6.1", "linux-image-amd64", "6.1."),
    ];

    /// <summary>The unpacked ELF of the first kernel.</summary>
    public const string UnpackedKernel = "vmlinux-cloud-6.1";

    private readonly DebianArchive archive = new(Path.Combine(workspace.Cache, "apt"));

    /// <summary>All names that <see cref="ObtainAsync"/> knows.</summary>
    public static IEnumerable<string> Materials => Kernels.Select(k => k.File).Append(UnpackedKernel).Append(Initrd);

    /// <summary>What run without a configuration needs.</summary>
    /// <returns>The path of its lamina.json.</returns>
    public static async Task<string> EnsureAsync(Workspace workspace)
    {
        var guest = new ReferenceGuest(workspace);
        await guest.ObtainAsync(Kernels[0].File);
        await guest.ObtainAsync(Initrd);
        return guest.WriteConfig();
    }

    /// <summary>The guest verb: everything, with one line each.</summary>
    /// <param name="refresh">Ask the archive again for newer versions.</param>
    public static async Task RunVerbAsync(Workspace workspace, bool refresh)
    {
        await Requirements.EnsureAsync(Requirements.Guest);
        var guest = new ReferenceGuest(workspace);
        if (refresh)
            foreach (string name in Materials)
                File.Delete(Path.Combine(workspace.Cache, name));
        foreach (string name in Materials)
        {
            string path = await guest.ObtainAsync(name);
            Report.Say($"{Workspace.Show(path)}  {new FileInfo(path).Length / 1e6:0.0} MB  {guest.Version(name)}");
        }
        Report.Say(Workspace.Show(guest.WriteConfig()));
    }

    /// <summary>Path of one piece of material, made or fetched if it is not there yet.</summary>
    public async Task<string> ObtainAsync(string name)
    {
        Directory.CreateDirectory(workspace.Cache);
        string path = Path.Combine(workspace.Cache, name);
        if (File.Exists(path) && (name != Initrd || InitrdIsCurrent()))
            return path;
        if (Kernels.FirstOrDefault(k => k.File == name) is { } kernel)
            await FetchKernelAsync(kernel, path);
        else if (name == UnpackedKernel)
        {
            await Requirements.EnsureAsync(Requirements.Guest);
            await KernelImage.UnpackAsync(await ObtainAsync(Kernels[0].File), path);
        }
        else if (name == Initrd)
            await MakeInitrdAsync(path);
        else
            throw new Failure($"no guest material named {name}; there are: {string.Join(", ", Materials)}");
        return path;
    }

    private async Task FetchKernelAsync(Kernel kernel, string path)
    {
        List<DebianPackage> all = await archive.VersionsAsync(kernel.Package);
        DebianPackage meta = all.Where(p => p.Version.StartsWith(kernel.Series, StringComparison.Ordinal)).MaxBy(p => Order(p.Version))
            ?? throw new Failure($"Debian offers no {kernel.Package} {kernel.Series}x (it has: {string.Join(", ", all.Select(p => p.Version))})");
        // "linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)"
        string[] depends = meta.Depends.Split([' ', '(', ')', '='], StringSplitOptions.RemoveEmptyEntries);
        var package = new DebianPackage(depends[0], depends.ElementAtOrDefault(1) ?? meta.Version, "");
        string file = await archive.DownloadAsync(package);
        await DebianArchive.ExtractAsync(file, @"^(\./)?boot/vmlinuz-", path);
        Record(kernel.File, $"{package.Name} {package.Version}");
    }

    private async Task MakeInitrdAsync(string path)
    {
        string busybox = Path.Combine(workspace.Cache, "busybox");
        if (!File.Exists(busybox))
        {
            DebianPackage package = (await archive.VersionsAsync("busybox-static")).MaxBy(p => Order(p.Version)) ?? throw new Failure("Debian offers no busybox-static");
            await DebianArchive.ExtractAsync(await archive.DownloadAsync(package), @"^(\./)?(usr/)?bin/busybox$", busybox);
            Record("busybox", $"{package.Name} {package.Version}");
        }
        InitialRoot.Write(busybox, path);
        File.WriteAllText(path + ".made-by", ToolVersion);
    }

    private bool InitrdIsCurrent()
    {
        string stamp = Path.Combine(workspace.Cache, Initrd + ".made-by");
        return File.Exists(stamp) && File.ReadAllText(stamp) == ToolVersion;
    }

    private static string ToolVersion => typeof(InitialRoot).Module.ModuleVersionId.ToString();

    private string WriteConfig()
    {
        string path = Path.Combine(workspace.Cache, "lamina.json");
        File.WriteAllText(path, $$"""
            // The reference guest. Written by tools; copy it to make your own.
            {
              "vms": [ {
                "name": "{{Name}}", "autostart": true,
                "processors": 1, "memory": "512M",
                "kernel": "{{Kernels[0].File}}", "initrd": "{{Initrd}}", "cmdline": "console=ttyS0",
                "com1": "console"
              } ]
            }

            """);
        return path;
    }

    private string Versions => Path.Combine(workspace.Cache, "versions.txt");

    private string Version(string name) =>
        File.Exists(Versions) ? File.ReadLines(Versions).Where(l => l.StartsWith(name + ": ")).Select(l => l[(name.Length + 2)..]).FirstOrDefault() : null;

    private void Record(string name, string version) =>
        File.WriteAllLines(Versions, (File.Exists(Versions) ? File.ReadAllLines(Versions) : []).Where(l => !l.StartsWith(name + ": ")).Append($"{name}: {version}").Order().ToArray());

    // Enough of an order for versions of one series: numbers compare as numbers.
    private static string Order(string version) => System.Text.RegularExpressions.Regex.Replace(version, @"\d+", m => m.Value.PadLeft(10, '0'));
}
