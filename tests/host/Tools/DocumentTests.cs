// The documents against the sources that they describe.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class DocumentTests
{
    [Fact]
    public void Every_hypercall_is_documented_with_its_code_and_kind()
    {
        string codes = Read("foundation/abi/HypercallCode.cs");
        var table = Regex.Matches(Read("hypervisor/hypercalls/HypercallTable.cs"), @"case (HvCall\w+): call = (Simple|Rep)\(")
            .Select(m => $"{Regex.Match(codes, $@"\b{m.Groups[1].Value} = (0x[0-9A-Fa-f]+)").Groups[1].Value} {m.Groups[1].Value} {m.Groups[2].Value.ToLowerInvariant()}");
        var documented = Regex.Matches(Read("docs/hypercalls.md"), @"^\| (0x[0-9A-F]{4}) \| (\w+) \| (\w+) \|", RegexOptions.Multiline)
            .Select(m => $"{m.Groups[1].Value} {m.Groups[2].Value} {m.Groups[3].Value}");
        Assert.Equal(table.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_room_has_a_readme()
    {
        foreach (string project in Directory.EnumerateFiles(Repository.Root, "*.csproj", SearchOption.AllDirectories)
                     .Where(p => !Path.GetRelativePath(Repository.Root, p).StartsWith("out")))
            Assert.True(Above(Path.GetDirectoryName(project)), $"no README.md in or above {Path.GetRelativePath(Repository.Root, project)}");
    }

    [Fact]
    public void Links_of_the_readme_lead_somewhere()
    {
        foreach (Match link in Regex.Matches(Read("README.md"), @"\]\(([^)#:]+)\)"))
            Assert.True(Path.Exists(Path.Combine(Repository.Root, link.Groups[1].Value)), link.Value);
    }

    // The room's folder or the one that holds it, but not the clone's own.
    private static bool Above(string folder) =>
        File.Exists(Path.Combine(folder, "README.md")) || (Path.GetDirectoryName(folder) is { } outer && outer != Repository.Root && File.Exists(Path.Combine(outer, "README.md")));

    private static string Read(string name) => File.ReadAllText(Path.Combine(Repository.Root, name));
}
