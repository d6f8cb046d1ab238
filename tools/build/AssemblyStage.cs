// C# to assemblies: one dotnet build of tools/images, which pulls in every room by reference.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools.Build;

/// <summary>Compiles the rooms and knows where their assemblies and the machine-code compiler are.</summary>
public sealed class AssemblyStage(Workspace workspace)
{
    private const string Configuration = "debug";
    private string PathFile => Path.Combine(workspace.Artifacts, "bin", "Images", Configuration, "ilc.path");

    /// <summary>Folder with ilc.</summary>
    public string CompilerFolder => File.ReadAllText(PathFile).Trim();

    /// <summary>The room's compiled assembly.</summary>
    public string Assembly(string room)
    {
        string project = Project(room);
        string folder = Path.Combine(workspace.Artifacts, "bin", Path.GetFileNameWithoutExtension(project), Configuration);
        string name = AssemblyName(project);
        return Path.Combine(folder, name + ".dll");
    }

    /// <summary>Brings the assemblies of some images up to date; does nothing when no source changed.</summary>
    public async Task RunAsync(Image[] images)
    {
        string[] rooms = images.SelectMany(i => i.Rooms).Distinct().ToArray();
        bool all = images.Length == ImageTable.All.Length;
        string stamp = Path.Combine(workspace.Objects, all ? "assemblies.stamp" : $"assemblies-{string.Join('-', images.Select(i => i.Name))}.stamp");
        string value = new Fingerprint().Add(Sources(rooms)).Add(Environment.GetEnvironmentVariable("LAMINA_CHECKED") ?? "").Value();
        IEnumerable<string> products = rooms.Select(Assembly).Append(PathFile);
        if (Fingerprint.IsCurrent(stamp, value, products) && Directory.Exists(CompilerFolder))
            return;
        foreach (string outdated in Directory.EnumerateFiles(workspace.Objects, "assemblies*.stamp"))
            File.Delete(outdated);
        string only = string.Join('|', images.Select(i => Project(i.Rooms[0])));
        string last = "";
        Outcome outcome = await Report.StepAsync("compiling C#", () => ChildProcess.RunAsync("dotnet",
            ["build", Path.Combine(workspace.Root, "tools", "images", "Images.csproj"), "-c", "Debug", "-v", "m", "--nologo",
             "-clp:NoSummary", "--disable-build-servers", "--artifacts-path", workspace.Artifacts, .. all ? Array.Empty<string>() : ["-p:OnlyProjects=" + only]],
            folder: workspace.Root, line: l => last = l), () => Short(last));
        string[] lines = outcome.Output.Split('\n').Select(l => l.Trim()).Where(l => l.Contains(": error ") || l.Contains(": warning ")).Distinct().ToArray();
        foreach (string line in lines)
            Report.Say("  " + line.Replace(workspace.Root + Path.DirectorySeparatorChar, ""));
        if (outcome.ExitCode != 0)
            throw new Failure(lines.Any(l => l.Contains(": error ")) ? "the C# does not compile" : $"dotnet build failed: {outcome.Text}");
        if (products.FirstOrDefault(p => !File.Exists(p)) is { } missing)
            throw new Failure($"dotnet build made no {missing}");
        File.WriteAllText(stamp, value);
    }

    private IEnumerable<string> Sources(string[] rooms)
    {
        foreach (string room in rooms)
            foreach (string file in Directory.EnumerateFiles(Path.Combine(workspace.Root, room), "*", SearchOption.AllDirectories))
                if (file.EndsWith(".cs") || file.EndsWith(".csproj"))
                    yield return file;
        foreach (string shared in new[] { "Directory.Build.props", "foundation/Freestanding.props", "tools/images/Images.csproj" })
            yield return Path.Combine(workspace.Root, shared);
    }

    private string Project(string room) => Directory.GetFiles(Path.Combine(workspace.Root, room), "*.csproj").SingleOrDefault()
        ?? throw new Failure($"{room} holds no project, or several");

    private static string AssemblyName(string project)
    {
        string text = File.ReadAllText(project);
        int at = text.IndexOf("<AssemblyName>", StringComparison.Ordinal) + "<AssemblyName>".Length;
        return text[at..text.IndexOf('<', at)];
    }

    private static string Short(string line) => line.Trim() is { Length: > 90 } l ? l[..90] + "…" : line.Trim();
}
