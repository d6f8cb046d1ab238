// Test kernels and programs written in NASM alone: small ELF images, 32-bit for Multiboot 1 and PVH, 64-bit for Linux.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

namespace Lamina.Tools.Build;

/// <summary>A file tests/guest/**/*.asm that opens with "; image: elf32 NAME ENTRY ADDRESS" (or elf64) becomes out/NAME.</summary>
public sealed partial class NasmGuests(Workspace workspace)
{
    /// <summary>Assembles and links those that changed.</summary>
    /// <returns>Name and size of each.</returns>
    public async Task<List<(string Name, long Size)>> RunAsync()
    {
        var made = new List<(string, long)>();
        string folder = Path.Combine(workspace.Root, "tests", "guest");
        if (!Directory.Exists(folder))
            return made;
        string[] sources = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(f => f.EndsWith(".asm") || f.EndsWith(".inc")).ToArray();
        foreach (string source in sources.Where(f => f.EndsWith(".asm")).Order(StringComparer.Ordinal))
        {
            Match head = Head().Match(File.ReadLines(source).FirstOrDefault() ?? "");
            if (!head.Success)
                continue;
            string name = head.Groups["name"].Value, product = Path.Combine(workspace.Out, name);
            string stamp = Path.Combine(workspace.Objects, name + ".stamp");
            string value = new Fingerprint().Add(typeof(NasmGuests).Module.ModuleVersionId.ToString()).Add(sources).Value();
            if (!Fingerprint.IsCurrent(stamp, value, [product]))
            {
                File.Delete(stamp);
                await MakeAsync(source, product, head);
                File.WriteAllText(stamp, value);
            }
            made.Add((name, new FileInfo(product).Length));
        }
        return made;
    }

    private async Task MakeAsync(string source, string product, Match head)
    {
        string format = head.Groups["format"].Value, entry = head.Groups["entry"].Value;
        string name = Path.GetFileName(product), target = Path.Combine(workspace.Objects, name + ".o");
        string shown = Path.GetRelativePath(workspace.Root, source);
        Outcome nasm = await ChildProcess.RunAsync("nasm",
            ["-f", format, "-i", Path.GetDirectoryName(source) + "/", "-i", workspace.Out + "/", shown, "-o", target], folder: workspace.Root);
        if (nasm.ExitCode != 0)
            throw new Failure($"{name}: {nasm.Text}");
        Outcome symbols = await ChildProcess.RequireAsync("llvm-nm", ["-g", target]);
        bool Has(string symbol) => Regex.IsMatch(symbols.Output, $@"\b[TtDdRr] {Regex.Escape(symbol)}$", RegexOptions.Multiline);
        string start = new[] { entry, "_start", "start" }.FirstOrDefault(Has) ?? throw new Failure($"{name}: {shown} defines no global {entry}");
        string script = Path.Combine(workspace.Objects, name + ".ld");
        File.WriteAllText(script, Script(start, head.Groups["address"].Value));
        // A loader of kernels copies segments, Linux maps pages: only for the first may they lie anywhere in the file.
        string[] layout = format == "elf64" ? ["-m", "elf_x86_64"] : ["-m", "elf_i386", "-n"];
        Outcome link = await ChildProcess.RunAsync("ld.lld", [.. layout, "-static", "--build-id=none", "-z", "max-page-size=4096", "-T", script, target, "-o", product]);
        if (link.ExitCode != 0)
            throw new Failure(string.Join("\n", Gates.LinkErrors(name, link.Text).DefaultIfEmpty($"{name}: ld.lld failed: {link.Text}")));
    }

    // Multiboot wants its header in the first 8 KiB of the file, so its section leads.
    private static string Script(string entry, string address) => $$"""
        ENTRY({{entry}})
        SECTIONS
        {
            . = {{address}};
            .text : { *(.multiboot) *(.multiboot.*) *(.text) *(.text.*) }
            .note : { *(.note) *(.note.*) }
            .rodata : { *(.rodata) *(.rodata.*) }
            . = ALIGN(4096);
            .data : { *(.data) *(.data.*) }
            .bss : { *(.bss) *(.bss.*) *(COMMON) }
            end_of_image = .;
        }
        """;

    [GeneratedRegex(@"^;\s*image:\s*(?<format>elf32|elf64)\s+(?<name>\S+)\s+(?<entry>\S+)\s+(?<address>\S+)")]
    private static partial Regex Head();
}
