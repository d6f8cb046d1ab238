// The results as JSON, and back: what a later run compares itself with.
using System;
using System.Collections.Generic;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Lamina.Tools.Bench;

/// <summary>How results were made.</summary>
/// <param name="Versions">What ran: name to version.</param>
public sealed record BenchOrigin(string Command, IReadOnlyDictionary<string, string> Versions);

public static class BenchJson
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write(BenchResults results, BenchOrigin origin)
    {
        var rows = new JsonArray();
        foreach (BenchRow row in BenchRows.All)
        {
            var values = new JsonObject();
            foreach (Subject subject in Enum.GetValues<Subject>())
                if (results.Get(row.Name, subject) is { } value)
                    values[Key(subject)] = Math.Round(value, 3);
            if (values.Count == 0)
                continue;
            var entry = new JsonObject { ["name"] = row.Name, ["title"] = row.Title, ["unit"] = row.Unit == "" ? "instructions" : row.Unit, ["counted"] = row.Counted, ["values"] = values };
            var bars = new JsonArray();
            foreach (Bar bar in row.Bars)
                if (bar.Holds(row, results) is { } holds)
                    bars.Add(new JsonObject { ["bar"] = bar.Text, ["holds"] = holds });
            if (bars.Count > 0)
                entry["bars"] = bars;
            rows.Add(entry);
        }
        var versions = new JsonObject();
        foreach ((string name, string version) in origin.Versions)
            versions[name] = version;
        return new JsonObject { ["command"] = origin.Command, ["versions"] = versions, ["rows"] = rows }.ToJsonString(Format) + "\n";
    }

    /// <summary>The values of a file that <see cref="Write"/> made; rows that are no more are left out.</summary>
    public static BenchResults Read(string text)
    {
        var results = new BenchResults();
        try
        {
            foreach (JsonNode row in JsonNode.Parse(text)["rows"].AsArray())
                foreach (Subject subject in Enum.GetValues<Subject>())
                    if (row["values"][Key(subject)] is { } value)
                        results.Set(row["name"].GetValue<string>(), subject, value.GetValue<double>());
        }
        catch (Exception e) when (e is JsonException or NullReferenceException or InvalidOperationException)
        {
            throw new Failure($"not a file that bench wrote: {e.Message}", 2);
        }
        return results;
    }

    private static string Key(Subject subject) => subject.ToString().ToLowerInvariant();
}
