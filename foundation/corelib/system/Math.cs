// Integer arithmetic helpers with .NET's names; nothing floating.
using System.Runtime.CompilerServices;

namespace System
{
    public static class Math
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Min(int a, int b) => a < b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Min(uint a, uint b) => a < b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static long Min(long a, long b) => a < b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static ulong Min(ulong a, ulong b) => a < b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static int Max(int a, int b) => a > b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static uint Max(uint a, uint b) => a > b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static long Max(long a, long b) => a > b ? a : b;
        [MethodImpl(MethodImplOptions.AggressiveInlining)] public static ulong Max(ulong a, ulong b) => a > b ? a : b;

        public static int Abs(int value) => value < 0 ? -value : value;
        public static long Abs(long value) => value < 0 ? -value : value;

        /// <summary>The 128-bit product of two 64-bit factors: high half returned, low half in <paramref name="low"/>.</summary>
        // Schoolbook on 32-bit halves: the one-instruction form needs BMI2, which would bring VEX encodings in.
        public static ulong BigMul(ulong a, ulong b, out ulong low)
        {
            ulong aLow = (uint)a, aHigh = a >> 32, bLow = (uint)b, bHigh = b >> 32;
            ulong lowLow = aLow * bLow;
            ulong middle = aHigh * bLow + (lowLow >> 32);
            ulong middle2 = aLow * bHigh + (uint)middle;
            low = a * b;
            return aHigh * bHigh + (middle >> 32) + (middle2 >> 32);
        }
    }
}

namespace System.Numerics
{
    public static class BitOperations
    {
        // x64 baseline has BSF and BSR; the JIT emits them for these shapes only with ABM, so the portable forms stay branch-free and short.
        private static ReadOnlySpan<byte> DeBruijn => [
            0, 1, 2, 53, 3, 7, 54, 27, 4, 38, 41, 8, 34, 55, 48, 28, 62, 5, 39, 46, 44, 42, 22, 9, 24, 35, 59, 56, 49, 18, 29, 11,
            63, 52, 6, 26, 37, 40, 33, 47, 61, 45, 43, 21, 23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12];

        public static int TrailingZeroCount(ulong value) =>
            value == 0 ? 64 : Unsafe.Add(ref Unsafe.AsRef(in DeBruijn[0]), (int)(((value & (0 - value)) * 0x022FDD63CC95386DUL) >> 58));
        public static int TrailingZeroCount(uint value) => value == 0 ? 32 : TrailingZeroCount((ulong)value);
        public static int TrailingZeroCount(int value) => TrailingZeroCount((uint)value);
        public static int TrailingZeroCount(long value) => TrailingZeroCount((ulong)value);

        public static int Log2(ulong value)
        {
            // Smear the highest bit down, keep it alone, and find its index as above.
            value |= 1;
            value |= value >> 1; value |= value >> 2; value |= value >> 4; value |= value >> 8; value |= value >> 16; value |= value >> 32;
            return TrailingZeroCount(value ^ (value >> 1));
        }
        public static int Log2(uint value) => Log2((ulong)value);
        public static int LeadingZeroCount(ulong value) => value == 0 ? 64 : 63 - Log2(value);
        public static int LeadingZeroCount(uint value) => value == 0 ? 32 : 31 - Log2(value);

        public static int PopCount(ulong value)
        {
            value -= (value >> 1) & 0x5555555555555555;
            value = (value & 0x3333333333333333) + ((value >> 2) & 0x3333333333333333);
            return (int)((((value + (value >> 4)) & 0x0F0F0F0F0F0F0F0F) * 0x0101010101010101) >> 56);
        }
        public static int PopCount(uint value) => PopCount((ulong)value);
        public static bool IsPow2(ulong value) => (value & (value - 1)) == 0 && value != 0;
        public static ulong RotateLeft(ulong value, int offset) => (value << offset) | (value >> (64 - offset));
    }
}
