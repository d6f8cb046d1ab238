// Assemblies and NASM files to one image: ilc, nasm, lld-link, the gates, the flat file.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;

namespace Lamina.Tools.Build;

/// <summary>What an image came to.</summary>
public sealed record ImageSize(Image Image, long Code, long Data, long Zeroed, long File)
{
    /// <summary>What the budget counts.</summary>
    public long Total => File + Zeroed;
}

/// <summary>Makes one image.</summary>
public sealed class ImageStage(Workspace workspace, AssemblyStage assemblies, Image image)
{
    private string Folder => Path.Combine(workspace.Objects, image.Name);
    private string Linked => image.Form == ImageForm.Flat ? Path.Combine(Folder, image.Name + ".exe") : Path.Combine(workspace.Out, image.Product);
    private string Symbols => Path.Combine(workspace.Out, image.Name + ".pdb");
    private string Map => Path.Combine(workspace.Out, image.Name + ".map");
    private string Flat => image.Form == ImageForm.Executable ? null : Path.Combine(workspace.Out, image.FlatProduct);

    /// <summary>The linked PE of an image, which keeps its symbols beside it.</summary>
    public static string LinkedPath(Workspace workspace, Image image) => new ImageStage(workspace, null, image).Linked;

    /// <summary>Makes the image if it is out of date.</summary>
    /// <exception cref="Failure">One line for each thing that is wrong with it.</exception>
    public async Task<ImageSize> RunAsync()
    {
        Directory.CreateDirectory(Folder);
        string stamp = Path.Combine(Folder, "image.stamp");
        string value = Value();
        if (!Fingerprint.IsCurrent(stamp, value, new[] { Linked, Symbols, Map, Flat }.OfType<string>()))
        {
            File.Delete(stamp);
            await Report.StepAsync($"making {image.Name}", MakeAsync);
            File.WriteAllText(stamp, value);
        }
        return Measure();
    }

    private async Task MakeAsync()
    {
        string compiled = await CompileAsync();
        Refuse(await Gates.InspectObjectAsync(image.Name, compiled));
        (List<string> own, string others) = await AssembleAsync();
        await LinkAsync([.. own, compiled], others);
        if (image.VectorFree is { } gate)
        {
            Outcome code = await ChildProcess.RequireAsync("llvm-objdump", ["-d", "--no-show-raw-insn", "--x86-asm-syntax=intel", Linked]);
            Refuse(gate.Inspect(image.Name, code.Output, await File.ReadAllTextAsync(Map)));
        }
        if (Flat != null)
            WriteFlat();
        Refuse(Gates.Budget(image, Measure().Total));
    }

    private async Task<string> CompileAsync()
    {
        string compiled = Path.Combine(Folder, image.Name + ".obj");
        string ilc = Path.Combine(assemblies.CompilerFolder, OperatingSystem.IsWindows() ? "ilc.exe" : "ilc");
        string[] arguments =
        [
            .. image.Rooms.Select(assemblies.Assembly), "-o", compiled, "--systemmodule:CoreLib", "--targetos:windows", "--targetarch:x64",
            "--nativelib", "-O", "--noinlinetls", "-g", "--map:" + Path.Combine(Folder, image.Name + ".ilcmap.xml"),
        ];
        var environment = new Dictionary<string, string> { ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1" };
        Outcome outcome = await ChildProcess.RunAsync(ilc, arguments, environment: environment);
        if (outcome.ExitCode != 0)
            throw new Failure($"{image.Name}: ilc failed (exit {outcome.ExitCode}): {outcome.Text}");
        return compiled;
    }

    /// <summary>
    /// The image's own NASM files are linked as they are; those of the rooms below it form a library, of which the
    /// linker takes what is asked for, so that a stub that this image does not use costs it nothing. A file with a Multiboot
    /// header must stand at the image's start, whichever room it is of.
    /// </summary>
    private async Task<(List<string> Own, string Others)> AssembleAsync()
    {
        var own = new List<string>();
        var others = new List<string>();
        foreach (string room in image.Rooms)
            foreach (string source in NasmFiles(room))
            {
                bool isFirst = image.Multiboot != 0 && HasMultibootHeader(source);
                string assembled = await AssembleAsync(source);
                if (isFirst)
                    own.Insert(0, assembled);
                else
                    (room == image.Rooms[0] ? own : others).Add(assembled);
            }
        if (others.Count == 0)
            return (own, null);
        string library = Path.Combine(Folder, "stubs.lib");
        File.Delete(library);
        await ChildProcess.RequireAsync("llvm-lib", ["/nologo", "/machine:x64", "/out:" + library, .. others]);
        return (own, library);
    }

    private async Task<string> AssembleAsync(string source)
    {
        string name = Path.ChangeExtension(Path.GetRelativePath(workspace.Root, source).Replace(Path.DirectorySeparatorChar, '-'), ".obj");
        string target = Path.Combine(Folder, name);
        Outcome outcome = await ChildProcess.RunAsync("nasm",
            ["-f", "win64", "-g", "-F", "cv8", .. IncludeFolders(source), Path.GetRelativePath(workspace.Root, source), "-o", target], folder: workspace.Root);
        if (outcome.ExitCode != 0)
            throw new Failure($"{image.Name}: {outcome.Text}");
        if (outcome.Errors.Length > 0)
            Report.Say("  " + outcome.Errors.Trim());
        return target;
    }

    private string[] IncludeFolders(string source) =>
        ["-i", Path.GetDirectoryName(source) + "/", "-i", workspace.Out + "/", "-i", workspace.Root + "/"];

    private IEnumerable<string> NasmFiles(string room) =>
        Directory.EnumerateFiles(Path.Combine(workspace.Root, room), "*.asm", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

    private static readonly string[] MultibootMagics = ["0x1BADB002", "0xE85250D6"];

    private bool HasMultibootHeader(string source) => File.ReadAllText(source).Contains(MultibootMagics[image.Multiboot - 1], StringComparison.OrdinalIgnoreCase);

    private async Task LinkAsync(List<string> objects, string library)
    {
        List<string> arguments =
        [
            "/nologo", "/subsystem:" + image.Subsystem, "/entry:" + image.Entry, "/nodefaultlib", "/machine:x64", "/Brepro",
            "/out:" + Linked, "/map:" + Map, "/debug", "/pdb:" + Symbols, "/pdbaltpath:" + Path.GetFileName(Symbols),
            "/merge:.managedcode=.text", "/merge:.modules=.rdata", "/opt:ref", "/errorlimit:0",
            // Functions have unwind data each, many alike.
            "/opt:icf",
        ];
        if (image.Base is { } address)
            arguments.AddRange([$"/base:0x{address:X}", "/fixed"]);
        arguments.AddRange(objects);
        if (library != null)
            arguments.Add(library);
        File.Delete(Linked);
        Outcome outcome = await ChildProcess.RunAsync("lld-link", arguments);
        if (outcome.ExitCode != 0)
        {
            Refuse(Gates.LinkErrors(image.Name, outcome.Text));
            throw new Failure($"{image.Name}: lld-link failed: {outcome.Text}");
        }
    }

    private void WriteFlat()
    {
        var linked = new PortableExecutable(File.ReadAllBytes(Linked));
        byte[] flat = FlatImage.Flatten(linked);
        try
        {
            if (image.Multiboot == 1)
                FlatImage.CompleteMultibootHeader(flat, linked);
            else if (image.Multiboot == 2)
                FlatImage.CompleteMultiboot2Header(flat, linked);
        }
        catch (Failure e)
        {
            throw new Failure($"{image.Name}: {e.Message}");
        }
        File.WriteAllBytes(Flat, flat);
    }

    private ImageSize Measure()
    {
        var linked = new PortableExecutable(File.ReadAllBytes(Linked));
        long Of(params string[] names) => linked.Sections.Where(s => names.Contains(s.Name)).Sum(s => (long)Math.Min(s.RawSize, s.VirtualSize));
        long file = image.Form == ImageForm.Flat ? new FileInfo(Flat).Length : linked.File.Length;
        return new ImageSize(image, Of(".text"), Of(".rdata", ".data", ".pdata", ".xdata"), linked.ZeroBytes, file);
    }

    private string Value() => new Fingerprint().Add(image.ToString()).Add(assemblies.CompilerFolder)
        .Add(typeof(ImageStage).Module.ModuleVersionId.ToString())
        .Add(image.Rooms.Select(assemblies.Assembly))
        .Add(image.Rooms.SelectMany(r => Directory.EnumerateFiles(Path.Combine(workspace.Root, r), "*", SearchOption.AllDirectories))
            .Where(f => f.EndsWith(".asm") || f.EndsWith(".inc")))
        .Add((image.After ?? []).Select(name => Path.Combine(workspace.Out, ImageTable.All.Single(i => i.Name == name).FlatProduct)))
        .Value();

    private static void Refuse(IEnumerable<string> lines)
    {
        string text = string.Join("\n", lines);
        if (text.Length > 0)
            throw new Failure(text);
    }
}
