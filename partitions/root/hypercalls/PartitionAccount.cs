// A partition as its creator sees it: its identity, its name in messages, and how many pages it was given to keep its books in.
using System;
using Lamina.Abi;

namespace Lamina.Root.Hypercalls;

/// <summary>Passed by pointer to every call about a partition.</summary>
public unsafe struct PartitionAccount
{
    public PartitionId Id;

    /// <summary>Points to text that outlives the account; <see cref="IsRoot"/> accounts need none.</summary>
    public byte* NameData;
    public int NameLength;

    /// <summary>Pages deposited and not withdrawn.</summary>
    public ulong DepositedPages;
    public bool IsRoot;

    public readonly ReadOnlySpan<byte> Name => new(NameData, NameLength);
}
