// The results as a table on the terminal and in Markdown.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Spectre.Console;

namespace Lamina.Tools.Bench;

/// <summary>One row of text a row; columns whose machine was not run are left out.</summary>
public static class BenchTable
{
    public static void Print(BenchResults results)
    {
        (string[] head, List<string[]> lines) = Lines(results);
        var table = new Table().Border(TableBorder.Ascii2).AddColumn(head[0]);
        foreach (string name in head.Skip(1))
            table.AddColumn(new TableColumn(Markup.Escape(name)).RightAligned());
        foreach (string[] line in lines)
            table.AddRow(line.Select(Markup.Escape).ToArray());
        AnsiConsole.Profile.Width = Math.Max(AnsiConsole.Profile.Width, 230);
        AnsiConsole.Write(table);
        foreach (string note in Notes(results))
            Report.Say(note);
    }

    public static string Markdown(BenchResults results)
    {
        (string[] head, List<string[]> lines) = Lines(results);
        var text = new StringBuilder();
        text.Append("| ").AppendJoin(" | ", head).Append(" |\n|---|").Insert(text.Length, "---:|", head.Length - 2).Append("---|\n");
        foreach (string[] line in lines)
            text.Append("| ").AppendJoin(" | ", line.Select(c => c.Replace("|", "\\|"))).Append(" |\n");
        string[] notes = Notes(results).ToArray();
        if (notes.Length > 0)
            text.Append("\nA dash has a reason: ").AppendJoin("; ", notes).Append(".\n");
        return text.ToString();
    }

    /// <summary>Heading and cells: the row, the machines, how many times others take what Lamina takes, the bars.</summary>
    public static (string[] Head, List<string[]> Lines) Lines(BenchResults results)
    {
        Subject[] machines = Enum.GetValues<Subject>().Where(s => s == Subject.Lamina || results.Has(s)).ToArray();
        Subject[] peers = machines.Where(s => s is Subject.Kvm or Subject.Xen).ToArray();
        string[] head = ["instructions, unless it says otherwise", .. machines.Select(NameOf), "Lamina : limit", .. peers.Select(p => $"{NameOf(p)} : Lamina"), "bars"];
        var lines = new List<string[]>();
        foreach (BenchRow row in BenchRows.All.Where(r => machines.Any(m => results.Get(r.Name, m) != null)))
            lines.Add(
            [
                row.Unit == "" ? row.Title : $"{row.Title}, {row.Unit}", .. machines.Select(m => BenchResults.Show(results.Get(row.Name, m))),
                Ratio(results.Ratio(row.Name, Subject.Lamina, Subject.Limit)), .. peers.Select(p => Ratio(results.Ratio(row.Name, p, Subject.Lamina))),
                string.Join(", ", row.Bars.Select(b => b.Holds(row, results) switch { null => null, true => b.Text + " yes", false => b.Text + " **NO**" }).Where(t => t != null)),
            ]);
        return (head, lines);
    }

    private static IEnumerable<string> Notes(BenchResults results) =>
        from row in BenchRows.All
        from subject in Enum.GetValues<Subject>()
        let reason = results.ReasonFor(row.Name, subject)
        where reason != null && results.Get(row.Name, subject) == null
        select $"{row.Title}, {NameOf(subject)}: {reason}";

    private static string Ratio(double? value) => value == null ? "" : BenchResults.Show(Math.Round(value.Value, 2));

    public static string NameOf(Subject subject) => subject switch
    {
        Subject.Limit => "limit", Subject.Lamina => "Lamina", Subject.Kvm => "KVM", Subject.Xen => "Xen",
        _ => throw new ArgumentOutOfRangeException(nameof(subject)),
    };
}
