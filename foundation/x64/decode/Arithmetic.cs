// The processor's integer arithmetic on 1, 2, 4 and 8 bytes, with its status flags.
// SDM 1, "Status Flags".
using System.Numerics;

namespace Lamina.X64.Decode;

internal static class Arithmetic
{
    public const ulong CarryFlag = 1UL << 0;
    public const ulong ParityFlag = 1UL << 2;
    public const ulong AuxiliaryFlag = 1UL << 4;
    public const ulong ZeroFlag = 1UL << 6;
    public const ulong SignFlag = 1UL << 7;
    public const ulong OverflowFlag = 1UL << 11;
    private const ulong StatusFlags = CarryFlag | ParityFlag | AuxiliaryFlag | ZeroFlag | SignFlag | OverflowFlag;

    public static ulong Add(ulong first, ulong second, ulong carry, int size, ref ulong rflags)
    {
        ulong sum = first + second + carry;
        // Carry out of each bit, without a wider type: both set, or one set and the sum bit is not.
        ulong carries = (first & second) | ((first | second) & ~sum);
        return Finish(sum, carries, (first ^ sum) & (second ^ sum), first ^ second ^ sum, size, ref rflags);
    }

    public static ulong Subtract(ulong first, ulong second, ulong borrow, int size, ref ulong rflags)
    {
        ulong difference = first - second - borrow;
        ulong borrows = (~first & second) | ((~first | second) & difference);
        return Finish(difference, borrows, (first ^ second) & (first ^ difference), first ^ second ^ difference, size, ref rflags);
    }

    /// <summary>CF and OF become 0; AF is undefined by the manual and becomes 0, too.</summary>
    public static ulong Logic(ulong result, int size, ref ulong rflags) => Finish(result, 0, 0, 0, size, ref rflags);

    private static ulong Finish(ulong result, ulong carries, ulong overflows, ulong halfCarries, int size, ref ulong rflags)
    {
        int top = 8 * size - 1;
        ulong value = size == 8 ? result : result & ((1UL << (8 * size)) - 1);
        ulong flags = (carries >> top) & 1;
        flags |= (BitOperations.PopCount(value & 0xFF) & 1) == 0 ? ParityFlag : 0;
        flags |= halfCarries & AuxiliaryFlag;
        flags |= value == 0 ? ZeroFlag : 0;
        flags |= ((value >> top) & 1) != 0 ? SignFlag : 0;
        flags |= ((overflows >> top) & 1) != 0 ? OverflowFlag : 0;
        rflags = (rflags & ~StatusFlags) | flags;
        return value;
    }
}
