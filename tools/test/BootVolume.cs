// Collects the files of a boot row: what it makes itself, what its configuration names.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Tasks;
using Lamina.Tools.Guest;
using Lamina.Tools.Run;

namespace Lamina.Tools.Test;

/// <summary>Thrown when this machine lacks what a row needs: the row is then skipped, and says so.</summary>
public sealed class Unavailable(string why) : Exception(why);

/// <summary>Prepares the volume of one row in a scratch folder.</summary>
public sealed class BootVolume(Workspace workspace, BootRow row, string scratch)
{
    private readonly ReferenceGuest guest = new(workspace);

    /// <summary>What the row's machine boots from.</summary>
    public async Task<BootFiles> CollectAsync()
    {
        string config = Path.Combine(scratch, "lamina.json");
        await File.WriteAllTextAsync(config, await ConfigAsync());
        var files = new Dictionary<string, string> { [BootFiles.Configuration] = config };
        foreach ((string name, JsonNode source) in row.Files)
            files[name] = await MakeAsync(name, source);
        foreach (string name in NamedFiles.In(File.ReadAllText(config)))
            if (!files.ContainsKey(name) && await FindAsync(name) is { } found)
                files[name] = found;
        return new BootFiles(workspace.Out, files);
    }

    /// <summary>A file by name: guest material, a product, or beside the row; null when there is none.</summary>
    public async Task<string> FindAsync(string name)
    {
        if (ReferenceGuest.Materials.Contains(name))
            return await MaterialAsync(name);
        return new[] { row.Folder, workspace.Out, workspace.Cache }.Select(f => Path.Combine(f, NamedFiles.Relative(name))).FirstOrDefault(File.Exists);
    }

    private static readonly System.Threading.SemaphoreSlim OneAtATime = new(1);

    private async Task<string> MaterialAsync(string name)
    {
        await OneAtATime.WaitAsync();
        try
        {
            return await guest.ObtainAsync(name);
        }
        catch (Failure e) when (e.ExitCode == 3 || name != RootDisk.Name) // a disk that cannot be made, though all is there for it, is a fault of ours
        {
            throw new Unavailable(e.Message);
        }
        finally
        {
            OneAtATime.Release();
        }
    }

    private async Task<string> ConfigAsync()
    {
        if (row.ConfigText != null)
            return string.Join('\n', row.ConfigText) + "\n";
        if (row.Config == null)
            return await File.ReadAllTextAsync(await ReferenceGuest.EnsureAsync(workspace, rootDisk: false));
        return row.Config.GetValueKind() == JsonValueKind.String
            ? await File.ReadAllTextAsync(Path.Combine(row.Folder, row.Config.GetValue<string>()))
            : row.Config.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    private async Task<string> MakeAsync(string name, JsonNode source)
    {
        if (source.GetValueKind() == JsonValueKind.String)
            return await FindAsync(source.GetValue<string>()) ?? throw new Failure($"no file {source} for {name}");
        string target = Path.Combine(scratch, name.Replace('/', '-'));
        if (source["text"] is { } text)
            await File.WriteAllTextAsync(target, text.GetValue<string>());
        else if (source["random"] is { } count)
        {
            var bytes = new byte[count.GetValue<int>()];
            new Random(source["seed"]?.GetValue<int>() ?? 1).NextBytes(bytes);
            await File.WriteAllBytesAsync(target, bytes);
        }
        else if (source["of"] is { } whole)
        {
            string file = await FindAsync(whole.GetValue<string>()) ?? throw new Failure($"no file {whole} for {name}");
            byte[] bytes = await File.ReadAllBytesAsync(file);
            await File.WriteAllBytesAsync(target, bytes[..Math.Min(bytes.Length, source["bytes"].GetValue<int>())]);
        }
        else
            throw new Failure($"file {name}: a source is a name, or an object with text, random or of");
        return target;
    }
}
