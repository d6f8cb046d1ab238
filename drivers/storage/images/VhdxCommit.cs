// Makes changes of a VHDX file's metadata, several requests' at once, through the log. MS-VHDX, "Log".
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// Driven by one of the requests that want something: flush (their data; what the commit before applied) | log entry | flush |
/// apply. The entry is a sequence of its own: the flush of the next commit is what retires it. From the flush of the entry on the
/// changes hold, in memory too; if applying them fails, the next commit tries that again before anything else.
/// </summary>
internal unsafe struct VhdxCommit
{
    public const uint MaximumPages = 31, StagingBytes = (1 + MaximumPages) * Sector;

    private const uint Sector = VhdxLogEntryHeader.SectorBytes, MaximumZeros = 32;
    // What one request can need: its blocks' page of the BAT, its bitmap block's, a page of bits, one to say that a block is full.
    private const uint PagesPerRequest = 4, ZerosPerRequest = 2;

    private enum Phase : byte { Idle, ApplyAgain, Take, DataFlush, LogWrite, LogFlush, Activate, Apply, RetireFlush, Retire }

    private readonly VhdxImage* image;
    private readonly byte* staging;       // the entry: its descriptors, then its pages
    private readonly VhdxGuid logGuid;
    private Phase phase;
    private bool retires, isActive, mayBeActive, isUnapplied;
    private uint pageCount, zeroCount, applied, position;
    private ulong sequence, stableEnd, extendedAtFlush;
    private VhdxRequest* batch;
    private fixed ulong pageOffsets[(int)MaximumPages];
    private fixed ulong pageMemory[(int)MaximumPages];
    private fixed uint bitmapPages[(int)MaximumPages];   // None: of the BAT
    private fixed ulong zeroOffsets[(int)MaximumZeros];
    private fixed ulong zeroLengths[(int)MaximumZeros];

    /// <param name="staging"><see cref="StagingBytes"/>, 8-byte aligned.</param>
    public VhdxCommit(VhdxImage* image, byte* staging, VhdxGuid logGuid)
    {
        this = default;
        this.image = image;
        this.staging = staging;
        this.logGuid = logGuid;
        sequence = 1;
    }

    public readonly bool IsBusy => phase != Phase.Idle;
    public ImageStatus Status { get; private set; }

    /// <summary>
    /// An entry that failed may be on the disk all the same, and count after a loss of power. Until another supersedes it (one that changes
    /// nothing will do), the room that it names must stay as it is, and nothing may be written that it could undo.
    /// </summary>
    public bool IsDoubtful { get; private set; }

    private readonly VhdxLogEntryHeader* Header => (VhdxLogEntryHeader*)staging;
    private readonly VhdxLogDescriptor* Descriptors => (VhdxLogDescriptor*)(staging + VhdxLogEntryHeader.Bytes);
    private readonly byte* Page(uint index) => staging + (1 + index) * Sector;
    private readonly uint EntryBytes => (1 + pageCount) * Sector;

    /// <summary>Begins a commit of what has joined, or (<paramref name="retires"/>) empties the log for good.</summary>
    public void Begin(bool retires)
    {
        this.retires = retires;
        applied = 0;
        Status = ImageStatus.Success;
        phase = isUnapplied ? Phase.ApplyAgain : retires ? Phase.RetireFlush : Phase.Take;
    }

    /// <summary>The next step; <paramref name="success"/> is the outcome of the one before (true at first). False when it has ended.</summary>
    public bool TryNext(bool success, out BlockStep step)
    {
        if (!success) return Fail(out step);
        switch (phase)
        {
            case Phase.ApplyAgain:
                if (NextToApply(out step)) return true;
                EndApply();
                if (retires) goto case Phase.RetireFlush;
                goto case Phase.Take;
            case Phase.Take:
                Take();
                extendedAtFlush = image->ExtendedEnd;
                return Then(Phase.DataFlush, BlockStep.Of(StepKind.Flush), out step);
            case Phase.DataFlush:
                stableEnd = extendedAtFlush;
                SealEntry();
                return Then(Phase.LogWrite, BlockStep.Metadata(StepKind.Write, image->Regions.Log.Offset + position, staging, EntryBytes), out step);
            case Phase.LogWrite:
                return Then(Phase.LogFlush, BlockStep.Of(StepKind.Flush), out step);
            case Phase.LogFlush:
                // From here on the entry may count: the next one goes elsewhere.
                position += EntryBytes;
                sequence++;
                if (isActive) goto case Phase.Apply;
                mayBeActive = true;
                SetLogGuid(logGuid);
                phase = Phase.Activate;
                goto case Phase.Activate;
            case Phase.Activate:
                if (image->Headers.TryNext(out step)) return true;
                isActive = true;
                phase = Phase.LogFlush;
                goto case Phase.Apply;
            case Phase.Apply:
                if (phase != Phase.Apply) Hold();
                phase = Phase.Apply;
                if (NextToApply(out step)) return true;
                EndApply();
                phase = Phase.Idle;
                return false;
            case Phase.RetireFlush:
                if (!mayBeActive) return Then(Phase.Retire, BlockStep.Of(StepKind.Flush), out step);
                SetLogGuid(default);
                return Then(Phase.Retire, BlockStep.Of(StepKind.Flush), out step);
            case Phase.Retire:
                if (mayBeActive && image->Headers.TryNext(out step)) return true;
                isActive = mayBeActive = IsDoubtful = false;
                goto default;
            default:
                phase = Phase.Idle;
                step = default;
                return false;
        }
    }

    private void SetLogGuid(VhdxGuid guid)
    {
        image->Headers.Current->LogGuid = guid;
        image->Headers.BeginUpdate();
    }

    private bool Then(Phase next, BlockStep now, out BlockStep step)
    {
        phase = next;
        step = now;
        return true;
    }

    private bool Fail(out BlockStep step)
    {
        if (phase is Phase.LogWrite or Phase.LogFlush or Phase.Activate) IsDoubtful = true;
        for (VhdxRequest* request = batch; request != null; request = request->NextInBatch)
        {
            request->FreePlaces(IsDoubtful);
            request->EndChange(VhdxChange.Progress.Failed);
        }
        batch = null;
        Status = ImageStatus.InputOutputError;
        phase = Phase.Idle;
        step = default;
        return false;
    }

    /// <summary>As many of those who have joined as the entry has room for, oldest first.</summary>
    private void Take()
    {
        pageCount = zeroCount = 0;
        batch = null;
        for (VhdxRequest* request = image->FirstChange; request != null; request = request->NextChange)
        {
            if (request->Change.State != VhdxChange.Progress.Joined) continue;
            if (pageCount + PagesPerRequest > MaximumPages || zeroCount + ZerosPerRequest > MaximumZeros) break;
            Stage(request->Change);
            request->NextInBatch = batch;
            batch = request;
        }
    }

    private void Stage(in VhdxChange change)
    {
        for (uint block = change.FirstBlock; block < change.FirstBlock + change.BlockCount; block++)
            if (change.BlockCount == 1 || image->IsWorthZero(block)) SetEntry(image->EntryIndex(block), change.Entry);
        if (change.NewBitmap != 0) SetEntry(image->BitmapEntryIndex(change.Chunk), VhdxBatEntry.Of(VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT, change.NewBitmap));
        if (change.BitCount == 0) return;

        uint first = image->FirstBitOf(change.BitsBlock), bitsHere = Math.Min(image->BlockBits, VhdxBitmapPages.SectorsPerPage);
        ulong bitmap = change.NewBitmap != 0 ? change.NewBitmap : image->BitmapOffset(change.Chunk);
        ulong pageOffset = (first + change.FirstBit) / 8 & ~4095u, blockBitsAt = bitmap + (first / 8 & ~4095u);
        byte* page = StagePage(bitmap + pageOffset, image->BitmapPages.Data(change.Page), change.Page);
        if (change.ClearsBits)
        {
            if (image->BlockBits <= VhdxBitmapPages.SectorsPerPage) new Span<byte>(page + first / 8 % Sector, (int)(bitsHere / 8)).Clear();
            else
            {
                new Span<byte>(page, (int)Sector).Clear();
                AddZeros(blockBitsAt, bitmap + pageOffset);
                AddZeros(bitmap + pageOffset + Sector, blockBitsAt + image->BlockBits / 8);
            }
        }
        VhdxBits.Set(page, (first + change.FirstBit) % VhdxBitmapPages.SectorsPerPage, change.BitCount);
        PromoteIfFull(change.BitsBlock, page, first);
    }

    /// <summary>Of a block whose bits lie in one page: once all are set, the BAT can say so and spare the bitmap.</summary>
    private void PromoteIfFull(uint block, byte* page, uint first)
    {
        if (image->BlockBits > VhdxBitmapPages.SectorsPerPage || !VhdxBits.AllSet(page, first % VhdxBitmapPages.SectorsPerPage, image->SectorsOf(block))) return;
        uint index = image->EntryIndex(block);
        VhdxBatEntry entry = StagedEntry(index);
        if (entry.State == VhdxBlockState.PAYLOAD_BLOCK_PARTIALLY_PRESENT) SetEntry(index, VhdxBatEntry.Of(VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT, entry.FileOffset));
    }

    private readonly VhdxBatEntry StagedEntry(uint index)
    {
        ulong offset = image->Regions.Bat.Offset + index / 512 * Sector;
        for (uint i = 0; i < pageCount; i++)
            if (pageOffsets[i] == offset) return new(((ulong*)Page(i))[index % 512]);
        return image->EntryAt(index);
    }

    private void SetEntry(uint index, VhdxBatEntry entry)
    {
        byte* page = StagePage(image->Regions.Bat.Offset + index / 512 * Sector, image->Bat + (ulong)(index / 512) * Sector, VhdxBitmapPages.None);
        ((ulong*)page)[index % 512] = entry.Value;
    }

    /// <summary>The staged copy of a page of the file that is also at <paramref name="memory"/>.</summary>
    private byte* StagePage(ulong offset, byte* memory, uint bitmapPage)
    {
        for (uint i = 0; i < pageCount; i++)
            if (pageOffsets[i] == offset) return Page(i);
        pageOffsets[pageCount] = offset;
        pageMemory[pageCount] = (ulong)memory;
        bitmapPages[pageCount] = bitmapPage;
        new ReadOnlySpan<byte>(memory, (int)Sector).CopyTo(new Span<byte>(Page(pageCount), (int)Sector));
        return Page(pageCount++);
    }

    private void AddZeros(ulong from, ulong to)
    {
        if (from >= to) return;
        zeroOffsets[zeroCount] = from;
        zeroLengths[zeroCount++] = to - from;
    }

    private void SealEntry()
    {
        if (position + EntryBytes > image->Regions.Log.Length) position = 0;
        new Span<byte>(staging, (int)Sector).Clear();
        *Header = new()
        {
            Signature = VhdxLogEntryHeader.SignatureValue, EntryLength = EntryBytes, Tail = position, SequenceNumber = sequence, DescriptorCount = pageCount + zeroCount,
            // What is claimed may lie further: a block that is still to be written, or that has found no room, which whoever replays would not find either.
            LogGuid = logGuid, FlushedFileOffset = stableEnd & ~(VhdxLayout.MiB - 1UL), LastFileOffset = (image->ExtendedEnd + VhdxLayout.MiB - 1) & ~(VhdxLayout.MiB - 1UL),
        };
        VhdxLogDescriptor* descriptor = Descriptors;
        for (uint i = 0; i < zeroCount; i++)
            *descriptor++ = new() { Signature = VhdxLogDescriptor.Zero, LeadingBytes = zeroLengths[i], FileOffset = zeroOffsets[i], SequenceNumber = sequence };
        for (uint i = 0; i < pageCount; i++)
        {
            *descriptor = new() { Signature = VhdxLogDescriptor.Data, FileOffset = pageOffsets[i], SequenceNumber = sequence };
            VhdxLogDataSector.Seal(Page(i), descriptor++, sequence);
        }
        Header->Checksum = Checksums.Crc32C(staging, EntryBytes, 4);
    }

    /// <summary>The entry is on the disk: the changes hold from now on.</summary>
    private void Hold()
    {
        IsDoubtful = false;
        image->Space.EndDoubt();
        for (VhdxRequest* request = batch; request != null; request = request->NextInBatch)
            if (request->Change.Entry.State == VhdxBlockState.PAYLOAD_BLOCK_ZERO) image->FreeBlocks(request->Change.FirstBlock, request->Change.BlockCount);
        for (uint i = 0; i < zeroCount; i++) image->BitmapPages.Clear(zeroOffsets[i], zeroLengths[i]);
        for (uint i = 0; i < pageCount; i++)
        {
            VhdxLogDataSector.Restore(Page(i), Descriptors + zeroCount + i);
            new ReadOnlySpan<byte>(Page(i), (int)Sector).CopyTo(new Span<byte>((byte*)pageMemory[i], (int)Sector));
            // Who reads it in anew before it is applied would get the old one.
            if (bitmapPages[i] != VhdxBitmapPages.None) image->BitmapPages.Pin(bitmapPages[i]);
        }
        for (VhdxRequest* request = batch; request != null; request = request->NextInBatch) request->EndChange(VhdxChange.Progress.Committed);
        batch = null;
        applied = 0;
        isUnapplied = true;
    }

    /// <summary>Whether a piece of a bitmap is about to be cleared in the file, which still has what was there.</summary>
    public readonly bool IsClearing(ulong offset)
    {
        for (uint i = 0; isUnapplied && i < zeroCount; i++)
            if (offset >= zeroOffsets[i] && offset < zeroOffsets[i] + zeroLengths[i]) return true;
        return false;
    }

    private void EndApply()
    {
        isUnapplied = false;
        for (uint i = 0; i < pageCount; i++)
            if (bitmapPages[i] != VhdxBitmapPages.None) image->BitmapPages.Unpin(bitmapPages[i]);
    }

    private bool NextToApply(out BlockStep step)
    {
        uint index = applied++;
        if (index < zeroCount) step = new BlockStep { Kind = StepKind.WriteZeros, Offset = zeroOffsets[index], Length = (uint)zeroLengths[index] };
        else if (index - zeroCount < pageCount) step = BlockStep.Metadata(StepKind.Write, pageOffsets[index - zeroCount], Page(index - zeroCount), Sector);
        else
        {
            step = default;
            return false;
        }
        return true;
    }
}
