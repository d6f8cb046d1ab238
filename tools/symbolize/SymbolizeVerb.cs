// Turns addresses of a panic into function, file and line.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Lamina.Tools.Build;

namespace Lamina.Tools.Symbolize;

/// <summary>Images are told apart by the address range they are linked at.</summary>
public static partial class SymbolizeVerb
{
    public static async Task RunAsync(Workspace workspace, string[] arguments)
    {
        await Requirements.EnsureAsync(Requirements.Build);
        var images = Ranges(workspace).ToArray();
        if (images.Length == 0)
            throw new Failure("no images in out/: build first");
        if (arguments.Length > 0)
            foreach (string argument in arguments)
                Report.Say(await DescribeAsync(images, Parse(argument), isReturnAddress: false) ?? $"{argument}  in no image");
        else
            while (await Console.In.ReadLineAsync() is { } line)
                await TranslateAsync(images, line);
    }

    /// <summary>
    /// The addresses of one line of a panic. Only what a RIP field says is where the processor was; anything else in an image
    /// is taken for a return address, whose call lies one byte before it.
    /// </summary>
    public static IEnumerable<(ulong Address, bool IsReturn)> Addresses(string line)
    {
        foreach (Match match in Hexadecimal().Matches(line))
        {
            string before = line[..match.Index];
            yield return (Parse(match.Value), !InstructionPointer().IsMatch(before));
        }
    }

    private sealed record Loaded(Image Image, string Path, ulong Start, ulong End, string Map, string Root);

    private static IEnumerable<Loaded> Ranges(Workspace workspace)
    {
        foreach (Image image in ImageTable.All.Where(i => i.Base != null))
        {
            string path = ImageStage.LinkedPath(workspace, image);
            if (!File.Exists(path))
                continue;
            var linked = new PortableExecutable(File.ReadAllBytes(path));
            yield return new Loaded(image, path, linked.Base, linked.Base + linked.SizeOfImage,
                Path.Combine(workspace.Out, image.Name + ".map"), workspace.Root);
        }
    }

    private static async Task TranslateAsync(Loaded[] images, string line)
    {
        Report.Say(line);
        foreach ((ulong address, bool isReturn) in Addresses(line))
            if (await DescribeAsync(images, address, isReturn) is { } text)
                Report.Say("    " + text);
    }

    private static async Task<string> DescribeAsync(Loaded[] images, ulong address, bool isReturnAddress)
    {
        Loaded image = images.FirstOrDefault(i => address >= i.Start && address < i.End);
        if (image == null)
            return null;
        ulong offset = address - image.Start - (isReturnAddress ? 1u : 0u);
        Outcome outcome = await ChildProcess.RunAsync("llvm-symbolizer",
            ["--obj=" + image.Path, "--relative-address", "--functions=linkage", "--inlines", $"0x{offset:x}"]);
        string[] lines = outcome.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var frames = new List<string>();
        for (int i = 0; i + 1 < lines.Length; i += 2)
            frames.Add(lines[i + 1].StartsWith("??") ? lines[i] : $"{lines[i]} at {Place(image, lines[i + 1])}");
        if (frames.Count == 0 || frames[0] == "??")
            frames = [FromMap(image, offset) ?? "?"];
        return $"{address:X16} {image.Image.Name}+0x{address - image.Start:X}  {string.Join(", inlined into ", frames)}";
    }

    // "ROOT/hypervisor/core/Entry.cs:12:0": as it is typed in the clone, and without the column, which is always 0.
    private static string Place(Loaded image, string text) =>
        Regex.Replace(text.Replace(image.Root + "/", "").Replace("./", ""), @":0$", "");

    /// <summary>Nearest symbol before the offset in the linker's map.</summary>
    private static string FromMap(Loaded image, ulong offset)
    {
        string map = image.Map;
        if (!File.Exists(map))
            return null;
        (ulong At, string Name) best = default;
        foreach (string line in File.ReadLines(map))
            if (MapSymbol().Match(line) is { Success: true } m && Parse(m.Groups[2].Value) - image.Start is var at && at <= offset && at >= best.At)
                best = (at, m.Groups[1].Value);
        return best.Name == null ? null : $"{best.Name}+0x{offset - best.At:X}";
    }

    private static ulong Parse(string text)
    {
        string digits = text.Replace("'", "").Replace("`", "").Replace("_", "");
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            digits = digits[2..];
        return ulong.TryParse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong value)
            ? value : throw new Failure($"{text} is no hexadecimal address", 2);
    }

    [GeneratedRegex(@"\b(?:0x)?[0-9A-Fa-f]{5,8}(?:['`_]?[0-9A-Fa-f]{8})?\b")]
    private static partial Regex Hexadecimal();
    [GeneratedRegex(@"\brip\b\W*$", RegexOptions.IgnoreCase)]
    private static partial Regex InstructionPointer();
    // " 0001:00000010       symbol       ffffffff80001010     file.obj"
    [GeneratedRegex(@"^\s*[0-9a-f]{4}:[0-9a-f]{8}\s+(\S+)\s+([0-9a-f]{16})\s", RegexOptions.IgnoreCase)]
    private static partial Regex MapSymbol();
}
