// The modules of a Debian kernel that the reference guest needs: chosen by name, with what they depend on, unpacked.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Lamina.Tools.Build;

namespace Lamina.Tools.Guest;

/// <summary>A folder with the chosen modules of one kernel, laid out as under /lib/modules/RELEASE.</summary>
public sealed class ModuleSet
{
    // What an initrd loads, in this order: Hyper-V's storage first, then the buses of the bare emulator.
    private static readonly string[] Boot =
        ["hv_vmbus", "hv_storvsc", "hv_utils", "sd_mod", "virtio_pci", "virtio_blk", "nvme", "ahci", "ext4"];

    // In the initrd for whoever asks for them there (a script, or the kernel by an alias), not loaded by it.
    private static readonly string[] BootExtra =
        ["crc32c_generic", "crc32c_intel", "crct10dif_generic", "crct10dif_pclmul", "hv_netvsc", "hv_balloon", "hyperv_keyboard", "sg", "ata_piix"];

    // On the root disk: what systemd asks for and what a guest may use.
    private static readonly string[] Disk =
    [
        "autofs4", "binfmt_misc", "configfs", "fuse", "loop", "dm_mod", "efi_pstore", "efivarfs", "qemu_fw_cfg", "drm",
        "hid_hyperv", "hid_generic", "hyperv_drm", "hyperv_fb", "hv_sock", "uio_hv_generic", "pci_hyperv",
        "virtio_net", "virtio_scsi", "virtio_balloon", "virtio_console", "virtio_rng", "e1000", "e1000e", "sr_mod", "isofs",
        "vfat", "exfat", "nls_ascii", "nls_cp437", "nls_iso8859_1", "nls_utf8", "af_packet", "bridge", "tun",
    ];

    private static readonly string[] Indices = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];
    private static readonly string[] BootIndices = ["modules.dep", "modules.alias", "modules.builtin", "modules.softdep"]; // those that busybox reads

    /// <summary>What <c>uname -r</c> says under this kernel.</summary>
    public string Release { get; }
    /// <summary>Folder that holds kernel/… and the indices.</summary>
    public string Folder { get; }
    /// <summary>Files for an initrd, relative to <see cref="Folder"/>.</summary>
    public string[] BootFiles { get; }
    /// <summary>Names that an initrd loads: those of its list that are modules of this kernel.</summary>
    public string[] BootLoad { get; }
    /// <summary>Wanted names that are part of the kernel itself.</summary>
    public string[] BuiltIn { get; }
    /// <summary>Wanted names that this kernel has neither built in nor as a module.</summary>
    public string[] Absent { get; }

    private ModuleSet(string folder, string release)
    {
        (Folder, Release) = (folder, release);
        Dictionary<string, string[]> needs = Dependencies(folder);
        var names = needs.Keys.ToDictionary(NameOf);
        HashSet<string> builtIn = File.ReadLines(Path.Combine(folder, "modules.builtin")).Select(NameOf).ToHashSet();
        string[] wanted = [.. Boot, .. BootExtra, .. Disk];
        BootLoad = Boot.Where(names.ContainsKey).ToArray();
        BuiltIn = wanted.Where(builtIn.Contains).ToArray();
        Absent = wanted.Where(n => !names.ContainsKey(n) && !builtIn.Contains(n)).ToArray();
        BootFiles = Closure(Boot.Concat(BootExtra), names, needs)
            .Concat(BootIndices).Order(StringComparer.Ordinal).ToArray();
    }

    /// <summary>Changes when other modules are wanted.</summary>
    public static string Recipe => string.Join(' ', [.. Boot, "|", .. BootExtra, "|", .. Disk]);

    /// <summary>Every file, relative to <see cref="Folder"/>.</summary>
    public IEnumerable<string> AllFiles =>
        Directory.EnumerateFiles(Folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Folder, f)).Order(StringComparer.Ordinal);

    /// <summary>The set of a kernel package, made in <paramref name="folder"/> if that is not up to date.</summary>
    /// <param name="package">Asked for the package file when it is needed.</param>
    /// <param name="version">Name and version of the package.</param>
    public static async Task<ModuleSet> ObtainAsync(string folder, string version, Func<Task<string>> package)
    {
        string stamp = folder + ".made-of", key = new Fingerprint().Add(version).Add(Recipe).Value();
        if (!Fingerprint.IsCurrent(stamp, key, []) || !Directory.Exists(folder))
        {
            await Requirements.EnsureAsync(Requirements.Guest);
            File.Delete(stamp);
            string whole = folder + ".whole";
            Remove(folder);
            Remove(whole);
            try
            {
                await MakeAsync(await package(), whole, folder);
            }
            finally
            {
                Remove(whole);
            }
            File.WriteAllText(stamp, key);
        }
        string release = Path.GetFileName(Directory.EnumerateDirectories(Path.Combine(folder, "lib", "modules")).Single());
        return new ModuleSet(Path.Combine(folder, "lib", "modules", release), release);
    }

    /// <summary>Modules of a kernel package by name, each after those that it needs: to be loaded in this order without an index.</summary>
    /// <param name="scratch">A folder that does not exist; it is removed again.</param>
    public static async Task<List<(string Name, byte[] Contents)>> InLoadOrderAsync(string package, string scratch, params string[] wanted)
    {
        try
        {
            await ChildProcess.RequireAsync("dpkg-deb", ["-x", package, scratch]);
            string release = Path.GetFileName(Directory.EnumerateDirectories(Path.Combine(scratch, "lib", "modules")).Single());
            string folder = Path.Combine(scratch, "lib", "modules", release);
            await ChildProcess.RequireAsync("depmod", ["-b", scratch, release]);
            Dictionary<string, string[]> needs = Dependencies(folder);
            var names = needs.Keys.ToDictionary(NameOf);
            var order = new List<string>();
            foreach (string name in wanted)
            {
                string file = names.GetValueOrDefault(name) ?? throw new Failure($"{Path.GetFileName(package)} has no module {name}");
                // modules.dep names what is needed last first.
                foreach (string part in needs[file].Reverse().Append(file))
                    if (!order.Contains(part))
                        order.Add(part);
            }
            return order.Select(f => (Path.GetFileName(f), File.ReadAllBytes(Path.Combine(folder, f)))).ToList();
        }
        finally
        {
            Remove(scratch);
        }
    }

    private static async Task MakeAsync(string package, string whole, string target)
    {
        await Report.StepAsync($"modules of {Path.GetFileName(package)}", async () =>
        {
            await ChildProcess.RequireAsync("dpkg-deb", ["-x", package, whole]);
            string modules = new[] { "lib/modules", "usr/lib/modules" }.Select(f => Path.Combine(whole, f)).FirstOrDefault(Directory.Exists)
                ?? throw new Failure($"{Path.GetFileName(package)} holds no modules");
            string release = Path.GetFileName(Directory.EnumerateDirectories(modules).Single());
            // depmod reads them where /lib/modules is.
            string source = Path.Combine(whole, "lib", "modules", release), chosen = Path.Combine(target, "lib", "modules", release);
            if (!Directory.Exists(source))
                throw new Failure($"{Path.GetFileName(package)} has its modules in {modules}, not in /lib/modules");
            await ChildProcess.RequireAsync("depmod", ["-b", whole, release]);
            foreach (string file in Choose(source).Concat(Indices))
            {
                string copy = Path.Combine(chosen, file);
                Directory.CreateDirectory(Path.GetDirectoryName(copy));
                File.Copy(Path.Combine(source, file), copy);
            }
            await UnpackAsync(chosen, "*.ko.xz", "xz", "-d");
            await UnpackAsync(chosen, "*.ko.zst", "zstd", "-dq", "--rm");
            await ChildProcess.RequireAsync("depmod", ["-b", target, release]);
        });
    }

    private static List<string> Choose(string source)
    {
        Dictionary<string, string[]> needs = Dependencies(source);
        return Closure([.. Boot, .. BootExtra, .. Disk], needs.Keys.ToDictionary(NameOf), needs);
    }

    private static async Task UnpackAsync(string folder, string pattern, string program, params string[] options)
    {
        string[] files = Directory.EnumerateFiles(folder, pattern, SearchOption.AllDirectories).ToArray();
        if (files.Length > 0)
            await ChildProcess.RequireAsync(program, [.. options, .. files]);
    }

    /// <summary>The files of these names and of what they depend on; names that are no modules are left out.</summary>
    private static List<string> Closure(IEnumerable<string> wanted, Dictionary<string, string> names, Dictionary<string, string[]> needs)
    {
        var files = new HashSet<string>();
        foreach (string name in wanted)
            if (names.TryGetValue(name, out string file) && files.Add(file))
                files.UnionWith(needs[file]); // modules.dep already holds the dependencies' own
        return files.Order(StringComparer.Ordinal).ToList();
    }

    // kmod, modules.dep: "kernel/a.ko: kernel/b.ko kernel/c.ko", all that is needed, not only the next.
    private static Dictionary<string, string[]> Dependencies(string folder) =>
        File.ReadLines(Path.Combine(folder, "modules.dep")).Select(l => l.Split(": ", 2) is [var file, var rest] ? (file, rest) : (l.TrimEnd(':'), ""))
            .ToDictionary(p => p.Item1, p => p.Item2.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    private static string NameOf(string path) => Path.GetFileName(path).Split('.')[0].Replace('-', '_');

    private static void Remove(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }
}
