// A piece of the volume's metadata in memory: of the FAT, or of a directory.
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Used by the one planner that holds the volume; empty whenever a step on it failed.</summary>
internal unsafe struct ExFatWindow
{
    public const uint Bytes = 4096;

    private ulong start;
    private uint length;
    private byte* memory;

    public ExFatWindow(byte* memory)
    {
        this = default;
        this.memory = memory;
    }

    public readonly bool Holds(ulong offset) => offset >= start && offset - start < length;

    public readonly byte* At(ulong offset) => memory + (offset - start);

    /// <summary>Reads a piece; from here on the window holds it, unless the step fails and <see cref="Forget"/> is called.</summary>
    public BlockStep Load(ulong at, uint bytes)
    {
        start = at;
        length = bytes;
        return BlockStep.Metadata(StepKind.Read, at, memory, bytes);
    }

    /// <summary>Writes the sectors that hold the bytes from one offset to another.</summary>
    public readonly BlockStep Write(ulong first, ulong last, int sectorShift)
    {
        ulong from = first >> sectorShift << sectorShift, to = (last >> sectorShift) + 1 << sectorShift;
        return BlockStep.Metadata(StepKind.Write, from, At(from), (uint)(to - from));
    }

    public void Forget() => length = 0;
}
