// Numbers and structures of the virtio block device. Virtio 1.2, "Block Device".
using System.Runtime.InteropServices;

namespace Lamina.Drivers.Storage.Virtio;

/// <summary>Feature bits of the device type, as masks.</summary>
public static class VirtioBlockFeature
{
    public const ulong VIRTIO_BLK_F_SIZE_MAX = 1 << 1;
    public const ulong VIRTIO_BLK_F_SEG_MAX = 1 << 2;
    public const ulong VIRTIO_BLK_F_RO = 1 << 5;
    public const ulong VIRTIO_BLK_F_BLK_SIZE = 1 << 6;
    public const ulong VIRTIO_BLK_F_FLUSH = 1 << 9;
    public const ulong VIRTIO_BLK_F_TOPOLOGY = 1 << 10;
    public const ulong VIRTIO_BLK_F_CONFIG_WCE = 1 << 11;
    public const ulong VIRTIO_BLK_F_MQ = 1 << 12;
    public const ulong VIRTIO_BLK_F_DISCARD = 1 << 13;
    public const ulong VIRTIO_BLK_F_WRITE_ZEROES = 1 << 14;

    /// <summary>What this driver uses.</summary>
    public const ulong Known = VIRTIO_BLK_F_SIZE_MAX | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_RO | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH
        | VIRTIO_BLK_F_TOPOLOGY | VIRTIO_BLK_F_CONFIG_WCE | VIRTIO_BLK_F_MQ | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
}

/// <summary>Types of requests.</summary>
public static class VirtioBlockType
{
    public const uint VIRTIO_BLK_T_IN = 0;
    public const uint VIRTIO_BLK_T_OUT = 1;
    public const uint VIRTIO_BLK_T_FLUSH = 4;
    public const uint VIRTIO_BLK_T_GET_ID = 8;
    public const uint VIRTIO_BLK_T_DISCARD = 11;
    public const uint VIRTIO_BLK_T_WRITE_ZEROES = 13;

    /// <summary>Bytes that GET_ID gives; the text ends there or at a zero.</summary>
    public const int IdBytes = 20;
}

/// <summary>The last byte of a request, the device's answer.</summary>
public static class VirtioBlockAnswer
{
    public const byte VIRTIO_BLK_S_OK = 0;
    public const byte VIRTIO_BLK_S_IOERR = 1;
    public const byte VIRTIO_BLK_S_UNSUPP = 2;

    /// <summary>What the driver puts there, to see whether the device answered at all.</summary>
    public const byte None = 0xFF;
}

/// <summary>What a request needs besides its data; 64 bytes, one in each slot.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
public struct VirtioBlockFrame
{
    public const int Bytes = 64;
    public const uint HeaderBytes = 16, RangeBytes = 16;
    public const int RangeOffset = 16, AnswerOffset = 32;

    // struct virtio_blk_req
    [FieldOffset(0)] public uint Type;
    [FieldOffset(4)] public uint Reserved;
    [FieldOffset(8)] public ulong Sector;

    // struct virtio_blk_discard_write_zeroes
    [FieldOffset(RangeOffset)] public ulong RangeSector;
    [FieldOffset(RangeOffset + 8)] public uint RangeSectors;
    [FieldOffset(RangeOffset + 12)] public uint RangeFlags;

    [FieldOffset(AnswerOffset)] public byte Answer;
}
