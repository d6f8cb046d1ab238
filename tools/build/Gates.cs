// What may not be in an image: each gate reads what a tool prints about it and names the offender.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

namespace Lamina.Tools.Build;

/// <summary>The build's refusals. Each returns lines ready to print, none when all is well.</summary>
public static partial class Gates
{
    /// <summary>Static constructors that the compiler could not run, and exception handlers: nothing would run either.</summary>
    /// <param name="symbols">Output of llvm-nm on what the compiler made.</param>
    public static IEnumerable<string> Symbols(string image, string symbols)
    {
        foreach (string line in symbols.Split('\n'))
        {
            string symbol = line[(line.LastIndexOf(' ') + 1)..].Trim();
            if (symbol.EndsWith("___cctor", StringComparison.Ordinal))
                yield return $"{image}: static constructor left for run time: {symbol[..^8]} (nothing runs it, its fields would be zero)";
            else if (symbol.StartsWith("__ehinfo_", StringComparison.Ordinal))
                yield return $"{image}: exception handler in {symbol["__ehinfo_".Length..]} (there are no exceptions here)";
        }
    }

    /// <summary>VEX- and EVEX-encoded instructions: the core neither saves nor enables that state.</summary>
    /// <param name="disassembly">Output of llvm-objdump -d with raw bytes.</param>
    public static IEnumerable<string> VectorExtensions(string image, string disassembly)
    {
        string function = "?", last = null;
        foreach (string line in disassembly.Split('\n'))
        {
            if (FunctionStart().Match(line) is { Success: true } start)
                function = start.Groups[1].Value;
            else if (Instruction().Match(line) is { Success: true } instruction && IsVectorExtended(instruction.Groups[1].Value) && function != last)
            {
                last = function;
                yield return $"{image}: AVX instruction in {function}: {instruction.Groups[2].Value.Replace('\t', ' ').Trim()}";
            }
        }
    }

    /// <summary>File size plus zeroed memory against the budget.</summary>
    public static IEnumerable<string> Budget(Image image, long bytes)
    {
        if (image.Budget is { } budget && bytes > budget)
            yield return $"{image.Name}: {bytes} bytes, {bytes - budget} over its budget of {budget} (code + data on disk + .bss)";
    }

    /// <summary>What lld-link said, as one line for each symbol.</summary>
    public static IEnumerable<string> LinkErrors(string image, string text)
    {
        string[] lines = text.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            Match undefined = Undefined().Match(lines[i]);
            if (undefined.Success)
            {
                string where = string.Join(", ", lines.Skip(i + 1).TakeWhile(l => l.StartsWith(">>>", StringComparison.Ordinal))
                    .Select(l => l[3..].Trim().Replace("referenced by ", "")).Take(2));
                yield return $"{image}: undefined symbol {undefined.Groups[1].Value} (used by {where})";
            }
            else if (lines[i].Contains("error:", StringComparison.Ordinal))
                yield return $"{image}: {lines[i].Trim()}";
        }
    }

    /// <summary>Runs the gates on compiled code.</summary>
    public static async Task<string[]> InspectObjectAsync(string image, string objectFile)
    {
        Outcome symbols = await ChildProcess.RequireAsync("llvm-nm", [objectFile]);
        Outcome code = await ChildProcess.RequireAsync("llvm-objdump", ["-d", "--x86-asm-syntax=intel", objectFile]);
        return [.. Symbols(image, symbols.Output), .. VectorExtensions(image, code.Output)];
    }

    // In 64-bit mode the bytes C4, C5 and 62 open an instruction only as VEX or EVEX prefixes; segment and
    // address-size prefixes may stand before them.
    private static bool IsVectorExtended(string bytes)
    {
        string first = bytes.Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault(b => b is not ("64" or "65" or "67" or "2e" or "3e" or "26" or "36"));
        return first is "c4" or "c5" or "62";
    }

    [GeneratedRegex(@"^[0-9a-f]+ <(.+)>:$")]
    private static partial Regex FunctionStart();
    [GeneratedRegex(@"^\s*[0-9a-f]+:\s+((?:[0-9a-f]{2} )+)\s*(.*)$")]
    private static partial Regex Instruction();
    [GeneratedRegex(@"undefined symbol: (.+)$")]
    private static partial Regex Undefined();
}
