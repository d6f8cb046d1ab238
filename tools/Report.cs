// What the tool says while it works: plain lines, and a sign of life for anything that takes longer than two seconds.
using System;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace Lamina.Tools;

/// <summary>Lines on standard error for progress, on standard output for results.</summary>
public static class Report
{
    private static readonly Lock Gate = new();

    /// <summary>Set while the terminal is raw: there a line feed alone does not return the carriage.</summary>
    public static bool RawTerminal { get; set; }

    public static void Say(string line)
    {
        lock (Gate)
            Console.Out.Write(line + (RawTerminal ? "\r\n" : "\n"));
    }

    public static void Error(string line)
    {
        lock (Gate)
        {
            Console.Out.Flush();
            Console.Error.Write(line + (RawTerminal ? "\r\n" : "\n"));
        }
    }

    /// <summary>Runs a piece of work: its name after it is done, with the time; while it lasts, a line at 2 s and every 10 s.</summary>
    /// <param name="detail">Asked for the latest detail to show (a file name, a percentage); may be null.</param>
    public static async Task<T> StepAsync<T>(string name, Func<Task<T>> work, Func<string> detail = null)
    {
        var clock = Stopwatch.StartNew();
        using var done = new CancellationTokenSource();
        Task alive = SignsOfLifeAsync(name, clock, detail, done.Token);
        try
        {
            T result = await work();
            if (clock.Elapsed.TotalSeconds >= 2)
                Say($"  {name}: {clock.Elapsed.TotalSeconds:0.0} s");
            return result;
        }
        finally
        {
            done.Cancel();
            await alive;
        }
    }

    public static Task StepAsync(string name, Func<Task> work, Func<string> detail = null) =>
        StepAsync(name, async () => { await work(); return true; }, detail);

    private static async Task SignsOfLifeAsync(string name, Stopwatch clock, Func<string> detail, CancellationToken done)
    {
        try
        {
            for (int wait = 2000; ; wait = 10000)
            {
                await Task.Delay(wait, done);
                string more = detail?.Invoke();
                Say($"  {name} … {clock.Elapsed.TotalSeconds:0} s{(string.IsNullOrEmpty(more) ? "" : ": " + more)}");
            }
        }
        catch (OperationCanceledException) { }
    }
}
