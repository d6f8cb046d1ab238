// Makes the volume that UEFI boots from: a FAT file system with the loader, lamina.json and what it names.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools.Run;

/// <summary>A FAT volume in a file, made with mtools, so that neither root nor a mount is needed.</summary>
public static class FatVolume
{
    private const long Slack = 4 << 20;
    private const long Smallest = 40 << 20; // below about 33 MiB there is no FAT32

    /// <summary>Writes the volume.</summary>
    /// <param name="files">Path on the volume (forward slashes) to file on this machine.</param>
    public static async Task WriteAsync(string image, IReadOnlyDictionary<string, string> files)
    {
        long size = Math.Max(Smallest, files.Values.Sum(f => new FileInfo(f).Length + 8192) * 65 / 64 + Slack);
        using (FileStream stream = File.Create(image))
            stream.SetLength(Round(size));
        var environment = new Dictionary<string, string> { ["MTOOLS_SKIP_CHECK"] = "1", ["MTOOLSRC"] = "/dev/null" };
        await ChildProcess.RequireAsync("mformat", ["-i", image, "-F", "-v", "LAMINA", "::"], environment: environment);
        var folders = files.Keys.SelectMany(Above).Distinct().OrderBy(f => f.Length).ToArray();
        if (folders.Length > 0)
            await ChildProcess.RequireAsync("mmd", ["-i", image, .. folders.Select(f => "::" + f)], environment: environment);
        foreach ((string target, string source) in files)
            await ChildProcess.RequireAsync("mcopy", ["-i", image, "-D", "o", source, "::" + target], environment: environment);
    }

    /// <summary>Whole megabytes, never less than asked for.</summary>
    public static long Round(long size) => size + 0xFFFFF & ~0xFFFFFL;

    private static IEnumerable<string> Above(string path)
    {
        for (int at = path.IndexOf('/'); at > 0; at = path.IndexOf('/', at + 1))
            yield return path[..at];
    }
}
