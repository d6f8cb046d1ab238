// The notations of lamina.json's values: sizes ("512M") and MAC addresses ("00:15:5d:00:00:01").
using System;

namespace Lamina.Root.Config;

internal static unsafe class ConfigValues
{
    /// <summary>Bytes from digits and a unit K, M, G or T (powers of 1024, optionally "B" or "iB" behind it, any case).</summary>
    public static bool TrySize(ReadOnlySpan<byte> text, out ulong bytes)
    {
        bytes = 0;
        int position = 0;
        for (; position < text.Length && text[position] is >= (byte)'0' and <= (byte)'9'; position++)
        {
            if (bytes > ulong.MaxValue / 10 - 1) return false;
            bytes = bytes * 10 + (uint)(text[position] - '0');
        }
        if (position == 0) return false;
        if (position == text.Length) return true;
        int shift = ConfigKeys.Lower(text[position]) switch { (byte)'k' => 10, (byte)'m' => 20, (byte)'g' => 30, (byte)'t' => 40, _ => 0 };
        if (shift == 0 || bytes > ulong.MaxValue >> shift) return false;
        bytes <<= shift;
        ReadOnlySpan<byte> rest = text.Slice(position + 1);
        return rest.Length == 0 || ConfigKeys.SameName(rest, "b"u8) || ConfigKeys.SameName(rest, "ib"u8);
    }

    /// <summary>Six pairs of hexadecimal digits with ':' or '-' between them.</summary>
    public static bool TryMac(ReadOnlySpan<byte> text, byte* mac)
    {
        if (text.Length != 17) return false;
        for (int i = 0; i < 6; i++)
        {
            int high = HexDigit(text[i * 3]), low = HexDigit(text[i * 3 + 1]);
            if (high < 0 || low < 0) return false;
            if (i < 5 && (text[i * 3 + 2] != text[2] || text[2] is not ((byte)':' or (byte)'-'))) return false;
            mac[i] = (byte)(high << 4 | low);
        }
        return true;
    }

    private static int HexDigit(byte value) => ConfigKeys.Lower(value) switch
    {
        >= (byte)'0' and <= (byte)'9' => value - '0',
        >= (byte)'a' and <= (byte)'f' => ConfigKeys.Lower(value) - 'a' + 10,
        _ => -1,
    };
}
