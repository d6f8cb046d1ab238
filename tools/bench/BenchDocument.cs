// Puts results into docs/benchmarks.md, between the two marks; the rest of the page is written by people.
using System;
using System.Linq;

namespace Lamina.Tools.Bench;

public static class BenchDocument
{
    public const string Begin = "<!-- results: written by bench --docs -->", End = "<!-- end of results -->";

    public static string Renew(string page, BenchResults results, BenchOrigin origin)
    {
        int begin = page.IndexOf(Begin, StringComparison.Ordinal), end = page.IndexOf(End, StringComparison.Ordinal);
        if (begin < 0 || end < begin)
            throw new Failure($"docs/benchmarks.md has lost its marks: {Begin} and {End}");
        string versions = string.Join(", ", origin.Versions.Select(v => $"{v.Key} {v.Value}"));
        return page[..(begin + Begin.Length)] + $"\n\n```\n{origin.Command}\n```\n\nWith {versions}.\n\n{BenchTable.Markdown(results)}\n" + page[end..];
    }
}
