// One measured machine: an emulator that counts instructions, run until a line comes.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools.Run;

namespace Lamina.Tools.Bench;

/// <summary>What a measured machine said.</summary>
public sealed record BenchLog(string Text)
{
    /// <summary>The first group of the first line that matches, or a failure that says what was looked for.</summary>
    public string Require(string pattern) =>
        Regex.Match(Text, pattern, RegexOptions.Multiline) is { Success: true } match ? match.Groups[1].Value : throw new Failure($"a measured machine said nothing like /{pattern}/");

    /// <summary>A number in hexadecimal.</summary>
    public ulong RequireHex(string pattern) => Convert.ToUInt64(Require(pattern), 16);
}

/// <summary>Starts machines with one processor whose TSC is the number of retired instructions: QEMU documentation, "TCG Instruction Counting".</summary>
public sealed class BenchMachine(Workspace workspace, CancellationToken stop)
{
    public static readonly string[] Counting = ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"];

    /// <summary>Runs until a line matches; what it said is in out/logs/bench-NAME.log.</summary>
    /// <param name="files">What it boots from; null for a kernel that the emulator loads itself.</param>
    /// <param name="script">Typed once a line matches, in order: pattern and keys.</param>
    public async Task<BenchLog> RunAsync(string name, MachineOptions options, BootFiles files, string until, double seconds, IReadOnlyList<(string Expect, string Type)> script = null)
    {
        string logFile = Path.Combine(workspace.Logs, $"bench-{name}.log");
        using FileStream copy = File.Create(logFile);
        var serial = new SerialLog(copy);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(stop);
        limit.CancelAfter(TimeSpan.FromSeconds(seconds));
        return await Report.StepAsync($"measuring {name}", async () =>
        {
            await using RunningMachine machine = await RunningMachine.StartAsync(options, files, serial, null);
            try
            {
                int position = 0;
                foreach ((string expect, string type) in script ?? [])
                {
                    position = (await WaitAsync(machine, expect, position, limit.Token)).End;
                    await machine.TypeAsync(type);
                }
                await WaitAsync(machine, until, position, limit.Token);
            }
            catch (OperationCanceledException) when (!stop.IsCancellationRequested)
            {
                throw new Failure($"{name}: not done within {seconds:0} s; see {Workspace.Show(logFile)}");
            }
            if (Regex.Match(serial.Text, @"\bBENCH-FAILED (.*)$", RegexOptions.Multiline) is { Success: true } failed)
                throw new Failure($"{name}: {failed.Groups[1].Value.Trim()}; see {Workspace.Show(logFile)}");
            return new BenchLog(serial.Text);
        }, () => LastLine(serial));

        async Task<SerialMatch> WaitAsync(RunningMachine machine, string pattern, int from, CancellationToken token) =>
            await serial.WaitAsync(new Regex(pattern, RegexOptions.Multiline), from, token)
                ?? throw new Failure($"{name}: the machine ended before /{pattern}/; see {Workspace.Show(logFile)}{(machine.Complaints.Length > 0 ? ": " + machine.Complaints : "")}");
    }

    private static string LastLine(SerialLog serial) => serial.Tail(1)[0].Trim() is { Length: > 60 } line ? line[..60] : serial.Tail(1)[0].Trim();
}
