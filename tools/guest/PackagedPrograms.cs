// Programs of Debian packages, with the libraries that they need, laid out for an initial root file system.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Lamina.Tools.Build;

namespace Lamina.Tools.Guest;

/// <summary>Packages unpacked into one tree, beside the machine's own; nothing is installed.</summary>
public sealed partial class PackagedPrograms
{
    private const string Loader = "ld-linux-x86-64.so.2";
    private readonly string tree;
    private readonly Dictionary<string, string> libraries = [];

    private PackagedPrograms(string tree)
    {
        this.tree = tree;
        foreach (string folder in new[] { "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64" }.Concat(PrivateFolders()))
            if (Directory.Exists(InTree(folder)))
                foreach (string file in Directory.EnumerateFiles(InTree(folder), "*.so*"))
                    libraries.TryAdd(Path.GetFileName(file), Path.GetRelativePath(tree, file));
    }

    /// <summary>The tree of these packages and of all that they depend on, made in <paramref name="folder"/> if it is not there for these versions.</summary>
    public static async Task<PackagedPrograms> ObtainAsync(DebianArchive archive, string folder, params string[] packages)
    {
        string stamp = folder + ".made-of";
        // The archive is asked for newer versions only where there is nothing yet: as with the guest's kernels.
        string key = new Fingerprint().Add(string.Join(' ', packages)).Value();
        if (Fingerprint.IsCurrent(stamp, key, []) && Directory.Exists(folder))
            return new PackagedPrograms(folder);
        File.Delete(stamp);
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
        string[] files = await archive.DownloadWithDependenciesAsync(packages);
        await Report.StepAsync($"unpacking {string.Join(' ', packages)}", async () =>
        {
            foreach (string file in files)
                await ChildProcess.RequireAsync("dpkg-deb", ["-x", file, folder]);
        });
        File.WriteAllText(stamp, key);
        return new PackagedPrograms(folder);
    }

    /// <summary>Puts programs or libraries (paths in the tree) at the same paths, and every library that they need, directly or not, into /lib.</summary>
    public async Task AddAsync(CpioArchive archive, params string[] programs)
    {
        var waiting = new Queue<string>(programs);
        var done = new HashSet<string>();
        archive.AddDirectory("lib64");
        archive.AddLink("lib64/" + Loader, "/lib/x86_64-linux-gnu/" + Loader); // where programs look for it
        while (waiting.TryDequeue(out string path))
        {
            if (!done.Add(path))
                continue;
            archive.AddFileWithFolders(path, File.ReadAllBytes(InTree(path)), executable: true);
            foreach (string name in await NeededAsync(InTree(path)))
                waiting.Enqueue(libraries.GetValueOrDefault(name) ?? throw new Failure($"{path} needs {name}, which no package here brings"));
        }
    }

    /// <summary>Puts plain files, each at its own path.</summary>
    public void AddData(CpioArchive archive, params string[] paths)
    {
        foreach (string path in paths)
            archive.AddFileWithFolders(path, File.ReadAllBytes(InTree(path)), executable: false);
    }

    public string InTree(string path) => Path.Combine(tree, path);

    // A program finds these by its RUNPATH, so they keep their place.
    private IEnumerable<string> PrivateFolders() =>
        Directory.Exists(InTree("usr/lib")) ? Directory.EnumerateDirectories(InTree("usr/lib"), "xen-*").Select(d => Path.GetRelativePath(tree, Path.Combine(d, "lib", "x86_64-linux-gnu"))) : [];

    private static async Task<string[]> NeededAsync(string file)
    {
        Outcome shown = await ChildProcess.RequireAsync("llvm-readelf", ["--dynamic-table", "--program-headers", file]);
        return Needed().Matches(shown.Output).Select(m => m.Groups[1].Value)
            .Concat(Interpreter().Matches(shown.Output).Select(m => Path.GetFileName(m.Groups[1].Value))).Distinct().ToArray();
    }

    [GeneratedRegex(@"\(NEEDED\)\s+Shared library: \[(.+?)\]")]
    private static partial Regex Needed();

    [GeneratedRegex(@"program interpreter: (\S+?)\]")]
    private static partial Regex Interpreter();
}
