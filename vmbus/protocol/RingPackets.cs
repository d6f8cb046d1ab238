// What lies in a ring: its control page and its packets. Sources: Linux, "include/linux/hyperv.h"; OpenVMM, "vmbus_ring".

using System.Runtime.InteropServices;

namespace Lamina.VMBus;

/// <summary>The first page of each half: 32-bit words that both ends share. Data begins on the next page.</summary>
[StructLayout(LayoutKind.Explicit, Size = 4096)]
public struct RingControlPage
{
    /// <summary>Written by the sender: where it writes next, in bytes from the beginning of the data.</summary>
    [FieldOffset(0)] public uint WriteIndex;
    /// <summary>Written by the receiver: where it reads next.</summary>
    [FieldOffset(4)] public uint ReadIndex;
    /// <summary>Written by the receiver: not 0 while it looks at the ring anyway and wants no signals.</summary>
    [FieldOffset(8)] public uint InterruptMask;
    /// <summary>Written by the sender: how many bytes it waits for; 0 while it does not.</summary>
    [FieldOffset(12)] public uint PendingSendSize;
    /// <summary>Bit 0: the sender uses <see cref="PendingSendSize"/>.</summary>
    [FieldOffset(64)] public uint FeatureBits;

    public const uint FeaturePendingSendSize = 1;
}

/// <summary>Types of packets.</summary>
public static class PacketType
{
    public const ushort InBand = 6;
    public const ushort TransferPages = 7;
    public const ushort GpaDirect = 9;
    public const ushort Completion = 0xB;
}

/// <summary>Every packet's beginning. Lengths and offsets count 8 bytes; the trailer is not part of the length.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
public struct PacketDescriptor
{
    public const ushort CompletionRequested = 1;

    /// <summary>After each packet: a reserved word and the index at which the packet began.</summary>
    public const uint TrailerSize = 8;

    [FieldOffset(0)] public ushort Type;
    [FieldOffset(2)] public ushort DataOffset8;
    [FieldOffset(4)] public ushort Length8;
    [FieldOffset(6)] public ushort Flags;
    [FieldOffset(8)] public ulong TransactionId;
}

/// <summary>Follows the descriptor of a GPA-direct packet; then come the ranges.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct GpaDirectHeader
{
    [FieldOffset(0)] public uint Reserved;
    [FieldOffset(4)] public uint RangeCount;
}

/// <summary>A range of guest memory; as many page numbers follow as its bytes touch pages.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct GpaRange
{
    [FieldOffset(0)] public uint ByteCount;
    [FieldOffset(4)] public uint ByteOffset;

    /// <summary>Pages that the range touches when its offset lies in the first one.</summary>
    public static ulong PagesOf(uint byteOffset, uint byteCount) => ((ulong)byteOffset + byteCount + 4095) / 4096;
}

/// <summary>Follows the descriptor of a transfer-page packet; then come the ranges.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct TransferPageHeader
{
    [FieldOffset(0)] public ushort PageSetId;
    [FieldOffset(2)] public ushort Reserved;
    [FieldOffset(4)] public uint RangeCount;
}

/// <summary>A piece of a transfer-page set, that is of a GPADL that the device agreed upon.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
public struct TransferPageRange
{
    [FieldOffset(0)] public uint ByteCount;
    [FieldOffset(4)] public uint ByteOffset;
}
