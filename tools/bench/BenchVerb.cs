// The bench verb: builds, runs the measured machines one after the other, shows and keeps what they yielded.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Run;

namespace Lamina.Tools.Bench;

/// <summary>What the command line of bench says.</summary>
public sealed record BenchOptions
{
    /// <summary>kvm, xen.</summary>
    public string[] Against { get; init; } = [];
    /// <summary>Also by the clock on the wall.</summary>
    public bool Wall { get; init; }
    public string Json { get; init; }
    /// <summary>A JSON file of another run: what is counted must come within a hundredth of it.</summary>
    public string Compare { get; init; }
    /// <summary>Renews docs/benchmarks.*.</summary>
    public bool Documents { get; init; }
}

public static class BenchVerb
{
    private const double Tolerance = 0.01;

    public static async Task<int> RunAsync(Workspace workspace, BenchOptions options)
    {
        string[] unknown = options.Against.Except(["kvm", "xen"]).ToArray();
        if (unknown.Length > 0)
            throw new Failure($"--against {string.Join(',', unknown)}: there are kvm and xen", 2);
        if (options.Compare != null && !File.Exists(options.Compare))
            throw new Failure($"--compare {options.Compare}: no such file", 2);
        BenchResults earlier = options.Compare == null ? null : BenchJson.Read(File.ReadAllText(options.Compare));
        bool kvm = options.Against.Contains("kvm"), xen = options.Against.Contains("xen");
        await Requirements.EnsureAsync(Requirements.Build, Requirements.Qemu, Requirements.Grub, Requirements.Guest);
        IReadOnlyList<ImageSize> sizes = await BuildVerb.RunAsync(workspace, []);
        using var stop = new CancellationTokenSource();
        using var signals = new Signals(stop.Cancel);
        var results = new BenchResults();
        var material = new BenchMaterial(workspace);
        var subjects = new Subjects(material, new BenchMachine(workspace, stop.Token), workspace, results);
        try
        {
            await subjects.SizesAsync(sizes.Single(s => s.Image.Name == "hypervisor").Total, kvm, xen);
            await subjects.LimitAsync();
            await subjects.LaminaAsync();
            if (kvm)
                await subjects.KvmAsync();
            if (xen)
                await subjects.XenAsync();
            if (options.Wall)
                await subjects.WallAsync(kvm, xen);
        }
        catch (OperationCanceledException)
        {
            throw new Failure("interrupted", 130);
        }
        BenchTable.Print(results);
        await KeepAsync(workspace, options, results, new BenchOrigin(CommandOf(options), await material.VersionsAsync(kvm, xen)));
        return Judge(results, earlier);
    }

    private static async Task KeepAsync(Workspace workspace, BenchOptions options, BenchResults results, BenchOrigin origin)
    {
        if (options.Json != null)
            await File.WriteAllTextAsync(options.Json, BenchJson.Write(results, origin));
        if (!options.Documents)
            return;
        string docs = Path.Combine(workspace.Root, "docs"), page = Path.Combine(docs, "benchmarks.md");
        await File.WriteAllTextAsync(Path.Combine(docs, "benchmarks.json"), BenchJson.Write(results, origin));
        await File.WriteAllTextAsync(Path.Combine(docs, "benchmarks.svg"), BenchChart.Write(results));
        await File.WriteAllTextAsync(page, BenchDocument.Renew(await File.ReadAllTextAsync(page), results, origin));
    }

    /// <summary>Bars that Lamina does not reach are said and are no failure; a counted row that moved away from an earlier run is one.</summary>
    private static int Judge(BenchResults results, BenchResults earlier)
    {
        foreach (BenchRow row in BenchRows.All)
            foreach (Bar bar in row.Bars.Where(b => b.Holds(row, results) == false))
                Report.Say($"not reached: {row.Title}: {bar.Text}");
        if (earlier == null)
            return 0;
        string[] differences = BenchResults.Differences(results, earlier, Tolerance).ToArray();
        foreach (string difference in differences)
            Report.Error("differs by more than 1 %: " + difference);
        if (differences.Length == 0)
            Report.Say("every counted row is within 1 % of the run compared with");
        return differences.Length == 0 ? 0 : 1;
    }

    private static string CommandOf(BenchOptions options) => "dotnet run --project tools -- bench"
        + (options.Against.Length > 0 ? " --against " + string.Join(',', options.Against) : "") + (options.Wall ? " --wall" : "") + (options.Documents ? " --docs" : "");
}
