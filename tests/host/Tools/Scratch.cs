// A folder that is gone after the test.
using System;
using System.IO;

namespace Lamina.Tests.Host.Tools;

internal sealed class Scratch : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("lamina-test-").FullName;
    public string File(string name) => Path.Combine(Folder, name);
    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
