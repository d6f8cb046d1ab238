// Programs that make and check images, the tests that need one, and how long random tests run.
using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using Xunit;

namespace Lamina.Tests.Host.Storage;

public static class Programs
{
    public static bool Has(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, name)));

    /// <summary>Runs it and expects exit code 0; its output.</summary>
    public static string Run(string name, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(name, arguments) { RedirectStandardOutput = true, RedirectStandardError = true });
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        Assert.True(process.WaitForExit(60000));
        Assert.True(process.ExitCode == 0, $"{name} {string.Join(' ', arguments)}: {output}");
        return output;
    }
}

/// <summary>A test that needs a program of a Debian package.</summary>
public sealed class ProgramFactAttribute : FactAttribute
{
    public ProgramFactAttribute(string program, string package)
    {
        if (!Programs.Has(program)) Skip = $"skipped: {program} (package {package}) is not installed";
    }
}

public static class Fuzz
{
    /// <summary>LAMINA_FUZZ=N runs every random test N times as long.</summary>
    public static int Factor { get; } = int.TryParse(Environment.GetEnvironmentVariable("LAMINA_FUZZ"), out int factor) && factor > 0 ? factor : 1;

    /// <summary>A byte that is an extreme one half of the time.</summary>
    public static byte Byte(Random random) => random.Next(6) switch { 0 => 0, 1 => 0xFF, 2 => 0x80, 3 => 1, _ => (byte)random.Next(256) };
}

/// <summary>A theory that needs a program of a Debian package.</summary>
public sealed class ProgramTheoryAttribute : TheoryAttribute
{
    public ProgramTheoryAttribute(string program, string package)
    {
        if (!Programs.Has(program)) Skip = $"skipped: {program} (package {package}) is not installed";
    }
}
