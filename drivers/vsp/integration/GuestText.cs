// Between the UTF-16 of key-value pairs and the UTF-8 that we keep.

namespace Lamina.Drivers.Vsp.Integration;

/// <summary>What comes from a guest may not steer a terminal; what goes to it must be well-formed.</summary>
internal static unsafe class GuestText
{
    private const uint Replacement = 0xFFFD;

    /// <summary>
    /// Takes at most <paramref name="sourceBytes"/> bytes up to the first zero character; writes well-formed UTF-8 without control characters.
    /// Cuts between characters. Answers how many bytes were written.
    /// </summary>
    public static int ToUtf8(byte* source, uint sourceBytes, byte* destination, int capacity, out bool truncated)
    {
        int length = 0;
        truncated = false;
        for (uint i = 0; i + 1 < sourceBytes; i += 2)
        {
            uint character = (uint)(source[i] | source[i + 1] << 8);
            if (character == 0) break;
            if (character is >= 0xD800 and < 0xE000)
            {
                uint low = i + 3 < sourceBytes ? (uint)(source[i + 2] | source[i + 3] << 8) : 0;
                bool paired = character < 0xDC00 && low is >= 0xDC00 and < 0xE000;
                character = paired ? 0x10000 + ((character - 0xD800) << 10 | (low - 0xDC00)) : Replacement;
                if (paired) i += 2;
            }
            if (IsControl(character)) character = '?';
            int size = Utf8Size(character);
            if (size > capacity - length)
            {
                truncated = true;
                break;
            }
            PutUtf8(character, size, destination + length);
            length += size;
        }
        return length;
    }

    // Also what turns the direction of text or is invisible: it could make one name look like another.
    private static bool IsControl(uint character) => character is < 0x20 or (>= 0x7F and < 0xA0) or 0xAD or (>= 0x200B and <= 0x200F)
        or (>= 0x2028 and <= 0x202E) or (>= 0x2060 and <= 0x206F) or 0xFEFF or (>= 0xFFF9 and <= 0xFFFB) or (>= 0xE0000 and <= 0xE0FFF);

    private static int Utf8Size(uint character) => character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;

    private static void PutUtf8(uint character, int size, byte* destination)
    {
        for (int i = size - 1; i > 0; i--)
        {
            destination[i] = (byte)(0x80 | (character & 0x3F));
            character >>= 6;
        }
        destination[0] = size switch
        {
            1 => (byte)character,
            2 => (byte)(0xC0 | character),
            3 => (byte)(0xE0 | character),
            _ => (byte)(0xF0 | character),
        };
    }

    /// <summary>Writes UTF-16 with a terminating zero; <paramref name="size"/> counts its bytes. False: not UTF-8, a zero in it, or too long.</summary>
    public static bool TryToUtf16(System.ReadOnlySpan<byte> source, byte* destination, int capacity, out uint size)
    {
        size = 0;
        for (int i = 0; i < source.Length;)
        {
            if (!TryNext(source, ref i, out uint character) || character == 0) return false;
            int bytes = character < 0x10000 ? 2 : 4;
            if (size + bytes + 2 > capacity) return false;
            if (bytes == 4)
            {
                character -= 0x10000;
                PutUnit(destination, ref size, 0xD800 | character >> 10);
                character = 0xDC00 | (character & 0x3FF);
            }
            PutUnit(destination, ref size, character);
        }
        if (size + 2 > capacity) return false;
        PutUnit(destination, ref size, 0);
        return true;
    }

    private static void PutUnit(byte* destination, ref uint size, uint unit)
    {
        destination[size++] = (byte)unit;
        destination[size++] = (byte)(unit >> 8);
    }

    // Unicode, table "Well-Formed UTF-8 Byte Sequences": no overlong forms, no surrogates, nothing above 10FFFF.
    private static bool TryNext(System.ReadOnlySpan<byte> source, ref int at, out uint character)
    {
        byte first = source[at++];
        character = first;
        if (first < 0x80) return true;
        int more = first switch { >= 0xC2 and < 0xE0 => 1, >= 0xE0 and < 0xF0 => 2, >= 0xF0 and < 0xF5 => 3, _ => 0 };
        if (more == 0 || more > source.Length - at) return false;
        character = first & (0x3Fu >> more);
        for (int i = 0; i < more; i++)
        {
            byte next = source[at++];
            if ((next & 0xC0) != 0x80) return false;
            character = character << 6 | (next & 0x3Fu);
        }
        return Utf8Size(character) == more + 1 && character is not (>= 0xD800 and < 0xE000) and <= 0x10FFFF;
    }
}
