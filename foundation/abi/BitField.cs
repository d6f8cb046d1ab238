// Reading and replacing bit ranges of an integer: the one place where registers of the ABI and of the processor do it.

using System.Runtime.CompilerServices;

namespace Lamina.Abi;

/// <summary>Bit ranges of a 64-bit value. Bits are numbered as manuals do, 0 being the least significant.</summary>
public static class BitField
{
    /// <summary>Whether bit <paramref name="bit"/> is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsSet(ulong value, int bit) => (value >> bit & 1) != 0;

    /// <summary><paramref name="value"/> with bit <paramref name="bit"/> set or cleared.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WithBit(ulong value, int bit, bool on) => on ? value | 1UL << bit : value & ~(1UL << bit);

    /// <summary>Bits <paramref name="high"/>:<paramref name="low"/>, shifted down.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Extract(ulong value, int high, int low) => value >> low & Ones(high - low + 1);

    /// <summary><paramref name="value"/> with bits <paramref name="high"/>:<paramref name="low"/> replaced; excess bits of <paramref name="field"/> are dropped.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Insert(ulong value, int high, int low, ulong field)
    {
        ulong mask = Ones(high - low + 1) << low;
        return value & ~mask | field << low & mask;
    }

    /// <summary>A value whose lowest <paramref name="width"/> bits (1..64) are ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Ones(int width) => ulong.MaxValue >> 64 - width;
}
