// The reference guest's root disk: a Debian system in an ext4 image, made without mounting it.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Lamina.Tools.Build;

namespace Lamina.Tools.Guest;

/// <summary>
/// mmdebstrap makes the system as a tar file, an overlay adds the files of the folder disk and the kernels' modules, mke2fs
/// fills the image from the unpacked tree. As root, else in a user namespace.
/// </summary>
public sealed class RootDisk(Workspace workspace, DebianArchive archive)
{
    public const string Name = "disk-debian.img";

    private static readonly string[] Packages =
    [
        "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "procps", "util-linux", "mount", "login", "passwd", "e2fsprogs", "fio", "hyperv-daemons",
    ];

    // Started by hand or never: nothing here may fail, wait for a network, or wake the guest up.
    private static readonly string[] Masked =
    [
        "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service", "dpkg-db-backup.timer", "systemd-networkd-wait-online.service",
    ];

    // The console's login is started by lamina-run.service, and there is no screen to log in at.
    private static readonly string[] Removed = ["etc/systemd/system/getty.target.wants/getty@tty1.service"];

    private const string Megabytes = "1536";
    private const string Identifier = "6c616d69-6e61-4672-8f6f-742064736b00";
    private const long Epoch = 1735689600; // every time in the image: 2025-01-01

    private string Image => Path.Combine(workspace.Cache, Name);
    private string Stamp => Image + ".made-of";

    /// <summary>True when the image was made by this recipe for these kernels; newer packages are not looked for.</summary>
    public bool IsCurrent(IEnumerable<string> kernels) =>
        File.Exists(Image) && File.Exists(Stamp) && File.ReadLines(Stamp).FirstOrDefault() == Recipe(kernels);

    /// <summary>True when the archive offers other versions than those in the image.</summary>
    public async Task<bool> IsOutdatedAsync() =>
        !File.Exists(Stamp) || !File.ReadLines(Stamp).Skip(1).SequenceEqual(await archive.ResolveAsync(Packages));

    /// <summary>Number of packages in the image.</summary>
    public int PackageCount => File.Exists(Stamp) ? File.ReadLines(Stamp).Count() - 1 : 0;

    /// <summary>Makes the image.</summary>
    /// <param name="kernels">Names and versions of the kernels' packages, part of what decides whether the image is current.</param>
    public async Task MakeAsync(IEnumerable<string> kernels, IReadOnlyCollection<ModuleSet> modules)
    {
        await Requirements.EnsureAsync(Requirements.Guest, Requirements.RootDisk);
        bool privileged = Environment.IsPrivilegedProcess;
        if (!privileged)
            await RequireNamespacesAsync();
        string[] versions = await archive.ResolveAsync(Packages);
        string sources = await archive.SourcesAsync();
        // In a user namespace root is another user, who may not look into a home folder.
        string work = privileged ? Directory.CreateDirectory(Image + ".work").FullName : Directory.CreateTempSubdirectory("lamina-disk-").FullName;
        if (!privileged && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(work, (UnixFileMode)0x1FF);
        try
        {
            string system = Path.Combine(work, "system.tar"), overlay = Path.Combine(work, "overlay.tar"), image = Path.Combine(work, "image");
            await BootstrapAsync(privileged, sources, system);
            WriteOverlay(overlay, modules);
            await FillAsync(privileged, system, overlay, image);
            await ChildProcess.RequireAsync("cp", ["--sparse=always", image, Image + ".partial"]);
            File.Move(Image + ".partial", Image, overwrite: true);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
        File.WriteAllLines(Stamp, [Recipe(kernels), .. versions]);
    }

    private string Recipe(IEnumerable<string> kernels)
    {
        var recipe = new Fingerprint().Add(string.Join(' ', Packages)).Add(string.Join(' ', [.. Masked, "|", .. Removed])).Add(Megabytes + Identifier + Epoch)
            .Add(ModuleSet.Recipe).Add(string.Join(' ', BootstrapOptions)).Add(Fill).Add(string.Join(' ', kernels.Order(StringComparer.Ordinal)));
        foreach ((string name, string text) in OverlayFiles())
            recipe.Add(name).Add(text);
        return recipe.Value();
    }

    private static readonly string[] BootstrapOptions =
    [
        "--variant=essential", "--format=tar", "--components=main", "--include=" + string.Join(',', Packages),
        "--dpkgopt=force-unsafe-io", // a system that did not get whole is thrown away
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/i18n/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--customize-hook=chroot \"$1\" passwd -d root",
    ];

    private static async Task BootstrapAsync(bool privileged, string sources, string target)
    {
        string last = "";
        var environment = new Dictionary<string, string> { ["SOURCE_DATE_EPOCH"] = Epoch.ToString(), ["LC_ALL"] = "C", ["DEBIAN_FRONTEND"] = "noninteractive" };
        // From inside a folder that the namespace's root can see.
        Outcome outcome = await Report.StepAsync("Debian system for the root disk", () => ChildProcess.RunAsync("mmdebstrap",
            ["--mode=" + (privileged ? "root" : "unshare"), .. BootstrapOptions, DebianArchive.Suite, target, sources],
            folder: Path.GetDirectoryName(target), line: l => last = l, environment: environment), () => last.Trim());
        if (outcome.ExitCode != 0)
            throw new Failure($"mmdebstrap failed (exit {outcome.ExitCode}): {string.Join('\n', outcome.Text.Split('\n').TakeLast(12))}");
    }

    // Runs as the system's root. /dev is the kernel's own at run time, and a namespace may not make device files.
    private const string Fill = """
        set -e
        mkdir tree
        tar -C tree --numeric-owner --exclude './dev/*' -xpf system.tar
        (cd tree && rm -f $REMOVED)
        tar -C tree --numeric-owner -xpf overlay.tar
        mke2fs -q -F -t ext4 -L root -U "$IDENTIFIER" -m 1 -d tree \
            -E "hash_seed=$IDENTIFIER,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0" image "${MEGABYTES}M"
        chmod 666 image
        rm -rf tree
        """;

    private static async Task FillAsync(bool privileged, string system, string overlay, string image)
    {
        var environment = new Dictionary<string, string>
        {
            ["REMOVED"] = string.Join(' ', Removed), ["IDENTIFIER"] = Identifier, ["MEGABYTES"] = Megabytes,
            ["E2FSPROGS_FAKE_TIME"] = Epoch.ToString(), ["SOURCE_DATE_EPOCH"] = Epoch.ToString(), ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        };
        string[] shell = ["/bin/sh", "-c", Fill.ReplaceLineEndings("\n")];
        await Report.StepAsync("file system of the root disk", () => ChildProcess.RequireAsync(privileged ? shell[0] : "mmdebstrap",
            privileged ? shell[1..] : ["--unshare-helper", .. shell], folder: Path.GetDirectoryName(image), environment: environment));
    }

    /// <summary>The files of the folder disk, units turned on and off, and the modules.</summary>
    private void WriteOverlay(string target, IReadOnlyCollection<ModuleSet> modules)
    {
        const string units = "etc/systemd/system/";
        using var archive = new OverlayArchive(target, Epoch);
        foreach ((string name, string text) in OverlayFiles())
            archive.AddFile(name, Encoding.UTF8.GetBytes(text), executable: name.StartsWith("usr/local/", StringComparison.Ordinal));
        foreach (string unit in Masked)
            archive.AddLink(units + unit, "/dev/null");
        archive.AddLink("etc/systemd/system-generators/systemd-getty-generator", "/dev/null");
        archive.AddLink(units + "default.target", "/lib/systemd/system/multi-user.target");
        archive.AddLink(units + "multi-user.target.wants/lamina-run.service", "/etc/systemd/system/lamina-run.service");
        // systemd, "systemd-update-done": says that what depends on /usr was brought up to date after /usr changed.
        foreach (string name in new[] { "etc/.updated", "var/.updated" })
            archive.AddFile(name, Encoding.ASCII.GetBytes($"TIMESTAMP_NSEC={Epoch}000000000\n"));
        foreach (ModuleSet set in modules)
            foreach (string name in set.AllFiles)
                archive.AddFile($"usr/lib/modules/{set.Release}/{name}", File.ReadAllBytes(Path.Combine(set.Folder, name)));
    }

    /// <summary>Path on the disk and contents; a clone on Windows may have other line ends.</summary>
    private IEnumerable<(string Name, string Text)> OverlayFiles()
    {
        string folder = Path.Combine(workspace.Root, "tools", "guest", "disk");
        return Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(f => (Path.GetRelativePath(folder, f).Replace('\\', '/'), File.ReadAllText(f).ReplaceLineEndings("\n")));
    }

    private static async Task RequireNamespacesAsync()
    {
        const string advice = "make the root disk as root once (sudo dotnet run --project tools -- guest), or allow user namespaces";
        if (ChildProcess.Find("unshare") == null || (await ChildProcess.RunAsync("unshare", ["--user", "--map-root-user", "true"])).ExitCode != 0)
            throw new Failure($"the root disk needs root or user namespaces, and this machine gives neither: {advice}", 3);
        string user = Environment.UserName;
        if (!new[] { "/etc/subuid", "/etc/subgid" }.All(f => File.Exists(f) && File.ReadLines(f).Any(l => l.StartsWith(user + ":", StringComparison.Ordinal))))
            throw new Failure($"the root disk needs root, or ids for {user} in /etc/subuid and /etc/subgid, where there are none: {advice}", 3);
    }
}
