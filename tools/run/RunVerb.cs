// The run verb: boots Lamina in an emulator with the terminal, or a script's expectations, attached.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Lamina.Tools.Build;
using Lamina.Tools.Guest;

namespace Lamina.Tools.Run;

/// <summary>What the command line of run says.</summary>
public sealed record RunOptions
{
    public MachineOptions Machine { get; init; } = new();
    public string Config { get; init; }
    public bool Headless { get; init; }
    public string Until { get; init; }
    public string Fail { get; init; }
    public double Timeout { get; init; }
    public string SerialFile { get; init; }
    public string Screenshot { get; init; }
}

/// <summary>Exit codes: 0 the pattern came (or, without one, the machine ended), 1 it did not, 124 out of time, 130 interrupted.</summary>
public static class RunVerb
{
    private const int OutOfTime = 124, Interrupted = 130;
    private const byte Prefix = 1; // Ctrl-A

    public static async Task<int> RunAsync(Workspace workspace, RunOptions options)
    {
        Emulators.Check(options.Machine);
        if (options.Config != null && !File.Exists(options.Config))
            throw new Failure($"--config {options.Config}: no such file", 2);
        Regex until = Pattern("--until", options.Until), fail = Pattern("--fail", options.Fail);
        bool rootDisk = options.Config == null && ReferenceGuest.RunsFromRootDisk && !Emulators.IsBochs(options.Machine);
        await Requirements.EnsureAsync(Requirements.Build, Emulators.Needs(options.Machine), rootDisk || options.Machine.Disks.Count > 0 ? Requirements.Disks : []);
        await BuildVerb.RunAsync(workspace, options.Config == null ? ["uefi", "multiboot2"] : []);
        string config = options.Config ?? await ReferenceGuest.EnsureAsync(workspace, rootDisk);
        if (rootDisk)
            options = options with { Machine = options.Machine with { Disks = [await ReferenceGuest.DiskAsync(workspace), .. options.Machine.Disks] } };
        BootFiles files = BootFiles.Collect(workspace, config);
        bool attached = !options.Headless && RawTerminal.InputIsTerminal && !Console.IsOutputRedirected;
        string log = options.SerialFile ?? Path.Combine(workspace.Logs, "run.log");
        Report.Say($"booting: {options.Machine.Processors} processor(s), {options.Machine.Memory}, {Path.GetFileName(config)}, serial log {Workspace.Show(log)}");
        if (attached)
            Report.Say("keys: Ctrl-] leaves a guest for the management console, Ctrl-A x ends the machine, Ctrl-A a sends Ctrl-A");
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(log)));
        using FileStream copy = File.Create(log);
        return await BootAsync(options, files, new SerialLog(copy), until, fail, attached, typeConnect: attached && options.Config == null);
    }

    private static async Task<int> BootAsync(RunOptions options, BootFiles files, SerialLog serial, Regex until, Regex fail, bool attached, bool typeConnect)
    {
        var clock = Stopwatch.StartNew();
        using var stop = new CancellationTokenSource();
        using Stream screen = Console.OpenStandardOutput();
        await using RunningMachine machine = await RunningMachine.StartAsync(options.Machine, files, serial,
            (bytes, text) => Show(screen, attached ? bytes.Span : Encoding.UTF8.GetBytes(text)));
        using var terminal = attached ? new RawTerminal() : null;
        var interrupted = new TaskCompletionSource<int>();
        using var signals = new Signals(() => interrupted.TrySetResult(Interrupted));
        StartTyping(machine, attached, () => interrupted.TrySetResult(0));
        if (typeConnect)
            _ = ConnectAsync(machine, stop.Token);
        Task<SerialMatch> matched = serial.WaitAsync(until ?? Nothing, 0, stop.Token), failed = serial.WaitAsync(fail ?? Nothing, 0, stop.Token);
        Task late = Task.Delay(options.Timeout > 0 ? TimeSpan.FromSeconds(options.Timeout) : System.Threading.Timeout.InfiniteTimeSpan, stop.Token);
        Task first = await Task.WhenAny(matched, failed, late, interrupted.Task, machine.Ended);
        if (serial.Ended)
            await Task.WhenAll(matched, failed); // the end of the log completes both
        (int code, string why) = first switch
        {
            _ when Result(failed) is { } f => (1, $"failed: the serial log matches --fail: {f.Value.Trim()}"),
            _ when Result(matched) is { } u => (0, $"matched: {u.Value.Trim()}"),
            _ when first == late => (OutOfTime, $"timed out after {options.Timeout} s"),
            _ when first == interrupted.Task => (await interrupted.Task, "ended by the user"),
            _ when machine.Fault is { } fault => (1, fault),
            _ => (machine.HasFailed || until != null ? 1 : 0, until != null ? "the machine ended before --until matched" : "the machine ended"),
        };
        await TryScreenshotAsync(machine, options.Screenshot);
        stop.Cancel();
        terminal?.Dispose();
        Report.Say($"\n{why} ({clock.Elapsed.TotalSeconds:0.0} s)");
        if (machine.Complaints.Length > 0)
            Report.Say(machine.Complaints);
        return code;
    }

    // A terminal gets every byte; a file or a pipe gets the text without what moves a cursor.
    private static void Show(Stream screen, ReadOnlySpan<byte> bytes)
    {
        screen.Write(bytes);
        screen.Flush();
    }

    private static async Task TryScreenshotAsync(RunningMachine machine, string file)
    {
        if (file == null)
            return;
        if (machine.Ended.IsCompleted)
            Report.Say("no screenshot: the machine has ended");
        else
            await machine.ScreenshotAsync(file);
    }

    /// <summary>Once the reference guest runs, the user is put into its terminal.</summary>
    private static async Task ConnectAsync(RunningMachine machine, CancellationToken stop)
    {
        var started = new Regex($@"^{ReferenceGuest.Name}\| |\b{ReferenceGuest.Name}\b.*\b(Running|[Ss]tarted)\b", RegexOptions.Multiline);
        try
        {
            if (await machine.Serial.WaitAsync(started, 0, stop) != null)
                await machine.TypeAsync($"connect {ReferenceGuest.Name}\r");
        }
        catch (OperationCanceledException) { }
    }

    // A blocking read on a thread of its own: there is no way to cancel it, and the program ends with it pending.
    private static void StartTyping(RunningMachine machine, bool attached, Action quit)
    {
        var thread = new Thread(() =>
        {
            var buffer = new byte[256];
            bool prefixed = false;
            for (int count; (count = RawTerminal.Read(buffer)) > 0;)
            {
                var keys = new List<byte>();
                foreach (byte key in buffer.AsSpan(0, count))
                    if (attached && Interpret(key, ref prefixed, keys))
                        quit();
                    else if (!attached)
                        keys.Add(key == '\n' ? (byte)'\r' : key);
                machine.TypeAsync(keys.ToArray()).Wait();
            }
        }) { IsBackground = true };
        thread.Start();
    }

    /// <summary>Ctrl-A is ours: x quits, a and Ctrl-A send it on, anything else is sent as typed.</summary>
    private static bool Interpret(byte key, ref bool prefixed, List<byte> keys)
    {
        if (!prefixed && key == Prefix)
        {
            prefixed = true;
            return false;
        }
        if (prefixed && key is (byte)'x' or (byte)'X')
            return prefixed;
        if (prefixed && key is (byte)'a')
            key = Prefix;
        prefixed = false;
        keys.Add(key);
        return false;
    }

    private static Regex Pattern(string option, string text)
    {
        try
        {
            return text == null ? null : new Regex(text, RegexOptions.Multiline);
        }
        catch (ArgumentException e)
        {
            throw new Failure($"{option}: {e.Message}", 2);
        }
    }

    private static readonly Regex Nothing = new("(?!)");

    private static SerialMatch Result(Task<SerialMatch> task) => task.IsCompletedSuccessfully ? task.Result : null;
}

/// <summary>Catches what would end the program, so that it ends its machines first.</summary>
public sealed class Signals : IDisposable
{
    private readonly PosixSignalRegistration[] registrations;

    public Signals(Action end)
    {
        registrations = new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT }
            .Select(s => PosixSignalRegistration.Create(s, context => { context.Cancel = true; end(); })).ToArray();
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in registrations)
            registration.Dispose();
    }
}
