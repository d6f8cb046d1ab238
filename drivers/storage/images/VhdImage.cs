// An open VHD file: what its requests share, and how it is opened. "Virtual Hard Disk Image Format Specification" 1.0.
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// Lives at a fixed address in caller-supplied memory. Open it by <see cref="AdvanceOpen"/>, then run any number of <see cref="VhdRequest"/>s
/// at a time. A dynamic disk is handled as a differencing one whose parent is all zeros: sector bitmaps are honoured in both.
/// </summary>
public unsafe struct VhdImage
{
    /// <summary>Footer, dynamic header, a sector of the table that is being written.</summary>
    public const uint WorkspaceBytes = VhdFooter.Bytes + VhdDynamicHeader.Bytes + 512;

    internal const uint Unallocated = uint.MaxValue;
    /// <summary>What one sector of a bitmap covers: the unit in which chunks are cut.</summary>
    internal const uint UnitBytes = 512 * 8 * 512;
    private const uint TableReadBytes = 1 << 20;

    private enum State : byte { Start, TailFooter, HeadFooter, Header, Memory, Table, Open, Failed }

    internal byte* Footer, Staging;
    private byte* header;
    private readonly bool writable;
    private State state;
    private uint tableRead, tableBytes;
    internal byte* Table;
    internal byte* FullUnits;           // one bit a unit: its bitmap is known to be all ones
    internal uint BitmapBytes;          // a block's, whole sectors
    internal uint UnitsPerBlock;
    internal ulong AllocationEnd;       // where the next block goes
    internal ulong ContentEnd;          // from here on the file is known to read as zeros
    internal VhdRequest* Owner;         // the request that changes metadata; the others wait

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned; stays the image's.</param>
    /// <param name="fileBytes">The file's present length.</param>
    public VhdImage(byte* workspace, ulong fileBytes, bool writable)
    {
        this = default;
        Footer = workspace;
        header = Footer + VhdFooter.Bytes;
        Staging = header + VhdDynamicHeader.Bytes;
        ContentEnd = fileBytes;
        this.writable = writable;
    }

    public readonly VhdType Type => VhdFooter.Type(Footer);
    public ulong VirtualBytes { get; private set; }
    public uint BlockBytes { get; private set; }
    public readonly bool IsOpen => state == State.Open;
    public readonly bool IsWritable => IsOpen && writable;
    /// <summary>The footer at the end was damaged and the copy at the start taken; the next allocated block writes a new one.</summary>
    public bool TailFooterDamaged { get; private set; }
    /// <summary>The footer as read: for <see cref="VhdFooter"/>.</summary>
    public readonly byte* FooterData => Footer;
    /// <summary>The dynamic header as read: for <see cref="VhdDynamicHeader"/>; of no meaning in a fixed disk.</summary>
    public readonly byte* HeaderData => header;

    internal readonly uint BlockCount => (uint)((VirtualBytes + BlockBytes - 1) / BlockBytes);

    /// <summary>The next step of opening; <paramref name="success"/> is the outcome of the one before, <paramref name="memory"/> what
    /// <see cref="StepKind.NeedMemory"/> asked for (null at other steps, or when there is none).</summary>
    public BlockStep AdvanceOpen(bool success, byte* memory)
    {
        switch (state)
        {
            case State.Start:
                if (ContentEnd < VhdFooter.Bytes || ContentEnd % 512 != 0 || ContentEnd > long.MaxValue) return Fail(ImageStatus.Invalid);
                return Read(State.TailFooter, ContentEnd - VhdFooter.Bytes, Footer, VhdFooter.Bytes);
            case State.TailFooter:
                if (success && VhdFooter.IsValid(Footer)) return AfterFooter();
                TailFooterDamaged = true;
                return Read(State.HeadFooter, 0, Footer, VhdFooter.Bytes);
            case State.HeadFooter:
                if (!success) return Fail(ImageStatus.InputOutputError);
                // The first sector of a fixed disk is its guest's: what looks like a footer there may be anything.
                return VhdFooter.IsValid(Footer) && Type != VhdType.Fixed ? AfterFooter() : Fail(ImageStatus.Invalid);
            case State.Header:
                return success ? AfterHeader() : Fail(ImageStatus.InputOutputError);
            case State.Memory:
                if (memory == null) return Fail(ImageStatus.NoMemory);
                Table = memory;
                FullUnits = memory + TableMemoryBytes;
                return ReadTable();
            case State.Table:
                return success ? ReadTable() : Fail(ImageStatus.InputOutputError);
            default:
                return BlockStep.Finish(state == State.Open ? ImageStatus.Success : ImageStatus.Invalid);
        }
    }

    private BlockStep AfterFooter()
    {
        VirtualBytes = VhdFooter.VirtualBytes(Footer);
        if (Type == VhdType.Fixed)
        {
            if (VirtualBytes > ContentEnd - VhdFooter.Bytes) return Fail(ImageStatus.Invalid);
            return Opened();
        }
        ulong offset = VhdFooter.DataOffset(Footer);
        return IsInFile(offset, VhdDynamicHeader.Bytes) && offset >= VhdFooter.Bytes ? Read(State.Header, offset, header, VhdDynamicHeader.Bytes) : Fail(ImageStatus.Invalid);
    }

    private BlockStep AfterHeader()
    {
        if (!VhdDynamicHeader.IsValid(header)) return Fail(ImageStatus.Invalid);
        BlockBytes = VhdDynamicHeader.BlockBytes(header);
        ulong tableOffset = VhdDynamicHeader.TableOffset(header), wholeTable = ((ulong)VhdDynamicHeader.TableEntries(header) * 4 + 511) & ~511UL;
        if (VhdDynamicHeader.TableEntries(header) < BlockCount || tableOffset < VhdFooter.Bytes || !IsInFile(tableOffset, wholeTable)) return Fail(ImageStatus.Invalid);
        ulong headerOffset = VhdFooter.DataOffset(Footer);
        if (tableOffset < headerOffset + VhdDynamicHeader.Bytes && headerOffset < tableOffset + wholeTable) return Fail(ImageStatus.Invalid);
        AllocationEnd = Math.Max(headerOffset + VhdDynamicHeader.Bytes, tableOffset + wholeTable);
        for (uint i = 0; i < VhdDynamicHeader.LocatorCount && Type == VhdType.Differencing; i++)
        {
            VhdDynamicHeader.Locator(header, i, out uint platform, out ulong offset, out uint length);
            if (platform == 0) continue;
            if (offset > ContentEnd || length > ContentEnd - offset) return Fail(ImageStatus.Invalid);
            AllocationEnd = Math.Max(AllocationEnd, (offset + length + 511) & ~511UL);
        }
        tableBytes = (BlockCount * 4 + 511) & ~511u;
        BitmapBytes = (BlockBytes / (512 * 8) + 511) & ~511u;
        UnitsPerBlock = BitmapBytes / 512;
        state = State.Memory;
        ulong need = TableMemoryBytes + ((ulong)BlockCount * UnitsPerBlock + 63) / 64 * 8;
        return need > uint.MaxValue ? Fail(ImageStatus.NoMemory) : new BlockStep { Kind = StepKind.NeedMemory, Length = (uint)need };
    }

    private readonly ulong TableMemoryBytes => tableBytes;

    private BlockStep ReadTable()
    {
        if (tableRead == tableBytes) return CheckTable() ? Opened() : Fail(ImageStatus.Invalid);
        uint at = tableRead, length = Math.Min(tableBytes - at, TableReadBytes);
        tableRead += length;
        return Read(State.Table, VhdDynamicHeader.TableOffset(header) + at, Table + at, length);
    }

    /// <summary>No block may lie on the metadata before it or reach past the end of the file.</summary>
    private bool CheckTable()
    {
        ulong metadataEnd = AllocationEnd, blockInFile = (ulong)BitmapBytes + BlockBytes;
        for (uint i = 0; i < BlockCount; i++)
        {
            uint sector = Entry(i);
            if (sector == Unallocated) continue;
            ulong offset = (ulong)sector * 512;
            // Locators may lie behind blocks: only header and table in front of all of them are certain.
            if (offset < VhdFooter.Bytes + VhdDynamicHeader.Bytes || !IsInFile(offset, blockInFile) || OverlapsTable(offset, blockInFile)) return false;
            metadataEnd = Math.Max(metadataEnd, offset + blockInFile);
        }
        AllocationEnd = metadataEnd;
        return true;
    }

    private readonly bool OverlapsTable(ulong offset, ulong length)
    {
        ulong table = VhdDynamicHeader.TableOffset(header), dynamic = VhdFooter.DataOffset(Footer);
        return (offset < table + tableBytes && table < offset + length) || (offset < dynamic + VhdDynamicHeader.Bytes && dynamic < offset + length);
    }

    private readonly bool IsInFile(ulong offset, ulong length) => offset % 512 == 0 && offset <= ContentEnd && length <= ContentEnd - offset;

    internal readonly uint Entry(uint block) => BigEndian.Read32(Table + (ulong)block * 4);

    internal readonly bool IsFull(uint unit) => (FullUnits[unit / 8] >> (int)(unit % 8) & 1) != 0;

    internal readonly void SetFull(uint unit) => FullUnits[unit / 8] |= (byte)(1 << (int)(unit % 8));

    private BlockStep Opened()
    {
        state = State.Open;
        return BlockStep.Finish(ImageStatus.Success);
    }

    private BlockStep Fail(ImageStatus status)
    {
        state = State.Failed;
        return BlockStep.Finish(status);
    }

    private BlockStep Read(State next, ulong offset, byte* buffer, uint length)
    {
        state = next;
        return BlockStep.Metadata(StepKind.Read, offset, buffer, length);
    }
}
