// The build verb: everything into out/, then the size table.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Spectre.Console;

namespace Lamina.Tools.Build;

/// <summary>Builds all images, or those named.</summary>
public static class BuildVerb
{
    /// <param name="names">Image names; none: all images and the NASM guests.</param>
    /// <returns>The images' sizes.</returns>
    public static async Task<IReadOnlyList<ImageSize>> RunAsync(Workspace workspace, string[] names)
    {
        await Requirements.EnsureAsync(Requirements.Build);
        Image[] images = Choose(names);
        var assemblies = new AssemblyStage(workspace);
        await assemblies.RunAsync(images);
        var sizes = new List<ImageSize>();
        var failures = new List<string>();
        foreach (Image image in images)
        {
            try
            {
                if (image.After?.FirstOrDefault(a => failures.Any(f => f.StartsWith(a + ":", StringComparison.Ordinal))) is { } broken)
                    throw new Failure($"{image.Name}: not made, since {broken} was not");
                sizes.Add(await new ImageStage(workspace, assemblies, image).RunAsync());
            }
            catch (Failure e)
            {
                failures.Add(e.Message);
            }
        }
        List<(string Name, long Size)> guests = names.Length == 0 ? await new NasmGuests(workspace).RunAsync() : [];
        Print(workspace, sizes, guests);
        if (failures.Count > 0)
            throw new Failure(string.Join("\n", failures));
        return sizes;
    }

    /// <summary>The images in the table's order, with those they include.</summary>
    private static Image[] Choose(string[] names)
    {
        string unknown = names.FirstOrDefault(n => ImageTable.All.All(i => i.Name != n));
        if (unknown != null)
            throw new Failure($"no image named {unknown}; there are: {string.Join(", ", ImageTable.All.Select(i => i.Name))}", 2);
        var wanted = new HashSet<string>(names.Length == 0 ? ImageTable.All.Select(i => i.Name) : names);
        foreach (Image image in ImageTable.All.Where(i => wanted.Contains(i.Name)).ToArray())
            wanted.UnionWith(image.After ?? []);
        return ImageTable.All.Where(i => wanted.Contains(i.Name)).ToArray();
    }

    private static void Print(Workspace workspace, List<ImageSize> sizes, List<(string Name, long Size)> guests)
    {
        var table = new Table().Border(TableBorder.Ascii2).AddColumn("image");
        foreach (string column in new[] { "code", "data", "file", ".bss", "file + .bss", "budget" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (ImageSize s in sizes)
            table.AddRow(s.Image.Product, $"{s.Code:N0}", $"{s.Data:N0}", $"{s.File:N0}", $"{s.Zeroed:N0}", $"{s.Total:N0}",
                s.Image.Budget is { } budget ? $"{budget:N0} ({100.0 * s.Total / budget:0} %)" : "");
        foreach ((string name, long size) in guests)
            table.AddRow(name, "", "", $"{size:N0}", "", "", "");
        AnsiConsole.Profile.Width = Math.Max(AnsiConsole.Profile.Width, 110);
        AnsiConsole.Write(table);
        Report.Say($"in {Workspace.Show(workspace.Out)}/, with a .map and a .pdb for each image");
    }
}
