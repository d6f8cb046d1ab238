// Between bytes and wire structures: one copy out, then only the copy is looked at.

using System;
using System.Runtime.CompilerServices;

namespace Lamina.VMBus;

public static unsafe class Wire
{
    /// <summary>Copies a structure from the beginning of a message; false if the message is shorter.</summary>
    public static bool TryRead<T>(ReadOnlySpan<byte> bytes, out T value) where T : unmanaged
    {
        value = default;
        if (bytes.Length < sizeof(T)) return false;
        fixed (byte* source = bytes) value = Unsafe.ReadUnaligned<T>(source);
        return true;
    }

    /// <summary>The 64-bit number at <paramref name="offset"/>, which the caller has checked against the length.</summary>
    public static ulong ReadUInt64(ReadOnlySpan<byte> bytes, int offset)
    {
        ulong value = 0;
        for (int i = 0; i < 8; i++) value |= (ulong)bytes[offset + i] << i * 8;
        return value;
    }
}
