// Reads the lines of the cost guest (tests/guest/multiboot/cost.asm).
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;

namespace Lamina.Tools.Bench;

/// <summary>Ticks of one operation: the least of its rounds, and their median.</summary>
public readonly record struct Cost(long Least, long Median);

/// <summary>What the guest found: its operations, what it skipped and why, the TSC at its first instruction.</summary>
public sealed record CostLines(IReadOnlyDictionary<string, Cost> Costs, IReadOnlyDictionary<string, string> Skipped, string Environment, ulong Started)
{
    /// <summary>Lines may have anything before them: a console's prefix, a time.</summary>
    public static CostLines Parse(string text)
    {
        if (!Regex.IsMatch(text, @"\bDONE cost\b"))
            throw new Failure("the cost guest did not come to its end");
        var costs = Regex.Matches(text, @"\bCOST (\S+) (-?\d+) (-?\d+)\s*$", RegexOptions.Multiline)
            .ToDictionary(m => m.Groups[1].Value, m => new Cost(Number(m.Groups[2].Value), Number(m.Groups[3].Value)));
        var skipped = Regex.Matches(text, @"\bSKIP (\S+) (.*?)\s*$", RegexOptions.Multiline).ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value);
        Match environment = Regex.Match(text, @"\bENVIRONMENT (.*?)\s*$", RegexOptions.Multiline), started = Regex.Match(text, @"\bSTART ([0-9A-F]{16})\b");
        if (!environment.Success || !started.Success || costs.Count == 0)
            throw new Failure("the cost guest's lines are not complete");
        return new CostLines(costs, skipped, environment.Groups[1].Value, Convert.ToUInt64(started.Groups[1].Value, 16));
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
