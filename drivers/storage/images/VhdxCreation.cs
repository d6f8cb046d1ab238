// Creates a VHDX in an empty file.
using System;

namespace Lamina.Drivers.Storage.Images;

public enum VhdxType : byte { Fixed, Dynamic, Differencing }

/// <summary>A path as Windows writes it: UTF-16, little-endian, not terminated.</summary>
public unsafe struct VhdxPath
{
    public const uint MaximumBytes = 8192;

    /// <summary>Null: there is none.</summary>
    public byte* Text;
    public uint Bytes;
}

/// <summary>What to create. Pointers must stay valid until the creation is finished.</summary>
public unsafe struct VhdxParameters
{
    public VhdxType Type;
    /// <summary>A multiple of the sector, at most <see cref="VhdxLayout.MaximumVirtualBytes"/>; a differencing disk has its parent's.</summary>
    public ulong VirtualBytes;
    /// <summary>A power of two from 1 to 256 MiB; 0 for the usual 32 MiB (2 MiB of a differencing disk).</summary>
    public uint BlockBytes;
    /// <summary>512 or 4096; 0 for 512. A differencing disk has its parent's.</summary>
    public uint SectorBytes;
    /// <summary>512 or 4096; 0 for 4096.</summary>
    public uint PhysicalSectorBytes;
    /// <summary>Three GUIDs: FileWriteGuid and DataWriteGuid, random; VirtualDiskId, random or a differencing disk's parent's.</summary>
    public byte* Guids;
    /// <summary>Differencing: the parent's <see cref="VhdxImage.DataWriteGuid"/>, and where it is, in at least one way.</summary>
    public VhdxGuid ParentDataWriteGuid;
    public VhdxPath ParentRelativePath, ParentVolumePath, ParentAbsolutePath;
}

/// <summary>The file type identifier, which makes the file a VHDX, is written last.</summary>
public unsafe struct VhdxCreation
{
    public const uint WorkspaceBytes = VhdxLayout.SectionBytes;

    private const uint LogBytes = VhdxLayout.MiB, MetadataBytes = VhdxLayout.MiB;
    private const ulong LogOffset = VhdxLayout.MiB, MetadataOffset = LogOffset + LogBytes, BatOffset = MetadataOffset + MetadataBytes;
    private const uint LocatorOffset = 64;   // among the items

    private enum State : byte { Start, RegionTable, RegionTable2, MetadataTable, MetadataItems, Bat, Extend, Header1, Header2, Flush, Identifier, LastFlush, Finished }

    private readonly byte* buffer;
    private VhdxParameters parameters;
    private State state;
    private uint locatorBytes, chunkRatio, batBytes;
    private ulong blockCount, batEntry;

    /// <param name="workspace"><see cref="WorkspaceBytes"/>, 8-byte aligned.</param>
    public VhdxCreation(byte* workspace, in VhdxParameters parameters)
    {
        this = default;
        this.parameters = parameters;
        buffer = workspace;
    }

    private readonly ulong PayloadOffset => BatOffset + batBytes;

    public BlockStep Advance(bool success)
    {
        if (!success) return Finish(ImageStatus.InputOutputError);
        switch (state)
        {
            case State.Start:
                ImageStatus status = Check();
                if (status != ImageStatus.Success) return Finish(status);
                WriteRegionTable();
                return Write(State.RegionTable, VhdxLayout.RegionTableOffset, VhdxRegionTable.Bytes);
            case State.RegionTable:
                return Write(State.RegionTable2, VhdxLayout.RegionTable2Offset, VhdxRegionTable.Bytes);
            case State.RegionTable2:
                WriteItems();
                return Write(State.MetadataItems, MetadataOffset + VhdxMetadataTable.Bytes, (LocatorOffset + locatorBytes + 4095) & ~4095u);
            case State.MetadataItems:
                WriteMetadataTable();
                return Write(State.MetadataTable, MetadataOffset, VhdxMetadataTable.Bytes);
            case State.MetadataTable:
            case State.Bat:
                // Of other types it is all zeros, as the empty file is.
                return parameters.Type == VhdxType.Fixed && batEntry * 8 < batBytes ? WriteBat() : Extend();
            case State.Extend:
                WriteHeader(0);
                return Write(State.Header1, VhdxLayout.HeaderOffset(0), VhdxHeader.Bytes);
            case State.Header1:
                WriteHeader(1);
                return Write(State.Header2, VhdxLayout.HeaderOffset(1), VhdxHeader.Bytes);
            case State.Header2:
                return Then(State.Flush, BlockStep.Of(StepKind.Flush));
            case State.Flush:
                WriteIdentifier();
                return Write(State.Identifier, 0, 4096);
            case State.Identifier:
                return Then(State.LastFlush, BlockStep.Of(StepKind.Flush));
            default:
                return Finish(state == State.LastFlush ? ImageStatus.Success : ImageStatus.Invalid);
        }
    }

    private ImageStatus Check()
    {
        if (parameters.SectorBytes == 0) parameters.SectorBytes = 512;
        if (parameters.PhysicalSectorBytes == 0) parameters.PhysicalSectorBytes = 4096;
        if (parameters.BlockBytes == 0) parameters.BlockBytes = parameters.Type == VhdxType.Differencing ? 2u << 20 : 32 << 20;
        if (parameters.Type > VhdxType.Differencing || parameters.SectorBytes is not (512 or 4096) || parameters.PhysicalSectorBytes is not (512 or 4096)) return ImageStatus.OutOfRange;
        if (!VhdxFileParameters.IsBlockSize(parameters.BlockBytes)) return ImageStatus.OutOfRange;
        if (parameters.VirtualBytes == 0 || parameters.VirtualBytes % parameters.SectorBytes != 0 || parameters.VirtualBytes > VhdxLayout.MaximumVirtualBytes) return ImageStatus.OutOfRange;
        if (parameters.Type == VhdxType.Differencing)
        {
            if (!IsPath(parameters.ParentRelativePath) || !IsPath(parameters.ParentVolumePath) || !IsPath(parameters.ParentAbsolutePath)) return ImageStatus.OutOfRange;
            if (parameters.ParentRelativePath.Text == null && parameters.ParentVolumePath.Text == null && parameters.ParentAbsolutePath.Text == null) return ImageStatus.OutOfRange;
        }
        blockCount = (parameters.VirtualBytes + parameters.BlockBytes - 1) / parameters.BlockBytes;
        chunkRatio = (uint)((1UL << 23) * parameters.SectorBytes / parameters.BlockBytes);
        // Room for all the sector bitmap blocks, so that nothing need move when a differencing disk is made of it.
        ulong entries = (blockCount + chunkRatio - 1) / chunkRatio * (chunkRatio + 1);
        batBytes = (uint)((entries * 8 + VhdxLayout.MiB - 1) / VhdxLayout.MiB * VhdxLayout.MiB);
        return ImageStatus.Success;
    }

    private static bool IsPath(VhdxPath path) => path.Text == null || path.Bytes is not 0 and <= VhdxPath.MaximumBytes && path.Bytes % 2 == 0;

    private readonly void Clear() => new Span<byte>(buffer, (int)WorkspaceBytes).Clear();

    private readonly void WriteRegionTable()
    {
        Clear();
        VhdxRegionTable* table = (VhdxRegionTable*)buffer;
        table->Signature = VhdxRegionTable.SignatureValue;
        table->EntryCount = 2;
        VhdxRegionTable.Entries(table)[0] = new() { Guid = VhdxRegionEntry.Bat, FileOffset = BatOffset, Length = batBytes, Required = 1 };
        VhdxRegionTable.Entries(table)[1] = new() { Guid = VhdxRegionEntry.Metadata, FileOffset = MetadataOffset, Length = MetadataBytes, Required = 1 };
        table->Checksum = Checksums.Crc32C(buffer, VhdxRegionTable.Bytes, 4);
    }

    private void WriteItems()
    {
        Clear();
        uint flags = parameters.Type switch { VhdxType.Fixed => VhdxFileParameters.LeaveBlockAllocated, VhdxType.Differencing => VhdxFileParameters.HasParent, _ => 0u };
        *(uint*)buffer = parameters.BlockBytes;
        *(uint*)(buffer + 4) = flags;
        *(ulong*)(buffer + 8) = parameters.VirtualBytes;
        *(VhdxGuid*)(buffer + 16) = ((VhdxGuid*)parameters.Guids)[2];
        *(uint*)(buffer + 32) = parameters.SectorBytes;
        *(uint*)(buffer + 36) = parameters.PhysicalSectorBytes;
        if (parameters.Type != VhdxType.Differencing) return;
        VhdxLocatorWriter writer = new(buffer + LocatorOffset);
        byte* linkage = stackalloc byte[(int)VhdxGuid.TextCharacters * 2];
        parameters.ParentDataWriteGuid.WriteText(linkage);
        writer.Add("parent_linkage"u8, linkage, VhdxGuid.TextCharacters * 2);
        writer.Add("relative_path"u8, parameters.ParentRelativePath.Text, parameters.ParentRelativePath.Bytes);
        writer.Add("volume_path"u8, parameters.ParentVolumePath.Text, parameters.ParentVolumePath.Bytes);
        writer.Add("absolute_win32_path"u8, parameters.ParentAbsolutePath.Text, parameters.ParentAbsolutePath.Bytes);
        locatorBytes = writer.Bytes;
    }

    private readonly void WriteMetadataTable()
    {
        Clear();
        VhdxMetadataTable* table = (VhdxMetadataTable*)buffer;
        table->Signature = VhdxMetadataTable.SignatureValue;
        const uint ofDisk = VhdxMetadataEntry.IsVirtualDisk | VhdxMetadataEntry.IsRequired;
        Add(table, VhdxMetadataEntry.FileParameters, 0, 8, VhdxMetadataEntry.IsRequired);
        Add(table, VhdxMetadataEntry.VirtualDiskSize, 8, 8, ofDisk);
        Add(table, VhdxMetadataEntry.VirtualDiskId, 16, 16, ofDisk);
        Add(table, VhdxMetadataEntry.LogicalSectorSize, 32, 4, ofDisk);
        Add(table, VhdxMetadataEntry.PhysicalSectorSize, 36, 4, ofDisk);
        if (locatorBytes != 0) Add(table, VhdxMetadataEntry.ParentLocator, LocatorOffset, locatorBytes, VhdxMetadataEntry.IsRequired);
    }

    private static void Add(VhdxMetadataTable* table, VhdxGuid id, uint offset, uint length, uint flags) =>
        VhdxMetadataTable.Entries(table)[table->EntryCount++] = new() { ItemId = id, Offset = VhdxMetadataTable.Bytes + offset, Length = length, Flags = flags };

    private BlockStep WriteBat()
    {
        ulong first = batEntry;
        for (uint i = 0; i < WorkspaceBytes / 8; i++, batEntry++)
        {
            ulong block = batEntry - batEntry / (chunkRatio + 1);
            bool isPayload = batEntry % (chunkRatio + 1) != chunkRatio && block < blockCount;
            ((ulong*)buffer)[i] = isPayload ? VhdxBatEntry.Of(VhdxBlockState.PAYLOAD_BLOCK_FULLY_PRESENT, PayloadOffset + block * parameters.BlockBytes).Value : 0;
        }
        return Write(State.Bat, BatOffset + first * 8, WorkspaceBytes);
    }

    private BlockStep Extend()
    {
        ulong end = PayloadOffset + (parameters.Type == VhdxType.Fixed ? blockCount * parameters.BlockBytes : 0);
        return Then(State.Extend, new BlockStep { Kind = StepKind.WriteZeros, Offset = end - 512, Length = 512 });
    }

    private readonly void WriteHeader(uint index)
    {
        Clear();
        VhdxHeader* header = (VhdxHeader*)buffer;
        header->Signature = VhdxHeader.SignatureValue;
        header->SequenceNumber = index;
        header->FileWriteGuid = ((VhdxGuid*)parameters.Guids)[0];
        header->DataWriteGuid = ((VhdxGuid*)parameters.Guids)[1];
        header->Version = VhdxHeader.CurrentVersion;
        header->LogLength = LogBytes;
        header->LogOffset = LogOffset;
        VhdxHeader.Seal(header);
    }

    private readonly void WriteIdentifier()
    {
        Clear();
        VhdxLayout.Signature.CopyTo(new Span<byte>(buffer, 8));
        ReadOnlySpan<byte> creator = "Lamina"u8;
        for (int i = 0; i < creator.Length; i++) buffer[8 + i * 2] = creator[i];
    }

    private BlockStep Write(State next, ulong offset, uint length) => Then(next, BlockStep.Metadata(StepKind.Write, offset, buffer, length));

    private BlockStep Finish(ImageStatus status) => Then(State.Finished, BlockStep.Finish(status));

    private BlockStep Then(State next, BlockStep step)
    {
        state = next;
        return step;
    }
}

/// <summary>Writes a parent locator into zeroed memory: entries first, with room for as many as there can be, then keys and values.</summary>
internal unsafe struct VhdxLocatorWriter
{
    private const uint MaximumEntries = 4;

    private readonly byte* item;

    public VhdxLocatorWriter(byte* item)
    {
        this.item = item;
        *(VhdxGuid*)item = VhdxParentLocator.LocatorType;
        Bytes = VhdxParentLocator.HeaderBytes + MaximumEntries * VhdxParentLocator.EntryBytes;
    }

    public uint Bytes { get; private set; }

    /// <summary>Nothing if <paramref name="value"/> is null.</summary>
    public void Add(ReadOnlySpan<byte> key, byte* value, uint valueBytes)
    {
        if (value == null) return;
        byte* entry = item + VhdxParentLocator.HeaderBytes + *(ushort*)(item + 18) * VhdxParentLocator.EntryBytes;
        ++*(ushort*)(item + 18);
        *(uint*)entry = Bytes;
        *(uint*)(entry + 4) = Bytes + (uint)key.Length * 2;
        *(ushort*)(entry + 8) = (ushort)(key.Length * 2);
        *(ushort*)(entry + 10) = (ushort)valueBytes;
        for (int i = 0; i < key.Length; i++) item[Bytes + (uint)i * 2] = key[i];
        Bytes += (uint)key.Length * 2;
        new ReadOnlySpan<byte>(value, (int)valueBytes).CopyTo(new Span<byte>(item + Bytes, (int)valueBytes));
        Bytes += valueBytes;
    }
}
