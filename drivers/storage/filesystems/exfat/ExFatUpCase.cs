// The up-case table, by which names are compared. exFAT specification 1.00, "Up-case Table Directory Entry".

namespace Lamina.Drivers.Storage.FileSystems;

/// <summary>Decoded piece by piece into 65,536 UTF-16 units.</summary>
internal unsafe struct ExFatUpCase
{
    public const uint Units = 65536, Bytes = Units * sizeof(char);
    private const ushort IdentityRun = 0xFFFF;

    public char* Table;
    private uint decoded, checksum;
    private bool runFollows;

    public ExFatUpCase(char* table)
    {
        this = default;
        Table = table;
        for (uint i = 0; i < Units; i++) table[i] = (char)i;
    }

    public readonly char this[char unit] => Table[unit];

    /// <summary>The next bytes of the table on disk, an even number; false when it maps more than there is.</summary>
    public bool Add(byte* data, uint length)
    {
        for (uint i = 0; i < length; i++) checksum = (checksum << 31 | checksum >> 1) + data[i];
        for (uint i = 0; i < length; i += 2)
        {
            ushort unit = *(ushort*)(data + i);
            if (runFollows) decoded += unit;
            else if (unit != IdentityRun || decoded == Units - 1)
            {
                if (decoded >= Units) return false;
                Table[decoded++] = (char)unit;
            }
            runFollows = !runFollows && unit == IdentityRun && decoded < Units;
            if (decoded > Units) return false;
        }
        return true;
    }

    /// <summary>The checksum is right, and the 128 mappings that every table must have are there.</summary>
    public readonly bool IsSound(uint expectedChecksum)
    {
        if (checksum != expectedChecksum || runFollows || decoded < 128) return false;
        for (char unit = '\0'; unit < 128; unit++)
            if (Table[unit] != (unit is >= 'a' and <= 'z' ? (char)(unit - 32) : unit)) return false;
        return true;
    }
}
