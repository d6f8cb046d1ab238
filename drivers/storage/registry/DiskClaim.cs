// Who uses which disk: a claim lets others read beside it if it only reads, and nobody if it writes.
using System;

namespace Lamina.Drivers.Storage.Registry;

/// <summary>In the registry's memory, valid until it is released.</summary>
public unsafe struct DiskClaim
{
    public const int OwnerCapacity = 63;

    /// <summary>Null: the place is free.</summary>
    public DiskEntry* Disk { get; internal set; }
    public bool Writes { get; internal set; }

    private fixed byte owner[OwnerCapacity];
    private int ownerLength;

    /// <summary>Who claims it, for a line of text.</summary>
    public ReadOnlySpan<byte> Owner
    {
        get { fixed (byte* text = owner) return new ReadOnlySpan<byte>(text, ownerLength); }
    }

    internal void SetOwner(ReadOnlySpan<byte> text)
    {
        ownerLength = Math.Min(text.Length, OwnerCapacity);
        fixed (byte* target = owner) text.Slice(0, ownerLength).CopyTo(new Span<byte>(target, ownerLength));
    }
}
