// Turns a file name of lamina.json into the path that the firmware's file protocols take.
using System;

namespace Lamina.Boot;

public static class FirmwarePath
{
    /// <summary>
    /// Writes zero-terminated UTF-16 with backslashes. A name that does not begin with a slash is looked up beside lamina.json, in
    /// \lamina. False: not UTF-8, or longer than <paramref name="output"/>.
    /// </summary>
    public static bool TryConvert(ReadOnlySpan<byte> name, Span<ushort> output)
    {
        int length = 0;
        bool rooted = name.Length != 0 && name[0] is (byte)'/' or (byte)'\\';
        ReadOnlySpan<byte> directory = rooted ? default : "\\lamina\\"u8;
        if (output.Length <= directory.Length)
        {
            return false;
        }
        for (; length < directory.Length; length++)
        {
            output[length] = directory[length];
        }
        int position = 0;
        while (position < name.Length)
        {
            if (!TryDecode(name, ref position, out uint code) || length + 3 > output.Length)
            {
                return false;
            }
            if (code >= 0x10000)
            {
                output[length++] = (ushort)(0xD800 + (code - 0x10000 >> 10));
                code = 0xDC00 + (code & 0x3FF);
            }
            output[length++] = (ushort)(code == '/' ? '\\' : code);
        }
        output[length] = 0;
        return true;
    }

    private static bool TryDecode(ReadOnlySpan<byte> text, ref int position, out uint code)
    {
        code = text[position++];
        if (code < 0x80)
        {
            return code != 0;
        }
        int more = code >= 0xF0 ? 3 : code >= 0xE0 ? 2 : 1;
        if (code < 0xC2 || code > 0xF4 || text.Length - position < more)
        {
            return false;
        }
        code &= 0x3Fu >> more;
        for (int i = 0; i < more; i++)
        {
            if ((text[position] & 0xC0) != 0x80)
            {
                return false;
            }
            code = code << 6 | text[position++] & 0x3Fu;
        }
        return code <= 0x10FFFF;
    }
}
