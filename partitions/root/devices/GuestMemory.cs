// A child's RAM as the root sees it: which guest-physical ranges exist and where the root has them mapped.
using System;
using System.Runtime.InteropServices;

namespace Lamina.Root.Devices;

/// <summary>
/// Up to eight ranges, none overlapping another. Every access is checked as a whole before the first byte moves and
/// must lie within one range. The guest may write to the same bytes at any time: copy once, then judge the copy.
/// </summary>
public unsafe struct GuestMemory
{
    public const int MaxRanges = 8;

    /// <summary>RAM below 4 GiB ends here at the latest; above it lie windows for devices.</summary>
    public const ulong HoleStart = 3UL << 30;
    public const ulong HoleEnd = 4UL << 30;

    private fixed ulong _gpa[MaxRanges];
    private fixed ulong _length[MaxRanges];
    private fixed ulong _host[MaxRanges];
    public int RangeCount { get; private set; }

    /// <summary>Bytes of RAM in all ranges.</summary>
    public ulong TotalLength { get; private set; }

    public readonly ulong RangeGpa(int index) => _gpa[index];
    public readonly ulong RangeLength(int index) => _length[index];
    public readonly byte* RangeHost(int index) => (byte*)_host[index];

    /// <summary>The usual PC layout over host-contiguous memory: from 0 up to the hole, what remains from 4 GiB on.</summary>
    public static GuestMemory CreateStandard(byte* host, ulong length)
    {
        GuestMemory memory = default;
        ulong low = length < HoleStart ? length : HoleStart;
        memory.TryAddRange(0, low, host);
        if (length > low) memory.TryAddRange(HoleEnd, length - low, host + low);
        return memory;
    }

    /// <summary>Adds a range. False when there is no room, it is empty, wraps around, or overlaps one that is there.</summary>
    public bool TryAddRange(ulong gpa, ulong length, byte* host)
    {
        if (RangeCount == MaxRanges || length == 0 || gpa + length < gpa) return false;
        for (int i = 0; i < RangeCount; i++)
            if (gpa < _gpa[i] + _length[i] && _gpa[i] < gpa + length) return false;
        _gpa[RangeCount] = gpa;
        _length[RangeCount] = length;
        _host[RangeCount] = (ulong)host;
        RangeCount++;
        TotalLength += length;
        return true;
    }

    /// <summary>Where <paramref name="length"/> bytes of RAM from <paramref name="gpa"/> on are mapped; false when not all of them are RAM of one range.</summary>
    public readonly bool TryGetPointer(ulong gpa, ulong length, out byte* host)
    {
        for (int i = 0; i < RangeCount; i++)
        {
            ulong offset = gpa - _gpa[i];
            if (gpa < _gpa[i] || offset > _length[i] || length > _length[i] - offset) continue;
            host = (byte*)_host[i] + offset;
            return true;
        }
        host = null;
        return false;
    }

    /// <summary>Where the range that starts at guest-physical 0 ends; 0 when there is none.</summary>
    public readonly ulong LowEnd
    {
        get
        {
            for (int i = 0; i < RangeCount; i++) if (_gpa[i] == 0) return _length[i];
            return 0;
        }
    }

    /// <summary>Copies into guest RAM.</summary>
    public readonly bool TryCopyIn(ulong gpa, ReadOnlySpan<byte> source)
    {
        if (!TryGetPointer(gpa, (ulong)source.Length, out byte* host)) return false;
        fixed (byte* from = source) Copy(host, from, (ulong)source.Length);
        return true;
    }

    /// <summary>Copies out of guest RAM.</summary>
    public readonly bool TryCopyOut(ulong gpa, Span<byte> destination)
    {
        if (!TryGetPointer(gpa, (ulong)destination.Length, out byte* host)) return false;
        fixed (byte* to = destination) Copy(to, host, (ulong)destination.Length);
        return true;
    }

    public readonly bool TryZero(ulong gpa, ulong length)
    {
        if (!TryGetPointer(gpa, length, out byte* host)) return false;
        Zero(host, length);
        return true;
    }

    // Kernels are tens of megabytes: move 64 bytes a turn, which the compiler does in vector registers.
    [StructLayout(LayoutKind.Sequential)] private struct Block { private ulong _a, _b, _c, _d, _e, _f, _g, _h; }

    private static void Copy(byte* to, byte* from, ulong length)
    {
        for (; length >= 64; length -= 64, to += 64, from += 64) *(Block*)to = *(Block*)from;
        for (; length > 0; length--) *to++ = *from++;
    }

    private static void Zero(byte* to, ulong length)
    {
        for (; length >= 64; length -= 64, to += 64) *(Block*)to = default;
        for (; length > 0; length--) *to++ = 0;
    }
}
