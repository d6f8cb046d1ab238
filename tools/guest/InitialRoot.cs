// The reference guest's initial root file systems: busybox, the scripts of the folder initrd, and a kernel's storage modules.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading.Tasks;

namespace Lamina.Tools.Guest;

/// <summary>Builds an initrd around a static busybox.</summary>
public static class InitialRoot
{
    /// <summary>Folder of the scripts in the clone.</summary>
    public static string Scripts(string root) => Path.Combine(root, "tools", "guest", "initrd");

    /// <param name="scripts">Folder with init (first program) and commands (into bin).</param>
    /// <param name="modules">Modules of the kernel that this is for; null: none, it then serves any kernel.</param>
    /// <param name="fileSystemCheck">A static e2fsck, or null.</param>
    /// <param name="addition">Puts more into it; null: nothing.</param>
    public static async Task WriteAsync(string busybox, string scripts, string target, ModuleSet modules = null, string fileSystemCheck = null, Func<CpioArchive, Task> addition = null)
    {
        var archive = new CpioArchive();
        foreach (string folder in new[] { "bin", "sbin", "usr", "usr/bin", "usr/sbin", "dev", "proc", "sys", "tmp", "run", "root", "etc", "lib" })
            archive.AddDirectory(folder);
        archive.AddCharacterDevice("dev/console", 5, 1);
        archive.AddCharacterDevice("dev/null", 1, 3);
        archive.AddFile("bin/busybox", File.ReadAllBytes(busybox), executable: true);
        archive.AddLink("bin/sh", "busybox");
        foreach (string script in Directory.EnumerateFiles(scripts).Order(StringComparer.Ordinal))
            archive.AddFile(Path.GetFileName(script) is "init" ? "init" : "bin/" + Path.GetFileName(script), Text(script), executable: true);
        archive.AddFile("etc/passwd", "root::0:0:root:/root:/bin/sh\n"u8.ToArray(), executable: false);
        if (fileSystemCheck != null)
            archive.AddFile("sbin/e2fsck", File.ReadAllBytes(fileSystemCheck), executable: true);
        if (modules != null)
            AddModules(archive, modules);
        if (addition != null)
            await addition(archive);
        archive.WriteTo(target + ".partial");
        File.Move(target + ".partial", target, overwrite: true);
    }

    private static void AddModules(CpioArchive archive, ModuleSet modules)
    {
        var folders = new HashSet<string>();
        foreach (string file in modules.BootFiles)
        {
            string name = "lib/modules/" + modules.Release + "/" + file;
            for (int at = name.IndexOf('/'); at > 0; at = name.IndexOf('/', at + 1))
                if (folders.Add(name[..at]))
                    archive.AddDirectory(name[..at]);
            archive.AddFile(name, File.ReadAllBytes(Path.Combine(modules.Folder, file)), executable: false);
        }
        archive.AddFile("etc/modules", Encoding.UTF8.GetBytes(string.Join('\n', modules.BootLoad) + "\n"), executable: false);
    }

    // A clone on Windows may have other line ends.
    private static byte[] Text(string file) => Encoding.UTF8.GetBytes(File.ReadAllText(file).ReplaceLineEndings("\n"));
}
