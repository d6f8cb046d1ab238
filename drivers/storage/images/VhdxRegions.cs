// What a VHDX file's region table and metadata table say, checked. MS-VHDX, "Region Table", "Metadata Table", "Known Metadata Items".
using System;

namespace Lamina.Drivers.Storage.Images;

/// <summary>A piece of the file.</summary>
internal readonly struct VhdxExtent(ulong offset, ulong length)
{
    public readonly ulong Offset = offset, Length = length;

    public bool Meets(VhdxExtent other) => Offset < other.Offset + other.Length && other.Offset < Offset + Length;

    /// <summary>A whole number of MiB, at least one, behind the header section and within the file.</summary>
    public bool IsRegion(ulong fileBytes) =>
        (Offset | Length) % VhdxLayout.MiB == 0 && Length != 0 && Offset >= VhdxLayout.HeaderSectionBytes && Offset <= fileBytes && Length <= fileBytes - Offset;
}

/// <summary>Where the regions are.</summary>
internal unsafe struct VhdxRegions
{
    // Regions that we do not know but may ignore: their space must be left alone.
    private const uint MaximumOthers = 16;

    public VhdxExtent Log, Bat, Metadata;
    private uint otherCount;
    private fixed ulong others[(int)MaximumOthers * 2];

    public readonly uint Count => 3 + otherCount;

    public readonly VhdxExtent this[uint index] => index switch
    {
        0 => Log,
        1 => Bat,
        2 => Metadata,
        _ => new(others[(index - 3) * 2], others[(index - 3) * 2 + 1]),
    };

    /// <summary>Takes in a valid table; <see cref="Log"/> is set already.</summary>
    public ImageStatus Read(VhdxRegionTable* table, ulong fileBytes)
    {
        VhdxRegionEntry* entries = VhdxRegionTable.Entries(table);
        for (uint i = 0; i < table->EntryCount; i++)
        {
            VhdxRegionEntry entry = entries[i];
            VhdxExtent extent = new(entry.FileOffset, entry.Length);
            bool isBat = entry.Guid.Equals(VhdxRegionEntry.Bat), isMetadata = entry.Guid.Equals(VhdxRegionEntry.Metadata);
            if (!isBat && !isMetadata && ((entry.Required & 1) != 0 || otherCount == MaximumOthers)) return ImageStatus.Unsupported;
            if (!extent.IsRegion(fileBytes) || MeetsAny(extent)) return ImageStatus.Invalid;
            if (isBat)
            {
                if (Bat.Length != 0) return ImageStatus.Invalid;
                Bat = extent;
            }
            else if (isMetadata)
            {
                if (Metadata.Length != 0) return ImageStatus.Invalid;
                Metadata = extent;
            }
            else
            {
                others[otherCount * 2] = extent.Offset;
                others[otherCount++ * 2 + 1] = extent.Length;
            }
        }
        return Bat.Length == 0 || Metadata.Length == 0 ? ImageStatus.Invalid : ImageStatus.Success;
    }

    private readonly bool MeetsAny(VhdxExtent extent)
    {
        for (uint i = 0; i < Count; i++)
            if (this[i].Length != 0 && this[i].Meets(extent)) return true;
        return false;
    }
}

/// <summary>The known metadata items: where they are, then what they say.</summary>
internal unsafe struct VhdxMetadata
{
    public enum Item : byte { FileParameters, VirtualDiskSize, VirtualDiskId, LogicalSectorSize, PhysicalSectorSize, ParentLocator }

    public const uint ItemCount = 6;

    private fixed uint offsets[(int)ItemCount];
    private fixed uint lengths[(int)ItemCount];

    public uint BlockBytes, Flags;
    public ulong VirtualBytes;
    public VhdxGuid VirtualDiskId;
    public uint SectorBytes, PhysicalSectorBytes;

    public readonly uint Offset(Item item) => offsets[(int)item];
    public readonly uint Length(Item item) => lengths[(int)item];
    public readonly bool HasParent => (Flags & VhdxFileParameters.HasParent) != 0;

    private static uint ExpectedLength(Item item) => item switch
    {
        Item.FileParameters or Item.VirtualDiskSize => 8u,
        Item.VirtualDiskId => 16,
        Item.LogicalSectorSize or Item.PhysicalSectorSize => 4,
        _ => 0,
    };

    private static bool TryIdentify(VhdxGuid id, out Item item)
    {
        for (item = 0; item < (Item)ItemCount; item++)
        {
            VhdxGuid known = item switch
            {
                Item.FileParameters => VhdxMetadataEntry.FileParameters,
                Item.VirtualDiskSize => VhdxMetadataEntry.VirtualDiskSize,
                Item.VirtualDiskId => VhdxMetadataEntry.VirtualDiskId,
                Item.LogicalSectorSize => VhdxMetadataEntry.LogicalSectorSize,
                Item.PhysicalSectorSize => VhdxMetadataEntry.PhysicalSectorSize,
                _ => VhdxMetadataEntry.ParentLocator,
            };
            if (id.Equals(known)) return true;
        }
        return false;
    }

    /// <summary>Finds the items; <paramref name="regionBytes"/> is the length of the metadata region.</summary>
    public ImageStatus ReadTable(VhdxMetadataTable* table, ulong regionBytes)
    {
        if (table->Signature != VhdxMetadataTable.SignatureValue || table->EntryCount > VhdxMetadataTable.MaximumEntries) return ImageStatus.Invalid;
        VhdxMetadataEntry* entries = VhdxMetadataTable.Entries(table);
        for (uint i = 0; i < table->EntryCount; i++)
        {
            VhdxMetadataEntry entry = entries[i];
            if (entry.Length > VhdxMetadataTable.MaximumItemBytes || (entry.Length == 0 ? entry.Offset != 0 : entry.Offset < VhdxMetadataTable.Bytes)) return ImageStatus.Invalid;
            if (entry.Offset > regionBytes || entry.Length > regionBytes - entry.Offset) return ImageStatus.Invalid;
            Item item = 0;
            if ((entry.Flags & VhdxMetadataEntry.IsUser) != 0 || !TryIdentify(entry.ItemId, out item))
            {
                if ((entry.Flags & VhdxMetadataEntry.IsRequired) != 0) return ImageStatus.Unsupported;
                continue;
            }
            uint expected = ExpectedLength(item);
            if (lengths[(int)item] != 0 || entry.Length == 0 || (expected != 0 && entry.Length != expected) || MeetsAny(entry)) return ImageStatus.Invalid;
            offsets[(int)item] = entry.Offset;
            lengths[(int)item] = entry.Length;
        }
        for (Item item = 0; item < Item.ParentLocator; item++)
            if (lengths[(int)item] == 0) return ImageStatus.Invalid;
        return ImageStatus.Success;
    }

    private readonly bool MeetsAny(in VhdxMetadataEntry entry)
    {
        for (uint i = 0; i < ItemCount; i++)
            if (lengths[i] != 0 && new VhdxExtent(offsets[i], lengths[i]).Meets(new(entry.Offset, entry.Length))) return true;
        return false;
    }

    /// <summary>Takes in one item's content.</summary>
    public void ReadItem(Item item, byte* content)
    {
        switch (item)
        {
            case Item.FileParameters:
                BlockBytes = *(uint*)content;
                Flags = *(uint*)(content + 4);
                break;
            case Item.VirtualDiskSize: VirtualBytes = *(ulong*)content; break;
            case Item.VirtualDiskId: VirtualDiskId = *(VhdxGuid*)content; break;
            case Item.LogicalSectorSize: SectorBytes = *(uint*)content; break;
            case Item.PhysicalSectorSize: PhysicalSectorBytes = *(uint*)content; break;
        }
    }

    public readonly ImageStatus CheckItems()
    {
        if (!VhdxFileParameters.IsBlockSize(BlockBytes) || SectorBytes is not (512 or 4096) || PhysicalSectorBytes is not (512 or 4096)) return ImageStatus.Invalid;
        if (VirtualBytes == 0 || VirtualBytes % SectorBytes != 0 || VirtualBytes > VhdxLayout.MaximumVirtualBytes) return ImageStatus.Invalid;
        return HasParent && Length(Item.ParentLocator) == 0 ? ImageStatus.Invalid : ImageStatus.Success;
    }
}
