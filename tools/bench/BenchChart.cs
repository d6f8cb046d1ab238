// The results as a picture: bars side by side, on a logarithmic scale.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Lamina.Tools.Bench;

/// <summary>SVG of the counted rows that more than one machine has a value for.</summary>
public static class BenchChart
{
    private const int Left = 330, Width = 1000, Bar = 11, Gap = 12, Top = 56, Right = 90;
    private static readonly Dictionary<Subject, string> Colours = new()
    {
        [Subject.Limit] = "#9aa5b1", [Subject.Lamina] = "#2563a8", [Subject.Kvm] = "#d9822b", [Subject.Xen] = "#6f9a4c",
    };

    public static string Write(BenchResults results)
    {
        BenchRow[] rows = BenchRows.RoundTrips.Where(r => Present(results, r).Length > 1 && r.Unit == "").ToArray();
        double most = rows.SelectMany(r => Present(results, r).Select(s => results.Get(r.Name, s).Value)).DefaultIfEmpty(10).Max();
        int decades = (int)Math.Ceiling(Math.Log10(Math.Max(most, 10)));
        double Scale(double value) => Math.Log10(Math.Max(value, 1)) / decades * (Width - Left - Right);
        var body = new StringBuilder();
        int y = Top;
        foreach (BenchRow row in rows)
        {
            Subject[] present = Present(results, row);
            Text(body, Left - 10, y + (present.Length * Bar) / 2 + 4, row.Title, "end");
            foreach (Subject subject in present)
            {
                double value = results.Get(row.Name, subject).Value;
                body.Append(CultureInfo.InvariantCulture, $"<rect x=\"{Left}\" y=\"{y}\" width=\"{Math.Max(Scale(value), 1):0.#}\" height=\"{Bar - 2}\" fill=\"{Colours[subject]}\"/>\n");
                Text(body, Left + (int)Math.Max(Scale(value), 1) + 5, y + Bar - 2, BenchResults.Show(value), "start", 9);
                y += Bar;
            }
            y += Gap;
        }
        var grid = new StringBuilder();
        for (int decade = 0; decade <= decades; decade++)
        {
            double x = Left + Scale(Math.Pow(10, decade));
            grid.Append(CultureInfo.InvariantCulture, $"<line x1=\"{x:0.#}\" y1=\"{Top - 8}\" x2=\"{x:0.#}\" y2=\"{y}\" stroke=\"#e3e7eb\"/>\n");
            Text(grid, (int)x, y + 14, Math.Pow(10, decade).ToString("#,0", CultureInfo.InvariantCulture), "middle");
        }
        var legend = new StringBuilder();
        int at = Left;
        foreach (Subject subject in Enum.GetValues<Subject>().Where(results.Has))
        {
            legend.Append(CultureInfo.InvariantCulture, $"<rect x=\"{at}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{Colours[subject]}\"/>\n");
            Text(legend, at + 15, 39, BenchTable.NameOf(subject), "start");
            at += 90;
        }
        int height = y + 28;
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" width=\"{Width}\" height=\"{height}\" font-family=\"sans-serif\">\n");
        text.Append(CultureInfo.InvariantCulture, $"<rect width=\"{Width}\" height=\"{height}\" fill=\"#ffffff\"/>\n");
        Text(text, Left, 20, "Retired instructions for one operation of a guest (logarithmic; less is better)", "start", 13);
        return text.Append(legend).Append(grid).Append(body).Append("</svg>\n").ToString();
    }

    private static Subject[] Present(BenchResults results, BenchRow row) => Enum.GetValues<Subject>().Where(s => results.Get(row.Name, s) != null).ToArray();

    private static void Text(StringBuilder into, int x, int y, string text, string anchor, int size = 11) =>
        into.Append(CultureInfo.InvariantCulture, $"<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"#24292f\">{text.Replace("&", "&amp;").Replace("<", "&lt;")}</text>\n");
}
