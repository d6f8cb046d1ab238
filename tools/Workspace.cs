// Where things are: the clone's root, what is made (out/), and the cache of guest material.
using System;
using System.IO;

namespace Lamina.Tools;

/// <summary>The folders that every verb works in.</summary>
public sealed class Workspace
{
    public string Root { get; }
    public string Out { get; }
    public string Cache { get; }
    public string Logs => Path.Combine(Out, "logs");
    public string Objects => Path.Combine(Out, "obj");
    public string Artifacts => Path.Combine(Out, "artifacts");

    /// <param name="root">The folder that holds Lamina.slnx.</param>
    /// <param name="output">Where products go; null: <c>$LAMINA_OUT</c>, else <c>out/</c> under the root.</param>
    public Workspace(string root, string output = null)
    {
        Root = Path.GetFullPath(root);
        Out = Path.GetFullPath(output ?? Environment.GetEnvironmentVariable("LAMINA_OUT") ?? Path.Combine(Root, "out"));
        Cache = Path.GetFullPath(Environment.GetEnvironmentVariable("LAMINA_CACHE") ?? Path.Combine(Out, "cache"));
        foreach (string folder in new[] { Out, Logs, Objects })
            Directory.CreateDirectory(folder);
    }

    /// <summary>The clone around the current folder, else the one that this program was built in.</summary>
    public static Workspace Find() =>
        Above(Environment.CurrentDirectory) ?? Above(AppContext.BaseDirectory)
        ?? throw new Failure("no Lamina.slnx in this folder or above it: run from inside the clone");

    /// <summary>A path as a person wants to read it: relative to where he stands, when that is shorter.</summary>
    public static string Show(string path)
    {
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.Length < path.Length ? relative : path;
    }

    private static Workspace Above(string folder)
    {
        for (var at = new DirectoryInfo(folder); at != null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Lamina.slnx")))
                return new Workspace(at.FullName);
        return null;
    }
}
