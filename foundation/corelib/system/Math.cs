// Integer arithmetic helpers with .NET's names; nothing floating.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

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
        // NASM: the JIT's own one-instruction form needs BMI2, which would bring VEX encodings in.
        [System.Runtime.RuntimeImport("*", "lamina_multiply"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern unsafe ulong Multiply(ulong a, ulong b, ulong* low);

        public static unsafe ulong BigMul(ulong a, ulong b, out ulong low)
        {
            ulong lowHalf;
            ulong high = Multiply(a, b, &lowHalf);
            low = lowHalf;
            return high;
        }
    }
}

namespace System.Numerics
{
    public static class BitOperations
    {
        // BSF and BSR, the baseline's bit scans: undefined for 0, so 0 is answered apart.
        public static int TrailingZeroCount(ulong value) => value == 0 ? 64 : (int)X86Base.X64.BitScanForward(value);
        public static int TrailingZeroCount(uint value) => value == 0 ? 32 : (int)X86Base.X64.BitScanForward(value);
        public static int TrailingZeroCount(int value) => TrailingZeroCount((uint)value);
        public static int TrailingZeroCount(long value) => TrailingZeroCount((ulong)value);

        public static int Log2(ulong value) => (int)X86Base.X64.BitScanReverse(value | 1);
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

namespace System.Runtime.Intrinsics.X86
{
    public abstract class X86Base
    {
        [Intrinsic]
        public abstract class X64
        {
            [Intrinsic] internal static ulong BitScanForward(ulong value) => BitScanForward(value);
            [Intrinsic] internal static ulong BitScanReverse(ulong value) => BitScanReverse(value);
        }
    }
}
