// Which device of a guest answers which I/O ports.
using System.Runtime.CompilerServices;

namespace Lamina.Root.Devices;

public enum PortDevice : byte { None, Com1, Cmos, Power, DebugExit, SynicTest }

/// <summary>Up to eight ranges of ports. What nobody claims reads all ones and takes writes without effect.</summary>
public unsafe struct PortMap
{
    private const int MaxRanges = 8;

    private fixed ushort _first[MaxRanges];
    private fixed ushort _last[MaxRanges];
    private fixed byte _device[MaxRanges];
    private int _count;

    /// <summary>The devices of a Generation 2 machine, and those that were opted in to.</summary>
    public static PortMap Create(bool com1, bool debugExit, bool synicTestDevice)
    {
        PortMap map = default;
        if (com1) map.TryAdd(Uart16550.Com1, Uart16550.RegisterCount, PortDevice.Com1);
        map.TryAdd(CmosClock.IndexPort, 2, PortDevice.Cmos);
        map.TryAdd(AcpiPower.EventBlock, AcpiPower.LastPort - AcpiPower.EventBlock + 1, PortDevice.Power);
        map.TryAdd(AcpiPower.ResetPort, 1, PortDevice.Power);
        if (debugExit) map.TryAdd(DebugExit.Port, 4, PortDevice.DebugExit);
        if (synicTestDevice) map.TryAdd(SynicTestDevice.Port, 4, PortDevice.SynicTest);
        return map;
    }

    /// <summary>False when the table is full, the range leaves the port space, or a port is taken.</summary>
    public bool TryAdd(ushort first, int count, PortDevice device)
    {
        int last = first + count - 1;
        if (_count == MaxRanges || count < 1 || last > ushort.MaxValue) return false;
        for (int i = 0; i < _count; i++) if (first <= _last[i] && last >= _first[i]) return false;
        _first[_count] = first;
        _last[_count] = (ushort)last;
        _device[_count++] = (byte)device;
        return true;
    }

    /// <summary>Whose port it is; None when an access of <paramref name="size"/> bytes does not lie in one device as a whole.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly PortDevice Find(ushort port, int size)
    {
        for (int i = 0; i < _count; i++)
            if (port >= _first[i] && port + size - 1 <= _last[i]) return (PortDevice)_device[i];
        return PortDevice.None;
    }

    /// <summary>The claimed ranges by number, for whoever has them intercepted; false beyond the last.</summary>
    public readonly bool TryGetRange(int index, out ushort first, out ushort last)
    {
        bool exists = (uint)index < (uint)_count;
        first = exists ? _first[index] : (ushort)0;
        last = exists ? _last[index] : (ushort)0;
        return exists;
    }

    /// <summary>What a read of an unclaimed port gives: all ones in 1, 2 or 4 bytes.</summary>
    public static uint Unclaimed(int size) => size switch { 1 => 0xFF, 2 => 0xFFFF, _ => 0xFFFFFFFF };
}
