// Where a differencing image's parent is on the same volume, by what the image says: names of other systems, in UTF-16.
using System;

namespace Lamina.Drivers.Storage.Store;

public static unsafe class ParentPath
{
    /// <summary>
    /// Writes the parent's path in UTF-8. A relative one (.\base.vhdx, ..\base.vhdx) counts from the child's folder; of an absolute one only
    /// the last name, likewise. Returns its length; 0: it has none that can be used.
    /// </summary>
    /// <param name="units">UTF-16, up to <paramref name="bytes"/> bytes or a zero.</param>
    public static int Write(ReadOnlySpan<byte> child, byte* units, uint bytes, bool isBigEndian, byte* target, int capacity)
    {
        byte* name = stackalloc byte[512];
        int length = ToUtf8(units, bytes, isBigEndian, name, 512);
        if (length <= 0) return 0;
        ReadOnlySpan<byte> rest = new(name, length);
        int folder = LastSeparator(child);
        if (IsAbsolute(rest)) rest = rest.Slice(LastSeparator(rest) + 1);
        while (true)
        {
            if (StartsWith(rest, "./"u8)) rest = rest.Slice(2);
            else if (StartsWith(rest, "../"u8) && folder > 0)
            {
                rest = rest.Slice(3);
                folder = LastSeparator(child.Slice(0, folder));
            }
            else break;
        }
        folder = Math.Max(folder, 0);
        if (rest.Length == 0 || folder + 1 + rest.Length > capacity) return 0;
        child.Slice(0, folder).CopyTo(new Span<byte>(target, capacity));
        target[folder] = (byte)'/';
        rest.CopyTo(new Span<byte>(target + folder + 1, capacity - folder - 1));
        return folder + 1 + rest.Length;
    }

    private static bool IsSeparator(byte letter) => letter is (byte)'/' or (byte)'\\';

    private static bool IsAbsolute(ReadOnlySpan<byte> path) => IsSeparator(path[0]) || path.Length > 1 && path[1] == ':';

    private static bool StartsWith(ReadOnlySpan<byte> path, ReadOnlySpan<byte> with)
    {
        if (path.Length < with.Length) return false;
        for (int i = 0; i < with.Length; i++)
            if (with[i] == '/' ? !IsSeparator(path[i]) : path[i] != with[i]) return false;
        return true;
    }

    private static int LastSeparator(ReadOnlySpan<byte> path)
    {
        int at = path.Length - 1;
        while (at >= 0 && !IsSeparator(path[at])) at--;
        return at;
    }

    /// <summary>-1: not well formed, or too long.</summary>
    private static int ToUtf8(byte* units, uint bytes, bool isBigEndian, byte* target, int capacity)
    {
        int length = 0;
        for (uint i = 0; i + 1 < bytes; i += 2)
        {
            uint scalar = Unit(units + i, isBigEndian);
            if (scalar == 0) break;
            if (scalar is >= 0xD800 and < 0xE000)
            {
                uint low = scalar < 0xDC00 && i + 3 < bytes ? Unit(units + i + 2, isBigEndian) : 0;
                if (low is < 0xDC00 or >= 0xE000) return -1;
                scalar = 0x10000 + (scalar - 0xD800 << 10) + (low - 0xDC00);
                i += 2;
            }
            int more = scalar < 0x80 ? 0 : scalar < 0x800 ? 1 : scalar < 0x10000 ? 2 : 3;
            if (length + 1 + more > capacity) return -1;
            target[length++] = more == 0 ? (byte)scalar : (byte)(0xFF00 >> more + 1 | (int)(scalar >> 6 * more));
            while (more-- > 0) target[length++] = (byte)(0x80 | scalar >> 6 * more & 0x3F);
        }
        return length;
    }

    private static uint Unit(byte* at, bool isBigEndian) => isBigEndian ? (uint)(at[0] << 8 | at[1]) : (uint)(at[1] << 8 | at[0]);
}
