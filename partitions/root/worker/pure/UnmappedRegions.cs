// Which regions without a device a guest has touched: each is worth one line, not one line an access.
using System.Runtime.CompilerServices;

namespace Lamina.Root.Worker;

/// <summary>Remembers the first <see cref="Capacity"/> regions of 64 KiB; later ones go unreported.</summary>
public unsafe struct UnmappedRegions
{
    public const int Capacity = 16, RegionShift = 16;

    private Regions _regions;
    private int _count;

    [InlineArray(Capacity)] private struct Regions { private ulong _first; }

    /// <summary>Whether this is the first access to the region of <paramref name="address"/> that should be reported.</summary>
    public bool IsNew(ulong address)
    {
        ulong region = address >> RegionShift;
        for (int i = 0; i < _count; i++) if (_regions[i] == region) return false;
        if (_count == Capacity) return false;
        _regions[_count++] = region;
        return true;
    }
}
