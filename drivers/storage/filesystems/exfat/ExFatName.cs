// One component of a path: UTF-8 comes in, UTF-16 is on the disk.

namespace Lamina.Drivers.Storage.FileSystems;

internal unsafe struct ExFatName
{
    public const uint MaximumUnits = 255;
    /// <summary>Of a new name: then its set fits into 512 bytes, and is there or gone as a whole whenever power fails.</summary>
    public const uint MaximumNewUnits = (512 / ExFatEntryType.Bytes - 2) * ExFatSet.NameUnitsPerEntry;

    private fixed char units[(int)MaximumUnits];
    public uint Length;

    public readonly char this[uint index] => units[index];

    /// <summary>Skips separators (\ and /); false at the end of the path.</summary>
    public static bool SkipSeparators(byte* path, uint length, ref uint at)
    {
        while (at < length && IsSeparator(path[at])) at++;
        return at < length;
    }

    /// <summary>Reads the component at <paramref name="at"/>; false if it is not UTF-8 or longer than a name may be.</summary>
    public bool TryRead(byte* path, uint length, ref uint at)
    {
        Length = 0;
        while (at < length && !IsSeparator(path[at]))
        {
            if (!TryDecode(path, length, ref at, out uint scalar)) return false;
            if (Length + (scalar >= 0x10000 ? 2u : 1) > MaximumUnits) return false;
            if (scalar < 0x10000) units[Length++] = (char)scalar;
            else
            {
                units[Length++] = (char)(0xD800 + (scalar - 0x10000 >> 10));
                units[Length++] = (char)(0xDC00 + (scalar & 0x3FF));
            }
        }
        return Length != 0;
    }

    private static bool IsSeparator(byte unit) => unit is (byte)'\\' or (byte)'/';

    private static bool TryDecode(byte* path, uint length, ref uint at, out uint scalar)
    {
        byte first = path[at++];
        scalar = first;
        if (first < 0x80) return true;
        int more = first switch { >= 0xC2 and < 0xE0 => 1, >= 0xE0 and < 0xF0 => 2, >= 0xF0 and < 0xF5 => 3, _ => 0 };
        if (more == 0 || length - at < (uint)more) return false;
        scalar = (uint)(first & 0x3F >> more);
        for (int i = 0; i < more; i++)
        {
            if ((path[at] & 0xC0) != 0x80) return false;
            scalar = scalar << 6 | (uint)(path[at++] & 0x3F);
        }
        // Neither longer than needed, nor a surrogate, nor beyond Unicode.
        return more switch { 1 => true, 2 => scalar >= 0x800 && scalar is < 0xD800 or > 0xDFFF, _ => scalar is >= 0x10000 and <= 0x10FFFF };
    }

    /// <summary>"FileName Field": what a new name may hold. A dot or space at the end is refused too, as Windows cannot open such a file.</summary>
    public readonly bool MayBeCreated
    {
        get
        {
            for (uint i = 0; i < Length; i++)
                if (units[i] < 0x20 || units[i] is '"' or '*' or '/' or ':' or '<' or '>' or '?' or '\\' or '|') return false;
            return Length is not (0 or > MaximumNewUnits) && units[Length - 1] is not ('.' or ' ');
        }
    }

    public readonly bool Equals(in ExFatSet set, in ExFatUpCase upCase)
    {
        if (set.Stream->NameLength != Length) return false;
        for (uint i = 0; i < Length; i++)
            if (upCase[units[i]] != upCase[set.NameUnit(i)]) return false;
        return true;
    }

    /// <summary>"NameHash Field": over the up-cased name.</summary>
    public readonly ushort Hash(in ExFatUpCase upCase)
    {
        ushort hash = 0;
        for (uint i = 0; i < Length; i++)
        {
            char unit = upCase[units[i]];
            hash = (ushort)((ushort)(hash << 15 | hash >> 1) + (byte)unit);
            hash = (ushort)((ushort)(hash << 15 | hash >> 1) + (byte)(unit >> 8));
        }
        return hash;
    }
}
