// Finds the files that lamina.json names, by a tolerant scan for the keys "kernel", "initrd" and "path". The root parses properly.
using System;

namespace Lamina.Boot;

/// <summary>
/// Walks JSON with comments and yields, one by one, the string values of those keys. Whatever is malformed is skipped: the
/// root reports it with its line, the loader only must not miss a file of a configuration that is right.
/// </summary>
public ref struct ModuleScan
{
    private readonly ReadOnlySpan<byte> text;
    private int position;

    public ModuleScan(ReadOnlySpan<byte> text)
    {
        this.text = text;
        position = 0;
    }

    /// <summary>
    /// The next file name, as UTF-8 with escapes resolved. <paramref name="length"/> is its full length in bytes; when that is more than
    /// <paramref name="name"/> holds, the name was cut. False at the end.
    /// </summary>
    public bool TryNext(Span<byte> name, out int length)
    {
        length = 0;
        while (TryFindString())
        {
            bool isFile = ReadString(name, out length) && IsFileKey(name, length);
            if (!TryTake((byte)':') || !isFile || !TryPeek((byte)'"'))
            {
                continue; // a value or another key: what follows is looked at as if it were the start
            }
            if (ReadString(name, out length) && length != 0)
            {
                return true;
            }
        }
        return false;
    }

    private static bool IsFileKey(ReadOnlySpan<byte> name, int length)
    {
        if (length > name.Length)
        {
            return false;
        }
        ReadOnlySpan<byte> key = name.Slice(0, length);
        return key.SequenceEqual("kernel"u8) || key.SequenceEqual("initrd"u8) || key.SequenceEqual("path"u8);
    }

    /// <summary>Advances to the next opening quote outside comments.</summary>
    private bool TryFindString()
    {
        while (SkipSpace())
        {
            if (text[position] == '"')
            {
                return true;
            }
            position++;
        }
        return false;
    }

    private bool TryPeek(byte value) => SkipSpace() && text[position] == value;

    private bool TryTake(byte value)
    {
        if (!TryPeek(value))
        {
            return false;
        }
        position++;
        return true;
    }

    /// <summary>Skips white space and comments; false at the end of the text.</summary>
    private bool SkipSpace()
    {
        while (position < text.Length)
        {
            byte value = text[position];
            byte next = position + 1 < text.Length ? text[position + 1] : (byte)0;
            if (value is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')
            {
                position++;
            }
            else if (value == '/' && next == '/')
            {
                while (position < text.Length && text[position] != '\n')
                {
                    position++;
                }
            }
            else if (value == '/' && next == '*')
            {
                int body = position + 2;
                position = body;
                while (position < text.Length && !(text[position] == '/' && text[position - 1] == '*' && position > body))
                {
                    position++;
                }
                position++;
            }
            else
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Reads the string whose opening quote is here. False when it does not end on its line.</summary>
    private bool ReadString(Span<byte> output, out int length)
    {
        length = 0;
        position++;
        while (position < text.Length && text[position] != '\n')
        {
            byte value = text[position++];
            if (value == '"')
            {
                return true;
            }
            if (value != '\\')
            {
                Append(output, ref length, value);
            }
            else if (position < text.Length)
            {
                ReadEscape(output, ref length);
            }
        }
        return false;
    }

    private void ReadEscape(Span<byte> output, ref int length)
    {
        byte value = text[position++];
        if (value != 'u')
        {
            Append(output, ref length, value switch
            {
                (byte)'n' => (byte)'\n',
                (byte)'r' => (byte)'\r',
                (byte)'t' => (byte)'\t',
                (byte)'b' => (byte)'\b',
                (byte)'f' => (byte)'\f',
                _ => value,
            });
            return;
        }
        uint code = ReadHex();
        if (code is >= 0xD800 and < 0xDC00 && position + 1 < text.Length && text[position] == '\\' && text[position + 1] == 'u')
        {
            position += 2;
            code = 0x10000 + ((code & 0x3FF) << 10) + (ReadHex() & 0x3FF);
        }
        AppendCode(output, ref length, code);
    }

    private uint ReadHex()
    {
        uint code = 0;
        for (int i = 0; i < 4 && position < text.Length; i++, position++)
        {
            uint digit = text[position] | 0x20u;
            if (digit is >= '0' and <= '9')
            {
                code = code << 4 | digit - '0';
            }
            else if (digit is >= 'a' and <= 'f')
            {
                code = code << 4 | digit - 'a' + 10;
            }
            else
            {
                break;
            }
        }
        return code;
    }

    private static void AppendCode(Span<byte> output, ref int length, uint code)
    {
        if (code < 0x80)
        {
            Append(output, ref length, (byte)code);
            return;
        }
        int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        uint lead = more == 1 ? 0xC0u : more == 2 ? 0xE0u : 0xF0u;
        Append(output, ref length, (byte)(lead | code >> 6 * more));
        while (more-- > 0)
        {
            Append(output, ref length, (byte)(0x80 | code >> 6 * more & 0x3F));
        }
    }

    private static void Append(Span<byte> output, ref int length, byte value)
    {
        if (length < output.Length)
        {
            output[length] = value;
        }
        length++;
    }
}
