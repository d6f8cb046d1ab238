// Atomic and ordered memory access. The JIT turns each intrinsic into one instruction.
using System.Runtime.CompilerServices;

namespace System.Threading;

public static unsafe class Interlocked
{
    [Intrinsic] public static int CompareExchange(ref int location, int value, int comparand) => CompareExchange(ref location, value, comparand);
    [Intrinsic] public static long CompareExchange(ref long location, long value, long comparand) => CompareExchange(ref location, value, comparand);
    [Intrinsic] public static int Exchange(ref int location, int value) => Exchange(ref location, value);
    [Intrinsic] public static long Exchange(ref long location, long value) => Exchange(ref location, value);
    [Intrinsic] public static int ExchangeAdd(ref int location, int value) => ExchangeAdd(ref location, value);
    [Intrinsic] public static long ExchangeAdd(ref long location, long value) => ExchangeAdd(ref location, value);
    [Intrinsic] public static void MemoryBarrier() => MemoryBarrier();

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint CompareExchange(ref uint location, uint value, uint comparand) =>
        (uint)CompareExchange(ref Unsafe.As<uint, int>(ref location), (int)value, (int)comparand);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static ulong CompareExchange(ref ulong location, ulong value, ulong comparand) =>
        (ulong)CompareExchange(ref Unsafe.As<ulong, long>(ref location), (long)value, (long)comparand);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Exchange(ref uint location, uint value) => (uint)Exchange(ref Unsafe.As<uint, int>(ref location), (int)value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static ulong Exchange(ref ulong location, ulong value) => (ulong)Exchange(ref Unsafe.As<ulong, long>(ref location), (long)value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Add(ref int location, int value) => ExchangeAdd(ref location, value) + value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static long Add(ref long location, long value) => ExchangeAdd(ref location, value) + value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Increment(ref int location) => Add(ref location, 1);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static long Increment(ref long location) => Add(ref location, 1);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Decrement(ref int location) => Add(ref location, -1);

    /// <summary>Sets bits and returns what was there before (as .NET's <c>Interlocked.Or</c> does).</summary>
    public static uint Or(ref uint location, uint value)
    {
        uint current = location;
        while (true)
        {
            uint seen = CompareExchange(ref location, current | value, current);
            if (seen == current) return current;
            current = seen;
        }
    }
    public static ulong Or(ref ulong location, ulong value)
    {
        ulong current = location;
        while (true)
        {
            ulong seen = CompareExchange(ref location, current | value, current);
            if (seen == current) return current;
            current = seen;
        }
    }
    public static ulong And(ref ulong location, ulong value)
    {
        ulong current = location;
        while (true)
        {
            ulong seen = CompareExchange(ref location, current & value, current);
            if (seen == current) return current;
            current = seen;
        }
    }
}

/// <summary>Acquire loads and release stores: plain moves on x64, but ones that the compiler neither drops, hoists nor reorders.</summary>
public static unsafe class Volatile
{
    private struct VolatileByte { public volatile byte Value; }
    private struct VolatileUInt16 { public volatile ushort Value; }
    private struct VolatileInt32 { public volatile int Value; }
    private struct VolatileUInt32 { public volatile uint Value; }
    private struct VolatileUIntPtr { public volatile nuint Value; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static bool Read(ref readonly bool location) => Unsafe.As<bool, VolatileByte>(ref Unsafe.AsRef(in location)).Value != 0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static byte Read(ref readonly byte location) => Unsafe.As<byte, VolatileByte>(ref Unsafe.AsRef(in location)).Value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static ushort Read(ref readonly ushort location) => Unsafe.As<ushort, VolatileUInt16>(ref Unsafe.AsRef(in location)).Value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Read(ref readonly int location) => Unsafe.As<int, VolatileInt32>(ref Unsafe.AsRef(in location)).Value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Read(ref readonly uint location) => Unsafe.As<uint, VolatileUInt32>(ref Unsafe.AsRef(in location)).Value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static long Read(ref readonly long location) => (long)Unsafe.As<long, VolatileUIntPtr>(ref Unsafe.AsRef(in location)).Value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static ulong Read(ref readonly ulong location) => Unsafe.As<ulong, VolatileUIntPtr>(ref Unsafe.AsRef(in location)).Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref bool location, bool value) => Unsafe.As<bool, VolatileByte>(ref location).Value = value ? (byte)1 : (byte)0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref byte location, byte value) => Unsafe.As<byte, VolatileByte>(ref location).Value = value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref ushort location, ushort value) => Unsafe.As<ushort, VolatileUInt16>(ref location).Value = value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref int location, int value) => Unsafe.As<int, VolatileInt32>(ref location).Value = value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref uint location, uint value) => Unsafe.As<uint, VolatileUInt32>(ref location).Value = value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref long location, long value) => Unsafe.As<long, VolatileUIntPtr>(ref location).Value = (nuint)value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Write(ref ulong location, ulong value) => Unsafe.As<ulong, VolatileUIntPtr>(ref location).Value = (nuint)value;
}
