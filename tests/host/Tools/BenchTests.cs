// The bench verb's own logic: lines of the guests, bars, ratios, and what is written.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using Lamina.Tools;
using Lamina.Tools.Bench;
using Lamina.Tools.Guest;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class BenchTests
{
    private const string Lines = """
        cost| ENVIRONMENT Hyper-V interface
        cost| START 000000009E4DFCE9
        cost| COST nothing 2 2
        lamina> cost| COST cpuid 208 209
        (d1) [000000024bee5375] COST hlt-wake -12 15
        SKIP in-uart a PVH domain has no device model
        cost| DONE cost 0 passed, 0 failed
        """;

    private static readonly BenchOrigin Origin = new("bench", new Dictionary<string, string> { ["emulator"] = "QEMU 7.2" });

    private static BenchResults Sample()
    {
        var results = new BenchResults();
        foreach ((Subject subject, double value) in new[] { (Subject.Limit, 46.0), (Subject.Lamina, 208), (Subject.Kvm, 2412), (Subject.Xen, 2491) })
            results.Set("cpuid", subject, value);
        results.Set("in-uart", Subject.Lamina, 5156);
        results.Set("in-uart", Subject.Kvm, 4923);
        results.Skip("in-uart", Subject.Xen, "a PVH domain has no device model");
        return results;
    }

    private static BenchRow Row(string name) => BenchRows.All.Single(r => r.Name == name);

    [Fact]
    public void Lines_are_read_whatever_stands_before_them()
    {
        CostLines lines = CostLines.Parse(Lines.ReplaceLineEndings("\r\n"));
        Assert.Equal("Hyper-V interface", lines.Environment);
        Assert.Equal(0x9E4DFCE9ul, lines.Started);
        Assert.Equal(new Cost(208, 209), lines.Costs["cpuid"]);
        Assert.Equal(new Cost(-12, 15), lines.Costs["hlt-wake"]);
        Assert.Equal("a PVH domain has no device model", lines.Skipped["in-uart"]);
    }

    [Theory]
    [InlineData("DONE cost")]
    [InlineData("ENVIRONMENT")]
    [InlineData("START")]
    public void A_guest_that_did_not_say_all_is_a_failure(string lost) =>
        Assert.Throws<Failure>(() => CostLines.Parse(Lines.Replace(lost, "")));

    [Fact]
    public void Medians_count_and_a_skipped_row_keeps_its_reason()
    {
        var results = new BenchResults();
        results.Add(Subject.Xen, CostLines.Parse(Lines));
        Assert.Equal(209, results.Get("cpuid", Subject.Xen));
        Assert.Null(results.Get("in-uart", Subject.Xen));
        Assert.Equal("a PVH domain has no device model", results.ReasonFor("in-uart", Subject.Xen));
    }

    [Fact]
    public void Bars_are_judged_where_both_values_are_there()
    {
        BenchResults results = Sample();
        Assert.Equal([true, false, true, false], Row("cpuid").Bars.Select(b => b.Holds(Row("cpuid"), results)));
        Assert.Equal([false], Row("in-uart").Bars.Select(b => b.Holds(Row("in-uart"), results)));
        Assert.All(Row("self-ipi").Bars, b => Assert.Null(b.Holds(Row("self-ipi"), results)));
    }

    [Fact]
    public void Ratios_need_two_values()
    {
        BenchResults results = Sample();
        Assert.Equal(2412.0 / 208, results.Ratio("cpuid", Subject.Kvm, Subject.Lamina));
        Assert.Null(results.Ratio("in-uart", Subject.Xen, Subject.Lamina));
    }

    [Fact]
    public void Names_are_unique() => Assert.Equal(BenchRows.All.Count(), BenchRows.All.Select(r => r.Name).Distinct().Count());

    [Fact]
    public void Json_says_how_it_was_made_and_is_read_back()
    {
        BenchResults results = Sample();
        string text = BenchJson.Write(results, Origin);
        JsonNode json = JsonNode.Parse(text);
        Assert.Equal("bench", json["command"].GetValue<string>());
        Assert.Equal("QEMU 7.2", json["versions"]["emulator"].GetValue<string>());
        Assert.False(json["rows"][0]["bars"][1]["holds"].GetValue<bool>());
        BenchResults read = BenchJson.Read(text);
        Assert.All(BenchRows.All, row => Assert.All(Enum.GetValues<Subject>(), s => Assert.Equal(results.Get(row.Name, s), read.Get(row.Name, s))));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("no json")]
    [InlineData("""{"rows": [{"name": 1}]}""")]
    public void What_is_no_such_file_is_said(string text) => Assert.Equal(2, Assert.Throws<Failure>(() => BenchJson.Read(text)).ExitCode);

    [Fact]
    public void A_counted_row_that_moved_is_a_difference_and_one_by_the_clock_is_not()
    {
        BenchResults before = Sample(), now = Sample();
        before.Set("wall-boot", Subject.Lamina, 20);
        now.Set("wall-boot", Subject.Lamina, 30);
        Assert.Empty(BenchResults.Differences(now, before, 0.01));
        now.Set("cpuid", Subject.Kvm, 2435);
        Assert.Empty(BenchResults.Differences(now, before, 0.01));
        now.Set("cpuid", Subject.Kvm, 2440);
        Assert.Equal(["cpuid, Kvm: 2,440, before 2,412"], BenchResults.Differences(now, before, 0.01));
    }

    [Fact]
    public void The_table_leaves_out_machines_that_did_not_run()
    {
        var results = new BenchResults();
        results.Set("cpuid", Subject.Lamina, 208);
        (string[] head, List<string[]> lines) = BenchTable.Lines(results);
        Assert.DoesNotContain("KVM", head);
        string[] line = Assert.Single(lines);
        Assert.Equal(head.Length, line.Length);
        Assert.Equal("<= 250 yes", line[^1]);
    }

    [Fact]
    public void Markdown_has_as_many_cells_in_each_line()
    {
        string[] lines = BenchTable.Markdown(Sample()).Split('\n').Where(l => l.StartsWith('|')).ToArray();
        Assert.Equal(4, lines.Length);
        Assert.Single(lines.Select(l => l.Count(c => c == '|')).Distinct());
        Assert.Contains("4.52", lines[2]);
        Assert.Contains("**NO**", lines[2]);
    }

    [Fact]
    public void The_page_keeps_what_people_wrote()
    {
        string page = $"before\n{BenchDocument.Begin}\nold\n{BenchDocument.End}\nafter\n";
        string renewed = BenchDocument.Renew(page, Sample(), Origin);
        Assert.StartsWith($"before\n{BenchDocument.Begin}\n", renewed);
        Assert.EndsWith($"{BenchDocument.End}\nafter\n", renewed);
        Assert.DoesNotContain("old", renewed);
        Assert.Equal(renewed, BenchDocument.Renew(renewed, Sample(), Origin));
        Assert.Throws<Failure>(() => BenchDocument.Renew("nothing", Sample(), Origin));
    }

    [Fact]
    public void The_chart_is_XML_with_a_bar_for_each_value()
    {
        XDocument chart = XDocument.Parse(BenchChart.Write(Sample()));
        XNamespace svg = "http://www.w3.org/2000/svg";
        // Background, four in the legend, four and two values.
        Assert.Equal(1 + 4 + 4 + 2, chart.Descendants(svg + "rect").Count());
    }

    [Theory]
    [InlineData(5156.0, "5,156")]
    [InlineData(2.0, "2")]
    [InlineData(35.14, "35.1")]
    [InlineData(4.521, "4.52")]
    [InlineData(null, "-")]
    public void Numbers_have_three_digits(double? value, string shown) => Assert.Equal(shown, BenchResults.Show(value));
}

public class CpioArchiveTests
{
    [Fact]
    public void Folders_on_the_way_come_once_and_before_their_files()
    {
        using var folder = new Scratch();
        string file = folder.File("archive");
        var archive = new CpioArchive();
        archive.AddFileWithFolders("usr/lib/a.so", [1, 2, 3], executable: true);
        archive.AddFileWithFolders("usr/lib/b.so", [4], executable: false);
        archive.WriteUncompressedTo(file);
        Assert.Equal(["usr", "usr/lib", "usr/lib/a.so", "usr/lib/b.so", "TRAILER!!!"], Names(System.IO.File.ReadAllBytes(file)));
    }

    // Linux, "initramfs buffer format".
    private static IEnumerable<string> Names(byte[] archive)
    {
        int Field(int at, int number) => Convert.ToInt32(Encoding.ASCII.GetString(archive, at + 6 + 8 * number, 8), 16);
        static int Even(int at) => (at + 3) & ~3;
        for (int at = 0; at < archive.Length;)
        {
            int length = Field(at, 6), name = Field(at, 11);
            yield return Encoding.ASCII.GetString(archive, at + 110, name - 1);
            at = Even(Even(at + 110 + name) + length);
        }
    }
}
