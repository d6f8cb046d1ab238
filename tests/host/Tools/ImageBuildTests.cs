// The build itself, on a small tree of its own: a C# image with a bad static is refused, a good one is made once.
using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Lamina.Tools;
using Lamina.Tools.Build;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class ImageBuildTests
{
    private const string Good = """
        using System.Runtime;
        internal static class Entry
        {
            private static ulong count = 7;
            [RuntimeExport("sample_entry")] public static ulong Main(ulong x) => count += x;
            [RuntimeExport("lamina_fail_fast")] private static void FailFast(ulong reason) { while (true) ; }
        }
        """;

    private const string BadStatic = """
        using System;
        using System.Runtime;
        internal static unsafe class Entry
        {
            [RuntimeExport("sample_entry")] public static ulong Main(ulong x) => Table.Values[x & 3];
            [RuntimeExport("lamina_fail_fast")] private static void FailFast(ulong reason) { while (true) ; }
        }
        internal static unsafe class Table
        {
            private static ReadOnlySpan<byte> Bytes => [1, 2, 3, 4];
            public static readonly byte* Values = Make();
            private static byte* Make() { fixed (byte* p = Bytes) return p; }
        }
        """;

    private static readonly Image Sample = new("sample", "sample.exe", ["sample", "foundation/corelib"], "sample_entry", 0xFFFFFFFF80000000, "native",
        ImageForm.ExecutableAndFlat);

    [Fact]
    public async Task Good_code_becomes_an_image_and_bad_code_is_refused_by_name()
    {
        using var folder = new Scratch();
        Workspace workspace = Tree(folder);
        Write(folder, Good);
        ImageSize size = await MakeAsync(workspace, Sample);
        Assert.InRange(size.Total, 1024, 16384);
        string flat = Path.Combine(workspace.Out, "sample.flat");
        Assert.Equal(FlatImage.Flatten(new PortableExecutable(File.ReadAllBytes(Path.Combine(workspace.Out, "sample.exe")))), File.ReadAllBytes(flat));

        DateTime made = File.GetLastWriteTimeUtc(flat);
        await MakeAsync(workspace, Sample);
        Assert.Equal(made, File.GetLastWriteTimeUtc(flat));

        Failure over = await Assert.ThrowsAsync<Failure>(() => MakeAsync(workspace, Sample with { Budget = 1000 }));
        Assert.Matches(@"^sample: \d+ bytes, \d+ over its budget of 1000 ", over.Message);

        Write(folder, BadStatic);
        Failure bad = await Assert.ThrowsAsync<Failure>(() => MakeAsync(workspace, Sample));
        Assert.StartsWith("sample: static constructor left for run time: Sample_Table ", bad.Message);

        Write(folder, Good.Replace("sample_entry", "other_entry"));
        Failure missing = await Assert.ThrowsAsync<Failure>(() => MakeAsync(workspace, Sample));
        Assert.Contains("sample: undefined symbol sample_entry", missing.Message);
    }

    private static async Task<ImageSize> MakeAsync(Workspace workspace, Image image)
    {
        var assemblies = new AssemblyStage(workspace);
        await assemblies.RunAsync([image]);
        return await new ImageStage(workspace, assemblies, image).RunAsync();
    }

    private static void Write(Scratch folder, string code) => File.WriteAllText(folder.File("sample/Entry.cs"), code);

    /// <summary>The real foundation, project settings and image project, with one small room of our own.</summary>
    private static Workspace Tree(Scratch folder)
    {
        string root = Repository.Root;
        foreach (string name in new[] { "Directory.Build.props", "Lamina.slnx", "foundation/Freestanding.props", "tools/images/Images.csproj" })
            CopyFile(root, folder.Folder, name);
        foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "foundation/corelib"), "*", SearchOption.AllDirectories)
                     .Where(f => f.EndsWith(".cs") || f.EndsWith(".asm") || f.EndsWith(".csproj")))
            CopyFile(root, folder.Folder, Path.GetRelativePath(root, file));
        Directory.CreateDirectory(folder.File("sample"));
        File.WriteAllText(folder.File("sample/Sample.csproj"), """
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup><AssemblyName>Sample</AssemblyName></PropertyGroup>
              <Import Project="$(LaminaRoot)foundation/Freestanding.props" />
              <ItemGroup><ProjectReference Include="$(LaminaRoot)foundation/corelib/CoreLib.csproj" /></ItemGroup>
            </Project>
            """);
        return new Workspace(folder.Folder, folder.File("out"));
    }

    private static void CopyFile(string from, string to, string name)
    {
        string target = Path.Combine(to, name);
        Directory.CreateDirectory(Path.GetDirectoryName(target));
        File.Copy(Path.Combine(from, name), target);
    }
}
