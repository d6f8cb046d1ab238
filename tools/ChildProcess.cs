// Runs another program to its end and hands back what it printed.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Lamina.Tools;

/// <summary>What a program left: exit code and its two outputs.</summary>
public sealed record Outcome(int ExitCode, string Output, string Errors)
{
    /// <summary>Both outputs, errors last; for messages.</summary>
    public string Text => (Output.TrimEnd() + "\n" + Errors.TrimEnd()).Trim();
}

/// <summary>Starting programs; no shell is involved, arguments arrive as they are given.</summary>
public static class ChildProcess
{
    /// <summary>Runs to the end. <paramref name="line"/> sees each output line as it comes.</summary>
    public static async Task<Outcome> RunAsync(string program, IEnumerable<string> arguments, string folder = null,
        Action<string> line = null, IReadOnlyDictionary<string, string> environment = null, CancellationToken stop = default)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
            WorkingDirectory = folder ?? "", UseShellExecute = false,
        };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var pair in environment ?? new Dictionary<string, string>())
            start.Environment[pair.Key] = pair.Value;
        using Process process = Start(start, program);
        process.StandardInput.Close();
        var output = new StringBuilder();
        var errors = new StringBuilder();
        Task reading = Task.WhenAll(DrainAsync(process.StandardOutput, output, line), DrainAsync(process.StandardError, errors, line));
        try
        {
            await process.WaitForExitAsync(stop);
            await reading;
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
        return new Outcome(process.ExitCode, output.ToString(), errors.ToString());
    }

    /// <summary>As RunAsync, but a non-zero exit is a Failure that shows what the program said.</summary>
    public static async Task<Outcome> RequireAsync(string program, IEnumerable<string> arguments, string folder = null,
        Action<string> line = null, IReadOnlyDictionary<string, string> environment = null)
    {
        Outcome outcome = await RunAsync(program, arguments, folder, line, environment);
        if (outcome.ExitCode != 0)
            throw new Failure($"{Path.GetFileName(program)} failed (exit {outcome.ExitCode}): {outcome.Text}");
        return outcome;
    }

    /// <summary>Full path of a program on PATH, or null.</summary>
    public static string Find(string program)
    {
        string[] names = OperatingSystem.IsWindows() ? [program + ".exe", program + ".cmd"] : [program];
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).ToList();
        if (!OperatingSystem.IsWindows())
            folders.AddRange(["/usr/sbin", "/sbin"]);
        return (from folder in folders from name in names select Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }

    private static Process Start(ProcessStartInfo start, string program)
    {
        try
        {
            return Process.Start(start);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new Failure($"cannot start {program}: {e.Message}");
        }
    }

    private static async Task DrainAsync(StreamReader from, StringBuilder into, Action<string> line)
    {
        while (await from.ReadLineAsync() is { } text)
        {
            into.Append(text).Append('\n');
            line?.Invoke(text);
        }
    }
}
