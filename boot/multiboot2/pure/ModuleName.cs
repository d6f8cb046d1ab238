// Which of the loader's modules a name of lamina.json means.
using System;

namespace Lamina.Boot;

public static class ModuleName
{
    /// <summary>
    /// Whether a module whose text is <paramref name="text"/> is the file <paramref name="name"/>. Loaders differ in what they pass: GRUB the words behind
    /// the file name, others the whole path, or the path and the words. So the name matches the text, or its first word, whole or as the end
    /// of a path; a leading slash of the name says only that it is looked for at the volume's root.
    /// </summary>
    public static bool Matches(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        while (name.Length != 0 && name[0] is (byte)'/' or (byte)'\\')
        {
            name = name.Slice(1);
        }
        return name.Length != 0 && (EndsPath(text, name) || EndsPath(FirstWord(text), name));
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
