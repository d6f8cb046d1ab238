// An open VHDX file: what its requests share, and how it is opened. MS-VHDX ("Virtual Hard Disk v2").
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>
/// Lives at a fixed address in caller-supplied memory. Open it by <see cref="AdvanceOpen"/>, then run any number of
/// <see cref="VhdxRequest"/>s at a time, last an <see cref="ImageOperation.Close"/>: without it the next opening has a log to replay.
/// Opening for writing changes the file only if there is a log; the first write gives it new FileWriteGuid and DataWriteGuid.
/// </summary>
/// <remarks>
/// Memory that <see cref="StepKind.NeedMemory"/> asks for: 8 bytes a block (2 TiB in blocks of 32 MiB: 512 KiB; of 1 MiB: 16 MiB), four
/// bits for each MiB that the file can grow to (2 TiB: 1 MiB; half full: 1.5 MiB), and of a differencing disk 258 KiB of bitmap pages and its parent locator.
/// </remarks>
public unsafe struct VhdxImage
{
    public const uint WorkspaceBytes = VhdxHeader.Bytes + VhdxCommit.StagingBytes;
    /// <summary>Three GUIDs: what the constructor needs of them.</summary>
    public const uint NewGuidBytes = 3 * VhdxGuid.Bytes;

    private const uint TableReadBytes = 1 << 20, ItemReadBytes = 1024;

    private enum State : byte
    {
        Start, Identifier, Header1, Header2, FindLog, ReplayHeaders, Replay, ReplayFlush, ClearLog,
        RegionTable1, RegionTable2, MetadataTable, MetadataItem, Memory, Locator, Table, Open, Failed,
    }

    internal VhdxHeaders Headers;
    internal VhdxRegions Regions;
    internal VhdxSpace Space;
    internal VhdxBitmapPages BitmapPages;
    internal VhdxCommit Commit;
    internal byte* Bat;
    internal ulong ContentEnd;           // from here on the file is known to read as zeros
    internal ulong ExtendedEnd;          // the file is at least this long
    internal VhdxRequest* FirstChange;   // requests that change metadata, oldest first
    internal VhdxRequest* HeaderOwner;   // the request that gives the data a new GUID; other writers wait
    internal bool DataIsNew, IsClosing;

    private readonly byte* staging;
    private readonly VhdxGuid newFileWriteGuid, newDataWriteGuid, newLogGuid;
    private readonly bool writable;
    private readonly ulong givenBytes;
    private VhdxMetadata metadata;
    private VhdxLogReplay replay;
    private VhdxMetadata.Item item;
    private State state;
    private bool header1Failed;
    private byte* locator;
    private uint batBytes, batRead, chunkRatio, locatorBytes;

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned; stays the image's.</param>
    /// <param name="fileBytes">The file's present length.</param>
    /// <param name="newGuids"><see cref="NewGuidBytes"/>, random, not all zero; copied. Of an image opened for reading null will do.</param>
    public VhdxImage(byte* workspace, ulong fileBytes, bool writable, byte* newGuids)
    {
        this = default;
        Headers = new VhdxHeaders(workspace);
        staging = workspace + VhdxHeader.Bytes;
        givenBytes = ContentEnd = ExtendedEnd = fileBytes;
        this.writable = writable && newGuids != null;
        if (newGuids == null) return;
        newFileWriteGuid = ((VhdxGuid*)newGuids)[0];
        newDataWriteGuid = ((VhdxGuid*)newGuids)[1];
        newLogGuid = ((VhdxGuid*)newGuids)[2];
    }

    public readonly ulong VirtualBytes => metadata.VirtualBytes;
    public readonly uint BlockBytes => metadata.BlockBytes;
    /// <summary>512 or 4096: the sector of the virtual disk, and of requests.</summary>
    public readonly uint SectorBytes => metadata.SectorBytes;
    public readonly uint PhysicalSectorBytes => metadata.PhysicalSectorBytes;
    public readonly bool HasParent => metadata.HasParent;
    /// <summary>Made with all its blocks, which it keeps: discards do nothing.</summary>
    public readonly bool IsFixed => !HasParent && (metadata.Flags & VhdxFileParameters.LeaveBlockAllocated) != 0;
    public readonly VhdxGuid VirtualDiskId => metadata.VirtualDiskId;
    /// <summary>What a child names its parent by.</summary>
    public readonly VhdxGuid DataWriteGuid => Headers.Current->DataWriteGuid;
    /// <summary>Of a differencing disk.</summary>
    public readonly VhdxParentLocator ParentLocator => new(locator, metadata.Length(VhdxMetadata.Item.ParentLocator));
    public readonly bool IsOpen => state == State.Open;
    public readonly bool IsWritable => IsOpen && writable && !IsClosing;

    internal readonly uint BlockCount => (uint)((VirtualBytes + BlockBytes - 1) / BlockBytes);
    internal readonly uint ChunkOf(uint block) => block / chunkRatio;
    internal readonly uint EntryIndex(uint block) => block + block / chunkRatio;
    internal readonly uint BitmapEntryIndex(uint chunk) => (chunk + 1) * chunkRatio + chunk;
    internal readonly VhdxBatEntry EntryAt(uint index) => new(((ulong*)Bat)[index]);
    internal readonly VhdxBatEntry Entry(uint block) => EntryAt(EntryIndex(block));
    /// <summary>Where a chunk's sector bitmap block is; 0: there is none.</summary>
    internal readonly ulong BitmapOffset(uint chunk) => EntryAt(BitmapEntryIndex(chunk)) is { State: VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT } entry ? entry.FileOffset : 0;
    internal readonly uint BlockBits => BlockBytes / SectorBytes;
    internal readonly uint FirstBitOf(uint block) => block % chunkRatio * BlockBits;
    /// <summary>Bytes of a block that are the virtual disk's.</summary>
    internal readonly uint BytesOf(uint block) => (uint)Math.Min(BlockBytes, VirtualBytes - (ulong)block * BlockBytes);
    internal readonly uint SectorsOf(uint block) => BytesOf(block) / SectorBytes;

    /// <summary>Whether the block would read otherwise, or take less room, as ZERO.</summary>
    internal readonly bool IsWorthZero(uint block)
    {
        VhdxBatEntry entry = Entry(block);
        return entry.IsPresent || (entry.State == VhdxBlockState.PAYLOAD_BLOCK_NOT_PRESENT && HasParent);
    }

    /// <summary>The places of blocks that are about to become ZERO.</summary>
    internal void FreeBlocks(uint first, uint count)
    {
        for (uint block = first; block < first + count; block++)
            if (Entry(block) is { IsPresent: true } entry) Space.Free(entry.FileOffset, BlockBytes);
    }

    /// <summary>Whether some request is changing the entry of one of these blocks.</summary>
    internal readonly bool IsChanging(uint first, uint count)
    {
        for (VhdxRequest* request = FirstChange; request != null; request = request->NextChange)
            if (request->Change.ChangesEntries(first, count)) return true;
        return false;
    }

    internal readonly bool IsMakingBitmap(uint chunk)
    {
        for (VhdxRequest* request = FirstChange; request != null; request = request->NextChange)
            if (request->Change.NewBitmap != 0 && request->Change.Chunk == chunk) return true;
        return false;
    }

    internal void BeginNewData()
    {
        Headers.Current->FileWriteGuid = newFileWriteGuid;
        Headers.Current->DataWriteGuid = newDataWriteGuid;
        Headers.BeginUpdate();
    }

    /// <summary>The next step of opening; <paramref name="success"/> is the outcome of the one before, <paramref name="memory"/> what
    /// <see cref="StepKind.NeedMemory"/> asked for (null at other steps, or when there is none).</summary>
    public BlockStep AdvanceOpen(bool success, byte* memory)
    {
        // Of what there are two one may be unreadable.
        if (!success && state is not (State.Header1 or State.Header2 or State.RegionTable1 or State.Memory)) return Fail(ImageStatus.InputOutputError);
        switch (state)
        {
            case State.Start:
                if (givenBytes < VhdxLayout.HeaderSectionBytes || givenBytes > VhdxLayout.MaximumFileBytes) return Fail(ImageStatus.Invalid);
                return Read(State.Identifier, 0, staging, 512);
            case State.Identifier:
                if (!new ReadOnlySpan<byte>(staging, 8).SequenceEqual(VhdxLayout.Signature)) return Fail(ImageStatus.Invalid);
                return Read(State.Header1, VhdxLayout.HeaderOffset(0), (byte*)Headers.Current, VhdxHeader.Bytes);
            case State.Header1:
                header1Failed = !success;
                return Read(State.Header2, VhdxLayout.HeaderOffset(1), staging, VhdxHeader.Bytes);
            case State.Header2:
                return AfterHeaders(success);
            case >= State.FindLog and <= State.ClearLog:
                return Replay();
            case State.RegionTable1:
                if (success && VhdxRegionTable.IsValid((VhdxRegionTable*)staging)) return AfterRegionTable();
                return Read(State.RegionTable2, VhdxLayout.RegionTable2Offset, staging, VhdxRegionTable.Bytes);
            case State.RegionTable2:
                return VhdxRegionTable.IsValid((VhdxRegionTable*)staging) ? AfterRegionTable() : Fail(ImageStatus.Invalid);
            case State.MetadataTable:
                ImageStatus status = metadata.ReadTable((VhdxMetadataTable*)staging, Regions.Metadata.Length);
                return status == ImageStatus.Success ? ReadItem() : Fail(status);
            case State.MetadataItem:
                metadata.ReadItem(item, staging + metadata.Offset(item) % 512);
                return ++item < VhdxMetadata.Item.ParentLocator ? ReadItem() : AskForMemory();
            case State.Memory:
                return memory == null ? Fail(ImageStatus.NoMemory) : TakeMemory(memory);
            case State.Locator:
                status = ParentLocator.Check();
                return status == ImageStatus.Success ? ReadTable() : Fail(status);
            case State.Table:
                return ReadTable();
            default:
                return BlockStep.Finish(state == State.Open ? ImageStatus.Success : ImageStatus.Invalid);
        }
    }

    private BlockStep AfterHeaders(bool header2Read)
    {
        if (header1Failed && !header2Read) return Fail(ImageStatus.InputOutputError);
        VhdxHeader* header = Headers.Current;
        if (!Headers.Choose(header1Failed ? null : header, header2Read ? (VhdxHeader*)staging : null)) return Fail(ImageStatus.Invalid);
        if (header->Version != VhdxHeader.CurrentVersion) return Fail(ImageStatus.Unsupported);
        Regions.Log = new(header->LogOffset, header->LogLength);
        // A number that could run over, which nobody gets to by counting, would make an older header the current one.
        if (!Regions.Log.IsRegion(givenBytes) || header->SequenceNumber > ulong.MaxValue >> 1) return Fail(ImageStatus.Invalid);
        if (header->LogGuid.IsZero) return ReadRegionTable();
        if (header->LogVersion != 0 || header->LogLength > VhdxLogReplay.MaximumLogBytes) return Fail(ImageStatus.Unsupported);
        if (!writable) return Fail(ImageStatus.NeedsReplay);
        replay = new VhdxLogReplay(staging, header, givenBytes);
        state = State.FindLog;
        return Replay();
    }

    /// <summary>New FileWriteGuid first, then what the log says, at last, and once that is durable, a header without a log.</summary>
    private BlockStep Replay()
    {
        BlockStep step;
        switch (state)
        {
            case State.FindLog:
                if (replay.TryFind(out step)) return step;
                if (replay.Status != ImageStatus.Success) return Fail(replay.Status);
                Headers.Current->FileWriteGuid = newFileWriteGuid;
                Headers.BeginUpdate();
                state = State.ReplayHeaders;
                goto case State.ReplayHeaders;
            case State.ReplayHeaders:
                if (Headers.TryNext(out step)) return step;
                state = State.Replay;
                goto case State.Replay;
            case State.Replay:
                if (replay.TryReplay(out step)) return step;
                if (replay.Status != ImageStatus.Success) return Fail(replay.Status);
                state = State.ReplayFlush;
                return BlockStep.Of(StepKind.Flush);
            case State.ReplayFlush:
                ContentEnd = ExtendedEnd = replay.FileBytes;
                Headers.Current->LogGuid = default;
                Headers.BeginUpdate();
                state = State.ClearLog;
                goto default;
            default:
                return Headers.TryNext(out step) ? step : ReadRegionTable();
        }
    }

    private BlockStep ReadRegionTable() => Read(State.RegionTable1, VhdxLayout.RegionTableOffset, staging, VhdxRegionTable.Bytes);

    private BlockStep AfterRegionTable()
    {
        ImageStatus status = Regions.Read((VhdxRegionTable*)staging, ContentEnd);
        return status == ImageStatus.Success ? Read(State.MetadataTable, Regions.Metadata.Offset, staging, VhdxMetadataTable.Bytes) : Fail(status);
    }

    /// <summary>Items lie at any byte; two sectors cover each of the small ones.</summary>
    private BlockStep ReadItem() =>
        Read(State.MetadataItem, Regions.Metadata.Offset + metadata.Offset(item) / 512 * 512, staging, metadata.Offset(item) / 512 * 512 + ItemReadBytes <= Regions.Metadata.Length ? ItemReadBytes : 512);

    // A sector bitmap block may come to lie where a block was, whose room is then too small for another block.
    private readonly ulong SpaceCapacity => (ContentEnd + VhdxLayout.MiB - 1) / VhdxLayout.MiB + ((ulong)BlockCount + (HasParent ? BlockCount / chunkRatio + 1 : 0)) * (BlockBytes / VhdxLayout.MiB);

    private BlockStep AskForMemory()
    {
        ImageStatus status = metadata.CheckItems();
        if (status != ImageStatus.Success) return Fail(status);
        chunkRatio = (uint)((1UL << 23) * SectorBytes / BlockBytes);
        uint last = BlockCount - 1;
        ulong entries = HasParent ? BitmapEntryIndex(ChunkOf(last)) + 1UL : EntryIndex(last) + 1UL;
        if (entries * 8 > Regions.Bat.Length) return Fail(ImageStatus.Invalid);
        batBytes = (uint)(entries * 8 + 4095) & ~4095u;
        uint locatorOffset = metadata.Offset(VhdxMetadata.Item.ParentLocator) % 512;
        locatorBytes = HasParent ? (locatorOffset + metadata.Length(VhdxMetadata.Item.ParentLocator) + 511) & ~511u : 0;
        ulong need = batBytes + VhdxSpace.MemoryBytes(SpaceCapacity) + locatorBytes + (HasParent ? VhdxBitmapPages.MemoryBytes : 0);
        state = State.Memory;
        return need > uint.MaxValue ? Fail(ImageStatus.NoMemory) : new BlockStep { Kind = StepKind.NeedMemory, Length = (uint)need };
    }

    private BlockStep TakeMemory(byte* memory)
    {
        Bat = memory;
        memory += batBytes;
        Space = new VhdxSpace(memory, SpaceCapacity);
        if (!HasParent) return ReadTable();
        memory += VhdxSpace.MemoryBytes(SpaceCapacity);
        BitmapPages = new VhdxBitmapPages(memory);
        memory += VhdxBitmapPages.MemoryBytes;
        uint offset = metadata.Offset(VhdxMetadata.Item.ParentLocator);
        locator = memory + offset % 512;
        return Read(State.Locator, Regions.Metadata.Offset + offset / 512 * 512, memory, locatorBytes);
    }

    private BlockStep ReadTable()
    {
        if (batRead == batBytes) return CheckTable() ? Opened() : Fail(ImageStatus.Invalid);
        uint at = batRead, length = Math.Min(batBytes - at, TableReadBytes);
        batRead += length;
        return Read(State.Table, Regions.Bat.Offset + at, Bat + at, length);
    }

    /// <summary>Blocks lie in the file, and neither on anything else nor on each other.</summary>
    private bool CheckTable()
    {
        if (!Space.TryClaim(0, VhdxLayout.HeaderSectionBytes)) return false;
        for (uint i = 0; i < Regions.Count; i++)
            if (!Space.TryClaim(Regions[i].Offset, Regions[i].Length)) return false;
        for (uint chunk = 0; HasParent && chunk <= ChunkOf(BlockCount - 1); chunk++)
            if (BitmapOffset(chunk) is not 0 and var offset && !TryClaim(offset, VhdxLayout.MiB, VhdxLayout.MiB)) return false;
        for (uint block = 0; block < BlockCount; block++)
        {
            VhdxBatEntry entry = Entry(block);
            if ((uint)entry.State is 4 or 5) return false;
            if (entry.State == VhdxBlockState.PAYLOAD_BLOCK_PARTIALLY_PRESENT && (!HasParent || BitmapOffset(ChunkOf(block)) == 0)) return false;
            if (entry.IsPresent && !TryClaim(entry.FileOffset, BlockBytes, BytesOf(block))) return false;
        }
        // What others have kept for blocks that are not present is not theirs to lose: offsets must be unique.
        for (uint block = 0; block < BlockCount; block++)
            if (Entry(block) is { IsPresent: false, FileOffset: not 0 } kept && kept.FileOffset < ContentEnd) Space.TryClaim(kept.FileOffset, BlockBytes);
        return true;
    }

    private bool TryClaim(ulong offset, uint length, uint needed) =>
        offset <= ContentEnd && (needed + 511 & ~511u) <= ContentEnd - offset && Space.TryClaim(offset, length);

    private BlockStep Opened()
    {
        fixed (VhdxImage* self = &this) Commit = new VhdxCommit(self, staging, newLogGuid);
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
