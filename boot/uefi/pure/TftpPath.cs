// Turns a file name of lamina.json into a path on the TFTP server.
using System;

namespace Lamina.Boot;

public static class TftpPath
{
    /// <summary>
    /// Writes a zero-terminated path with forward slashes: in the folder lamina beside the boot file, or, with a leading slash, from where
    /// the server's names begin. False: longer than <paramref name="output"/>, or with a zero inside.
    /// </summary>
    public static bool TryConvert(ReadOnlySpan<byte> bootFile, ReadOnlySpan<byte> name, Span<byte> output)
    {
        int length = 0;
        bool rooted = name.Length != 0 && name[0] is (byte)'/' or (byte)'\\';
        int folder = rooted ? 0 : bootFile.Length;
        while (folder > 0 && bootFile[folder - 1] is not ((byte)'/' or (byte)'\\'))
        {
            folder--;
        }
        return TryAppend(bootFile.Slice(0, folder), output, ref length) && (rooted || TryAppend("lamina/"u8, output, ref length))
            && TryAppend(name, output, ref length) && TryAppend("\0"u8, output, ref length, zero: true);
    }

    private static bool TryAppend(ReadOnlySpan<byte> text, Span<byte> output, ref int length, bool zero = false)
    {
        if (text.Length > output.Length - length)
        {
            return false;
        }
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == 0 && !zero)
            {
                return false;
            }
            output[length++] = text[i] == (byte)'\\' ? (byte)'/' : text[i];
        }
        return true;
    }
}
