// Compares structures with a manual's table, written as text: "Name size: Field offset, Field offset, …", one structure a line.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Tests.Host.Abi;

/// <summary>One structure's line of a layout table.</summary>
public sealed record LayoutRow(string Structure, int Size, (string Field, int Offset)[] Fields)
{
    public override string ToString() => Structure;
}

/// <summary>Parser and checker of layout tables. Numbers are decimal, or hexadecimal with 0x.</summary>
public static class LayoutTable
{
    /// <summary>The rows of a table; blank lines and those that begin with # are skipped, a line that begins with a blank continues its row.</summary>
    public static LayoutRow[] Parse(string table)
    {
        var rows = new List<string>();
        foreach (string line in table.Split('\n'))
        {
            if (line.Trim().Length == 0 || line.StartsWith('#'))
                continue;
            if (char.IsWhiteSpace(line[0]))
                rows[^1] += " " + line.Trim();
            else
                rows.Add(line.Trim());
        }
        return rows.Select(ParseRow).ToArray();
    }

    private static LayoutRow ParseRow(string line)
    {
        string[] halves = line.Split(':', 2);
        string[] head = halves[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var fields = halves[1].Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(field => field.Split(' '))
            .Select(words => (words[0], Number(words[1])));
        return new LayoutRow(head[0], Number(head[1]), fields.ToArray());
    }

    private static int Number(string text) => text.StartsWith("0x") ? Convert.ToInt32(text, 16) : int.Parse(text);

    /// <summary>What differs between the structure and its row; empty when nothing does. A field that the row lacks is a difference.</summary>
    public static List<string> Differences(LayoutRow row, string space)
    {
        var found = new List<string>();
        Type type = typeof(Lamina.Abi.BitField).Assembly.GetType(space + "." + row.Structure);
        if (type == null)
            return [$"{row.Structure}: no such structure in {space}"];
        int size = RuntimeHelpers.SizeOf(type.TypeHandle);
        if (size != row.Size)
            found.Add($"{row.Structure}: {size} bytes, the manual says {row.Size}");
        FieldInfo[] fields = FieldsOf(type);
        foreach ((string name, int offset) in row.Fields)
        {
            if (!fields.Any(field => field.Name == name))
                found.Add($"{row.Structure}.{name}: missing");
            else if (Marshal.OffsetOf(type, name) is var actual && actual != offset)
                found.Add($"{row.Structure}.{name}: at {actual}, the manual says {offset}");
        }
        foreach (FieldInfo field in fields.Where(field => !row.Fields.Any(known => known.Field == field.Name)))
            found.Add($"{row.Structure}.{field.Name}: not in the table");
        return found;
    }

    /// <summary>Structures of a namespace that no row describes. Those with a single field have no layout to get wrong.</summary>
    public static string[] Undescribed(string space, IEnumerable<LayoutRow> rows) =>
        typeof(Lamina.Abi.BitField).Assembly.GetTypes()
            .Where(type => type.Namespace == space && type.IsValueType && !type.IsEnum && !type.IsNested && FieldsOf(type).Length > 1)
            .Select(type => type.Name)
            .Except(rows.Select(row => row.Structure))
            .ToArray();

    private static FieldInfo[] FieldsOf(Type type) => type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
}
