// Finds the clone that the tests were built from.
using System;
using System.IO;
using System.Runtime.CompilerServices;

namespace Lamina.Tests.Host.Tools;

internal static class Repository
{
    public static string Root { get; } = Environment.GetEnvironmentVariable("LAMINA_ROOT") ?? Above(Here());

    private static string Here([CallerFilePath] string file = null) => Path.GetDirectoryName(file);

    private static string Above(string folder) =>
        folder == null || File.Exists(Path.Combine(folder, "Lamina.slnx")) ? folder : Above(Path.GetDirectoryName(folder));
}
