// Quantities as types, so that one kind of address or number cannot stand where another is meant.
// No conversion is implicit; arithmetic is what the kind allows, in bytes for addresses.

#pragma warning disable CS0660, CS0661 // Equals(object) would box; nothing here lives in a collection.

namespace Lamina.Abi;

/// <summary>A partition's identity (HV_PARTITION_ID).</summary>
public readonly struct PartitionId(ulong value)
{
    public readonly ulong Value = value;

    public static explicit operator PartitionId(ulong value) => new(value);
    public static explicit operator ulong(PartitionId value) => value.Value;
    public static bool operator ==(PartitionId left, PartitionId right) => left.Value == right.Value;
    public static bool operator !=(PartitionId left, PartitionId right) => left.Value != right.Value;

    /// <summary>HV_PARTITION_ID_INVALID.</summary>
    public static PartitionId Invalid => new(0);

    /// <summary>HV_PARTITION_ID_SELF: whoever makes the call.</summary>
    public static PartitionId Self => new(ulong.MaxValue);

    public bool IsSelf => Value == ulong.MaxValue;
}

/// <summary>A virtual processor's number within its partition (HV_VP_INDEX).</summary>
public readonly struct VpIndex(uint value)
{
    public readonly uint Value = value;

    public static explicit operator VpIndex(uint value) => new(value);
    public static explicit operator uint(VpIndex value) => value.Value;
    public static bool operator ==(VpIndex left, VpIndex right) => left.Value == right.Value;
    public static bool operator !=(VpIndex left, VpIndex right) => left.Value != right.Value;
    public static bool operator <(VpIndex left, VpIndex right) => left.Value < right.Value;
    public static bool operator >(VpIndex left, VpIndex right) => left.Value > right.Value;
    public static bool operator <=(VpIndex left, VpIndex right) => left.Value <= right.Value;
    public static bool operator >=(VpIndex left, VpIndex right) => left.Value >= right.Value;

    /// <summary>HV_VP_INDEX_SELF: whoever makes the call.</summary>
    public static VpIndex Self => new(0xFFFFFFFE);

    /// <summary>HV_ANY_VP: the hypervisor chooses.</summary>
    public static VpIndex Any => new(0xFFFFFFFF);

    public bool IsSelf => Value == 0xFFFFFFFE;
    public bool IsAny => Value == 0xFFFFFFFF;
}

/// <summary>An address in a partition's physical address space, in bytes.</summary>
public readonly struct GuestPhysicalAddress(ulong value)
{
    public readonly ulong Value = value;

    public static explicit operator GuestPhysicalAddress(ulong value) => new(value);
    public static explicit operator ulong(GuestPhysicalAddress value) => value.Value;
    public static bool operator ==(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value == right.Value;
    public static bool operator !=(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value != right.Value;
    public static bool operator <(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value < right.Value;
    public static bool operator >(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value > right.Value;
    public static bool operator <=(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value <= right.Value;
    public static bool operator >=(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value >= right.Value;
    public static GuestPhysicalAddress operator +(GuestPhysicalAddress address, ulong bytes) => new(address.Value + bytes);
    public static GuestPhysicalAddress operator -(GuestPhysicalAddress address, ulong bytes) => new(address.Value - bytes);
    public static ulong operator -(GuestPhysicalAddress left, GuestPhysicalAddress right) => left.Value - right.Value;

    /// <summary>The address of the first byte of 4 KiB page <paramref name="pageNumber"/>.</summary>
    public static GuestPhysicalAddress FromPageNumber(ulong pageNumber) => new(pageNumber << PageCount.PageShift);

    /// <summary>The number of the 4 KiB page that holds this address.</summary>
    public ulong PageNumber => Value >> PageCount.PageShift;

    /// <summary>The byte within that page, 0..4095.</summary>
    public uint PageOffset => (uint)(Value & PageCount.PageSize - 1);

    public bool IsPageAligned => PageOffset == 0;

    /// <summary>Whether the address is a multiple of <paramref name="alignment"/>, a power of two.</summary>
    public bool IsAligned(ulong alignment) => (Value & alignment - 1) == 0;
}

/// <summary>An address on the machine's memory bus (TLFS: system physical address), in bytes.</summary>
public readonly struct PhysicalAddress(ulong value)
{
    public readonly ulong Value = value;

    public static explicit operator PhysicalAddress(ulong value) => new(value);
    public static explicit operator ulong(PhysicalAddress value) => value.Value;
    public static bool operator ==(PhysicalAddress left, PhysicalAddress right) => left.Value == right.Value;
    public static bool operator !=(PhysicalAddress left, PhysicalAddress right) => left.Value != right.Value;
    public static bool operator <(PhysicalAddress left, PhysicalAddress right) => left.Value < right.Value;
    public static bool operator >(PhysicalAddress left, PhysicalAddress right) => left.Value > right.Value;
    public static bool operator <=(PhysicalAddress left, PhysicalAddress right) => left.Value <= right.Value;
    public static bool operator >=(PhysicalAddress left, PhysicalAddress right) => left.Value >= right.Value;
    public static PhysicalAddress operator +(PhysicalAddress address, ulong bytes) => new(address.Value + bytes);
    public static PhysicalAddress operator -(PhysicalAddress address, ulong bytes) => new(address.Value - bytes);
    public static ulong operator -(PhysicalAddress left, PhysicalAddress right) => left.Value - right.Value;

    /// <summary>The address of the first byte of 4 KiB page <paramref name="pageNumber"/>.</summary>
    public static PhysicalAddress FromPageNumber(ulong pageNumber) => new(pageNumber << PageCount.PageShift);

    /// <summary>The number of the 4 KiB page that holds this address.</summary>
    public ulong PageNumber => Value >> PageCount.PageShift;

    /// <summary>The byte within that page, 0..4095.</summary>
    public uint PageOffset => (uint)(Value & PageCount.PageSize - 1);

    public bool IsPageAligned => PageOffset == 0;

    /// <summary>Whether the address is a multiple of <paramref name="alignment"/>, a power of two.</summary>
    public bool IsAligned(ulong alignment) => (Value & alignment - 1) == 0;
}

/// <summary>A linear address, before the first translation stage, in bytes.</summary>
public readonly struct VirtualAddress(ulong value)
{
    public readonly ulong Value = value;

    public static explicit operator VirtualAddress(ulong value) => new(value);
    public static explicit operator ulong(VirtualAddress value) => value.Value;
    public static bool operator ==(VirtualAddress left, VirtualAddress right) => left.Value == right.Value;
    public static bool operator !=(VirtualAddress left, VirtualAddress right) => left.Value != right.Value;
    public static bool operator <(VirtualAddress left, VirtualAddress right) => left.Value < right.Value;
    public static bool operator >(VirtualAddress left, VirtualAddress right) => left.Value > right.Value;
    public static bool operator <=(VirtualAddress left, VirtualAddress right) => left.Value <= right.Value;
    public static bool operator >=(VirtualAddress left, VirtualAddress right) => left.Value >= right.Value;
    public static VirtualAddress operator +(VirtualAddress address, ulong bytes) => new(address.Value + bytes);
    public static VirtualAddress operator -(VirtualAddress address, ulong bytes) => new(address.Value - bytes);
    public static ulong operator -(VirtualAddress left, VirtualAddress right) => left.Value - right.Value;

    /// <summary>The address of the first byte of 4 KiB page <paramref name="pageNumber"/>.</summary>
    public static VirtualAddress FromPageNumber(ulong pageNumber) => new(pageNumber << PageCount.PageShift);

    /// <summary>The number of the 4 KiB page that holds this address.</summary>
    public ulong PageNumber => Value >> PageCount.PageShift;

    /// <summary>The byte within that page, 0..4095.</summary>
    public uint PageOffset => (uint)(Value & PageCount.PageSize - 1);

    public bool IsPageAligned => PageOffset == 0;

    /// <summary>Whether the address is a multiple of <paramref name="alignment"/>, a power of two.</summary>
    public bool IsAligned(ulong alignment) => (Value & alignment - 1) == 0;
}

/// <summary>A number of 4 KiB pages.</summary>
public readonly struct PageCount(ulong value)
{
    public readonly ulong Value = value;

    public static explicit operator PageCount(ulong value) => new(value);
    public static explicit operator ulong(PageCount value) => value.Value;
    public static bool operator ==(PageCount left, PageCount right) => left.Value == right.Value;
    public static bool operator !=(PageCount left, PageCount right) => left.Value != right.Value;
    public static bool operator <(PageCount left, PageCount right) => left.Value < right.Value;
    public static bool operator >(PageCount left, PageCount right) => left.Value > right.Value;
    public static bool operator <=(PageCount left, PageCount right) => left.Value <= right.Value;
    public static bool operator >=(PageCount left, PageCount right) => left.Value >= right.Value;
    public static PageCount operator +(PageCount left, PageCount right) => new(left.Value + right.Value);
    public static PageCount operator -(PageCount left, PageCount right) => new(left.Value - right.Value);

    /// <summary>Log2 of the size of a hypervisor page.</summary>
    public const int PageShift = 12;

    /// <summary>HV_PAGE_SIZE, in bytes.</summary>
    public const ulong PageSize = 1UL << PageShift;

    public ulong Bytes => Value << PageShift;

    /// <summary>How many pages it takes to hold <paramref name="bytes"/>. Wraps for the last page of the number range.</summary>
    public static PageCount ForBytes(ulong bytes) => new(bytes + PageSize - 1 >> PageShift);
}
