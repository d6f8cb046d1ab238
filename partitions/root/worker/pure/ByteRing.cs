// Bytes typed for a guest that its UART's FIFO has no room for yet.
using System.Runtime.CompilerServices;

namespace Lamina.Root.Worker;

/// <summary>A ring of up to <see cref="Capacity"/> bytes; a byte that finds no room is refused.</summary>
public unsafe struct ByteRing
{
    public const int Capacity = 512;

    private Bytes _bytes;
    private uint _read;
    private uint _written;

    [InlineArray(Capacity)] private struct Bytes { private byte _first; }

    public readonly bool IsEmpty => _read == _written;
    public readonly int Count => (int)(_written - _read);

    public bool TryPut(byte value)
    {
        if (_written - _read == Capacity) return false;
        ((byte*)Unsafe.AsPointer(ref _bytes))[_written++ % Capacity] = value;
        return true;
    }

    public bool TryTake(out byte value)
    {
        value = 0;
        if (_read == _written) return false;
        value = ((byte*)Unsafe.AsPointer(ref _bytes))[_read++ % Capacity];
        return true;
    }

    public void Clear() => _read = _written;
}
