// Finding a disk by what people call it, and claiming it.
using System;
using Lamina.Drivers.Storage.Partitions;

namespace Lamina.Drivers.Storage.Registry;

public enum DiskSearch : byte
{
    Found,
    NotFound,
    /// <summary>More than one answers to it.</summary>
    Ambiguous,
    /// <summary>What follows partuuid: is no GUID.</summary>
    Malformed,
}

public unsafe partial struct BlockRegistry
{
    private static ReadOnlySpan<byte> BySerial => "serial:"u8;
    private static ReadOnlySpan<byte> ByPartitionGuid => "partuuid:"u8;
    private static ReadOnlySpan<byte> ByPartitionLabel => "partlabel:"u8;

    /// <summary>By name (<c>nvme0n1p2</c>), or <c>serial:TEXT</c> of a whole disk, <c>partuuid:GUID</c> or <c>partlabel:TEXT</c> of a GPT partition.</summary>
    public readonly DiskSearch Find(ReadOnlySpan<byte> text, out DiskEntry* found)
    {
        found = null;
        GptGuid guid = default;
        if (text.StartsWith(ByPartitionGuid) && !GuidText.TryParse(text.Slice(ByPartitionGuid.Length), out guid)) return DiskSearch.Malformed;
        for (int i = 0; i < entryCount; i++)
        {
            DiskEntry* entry = entries + i;
            if (!entry->IsReady || !Matches(entry, text, guid)) continue;
            if (found != null)
            {
                found = null;
                return DiskSearch.Ambiguous;
            }
            found = entry;
        }
        return found == null ? DiskSearch.NotFound : DiskSearch.Found;
    }

    /// <summary>True if there is exactly one.</summary>
    public readonly bool TryFind(ReadOnlySpan<byte> text, out DiskEntry* found) => Find(text, out found) == DiskSearch.Found;

    private static bool Matches(DiskEntry* entry, ReadOnlySpan<byte> text, GptGuid guid)
    {
        if (text.StartsWith(BySerial)) return !entry->IsPartition && IsSame(entry->Device->Serial, text.Slice(BySerial.Length));
        bool isGpt = entry->IsPartition && entry->Disk->Scheme == PartitionScheme.Gpt;
        if (text.StartsWith(ByPartitionGuid)) return isGpt && !guid.IsZero && entry->Unique.Equals(guid);
        if (text.StartsWith(ByPartitionLabel)) return isGpt && IsSame(entry->Label, text.Slice(ByPartitionLabel.Length));
        return IsSame(entry->Name, text);
    }

    /// <summary>Nothing is found by an empty text: many have no serial number and no label.</summary>
    private static bool IsSame(ReadOnlySpan<byte> has, ReadOnlySpan<byte> wanted) => wanted.Length != 0 && has.SequenceEqual(wanted);

    /// <summary>
    /// Claims a disk or partition for <paramref name="owner"/>. A claim that writes stands alone on its blocks, which for a disk are those of
    /// its partitions too; any number may read. False: <paramref name="conflict"/> stands in the way; null: no place for another claim.
    /// </summary>
    public readonly bool TryClaim(DiskEntry* disk, bool writes, ReadOnlySpan<byte> owner, out DiskClaim* claim, out DiskClaim* conflict)
    {
        claim = conflict = null;
        for (int i = 0; i < ClaimCapacity; i++)
        {
            DiskClaim* other = claims + i;
            if (other->Disk == null)
            {
                if (claim == null) claim = other;
            }
            else if (DiskEntry.Overlap(other->Disk, disk) && (writes || other->Writes))
            {
                claim = null;
                conflict = other;
                return false;
            }
        }
        if (claim == null) return false;
        claim->SetOwner(owner);
        claim->Writes = writes;
        claim->Disk = disk;
        return true;
    }

    /// <summary>Nobody may use the claim afterwards; its owner's requests have completed before.</summary>
    public readonly void Release(DiskClaim* claim)
    {
        if (claim != null) claim->Disk = null;
    }

    /// <summary>A claim on the disk or partition itself, the next one after <paramref name="previous"/> (null: the first); null: no more.</summary>
    public readonly DiskClaim* NextClaim(DiskEntry* disk, DiskClaim* previous)
    {
        for (DiskClaim* claim = previous == null ? claims : previous + 1; claim < claims + ClaimCapacity; claim++)
            if (claim->Disk == disk) return claim;
        return null;
    }

    /// <summary>Whether anybody has claimed some of its blocks.</summary>
    public readonly bool IsClaimed(DiskEntry* disk)
    {
        for (int i = 0; i < ClaimCapacity; i++)
            if (claims[i].Disk != null && DiskEntry.Overlap(claims[i].Disk, disk)) return true;
        return false;
    }
}
