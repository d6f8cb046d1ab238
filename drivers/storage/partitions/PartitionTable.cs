// A disk's partitions as its GPT or classic MBR has them: read through block steps, everything checked against the disk's size.
using System;
using Lamina.Drivers.Storage.Images;

namespace Lamina.Drivers.Storage.Partitions;

public enum PartitionScheme : byte { None, Mbr, Gpt }

/// <summary>A partition in blocks of the disk. The GUIDs and the name are GPT's, <see cref="MbrType"/> is MBR's.</summary>
public unsafe struct PartitionEntry
{
    public GptGuid Type;
    public GptGuid Unique;
    public ulong FirstBlock;
    public ulong BlockCount;
    public ulong Attributes;
    public byte MbrType;
    public bool MbrActive;
    /// <summary>36 UTF-16 code units, little-endian, zero-padded, as on disk; lies in the table's memory. Null for MBR.</summary>
    public byte* Name;
}

/// <summary>A GUID as GPT stores it: its 16 bytes in order, as two little-endian integers.</summary>
public readonly struct GptGuid(ulong low, ulong high)
{
    public readonly ulong Low = low, High = high;

    public bool IsZero => (Low | High) == 0;
    public bool Equals(GptGuid other) => Low == other.Low && High == other.High;

    // UEFI, "Defined GPT Partition Entry - Partition Type GUIDs": C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
    public static GptGuid EfiSystemPartition => new(0x11D2F81FC12A7328, 0x3BC93EC9A0004BBA);
}

/// <summary>
/// Reads a disk's partition table: call <see cref="Advance"/>, do the read it asks for, call it again with the outcome, until it is
/// finished. Lives in caller-supplied memory with a workspace that stays in use as long as partitions are looked at.
/// </summary>
public unsafe struct PartitionTable
{
    /// <summary>Workspace that holds every table of the usual 128 entries: one block for headers, 16 KiB of entries.</summary>
    public const uint UsualWorkspaceBytes = 4096 + 16384;

    private enum State : byte { Start, Mbr, PrimaryHeader, PrimaryEntries, BackupHeader, BackupEntries, Finished }

    private const uint MbrEntriesOffset = 446, MbrEntryBytes = 16, MbrEntryCount = 4, MbrSignatureOffset = 510;
    private const byte ProtectiveType = 0xEE;

    private readonly byte* workspace;
    private readonly uint workspaceBytes;
    private readonly uint blockBytes;
    private readonly ulong blockCount;
    private State state;
    private GptHeader header;

    /// <param name="blockBytes">The disk's block: 512 to 4096, a power of two.</param>
    /// <param name="workspace">At least one block and one block of entries; 8-byte aligned.</param>
    public PartitionTable(byte* workspace, uint workspaceBytes, uint blockBytes, ulong blockCount)
    {
        this = default;
        this.workspace = workspace;
        this.workspaceBytes = workspaceBytes;
        this.blockBytes = blockBytes;
        this.blockCount = blockCount;
    }

    public PartitionScheme Scheme { get; private set; }

    /// <summary>The primary header or its entries were unusable and the backup's were taken: worth a warning, and repair.</summary>
    public bool FromBackup { get; private set; }

    /// <summary>Slots to ask <see cref="TryGetPartition"/> for; many of them may be empty.</summary>
    public readonly uint SlotCount => Scheme switch { PartitionScheme.Gpt => header.EntryCount, PartitionScheme.Mbr => MbrEntryCount, _ => 0 };

    private readonly byte* Entries => workspace + blockBytes;

    /// <summary>
    /// The next step; <paramref name="success"/> is the outcome of the one before (true at first). Finishes with
    /// <see cref="ImageStatus.Invalid"/> when a protective MBR announces a GPT of which neither copy is good.
    /// </summary>
    public BlockStep Advance(bool success)
    {
        switch (state)
        {
            case State.Start:
                if (blockBytes is not (512 or 1024 or 2048 or 4096) || blockCount == 0 || blockCount > ulong.MaxValue / blockBytes) return Finish(ImageStatus.Invalid);
                if (workspaceBytes < 2 * blockBytes) return Finish(ImageStatus.NoMemory);
                return Read(State.Mbr, 0, workspace, blockBytes);
            case State.Mbr:
                return success ? AfterMbr() : Finish(ImageStatus.InputOutputError);
            case State.PrimaryHeader:
                return AfterHeader(success, 1, State.PrimaryEntries);
            case State.BackupHeader:
                return AfterHeader(success, blockCount - 1, State.BackupEntries);
            case State.PrimaryEntries:
            case State.BackupEntries:
                return AfterEntries(success);
            default:
                return Finish(ImageStatus.Invalid);
        }
    }

    /// <summary>The partition in a slot; false if the slot is empty, lies outside the usable blocks or overlaps an earlier slot's.</summary>
    public readonly bool TryGetPartition(uint slot, out PartitionEntry partition)
    {
        if (!TryDecode(slot, out partition)) return false;
        for (uint earlier = 0; earlier < slot; earlier++)
            if (TryDecode(earlier, out PartitionEntry other) && partition.FirstBlock < other.FirstBlock + other.BlockCount
                && other.FirstBlock < partition.FirstBlock + partition.BlockCount) return false;
        return true;
    }

    private BlockStep AfterMbr()
    {
        if (workspace[MbrSignatureOffset] != 0x55 || workspace[MbrSignatureOffset + 1] != 0xAA) return Finish(ImageStatus.Success);
        bool protective = false;
        for (uint i = 0; i < MbrEntryCount; i++) protective |= MbrEntry(i)[4] == ProtectiveType;
        if (!protective)
        {
            Scheme = PartitionScheme.Mbr;
            return Finish(ImageStatus.Success);
        }
        return blockCount < 3 ? Finish(ImageStatus.Invalid) : Read(State.PrimaryHeader, 1, workspace, blockBytes);
    }

    private BlockStep AfterHeader(bool success, ulong block, State next)
    {
        ImageStatus status = success ? GptHeader.Decode(workspace, blockBytes, block, blockCount, workspaceBytes - blockBytes, out header) : ImageStatus.InputOutputError;
        if (status != ImageStatus.Success) return Fall(status);
        return Read(next, header.EntriesBlock, Entries, (header.EntryBytesTotal + blockBytes - 1) & ~(blockBytes - 1));
    }

    private BlockStep AfterEntries(bool success)
    {
        if (!success) return Fall(ImageStatus.InputOutputError);
        if (Checksums.Crc32(Entries, header.EntryBytesTotal) != header.EntriesCrc) return Fall(ImageStatus.Invalid);
        FromBackup = state == State.BackupEntries;
        Scheme = PartitionScheme.Gpt;
        return Finish(ImageStatus.Success);
    }

    /// <summary>From the primary to the backup, from the backup to failure.</summary>
    private BlockStep Fall(ImageStatus status) =>
        state is State.PrimaryHeader or State.PrimaryEntries ? Read(State.BackupHeader, blockCount - 1, workspace, blockBytes) : Finish(status);

    private BlockStep Read(State next, ulong block, byte* buffer, uint length)
    {
        state = next;
        return BlockStep.Metadata(StepKind.Read, block * blockBytes, buffer, length);
    }

    private BlockStep Finish(ImageStatus status)
    {
        state = State.Finished;
        return BlockStep.Finish(status);
    }

    private readonly byte* MbrEntry(uint slot) => workspace + MbrEntriesOffset + slot * MbrEntryBytes;

    private readonly bool TryDecode(uint slot, out PartitionEntry partition)
    {
        partition = default;
        if (slot >= SlotCount) return false;
        if (Scheme == PartitionScheme.Gpt) return header.TryDecodeEntry(Entries + slot * header.EntrySize, out partition);
        byte* entry = MbrEntry(slot);
        partition.MbrActive = entry[0] == 0x80;
        partition.MbrType = entry[4];
        partition.FirstBlock = *(uint*)(entry + 8);
        partition.BlockCount = *(uint*)(entry + 12);
        return partition.MbrType != 0 && partition.FirstBlock != 0 && partition.BlockCount != 0
            && partition.FirstBlock < blockCount && partition.BlockCount <= blockCount - partition.FirstBlock;
    }
}
