// Builds a line of UTF-8 text in caller-supplied memory: truncates instead of overflowing, allocates nothing.
using System;

namespace Lamina.Text;

/// <summary>A cursor over <c>Capacity</c> bytes at <c>Buffer</c>; <c>Length</c> bytes of them are written.</summary>
public unsafe struct TextWriter
{
    public readonly byte* Buffer;
    public readonly int Capacity;
    public int Length;

    public TextWriter(byte* buffer, int capacity)
    {
        Buffer = buffer;
        Capacity = capacity;
        Length = 0;
    }

    /// <summary>What has been written so far.</summary>
    public readonly ReadOnlySpan<byte> Written => new(Buffer, Length);

    /// <summary>Whether something was cut off.</summary>
    public readonly bool IsFull => Length == Capacity;

    internal void Append(byte value)
    {
        if (Length < Capacity) Buffer[Length++] = value;
    }
}

/// <summary>The pieces of a line; each returns the writer, so that a line reads from left to right.</summary>
public static unsafe class TextWriting
{
    public static ref TextWriter Text(this ref TextWriter writer, ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++) writer.Append(text[i]);
        return ref writer;
    }

    public static ref TextWriter Char(this ref TextWriter writer, byte value)
    {
        writer.Append(value);
        return ref writer;
    }

    /// <summary>Text up to the first zero byte, at most <paramref name="limit"/> bytes.</summary>
    public static ref TextWriter ZeroTerminated(this ref TextWriter writer, byte* text, int limit)
    {
        for (int i = 0; i < limit && text[i] != 0; i++) writer.Append(text[i]);
        return ref writer;
    }

    /// <summary>Text of unknown origin: everything but printable ASCII becomes <c>?</c>, so that it cannot steer a terminal.</summary>
    public static ref TextWriter Printable(this ref TextWriter writer, ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++) writer.Append(text[i] is >= 0x20 and < 0x7F ? text[i] : (byte)'?');
        return ref writer;
    }

    public static ref TextWriter Decimal(this ref TextWriter writer, ulong value)
    {
        byte* digits = stackalloc byte[20];
        int count = 0;
        do { digits[count++] = (byte)('0' + value % 10); value /= 10; } while (value != 0);
        while (count > 0) writer.Append(digits[--count]);
        return ref writer;
    }

    public static ref TextWriter Signed(this ref TextWriter writer, long value)
    {
        if (value < 0) writer.Append((byte)'-');
        return ref Decimal(ref writer, value < 0 ? 0 - (ulong)value : (ulong)value);
    }

    /// <summary>Decimal, padded on the left with <paramref name="pad"/> to at least <paramref name="width"/> characters.</summary>
    public static ref TextWriter DecimalPadded(this ref TextWriter writer, ulong value, int width, byte pad = (byte)' ')
    {
        int digits = 1;
        for (ulong rest = value; rest >= 10; rest /= 10) digits++;
        for (; digits < width; width--) writer.Append(pad);
        return ref Decimal(ref writer, value);
    }

    /// <summary>Lower-case hexadecimal with a 0x prefix and no leading zeros.</summary>
    public static ref TextWriter Hex(this ref TextWriter writer, ulong value)
    {
        int digits = 1;
        for (ulong rest = value >> 4; rest != 0; rest >>= 4) digits++;
        writer.Append((byte)'0');
        writer.Append((byte)'x');
        return ref HexDigits(ref writer, value, digits);
    }

    /// <summary>Exactly <paramref name="digits"/> lower-case hexadecimal digits, no prefix.</summary>
    public static ref TextWriter HexDigits(this ref TextWriter writer, ulong value, int digits)
    {
        for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        {
            int digit = (int)(value >> shift) & 0xF;
            writer.Append((byte)(digit < 10 ? '0' + digit : 'a' + digit - 10));
        }
        return ref writer;
    }

    /// <summary>Spaces up to column <paramref name="column"/> (counted from the start of the buffer).</summary>
    public static ref TextWriter Column(this ref TextWriter writer, int column)
    {
        while (writer.Length < column && !writer.IsFull) writer.Append((byte)' ');
        return ref writer;
    }

    public static ref TextWriter Line(this ref TextWriter writer)
    {
        writer.Append((byte)'\n');
        return ref writer;
    }
}
