// What Identify says of controllers and namespaces: the few fields that matter here, checked. The 4096 bytes are the caller's copy.
// NVM Express Base Specification 2.0, "Identify command"; NVM Command Set Specification 1.0, "Identify Namespace data structure".
using System;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Nvme;

/// <summary>Identify Controller.</summary>
public unsafe struct NvmeControllerIdentity
{
    public const int DataBytes = 4096;
    private const int SerialOffset = 4, SerialBytes = 20;

    /// <summary>Largest transfer of one command in bytes; 0: no limit.</summary>
    public ulong MaximumTransferBytes;

    /// <summary>Largest Write Zeroes and Deallocate of one command, in bytes and in blocks; 0: no limit told.</summary>
    public ulong MaximumZeroesBytes;
    public uint MaximumDeallocateBlocks;
    public bool HasWriteZeroes;
    public bool HasDeallocate;
    public bool HasWriteCache;

    /// <summary>NN: namespace ids go up to this.</summary>
    public uint HighestNamespace;

    /// <summary>False: it wants queue entries of other sizes than the standard's.</summary>
    public bool HasUsualEntries;

    public static NvmeControllerIdentity Parse(byte* data)
    {
        byte mdts = data[77], sqes = data[512], cqes = data[513];
        uint oncs = *(ushort*)(data + 520);
        return new NvmeControllerIdentity
        {
            MaximumTransferBytes = PowerOfPages(mdts),
            HighestNamespace = *(uint*)(data + 516),
            HasDeallocate = (oncs & 1 << 2) != 0,
            HasWriteZeroes = (oncs & 1 << 3) != 0,
            HasWriteCache = (data[525] & 1) != 0,
            HasUsualEntries = Contains(sqes, 6) && Contains(cqes, 4),
        };
    }

    /// <summary>Space-padded ASCII.</summary>
    public static ReadOnlySpan<byte> Serial(byte* data) => new(data + SerialOffset, SerialBytes);

    /// <summary>Adds what the NVM command set's own structure says (Identify with CNS 06h).</summary>
    public void AddCommandSet(byte* data)
    {
        MaximumZeroesBytes = PowerOfPages(data[1]);
        MaximumDeallocateBlocks = *(uint*)(data + 4);
    }

    /// <summary>Exponents are of the smallest page, 4 KiB; those that no number holds mean no limit.</summary>
    private static ulong PowerOfPages(byte exponent) => exponent is 0 or > 40 ? 0 : 4096UL << exponent;

    /// <summary>Required (3:0) and maximum (7:4) entry size enclose this one.</summary>
    private static bool Contains(byte sizes, int size) => (sizes & 0xF) <= size && sizes >> 4 >= size;
}

public enum NvmeNamespaceFault : byte
{
    None,
    /// <summary>Nothing there: not active, or of size zero.</summary>
    Empty,
    /// <summary>Blocks carry metadata.</summary>
    Metadata,
    /// <summary>Blocks of other sizes than 512 to 4096, or a size that no number holds.</summary>
    Format,
}

/// <summary>Identify Namespace.</summary>
public unsafe struct NvmeNamespaceIdentity
{
    public ulong Blocks;
    public int BlockShift;
    public uint PhysicalBlockBytes;
    public bool IsReadOnly;

    public readonly uint BlockBytes => 1u << BlockShift;

    public static NvmeNamespaceFault Parse(byte* data, out NvmeNamespaceIdentity identity)
    {
        identity = default;
        ulong blocks = *(ulong*)data;
        byte features = data[24], formatCount = data[25], format = data[26], attributes = data[99];
        if (blocks == 0) return NvmeNamespaceFault.Empty;
        // The upper bits of the index count only where there are more formats than the lower ones reach.
        int index = format & 0xF | (formatCount >= 16 ? format >> 1 & 0x30 : 0);
        uint description = *(uint*)(data + 128 + 4 * index);
        int shift = (int)(description >> 16 & 0xFF);
        if ((description & 0xFFFF) != 0) return NvmeNamespaceFault.Metadata;
        if (shift is < 9 or > 12 || blocks > (ulong)long.MaxValue >> shift) return NvmeNamespaceFault.Format;
        identity.Blocks = blocks;
        identity.BlockShift = shift;
        identity.IsReadOnly = (attributes & 1) != 0;
        identity.PhysicalBlockBytes = PreferredWriteBytes(data, features, shift);
        return NvmeNamespaceFault.None;
    }

    /// <summary>Namespace Preferred Write Granularity where it is told and is what others can use: a power of two up to 1 MiB.</summary>
    private static uint PreferredWriteBytes(byte* data, byte features, int shift)
    {
        const byte optimalPerformance = 1 << 4;
        uint granularity = (features & optimalPerformance) == 0 ? 1 : *(ushort*)(data + 64) + 1u;
        ulong bytes = (ulong)granularity << shift;
        return (bytes & bytes - 1) == 0 && bytes <= 1 << 20 ? (uint)bytes : 1u << shift;
    }
}
