// The reference guest: Debian kernels, their initrds, a root disk and the configuration that starts them.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Run;

namespace Lamina.Tools.Guest;

/// <summary>A kernel of the cache: which Debian package, and which of its versions.</summary>
public sealed record Kernel(string File, string Package, string Series)
{
    /// <summary>The initrd with this kernel's storage modules.</summary>
    public string Initrd => File.Replace("vmlinuz-", "initrd-") + ".img";
    /// <summary>Folder of the cache with its modules.</summary>
    public string Modules => File.Replace("vmlinuz-", "modules-");
}

/// <summary>Makes the material and says where it is. File names are stable; the versions behind them are in versions.txt.</summary>
public sealed class ReferenceGuest(Workspace workspace)
{
    public const string Name = "debian";

    /// <summary>Without modules, for any kernel.</summary>
    private const string PlainInitrd = "initrd.img";
    /// <summary>The same with stress-ng, which is several times as large as all the rest.</summary>
    private const string StressInitrd = "initrd-stress.img", StressPackage = "stress-ng", StressProgram = "usr/bin/stress-ng";

    /// <summary>True: run without a configuration gives the guest its root disk. The one line to change once the root has disk drivers.</summary>
    public const bool RunsFromRootDisk = true;

    public static readonly Kernel[] Kernels =
    [
        new("vmlinuz-cloud-6.1", "linux-image-cloud-amd64", "6.1."),
        new("vmlinuz-cloud-6.12", "linux-image-cloud-amd64", "6.12."),
        new("vmlinuz-full-6.1", "linux-image-amd64", "6.1."),
        new("vmlinuz-full-6.12", "linux-image-amd64", "6.12."),
    ];

    /// <summary>The unpacked ELF of the first kernel.</summary>
    public const string UnpackedKernel = "vmlinux-cloud-6.1";

    private readonly DebianArchive archive = new(Path.Combine(workspace.Cache, "apt"));

    /// <summary>All names that <see cref="ObtainAsync"/> knows, in an order in which each comes after what it is made of.</summary>
    public static IEnumerable<string> Materials =>
        [.. Kernels.Select(k => k.File), UnpackedKernel, PlainInitrd, StressInitrd, .. Kernels.Select(k => k.Initrd), RootDisk.Name];

    /// <summary>What run without a configuration needs; of a machine without disks, a guest that lives in its initrd.</summary>
    /// <returns>The path of its lamina.json.</returns>
    public static async Task<string> EnsureAsync(Workspace workspace, bool rootDisk = RunsFromRootDisk)
    {
        var guest = new ReferenceGuest(workspace);
        await guest.ObtainAsync(Kernels[0].File);
        await guest.ObtainAsync(rootDisk ? Kernels[0].Initrd : PlainInitrd);
        return guest.WriteConfig(rootDisk);
    }

    /// <summary>The root disk as a disk of the machine; the image itself stays as it was made.</summary>
    public static async Task<MachineDisk> DiskAsync(Workspace workspace) =>
        new() { File = await new ReferenceGuest(workspace).ObtainAsync(RootDisk.Name), Overlay = true };

    /// <summary>The guest verb: everything, with one line each.</summary>
    /// <param name="refresh">Ask the archive again for newer versions.</param>
    public static async Task RunVerbAsync(Workspace workspace, bool refresh)
    {
        await Requirements.EnsureAsync(Requirements.Guest, Requirements.RootDisk);
        var guest = new ReferenceGuest(workspace);
        if (refresh)
            await guest.ForgetAsync();
        foreach (string name in Materials)
        {
            string path = await guest.ObtainAsync(name);
            Report.Say($"{Workspace.Show(path)}  {new FileInfo(path).Length / 1e6:0.0} MB  {guest.Version(name)}");
        }
        Report.Say(Workspace.Show(guest.WriteConfig(RunsFromRootDisk)));
    }

    /// <summary>Path of one piece of material, made or fetched if it is not there yet.</summary>
    public async Task<string> ObtainAsync(string name)
    {
        Directory.CreateDirectory(workspace.Cache);
        string path = InCache(name);
        if (Kernels.FirstOrDefault(k => k.File == name) is { } kernel)
        {
            if (!File.Exists(path))
                await FetchKernelAsync(kernel, path);
        }
        else if (name == UnpackedKernel)
            await UnpackKernelAsync(path);
        else if (name == PlainInitrd)
            await MakeInitrdAsync(path, null);
        else if (name == StressInitrd)
            await MakeStressInitrdAsync(path);
        else if (Kernels.FirstOrDefault(k => k.Initrd == name) is { } owner)
            await MakeInitrdAsync(path, owner);
        else if (name == RootDisk.Name)
            await MakeRootDiskAsync();
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

    private async Task UnpackKernelAsync(string path)
    {
        string packed = await ObtainAsync(Kernels[0].File), key = Version(Kernels[0].File) ?? "";
        if (Fingerprint.IsCurrent(path + ".made-of", key, [path]))
            return;
        await Requirements.EnsureAsync(Requirements.Guest);
        await KernelImage.UnpackAsync(packed, path);
        File.WriteAllText(path + ".made-of", key);
    }

    /// <summary>The modules of a kernel, from the package that the kernel itself came from.</summary>
    private async Task<ModuleSet> ModulesAsync(Kernel kernel)
    {
        await ObtainAsync(kernel.File);
        string version = Version(kernel.File);
        if (version == null) // a cache whose versions.txt was lost
            version = (await PackageAsync(kernel)).Version;
        return await ModuleSet.ObtainAsync(InCache(kernel.Modules), version, async () => (await PackageAsync(kernel)).File);
    }

    /// <summary>The package file that a kernel came from, and what is in it by name and version.</summary>
    public async Task<(string File, string Version)> PackageAsync(Kernel kernel)
    {
        string path = await ObtainAsync(kernel.File);
        if (Version(kernel.File) == null)
            await FetchKernelAsync(kernel, path); // a cache whose versions.txt was lost
        string[] package = Version(kernel.File).Split(' ');
        return (await archive.DownloadAsync(new DebianPackage(package[0], package[1], "")), Version(kernel.File));
    }

    /// <summary>Busybox, without libraries.</summary>
    public Task<string> BusyboxAsync() => ToolAsync("busybox", "busybox-static", @"^(\./)?(usr/)?bin/busybox$");

    /// <summary>Where packages come from.</summary>
    public DebianArchive Archive => archive;

    private async Task MakeInitrdAsync(string path, Kernel kernel)
    {
        string scripts = InitialRoot.Scripts(workspace.Root);
        string busybox = await BusyboxAsync();
        ModuleSet modules = kernel == null ? null : await ModulesAsync(kernel);
        string check = kernel == null ? null : await ToolAsync("e2fsck", "e2fsck-static", @"^(\./)?(usr/)?sbin/e2fsck\.static$");
        string key = new Fingerprint().Add(Directory.EnumerateFiles(scripts)).Add(Version("busybox") ?? "").Add(check == null ? "" : Version("e2fsck") ?? "")
            .Add(kernel == null ? "" : Version(kernel.File) + ModuleSet.Recipe).Add(typeof(InitialRoot).Module.ModuleVersionId.ToString()).Value();
        if (Fingerprint.IsCurrent(path + ".made-of", key, [path]))
            return;
        await InitialRoot.WriteAsync(busybox, scripts, path, modules, check);
        File.WriteAllText(path + ".made-of", key);
        if (modules != null)
            Record(Path.GetFileName(path), $"modules {string.Join(' ', modules.BootLoad)}; built in {string.Join(' ', modules.BuiltIn)}; absent {string.Join(' ', modules.Absent)}");
    }

    private async Task MakeStressInitrdAsync(string path)
    {
        string scripts = InitialRoot.Scripts(workspace.Root), busybox = await BusyboxAsync();
        PackagedPrograms programs = await PackagedPrograms.ObtainAsync(archive, InCache("stress-ng"), StressPackage);
        string key = new Fingerprint().Add(Directory.EnumerateFiles(scripts)).Add(Version("busybox") ?? "").Add([programs.InTree(StressProgram)])
            .Add(typeof(InitialRoot).Module.ModuleVersionId.ToString()).Value();
        if (Fingerprint.IsCurrent(path + ".made-of", key, [path]))
            return;
        await InitialRoot.WriteAsync(busybox, scripts, path, addition: initrd => programs.AddAsync(initrd, StressProgram));
        File.WriteAllText(path + ".made-of", key);
    }

    private async Task MakeRootDiskAsync()
    {
        foreach (Kernel kernel in Kernels)
            await ObtainAsync(kernel.File);
        var disk = new RootDisk(workspace, archive);
        string[] versions = Kernels.Select(k => Version(k.File) ?? "").ToArray();
        if (disk.IsCurrent(versions))
            return;
        var modules = new List<ModuleSet>();
        foreach (Kernel kernel in Kernels)
            modules.Add(await ModulesAsync(kernel));
        versions = Kernels.Select(k => Version(k.File) ?? "").ToArray();
        await disk.MakeAsync(versions, modules);
        Record(RootDisk.Name, $"Debian {DebianArchive.Suite}, {disk.PackageCount} packages, modules of {string.Join(", ", modules.Select(m => m.Release))}");
    }

    /// <summary>A static program for the initrds.</summary>
    private async Task<string> ToolAsync(string name, string packageName, string pattern)
    {
        string path = InCache(name);
        if (File.Exists(path))
            return path;
        DebianPackage package = (await archive.VersionsAsync(packageName)).MaxBy(p => Order(p.Version)) ?? throw new Failure($"Debian offers no {packageName}");
        await DebianArchive.ExtractAsync(await archive.DownloadAsync(package), pattern, path);
        Record(name, $"{package.Name} {package.Version}");
        return path;
    }

    /// <summary>Removes what is made of single packages, so that it is fetched again, and the disk if newer packages are there for it.</summary>
    private async Task ForgetAsync()
    {
        foreach (string name in Kernels.Select(k => k.File).Concat(["busybox", "e2fsck"]))
            File.Delete(InCache(name));
        if (await new RootDisk(workspace, archive).IsOutdatedAsync())
            File.Delete(InCache(RootDisk.Name));
    }

    private string WriteConfig(bool rootDisk)
    {
        string initrd = rootDisk ? Kernels[0].Initrd : PlainInitrd, root = rootDisk ? " root=LABEL=root" : "";
        string disks = rootDisk ? """ "disks": [ { "device": "serial:lamina-disk0" } ], """.Trim() + " " : "";
        string path = InCache(rootDisk ? "lamina.json" : "lamina-initrd.json");
        File.WriteAllText(path, $$"""
            // The reference guest. Written by tools; copy it to make your own.
            {
              "vms": [ {
                "name": "{{Name}}", "autostart": true,
                "processors": 1, "memory": "512M",
                "kernel": "{{Kernels[0].File}}", "initrd": "{{initrd}}", "cmdline": "console=ttyS0{{root}}",
                {{disks}}"com1": "console"
              } ]
            }

            """);
        return path;
    }

    private string InCache(string name) => Path.Combine(workspace.Cache, name);
    private string Versions => InCache("versions.txt");

    private string Version(string name) =>
        File.Exists(Versions) ? File.ReadLines(Versions).Where(l => l.StartsWith(name + ": ")).Select(l => l[(name.Length + 2)..]).FirstOrDefault() : null;

    private void Record(string name, string version) =>
        File.WriteAllLines(Versions, (File.Exists(Versions) ? File.ReadAllLines(Versions) : []).Where(l => !l.StartsWith(name + ": ")).Append($"{name}: {version}").Order().ToArray());

    // Enough of an order for versions of one series: numbers compare as numbers.
    private static string Order(string version) => System.Text.RegularExpressions.Regex.Replace(version, @"\d+", m => m.Value.PadLeft(10, '0'));
}
