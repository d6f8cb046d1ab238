// Counts what passed, failed and was skipped, and prints each as it is known.
using System.Collections.Concurrent;
using System.Linq;
using System.Threading;

namespace Lamina.Tools.Test;

/// <summary>Safe to use from several tests at once.</summary>
public sealed class Tally
{
    private readonly ConcurrentQueue<string> failures = new();
    private int passed, failed, skipped;

    public int Failed => failed;

    /// <summary>What failed, in order: said once more before the last line, for a long log is read from its end.</summary>
    public string[] Failures => [.. failures.Select(f => "FAILED   " + f)];

    /// <summary>The last line of a test run.</summary>
    public string Line => $"{passed} passed, {failed} failed{(skipped > 0 ? $", {skipped} skipped" : "")}";

    /// <summary>A run without a single test is no success.</summary>
    public int ExitCode => failed > 0 || passed == 0 ? 1 : 0;

    public void Pass(string name, string detail = "")
    {
        Interlocked.Increment(ref passed);
        Report.Say($"ok       {name}{(detail.Length > 0 ? " (" + detail + ")" : "")}");
    }

    /// <summary>Tests that another runner has already printed.</summary>
    public void Pass(int count) => Interlocked.Add(ref passed, count);

    public void Fail(string name, string why)
    {
        Interlocked.Increment(ref failed);
        failures.Enqueue($"{name}: {why}");
        Report.Say($"FAILED   {name}: {why}");
    }

    public void Skip(string name, string why)
    {
        Interlocked.Increment(ref skipped);
        Report.Say($"skipped: {name}: {why}");
    }
}
