// build.ps1 under the PowerShell engine: it forwards verbs, options and the exit code.
using System;
using System.IO;
using System.Linq;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using Xunit;

namespace Lamina.Tests.Host.Tools;

public class PowerShellTests
{
    [Fact]
    public void It_forwards_the_verb_and_its_exit_code()
    {
        (string output, int code) = Run("'bench', '--against', 'nothing'");
        Assert.Equal(2, code);
        Assert.Contains("there are kvm and xen", output);
    }

    [Fact]
    public void It_forwards_options()
    {
        (string output, int code) = Run("'run', '--help'");
        Assert.Equal(0, code);
        Assert.Contains("--until", output);
    }

    [Fact]
    public void It_forwards_what_is_for_the_emulator()
    {
        (string output, int code) = Run("'run', '--config', 'no-such-file.json', '--', '-cpu', 'max'");
        Assert.NotEqual(0, code);
        Assert.Contains("no such file", output);
    }

    private static (string Output, int ExitCode) Run(string arguments)
    {
        InitialSessionState state = InitialSessionState.CreateDefault2();
        if (OperatingSystem.IsWindows())
            state.ExecutionPolicy = Microsoft.PowerShell.ExecutionPolicy.Bypass;
        using Runspace runspace = RunspaceFactory.CreateRunspace(state);
        runspace.Open();
        runspace.SessionStateProxy.Path.SetLocation(Repository.Root);
        using PowerShell shell = PowerShell.Create(runspace);
        string script = Path.Combine(Repository.Root, "build.ps1");
        shell.AddScript($"$a = @({arguments}); & '{script}' @a 2>&1; $LASTEXITCODE");
        var lines = shell.Invoke();
        Assert.True(lines[^1]?.BaseObject is int, string.Join('\n', shell.Streams.Error));
        return (string.Join('\n', lines.SkipLast(1)), (int)lines[^1].BaseObject);
    }
}
