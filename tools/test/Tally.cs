// Counts what passed, failed and was skipped, and prints each as it is known.
using System.Threading;

namespace Lamina.Tools.Test;

/// <summary>Safe to use from several tests at once.</summary>
public sealed class Tally
{
    private int passed, failed, skipped;

    public int Failed => failed;

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
        Report.Say($"FAILED   {name}: {why}");
    }

    public void Skip(string name, string why)
    {
        Interlocked.Increment(ref skipped);
        Report.Say($"skipped: {name}: {why}");
    }
}
