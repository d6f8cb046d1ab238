// What the measured machines run: the guest's boot image, and the hosts of the peers from Debian's packages.
using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Guest;

namespace Lamina.Tools.Bench;

/// <summary>Makes it in the cache, once for each version of what it is made of.</summary>
public sealed class BenchMaterial(Workspace workspace)
{
    private const string XenPackage = "xen-hypervisor-4.17-amd64";
    private readonly ReferenceGuest guest = new(workspace);

    public static readonly Kernel GuestKernel = ReferenceGuest.Kernels.Single(k => k.File == "vmlinuz-cloud-6.1");
    /// <summary>Debian's cloud kernel is built without domain 0.</summary>
    public static readonly Kernel XenKernel = ReferenceGuest.Kernels.Single(k => k.File == "vmlinuz-full-6.1");

    public string CostGuest => Path.Combine(workspace.Out, "guest-cost.elf");
    public string Limit => Path.Combine(workspace.Out, "limit.elf");
    private string LeastVmm => Path.Combine(workspace.Out, "guest-least-vmm");
    private string Stamp => Path.Combine(workspace.Out, "guest-stamp");

    public Task<string> KernelAsync() => guest.ObtainAsync(GuestKernel.File);
    public Task<string> XenKernelAsync() => guest.ObtainAsync(XenKernel.File);

    /// <summary>What ran in the measured machines.</summary>
    public async Task<IReadOnlyDictionary<string, string>> VersionsAsync(bool kvm, bool xen)
    {
        Outcome qemu = await ChildProcess.RequireAsync("qemu-system-x86_64", ["--version"]);
        var versions = new Dictionary<string, string> { ["emulator"] = qemu.Output.Split('\n')[0].Trim(), ["guest"] = (await guest.PackageAsync(GuestKernel)).Version };
        if (kvm)
            versions["KVM"] = "of the guest's kernel, " + await VersionAsync("qemu-system-x86");
        if (xen)
            versions["Xen"] = $"{await VersionAsync(XenPackage)}, domain 0 {(await guest.PackageAsync(XenKernel)).Version}";
        return versions;
    }

    // Of the file that was downloaded: the archive may have a newer one by now.
    private Task<string> VersionAsync(string package)
    {
        string file = Directory.EnumerateFiles(Path.Combine(workspace.Cache, "apt", "packages"), package + "_*.deb").OrderBy(File.GetLastWriteTimeUtc).Last();
        return Task.FromResult(Path.GetFileNameWithoutExtension(file).Replace('_', ' ').Replace("%3a", ":"));
    }

    /// <summary>The reference guest's initrd, but that its init is the program that says what the TSC is.</summary>
    public Task<string> GuestInitrdAsync() => MakeAsync("bench-guest.img", [Stamp], async target =>
    {
        var archive = new CpioArchive();
        archive.AddDirectory("dev");
        archive.AddCharacterDevice("dev/console", 5, 1);
        archive.AddFileWithFolders("bin/busybox", File.ReadAllBytes(await guest.BusyboxAsync()), executable: true);
        archive.AddFile("init", File.ReadAllBytes(Stamp), executable: true);
        archive.WriteTo(target);
    });

    /// <summary>Debian's kernel, QEMU and the two guests, for a host that the emulator loads.</summary>
    public async Task<string> KvmInitrdAsync(string commandLine)
    {
        PackagedPrograms programs = await PackagedPrograms.ObtainAsync(guest.Archive, Path.Combine(workspace.Cache, "bench-qemu"), "qemu-system-x86");
        return await HostAsync("kvm", GuestKernel, ["kvm_amd"], commandLine, async archive =>
        {
            await programs.AddAsync(archive, "usr/bin/qemu-system-x86_64");
            archive.AddFile("bin/guest-least-vmm", File.ReadAllBytes(LeastVmm), executable: true);
            programs.AddData(archive, "usr/share/seabios/bios-256k.bin", "usr/share/qemu/linuxboot_dma.bin", "usr/share/qemu/multiboot_dma.bin", "usr/share/qemu/kvmvapic.bin");
        });
    }

    /// <summary>Debian's kernel, Xen's tools and the two guests, for domain 0.</summary>
    public async Task<string> XenInitrdAsync(string commandLine)
    {
        PackagedPrograms programs = await XenProgramsAsync();
        string binaries = Directory.EnumerateDirectories(programs.InTree("usr/lib"), "xen-4*").Select(d => "usr/lib/" + Path.GetFileName(d) + "/bin/").Single();
        string[] names = ["xl", "xenstored", "xenconsoled", "xen-init-dom0"];
        return await HostAsync("xen", XenKernel, ["xen_evtchn", "xen_gntdev", "xen_gntalloc", "xen_privcmd", "xenfs"], commandLine, async archive =>
        {
            foreach (string name in names)
            {
                string path = new[] { binaries + name, "usr/sbin/" + name, "usr/bin/" + name }.First(p => File.Exists(programs.InTree(p)));
                await programs.AddAsync(archive, path);
                archive.AddLink("bin/" + name, "/" + path);
            }
        });
    }

    /// <summary>Xen itself, as the emulator loads it by the Multiboot protocol.</summary>
    public async Task<string> XenAsync()
    {
        PackagedPrograms programs = await XenProgramsAsync();
        string packed = Directory.EnumerateFiles(programs.InTree("boot"), "xen-4*.gz").Single(), target = Path.Combine(workspace.Cache, "bench-xen.elf");
        using var unpacking = new GZipStream(File.OpenRead(packed), CompressionMode.Decompress);
        using FileStream file = File.Create(target);
        await unpacking.CopyToAsync(file);
        return target;
    }

    /// <summary>Code and data of KVM's two modules; the Linux under them is not counted.</summary>
    public async Task<long> KvmBytesAsync()
    {
        (string package, _) = await guest.PackageAsync(GuestKernel);
        string scratch = Path.Combine(workspace.Cache, "bench-kvm.modules");
        long sum = 0;
        foreach ((string name, byte[] contents) in (await ModuleSet.InLoadOrderAsync(package, scratch, "kvm_amd")).Where(m => m.Name.StartsWith("kvm", StringComparison.Ordinal)))
        {
            string file = Path.Combine(workspace.Cache, "bench-" + name);
            File.WriteAllBytes(file, contents);
            sum += await BytesAsync(file);
            File.Delete(file);
        }
        return sum;
    }

    public async Task<long> XenBytesAsync() => await BytesAsync(await XenAsync());

    // "   text    data     bss     dec     hex filename", then the numbers.
    private static async Task<long> BytesAsync(string file)
    {
        Outcome sizes = await ChildProcess.RequireAsync("llvm-size", [file]);
        return long.Parse(sizes.Output.Split('\n')[1].Split((char[])null, StringSplitOptions.RemoveEmptyEntries)[3], System.Globalization.CultureInfo.InvariantCulture);
    }

    private Task<PackagedPrograms> XenProgramsAsync() =>
        PackagedPrograms.ObtainAsync(guest.Archive, Path.Combine(workspace.Cache, "bench-xen"), XenPackage, "xen-utils-4.17", "xenstore-utils");

    // Not compressed: a host on a disk would not unpack itself either.
    private async Task<string> HostAsync(string name, Kernel kernel, string[] modules, string commandLine, Func<CpioArchive, Task> addPrograms)
    {
        string scripts = Path.Combine(workspace.Root, "tools", "bench", "init");
        string guestKernel = await KernelAsync(), initrd = await GuestInitrdAsync();
        (string package, string version) = await guest.PackageAsync(kernel);
        string[] parts = [Stamp, CostGuest, guestKernel, initrd, Path.Combine(scripts, "common"), Path.Combine(scripts, name)];
        if (name == "kvm")
            parts = [.. parts, LeastVmm];
        return await MakeAsync($"bench-{name}.img", parts, async target =>
        {
            var archive = new CpioArchive();
            foreach (string folder in new[] { "bin", "usr", "usr/bin", "dev", "modules", "bench" })
                archive.AddDirectory(folder);
            archive.AddCharacterDevice("dev/console", 5, 1);
            archive.AddCharacterDevice("dev/null", 1, 3);
            archive.AddFile("bin/busybox", File.ReadAllBytes(await guest.BusyboxAsync()), executable: true);
            archive.AddLink("bin/sh", "busybox");
            archive.AddFile("bin/stamp", File.ReadAllBytes(Stamp), executable: true);
            archive.AddFile("init", Text(Path.Combine(scripts, name)), executable: true);
            archive.AddFile("common", Text(Path.Combine(scripts, "common")), executable: false);
            List<(string Name, byte[] Contents)> ordered = await ModuleSet.InLoadOrderAsync(package, target + ".modules", modules);
            foreach ((string file, byte[] contents) in ordered)
                archive.AddFile("modules/" + file, contents, executable: false);
            archive.AddFile("modules/order", Encoding.ASCII.GetBytes(string.Join('\n', ordered.Select(m => m.Name)) + "\n"), executable: false);
            archive.AddFile("bench/guest-cost.elf", File.ReadAllBytes(CostGuest), executable: false);
            archive.AddFile("bench/vmlinuz", File.ReadAllBytes(guestKernel), executable: false);
            archive.AddFile("bench/initrd.img", File.ReadAllBytes(initrd), executable: false);
            archive.AddFile("bench/cmdline", Encoding.ASCII.GetBytes(commandLine), executable: false);
            await addPrograms(archive);
            archive.WriteUncompressedTo(target);
        }, version + commandLine);
    }

    private async Task<string> MakeAsync(string name, string[] parts, Func<string, Task> make, string more = "")
    {
        Directory.CreateDirectory(workspace.Cache);
        string path = Path.Combine(workspace.Cache, name);
        string key = new Fingerprint().Add(parts).Add(more).Add(typeof(BenchMaterial).Module.ModuleVersionId.ToString()).Value();
        if (Fingerprint.IsCurrent(path + ".made-of", key, [path]))
            return path;
        await Requirements.EnsureAsync(Requirements.Guest);
        await Report.StepAsync($"making {name}", () => make(path + ".partial"));
        File.Move(path + ".partial", path, overwrite: true);
        File.WriteAllText(path + ".made-of", key);
        return path;
    }

    // A clone on Windows may have other line ends.
    private static byte[] Text(string file) => Encoding.UTF8.GetBytes(File.ReadAllText(file).ReplaceLineEndings("\n"));
}
