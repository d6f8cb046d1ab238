// Which of the loader's modules a name of lamina.json means.
using System;

namespace Lamina.Boot;

public static class ModuleName
{
    /// <summary>
    /// Whether a module whose text is <paramref name="text"/> is the file <paramref name="name"/>. Loaders differ in what they pass: GRUB the words behind
    /// the file name, quoted where they need be, others the whole path, or the path and the words. So the name matches the text, or its
    /// first word, whole or as the end of a path; a leading slash of the name says only that it is looked for at the volume's root.
    /// </summary>
    public static bool Matches(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        while (name.Length != 0 && name[0] is (byte)'/' or (byte)'\\')
        {
            name = name.Slice(1);
        }
        if (name.Length == 0)
        {
            return false;
        }
        Span<byte> word = stackalloc byte[LongestWord];
        return EndsPath(text, name) || EndsPath(FirstWord(text), name) || EndsPath(word.Slice(0, Unquote(text, word)), name);
    }

    private const int LongestWord = 512;

    /// <summary>
    /// The first word as GRUB's quoting means it: quotation marks around a word with spaces, a backslash before each quotation mark,
    /// apostrophe and backslash.
    /// </summary>
    /// <returns>Its length; 0: it does not end, or is longer than <paramref name="word"/>.</returns>
    private static int Unquote(ReadOnlySpan<byte> text, Span<byte> word)
    {
        bool quoted = text.Length != 0 && text[0] == (byte)'"';
        int length = 0;
        for (int i = quoted ? 1 : 0; i < text.Length; i++)
        {
            if (text[i] == (quoted ? (byte)'"' : (byte)' '))
            {
                return length;
            }
            i += text[i] == (byte)'\\' && i + 1 < text.Length ? 1 : 0;
            if (length == word.Length)
            {
                return 0;
            }
            word[length++] = text[i];
        }
        return quoted ? 0 : length;
    }

    private static bool EndsPath(ReadOnlySpan<byte> path, ReadOnlySpan<byte> name)
    {
        int folders = path.Length - name.Length;
        if (folders < 0 || (folders > 0 && !IsSeparator(path[folders - 1])))
        {
            return false;
        }
        for (int i = 0; i < name.Length; i++)
        {
            if (path[folders + i] != name[i] && !(IsSeparator(path[folders + i]) && IsSeparator(name[i])))
            {
                return false;
            }
        }
        return true;
    }

    private static ReadOnlySpan<byte> FirstWord(ReadOnlySpan<byte> text)
    {
        int length = 0;
        while (length < text.Length && text[length] != ' ')
        {
            length++;
        }
        return text.Slice(0, length);
    }

    private static bool IsSeparator(byte value) => value is (byte)'/' or (byte)'\\';
}
