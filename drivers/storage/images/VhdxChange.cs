// A change of a VHDX file's metadata that a request wants.

namespace Lamina.Drivers.Storage.Images;

/// <summary>Entries of the BAT, a new sector bitmap block, bits of a bitmap: what of these must become visible at once.</summary>
internal struct VhdxChange
{
    public enum Progress : byte { None, Preparing, Joined, Committed, Failed }

    public Progress State;
    /// <summary>The block's bits are cleared before others are set: whatever an earlier owner left there.</summary>
    public bool ClearsBits;
    /// <summary>Blocks whose entries change; none: only bits do.</summary>
    public uint FirstBlock, BlockCount;
    public VhdxBatEntry Entry;
    /// <summary>Where a new sector bitmap block lies; 0: none is made.</summary>
    public ulong NewBitmap;
    public uint Chunk;
    /// <summary>The block whose bits are set, in a pinned page.</summary>
    public uint BitsBlock, Page, FirstBit, BitCount;

    public readonly bool ChangesEntries(uint first, uint count) => BlockCount != 0 && FirstBlock < first + count && first < FirstBlock + BlockCount;
}
