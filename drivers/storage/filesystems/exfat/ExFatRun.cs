// A run of neighbouring clusters of a file.

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Caller-supplied, 8 bytes each; a run reaches to where the next one begins in the file.</summary>
public struct ExFatRun
{
    /// <summary>The run's first cluster, counted from the file's start.</summary>
    internal uint InFile;
    /// <summary>The same on the volume.</summary>
    internal uint Cluster;
}
