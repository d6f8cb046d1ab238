// The test verb: build, host tests, boot rows, one last line.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Guest;
using Lamina.Tools.Run;

namespace Lamina.Tools.Test;

/// <summary>Everything there is to test.</summary>
public static class TestVerb
{
    private const int MostEmulators = 2;

    /// <param name="filter">Part of a name; "host/…" and "boot/…" leave the other kind out.</param>
    public static async Task<int> RunAsync(Workspace workspace, string filter)
    {
        // All at once and first: rows run side by side, and only one may install.
        await Requirements.EnsureAsync(Requirements.Build, Requirements.Qemu, Requirements.Uefi, Requirements.Disks, Requirements.Guest, Requirements.RootDisk, Requirements.Judges);
        await TryInstallAsync(Requirements.Grub, Requirements.Bochs);
        var tally = new Tally();
        List<BootRow> rows = BootRow.ReadAll(Path.Combine(workspace.Root, "tests", "boot"))
            .Where(r => filter == null || ("boot/" + r.Name).Contains(filter, StringComparison.OrdinalIgnoreCase)).ToList();
        bool built = await TryBuildAsync(workspace, tally);
        if (filter == null || !filter.StartsWith("boot/", StringComparison.Ordinal))
            await HostTests.RunAsync(workspace, await KernelAsync(workspace), filter == null || !filter.StartsWith("host/") ? filter : filter["host/".Length..], tally);
        if (!built)
            foreach (BootRow row in rows)
                tally.Fail("boot/" + row.Name, "the build failed");
        else
            await BootAllAsync(workspace, rows, tally);
        foreach (string failure in tally.Failures)
            Report.Say(failure);
        Report.Say(tally.Line);
        return tally.ExitCode;
    }

    /// <summary>Without these some rows are skipped, and say so.</summary>
    private static async Task TryInstallAsync(params Requirement[][] needs)
    {
        try
        {
            await Requirements.EnsureAsync(needs);
        }
        catch (Failure e)
        {
            Report.Say($"note: {e.Message}");
        }
    }

    /// <summary>A real kernel for the host tests that read one; null when Debian's archive is out of reach.</summary>
    private static async Task<string> KernelAsync(Workspace workspace)
    {
        try
        {
            return await new ReferenceGuest(workspace).ObtainAsync(ReferenceGuest.Kernels[0].File);
        }
        catch (Failure e)
        {
            Report.Say($"note: no kernel for the host tests: {e.Message}");
            return null;
        }
    }

    private static async Task<bool> TryBuildAsync(Workspace workspace, Tally tally)
    {
        try
        {
            await BuildVerb.RunAsync(workspace, []);
            tally.Pass("build");
            return true;
        }
        catch (Failure e)
        {
            tally.Fail("build", e.Message);
            return false;
        }
    }

    private static async Task BootAllAsync(Workspace workspace, List<BootRow> rows, Tally tally)
    {
        if (rows.Count == 0)
            return;
        using var stop = new CancellationTokenSource();
        using var signals = new Signals(stop.Cancel);
        int together = Math.Min(MostEmulators, Environment.ProcessorCount);
        Report.Say($"{rows.Count} boot tests, {together} at once");
        var running = new Dictionary<string, Stopwatch>();
        using var done = new CancellationTokenSource();
        Task alive = SayWhatRunsAsync(running, done.Token);
        try
        {
            var options = new ParallelOptions { MaxDegreeOfParallelism = together, CancellationToken = stop.Token };
            await Parallel.ForEachAsync(rows, options, async (row, _) =>
            {
                lock (running)
                    running[row.Name] = Stopwatch.StartNew();
                await new BootTest(workspace, row, tally).RunAsync(stop.Token);
                lock (running)
                    running.Remove(row.Name);
            });
        }
        catch (OperationCanceledException)
        {
            throw new Failure("interrupted", 130);
        }
        finally
        {
            done.Cancel();
            await alive;
        }
    }

    private static async Task SayWhatRunsAsync(Dictionary<string, Stopwatch> running, CancellationToken done)
    {
        try
        {
            while (true)
            {
                await Task.Delay(15000, done);
                lock (running)
                    Report.Say("  … " + string.Join(", ", running.Select(r => $"{r.Key} {r.Value.Elapsed.TotalSeconds:0} s")));
            }
        }
        catch (OperationCanceledException) { }
    }
}
