// The gate for code that runs while a guest's xmm registers are in place: everything that can be reached from it is looked at.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;

namespace Lamina.Tools.Build;

/// <summary>Functions of a linked image from which no instruction with a vector register may be reached.</summary>
/// <param name="Roots">Where they begin, by symbol.</param>
/// <param name="Ends">How symbols begin that are not followed: whoever comes there does not come back.</param>
public sealed partial record VectorFree(string[] Roots, string[] Ends)
{
    private sealed record Line(ulong Address, string Text);

    /// <summary>One line for each function that breaks the rule, with the way that leads there.</summary>
    /// <param name="disassembly">Output of llvm-objdump -d --no-show-raw-insn on the linked image.</param>
    /// <param name="map">The linker's map.</param>
    public IEnumerable<string> Inspect(string image, string disassembly, string map)
    {
        SortedList<ulong, string> symbols = Symbols(map);
        Dictionary<string, List<Line>> functions = Functions(disassembly, symbols);
        var from = new Dictionary<string, string>();
        var open = new Queue<string>();
        foreach (string root in Roots)
        {
            if (!functions.ContainsKey(root))
                yield return $"{image}: no function {root}, from which vector registers are looked for";
            else if (from.TryAdd(root, null))
                open.Enqueue(root);
        }
        while (open.TryDequeue(out string function))
        {
            foreach (Line line in functions.GetValueOrDefault(function, []))
            {
                if (Vector().IsMatch(line.Text))
                {
                    yield return $"{image}: {Way(function)} uses a vector register: {line.Text}";
                    break;
                }
                if (Indirect().IsMatch(line.Text))
                    yield return $"{image}: {Way(function)} calls nobody knows whom: {line.Text}";
                if (Branch().Match(line.Text) is not { Success: true } branch)
                    continue;
                string target = NameOf(symbols, ulong.Parse(branch.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                if (target != null && !Ends.Any(e => target.StartsWith(e, StringComparison.Ordinal)) && from.TryAdd(target, function))
                    open.Enqueue(target);
            }
        }

        string Way(string function) => from[function] == null ? function : $"{function} (by {from[function]})";
    }

    private static SortedList<ulong, string> Symbols(string map)
    {
        var symbols = new SortedList<ulong, string>();
        // Labels inside a function have a dot.
        foreach (Match match in Symbol().Matches(map))
            if (!match.Groups[1].Value.Contains('.'))
                symbols.TryAdd(ulong.Parse(match.Groups[2].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture), match.Groups[1].Value);
        return symbols;
    }

    private static Dictionary<string, List<Line>> Functions(string disassembly, SortedList<ulong, string> symbols)
    {
        var functions = new Dictionary<string, List<Line>>();
        int at = -1;
        foreach (Match match in Instruction().Matches(disassembly))
        {
            ulong address = ulong.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            while (at + 1 < symbols.Count && symbols.Keys[at + 1] <= address) at++;
            if (at < 0)
                continue;
            string name = symbols.Values[at];
            if (!functions.TryGetValue(name, out List<Line> lines))
                functions.Add(name, lines = []);
            lines.Add(new Line(address, match.Groups[2].Value.Replace('\t', ' ').Trim()));
        }
        return functions;
    }

    private static string NameOf(SortedList<ulong, string> symbols, ulong address)
    {
        int low = 0, high = symbols.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (symbols.Keys[middle] <= address)
                low = middle + 1;
            else
                high = middle;
        }
        return low == 0 ? null : symbols.Values[low - 1];
    }

    [GeneratedRegex(@"^ [0-9a-f]{4}:[0-9a-f]{8}\s+(\S+)\s+([0-9a-f]{16})", RegexOptions.Multiline)]
    private static partial Regex Symbol();
    [GeneratedRegex(@"^\s*([0-9a-f]+):\s+(\S.*)$", RegexOptions.Multiline)]
    private static partial Regex Instruction();
    [GeneratedRegex(@"\b[xyz]mm\d|\bst\(|\bk[0-7]\b")]
    private static partial Regex Vector();
    [GeneratedRegex(@"^(call|jmp)\s+(?!0x)")]
    private static partial Regex Indirect();
    [GeneratedRegex(@"^(?:call|j[a-z]+)\s+0x([0-9a-f]+)")]
    private static partial Regex Branch();
}
