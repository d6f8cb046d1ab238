// Runs one boot row: boots, plays the script, judges the log.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools.Run;

namespace Lamina.Tools.Test;

/// <summary>A row that is being run.</summary>
public sealed class BootTest(Workspace workspace, BootRow row, Tally tally)
{
    private const int ShownLines = 40;
    private string Name => "boot/" + row.Name;
    private string LogFile => Path.Combine(workspace.Logs, row.Name + ".log");

    public async Task RunAsync(CancellationToken stop)
    {
        if (row.Skip != null)
        {
            tally.Skip(Name, row.Skip);
            return;
        }
        var clock = Stopwatch.StartNew();
        string scratch = Directory.CreateTempSubdirectory("lamina-row-").FullName;
        using FileStream copy = File.Create(LogFile);
        var serial = new SerialLog(copy);
        try
        {
            string why = await BootAsync(scratch, serial, stop);
            string[] lost = row.Tests == null ? [] : GuestResults(serial.Text);
            why ??= lost.FirstOrDefault();
            if (why == null)
                tally.Pass(Name, $"{clock.Elapsed.TotalSeconds:0.0} s");
            else
                Fail(why, serial);
        }
        catch (Unavailable e)
        {
            tally.Skip(Name, e.Message);
        }
        catch (Failure e)
        {
            Fail(e.Message, serial);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    /// <returns>Why it failed, or null.</returns>
    private async Task<string> BootAsync(string scratch, SerialLog serial, CancellationToken stop)
    {
        var volume = new BootVolume(workspace, row, scratch);
        var disks = new BootDisks(volume, row, workspace.Cache, scratch);
        var machine = new MachineOptions
        {
            Cpu = row.Cpu, Accel = row.Accel, Firmware = row.Firmware, Boot = row.Boot, Processors = row.Smp, Memory = row.Memory, Extra = row.Args,
            EndOnReset = row.EndOnReset, TakesTurns = !row.Parallel,
        };
        Emulators.Check(machine);
        if (Emulators.IsBochs(machine) && (row.Disks.Length > 0 || row.Direct != null || row.NeedsControls))
            throw new Unavailable("Bochs has no disk that Lamina has a driver for, loads no kernel by itself, and takes no commands");
        if (Emulators.Lack(machine) is { } lack)
            throw new Unavailable(lack);
        machine = machine with
        {
            DirectKernel = row.Direct == null ? null : await RequireAsync(volume, row.Direct.Kernel),
            DirectInitrd = row.Direct?.Initrd == null ? null : await RequireAsync(volume, row.Direct.Initrd),
            DirectCommandLine = row.Direct?.CommandLine, Disks = await disks.PrepareAsync(),
        };
        BootFiles files = row.Direct == null ? await volume.CollectAsync() : null;
        return await PlayAsync(machine, files, serial, stop) ?? await disks.CheckAsync();
    }

    private async Task<string> PlayAsync(MachineOptions machine, BootFiles files, SerialLog serial, CancellationToken stop)
    {
        await using RunningMachine emulator = await RunningMachine.StartAsync(machine, files, serial, null);
        await File.WriteAllTextAsync(LogFile + ".cmd", emulator.CommandLine + "\n", stop);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(TimeSpan.FromSeconds(row.Timeout * TimeScale));
        Task<string> script = PlayAsync(emulator, limit.Token);
        Task<string> forbidden = ForbiddenAsync(serial, limit.Token);
        string why = await (await Task.WhenAny(script, forbidden));
        if (why == null)
            why = await script;
        stop.ThrowIfCancellationRequested();
        await limit.CancelAsync();
        if (emulator.Complaints.Length > 0)
            Report.Say($"         {Name}: the emulator says: {emulator.Complaints}");
        return emulator.Fault ?? why ?? Forbidden(serial.Text);
    }

    private async Task<string> PlayAsync(RunningMachine emulator, CancellationToken stop)
    {
        int position = 0, number = 0;
        foreach (Step step in row.Tests?.End == null ? row.Script : [.. row.Script, new Step { Expect = row.Tests.End }])
        {
            number++;
            if (step.Expect != null)
            {
                Found found = await ExpectAsync(emulator.Serial, step, position, stop);
                if (found.Why != null)
                    return $"step {number}: {found.Why} /{step.Expect}/";
                position = found.End;
            }
            if (step.Send != null)
                await emulator.TypeAsync(step.Send);
            if (step.Qmp != null && await ControlAsync(emulator, step.Qmp) is { } refused)
                return $"step {number}: the emulator refuses {step.Qmp.ToJsonString()}: {refused}";
            if (step.Restart)
                await emulator.RestartAsync();
        }
        foreach (string pattern in row.Require)
            if ((await ExpectAsync(emulator.Serial, new Step { Expect = pattern }, 0, stop)).Why is { } why)
                return $"{why} /{pattern}/";
        if (row.MachineEnds && !await EndsAsync(emulator, stop))
            return "the machine did not end by itself";
        if (row.MachineEnds && emulator.HasFailed)
            return "the emulator failed";
        return null;
    }

    /// <returns>The emulator's answer if it is an error, else null.</returns>
    private static async Task<string> ControlAsync(RunningMachine emulator, JsonNode command)
    {
        bool bare = command.GetValueKind() == JsonValueKind.String;
        string answer = await emulator.ControlAsync((bare ? command : command["execute"]).GetValue<string>(), bare ? null : command["arguments"]);
        return answer.Contains("\"error\"") ? answer : null;
    }

    private readonly record struct Found(int End, string Why);

    private static async Task<Found> ExpectAsync(SerialLog serial, Step step, int position, CancellationToken stop)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        if (step.Timeout is { } seconds)
            limit.CancelAfter(TimeSpan.FromSeconds(seconds * TimeScale));
        try
        {
            SerialMatch match = await serial.WaitAsync(new Regex(step.Expect, RegexOptions.Multiline), position, limit.Token);
            return match == null ? new Found(0, "the machine ended before") : new Found(match.End, null);
        }
        catch (OperationCanceledException)
        {
            return new Found(0, "timed out waiting for");
        }
    }

    private static async Task<bool> EndsAsync(RunningMachine emulator, CancellationToken stop)
    {
        try
        {
            await emulator.Ended.WaitAsync(stop);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task<string> ForbiddenAsync(SerialLog serial, CancellationToken stop)
    {
        if (row.Forbid.Length > 0)
        {
            try
            {
                var pattern = new Regex(string.Join('|', row.Forbid.Select(f => $"(?:{f})")), RegexOptions.Multiline);
                // The report shows the whole line, so it is let come to its end; a machine that hangs within it does not hold the test.
                if (await serial.WaitAsync(pattern, 0, stop) is { } match)
                    await serial.WaitAsync(new Regex("\\n"), match.End, stop).WaitAsync(TimeSpan.FromSeconds(1), stop);
            }
            catch (Exception e) when (e is OperationCanceledException or TimeoutException) { }
        }
        return Forbidden(serial.Text);
    }

    private string Forbidden(string text)
    {
        foreach (string pattern in row.Forbid)
            if (Regex.Match(text, pattern, RegexOptions.Multiline) is { Success: true } match)
                return $"forbidden: \"{LinesOf(text, match)}\" matches /{pattern}/";
        return null;
    }

    /// <summary>The whole lines in which a match lies.</summary>
    public static string LinesOf(string text, Match match)
    {
        int start = text.LastIndexOf('\n', Math.Max(0, match.Index - 1)) + 1, end = text.IndexOf('\n', match.Index + match.Length);
        return text[Math.Min(start, match.Index)..(end < 0 ? text.Length : end)].Trim();
    }

    /// <summary>Counts the guest's own lines.</summary>
    /// <returns>What is wrong with them as a whole.</returns>
    private string[] GuestResults(string text)
    {
        List<GuestResult> results = ParseResults(text, row.Tests.Vm);
        foreach (GuestResult result in results)
        {
            string name = $"{Name}/{result.Name}";
            if (result.Word == "PASS")
                tally.Pass(name);
            else if (result.Word == "FAIL")
                tally.Fail(name, result.Why.Length > 0 ? result.Why : "the guest says FAIL");
            else if (row.Tests.CountSkips)
                tally.Skip(name, result.Why);
        }
        int run = results.Count(r => r.Word != "SKIP");
        return run >= row.Tests.Minimum ? [] : [$"{run} guest results, at least {row.Tests.Minimum} expected"];
    }

    /// <summary>One line of a guest: PASS, FAIL or SKIP.</summary>
    public readonly record struct GuestResult(string Name, string Word, string Why);

    /// <summary>The results in a serial log; a name that comes twice counts once, as failed if any of its lines says so.</summary>
    public static List<GuestResult> ParseResults(string text, string vm)
    {
        string prefix = vm == null ? "" : Regex.Escape(vm + "| ");
        return Regex.Matches(text, $@"^{prefix}(PASS|FAIL|SKIP) +(\S+)(?: +(.*\S))? *$", RegexOptions.Multiline)
            .Select(m => new GuestResult(m.Groups[2].Value, m.Groups[1].Value, m.Groups[3].Value))
            .GroupBy(r => r.Name).Select(g => g.OrderBy(r => r.Word, StringComparer.Ordinal).First()).ToList();
    }

    private void Fail(string why, SerialLog serial)
    {
        tally.Fail(Name, why);
        foreach (string line in serial.Tail(ShownLines))
            Report.Say("    | " + line);
        Report.Say($"    full log: {Workspace.Show(LogFile)}");
    }

    private static async Task<string> RequireAsync(BootVolume volume, string name) =>
        await volume.FindAsync(name) ?? throw new Failure($"no file {name}");

    /// <summary>For slow machines: $LAMINA_TIME_SCALE multiplies every time limit.</summary>
    private static double TimeScale { get; } =
        double.TryParse(Environment.GetEnvironmentVariable("LAMINA_TIME_SCALE"), System.Globalization.CultureInfo.InvariantCulture, out double scale) ? scale : 1;
}
