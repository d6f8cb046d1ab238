// Runs the xunit project and reads what it reports.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using System.Xml.Linq;

namespace Lamina.Tools.Test;

/// <summary>tests/host through dotnet test; LAMINA_TEST_KERNEL names a kernel for tests that read a real one.</summary>
public static class HostTests
{
    public static async Task RunAsync(Workspace workspace, string kernel, string filter, Tally tally)
    {
        string results = Path.Combine(workspace.Logs, "host.trx");
        File.Delete(results);
        List<string> arguments =
        [
            "test", Path.Combine(workspace.Root, "tests", "host", "Host.Tests.csproj"), "--nologo", "-v", "q", "--disable-build-servers",
            "--artifacts-path", workspace.Artifacts, "--results-directory", workspace.Logs, "--logger", "trx;LogFileName=host.trx",
        ];
        if (!string.IsNullOrEmpty(filter))
            arguments.AddRange(["--filter", "FullyQualifiedName~" + filter]);
        string last = "";
        var environment = new Dictionary<string, string> { ["LAMINA_OUT"] = workspace.Out, ["LAMINA_ROOT"] = workspace.Root, ["ArtifactsPath"] = workspace.Artifacts };
        if (kernel != null)
            environment["LAMINA_TEST_KERNEL"] = kernel;
        Outcome outcome = await Report.StepAsync("host tests", () => ChildProcess.RunAsync("dotnet", arguments, folder: workspace.Root,
            line: l => last = l, environment: environment), () => last.Trim());
        if (!File.Exists(results))
        {
            if (filter != null && outcome.ExitCode == 0)
                return;
            foreach (string line in outcome.Text.Split('\n').Where(l => l.Contains("error")).Distinct().Take(30))
                Report.Say("    " + line.Trim());
            tally.Fail("host", outcome.Text.Contains("error CS") ? "the host tests do not compile" : $"dotnet test ended with {outcome.ExitCode} and no results: {outcome.Text}");
            return;
        }
        Count(XDocument.Load(results), tally);
    }

    private static void Count(XDocument results, Tally tally)
    {
        XNamespace ns = "http://microsoft.com/schemas/VisualStudio/TeamTest/2010";
        int passed = 0;
        foreach (XElement result in results.Descendants(ns + "UnitTestResult"))
        {
            string name = "host/" + (string)result.Attribute("testName");
            string message = (string)result.Descendants(ns + "Message").FirstOrDefault() ?? (string)result.Descendants(ns + "StdOut").FirstOrDefault() ?? "no reason given";
            switch ((string)result.Attribute("outcome"))
            {
                case "Passed":
                    passed++;
                    break;
                case "NotExecuted":
                    tally.Skip(name, message.Trim());
                    break;
                default:
                    tally.Fail(name, message.Trim());
                    Report.Say((string)result.Descendants(ns + "StackTrace").FirstOrDefault() ?? "");
                    break;
            }
        }
        tally.Pass(passed);
        Report.Say($"ok       {passed} host tests");
    }
}
