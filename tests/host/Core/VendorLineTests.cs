// The vendor line: nothing above it knows which backend runs, and the two backends have the same files.
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Xunit;

namespace Lamina.Tests.Host.Core;

public class VendorLineTests
{
    private static string Hypervisor => Path.Combine(Tools.Repository.Root, "hypervisor");

    private static IEnumerable<string> SourcesAbove => Directory.EnumerateFiles(Hypervisor, "*.cs", SearchOption.AllDirectories)
        .Where(f => Path.GetRelativePath(Hypervisor, f).Split(Path.DirectorySeparatorChar)[0] is not ("vmx" or "svm"));

    [Fact]
    public void No_name_of_a_control_block_stands_above_the_line()
    {
        Assert.NotEmpty(SourcesAbove);
        Assert.All(SourcesAbove, f => Assert.DoesNotMatch(@"(?i)\bvm(cs|cb)|(Vmcs|Vmcb)", File.ReadAllText(f)));
    }

    [Fact]
    public void One_file_names_the_backends()
    {
        var naming = SourcesAbove.Where(f => Regex.IsMatch(File.ReadAllText(f), @"\b(Vmx|Svm)Backend\b")).Select(Path.GetFileName);
        Assert.Equal("Vendor.cs", Assert.Single(naming));
    }

    [Theory]
    [InlineData("Backend.cs")]
    [InlineData("Events.cs")]
    [InlineData("Exits.cs")]
    [InlineData("Registers.cs")]
    [InlineData("SecondStage.cs")]
    public void The_backends_mirror_each_other(string file)
    {
        Assert.True(File.Exists(Path.Combine(Hypervisor, "svm", "Svm" + file)));
        Assert.True(File.Exists(Path.Combine(Hypervisor, "vmx", "Vmx" + file)));
    }
}
