// Makes sure of the programs that a verb needs: installs Debian packages where it may, else prints the one line to type.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools;

/// <summary>A thing a verb needs and the Debian package that brings it.</summary>
public sealed record Requirement(string Package, Func<bool> Present)
{
    public static Requirement Program(string name, string package) => new(package, () => ChildProcess.Find(name) != null);
}

/// <summary>The needs of the verbs.</summary>
public static class Requirements
{
    public static readonly Requirement[] Build =
    [
        Requirement.Program("nasm", "nasm"),
        Requirement.Program("lld-link", "lld"),
        Requirement.Program("ld.lld", "lld"),
        Requirement.Program("llvm-nm", "llvm"),
        Requirement.Program("llvm-lib", "llvm"),
        Requirement.Program("llvm-objdump", "llvm"),
        Requirement.Program("llvm-symbolizer", "llvm"),
    ];

    public static readonly Requirement[] Qemu = [Requirement.Program("qemu-system-x86_64", "qemu-system-x86")];

    /// <summary>To start from UEFI.</summary>
    public static readonly Requirement[] Uefi =
    [
        new("ovmf", () => Lamina.Tools.Run.Firmware.Find() != null),
        Requirement.Program("mformat", "mtools"),
        Requirement.Program("mcopy", "mtools"),
    ];

    /// <summary>To start from a BIOS.</summary>
    public static readonly Requirement[] Grub =
    [
        Requirement.Program("grub-mkimage", "grub-common"),
        new("grub-pc-bin", () => Directory.Exists("/usr/lib/grub/i386-pc")),
        Requirement.Program("xorriso", "xorriso"),
    ];

    /// <summary>To make lamina.img.</summary>
    public static readonly Requirement[] Image = [.. Grub, Requirement.Program("mformat", "mtools"), Requirement.Program("mcopy", "mtools"), Requirement.Program("sgdisk", "gdisk")];

    public static readonly Requirement[] Bochs =
    [
        Requirement.Program("bochs", "bochs"),
        new("bochsbios", () => File.Exists("/usr/share/bochs/BIOS-bochs-latest")),
        new("vgabios", () => File.Exists("/usr/share/bochs/VGABIOS-lgpl-latest")),
    ];

    /// <summary>For disks of a machine: overlays, partition tables, checks.</summary>
    public static readonly Requirement[] Disks =
    [
        Requirement.Program("qemu-img", "qemu-utils"),
        Requirement.Program("sgdisk", "gdisk"),
        Requirement.Program("e2fsck", "e2fsprogs"),
    ];

    /// <summary>Programs of others that judge what we make: tests without them say that they are skipped.</summary>
    public static readonly Requirement[] Judges =
    [
        Requirement.Program("fsck.exfat", "exfatprogs"),
        Requirement.Program("iasl", "acpica-tools"),
    ];

    public static readonly Requirement[] Guest =
    [
        Requirement.Program("xz", "xz-utils"),
        Requirement.Program("zstd", "zstd"),
        Requirement.Program("depmod", "kmod"),
    ];

    public static readonly Requirement[] RootDisk =
    [
        Requirement.Program("mmdebstrap", "mmdebstrap"),
        Requirement.Program("mke2fs", "e2fsprogs"),
        Requirement.Program("tar", "tar"),
        .. Environment.IsPrivilegedProcess ? [] : new[] { Requirement.Program("newuidmap", "uidmap") },
    ];

    /// <summary>Installs what is missing, or fails with the line to type.</summary>
    public static async Task EnsureAsync(params Requirement[][] needs)
    {
        string[] missing = Missing(needs);
        if (missing.Length == 0)
            return;
        string line = "apt-get install -y --no-install-recommends " + string.Join(' ', missing);
        if (ChildProcess.Find("apt-get") == null)
            throw new Failure($"needed and not on PATH: what the Debian packages {string.Join(' ', missing)} hold; install them and try again", 3);
        string[] prefix = await PrivilegeAsync() ?? throw new Failure($"needed: sudo apt-get update && sudo {line}", 3);
        Report.Say($"installing {string.Join(' ', missing)}");
        await AptAsync(prefix, ["update", "-q"]);
        await AptAsync(prefix, line.Split(' ').Skip(1).ToArray());
        if (Missing(needs) is { Length: > 0 } still)
            throw new Failure($"still missing after {line}: {string.Join(' ', still)}", 3);
    }

    /// <summary>The packages that are not there.</summary>
    public static string[] Missing(params Requirement[][] needs) =>
        needs.SelectMany(n => n).Where(n => !n.Present()).Select(n => n.Package).Distinct().ToArray();

    /// <summary>What to put before apt-get to be allowed to install: nothing as root, sudo where it asks no password, else null.</summary>
    private static async Task<string[]> PrivilegeAsync()
    {
        if (Environment.IsPrivilegedProcess)
            return [];
        if (ChildProcess.Find("sudo") == null)
            return null;
        Outcome sudo = await ChildProcess.RunAsync("sudo", ["-n", "true"]);
        return sudo.ExitCode == 0 ? ["sudo", "-n"] : null;
    }

    private static async Task AptAsync(string[] prefix, string[] arguments)
    {
        string[] all = [.. prefix, "apt-get", .. arguments];
        string last = "";
        var environment = new Dictionary<string, string> { ["DEBIAN_FRONTEND"] = "noninteractive" };
        Outcome outcome = await Report.StepAsync($"apt-get {arguments[0]}",
            () => ChildProcess.RunAsync(all[0], all.Skip(1), line: l => last = l, environment: environment), () => last);
        // An update fails when any one source does; the install that follows is the judge.
        if (outcome.ExitCode != 0 && arguments[0] != "update")
            throw new Failure($"apt-get {arguments[0]} failed: {outcome.Text}", 3);
    }
}
