// What a virtio block device says about itself, checked and turned into limits. Virtio 1.2, "Device configuration layout" (Block Device).
using System;
using System.Numerics;
using System.Runtime.InteropServices;
using Lamina.Drivers.Storage.Block;

namespace Lamina.Drivers.Storage.Virtio;

/// <summary>struct virtio_blk_config; a device may show less of it than this.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
public struct VirtioBlockConfiguration
{
    public const int Bytes = 60;
    public const uint SectorBytes = 512;

    [FieldOffset(0)] public ulong Capacity;
    [FieldOffset(8)] public uint SizeMax;
    [FieldOffset(12)] public uint SegMax;
    [FieldOffset(20)] public uint BlkSize;
    [FieldOffset(24)] public byte PhysicalBlockExp;
    [FieldOffset(32)] public byte Writeback;
    [FieldOffset(34)] public ushort NumQueues;
    [FieldOffset(36)] public uint MaxDiscardSectors;
    [FieldOffset(40)] public uint MaxDiscardSeg;
    [FieldOffset(48)] public uint MaxWriteZeroesSectors;
    [FieldOffset(52)] public uint MaxWriteZeroesSeg;

    // What each optional field needs to be there, and how many bytes of the configuration.
    private const uint UpToCapacity = 8, UpToSizeMax = 12, UpToSegMax = 16, UpToBlkSize = 24, UpToTopology = 32, UpToWriteback = 33, UpToNumQueues = 36;
    private const uint UpToDiscard = 48, UpToWriteZeroes = 57;
    private const uint LargestBlock = 4096;

    /// <summary>Features whose fields lie beyond <paramref name="bytes"/> of configuration are taken out: the device does not keep its word.</summary>
    public static ulong FeaturesWithin(ulong features, uint bytes)
    {
        if (bytes < UpToSizeMax) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_SIZE_MAX;
        if (bytes < UpToSegMax) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_SEG_MAX;
        if (bytes < UpToBlkSize) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_BLK_SIZE;
        if (bytes < UpToTopology) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_TOPOLOGY;
        if (bytes < UpToWriteback) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_CONFIG_WCE;
        if (bytes < UpToNumQueues) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_MQ;
        if (bytes < UpToDiscard) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_DISCARD;
        if (bytes < UpToWriteZeroes) features &= ~VirtioBlockFeature.VIRTIO_BLK_F_WRITE_ZEROES;
        return features;
    }

    /// <summary>What the device's size is in bytes: whole blocks, and no more than fits 63 bits.</summary>
    public readonly ulong SizeInBytes(uint blockBytes) => Math.Min(Capacity, (ulong)long.MaxValue / SectorBytes) * SectorBytes / blockBytes * blockBytes;

    /// <summary>Queues that the device has for requests.</summary>
    public readonly uint QueueCount(ulong features) => (features & VirtioBlockFeature.VIRTIO_BLK_F_MQ) == 0 || NumQueues == 0 ? 1u : NumQueues;

    /// <summary>Data descriptors in one of the device's requests, and bytes in each; 0 where the device says so.</summary>
    public readonly uint MaximumSegments(ulong features) => (features & VirtioBlockFeature.VIRTIO_BLK_F_SEG_MAX) == 0 ? uint.MaxValue : SegMax;
    public readonly uint MaximumSegmentBytes(ulong features) => (features & VirtioBlockFeature.VIRTIO_BLK_F_SIZE_MAX) == 0 ? uint.MaxValue : SizeMax;

    /// <summary>
    /// The limits of a device with these features (those of <see cref="FeaturesWithin"/>); counts that depend on its queues are the
    /// caller's to add. False: blocks of a size that nobody here can use.
    /// </summary>
    public readonly bool TryMakeLimits(ulong features, out BlockLimits limits)
    {
        bool Has(ulong feature) => (features & feature) != 0;
        limits = default;
        uint block = Has(VirtioBlockFeature.VIRTIO_BLK_F_BLK_SIZE) ? BlkSize : SectorBytes;
        if (block < SectorBytes || block > LargestBlock || !BitOperations.IsPow2(block)) return false;
        uint physical = block;
        if (Has(VirtioBlockFeature.VIRTIO_BLK_F_TOPOLOGY) && PhysicalBlockExp < 16) physical = block << PhysicalBlockExp;
        bool hasFlush = Has(VirtioBlockFeature.VIRTIO_BLK_F_FLUSH);
        ulong discard = Has(VirtioBlockFeature.VIRTIO_BLK_F_DISCARD) && MaxDiscardSeg != 0 ? WholeBlocks(MaxDiscardSectors, block) : 0;
        ulong zeros = Has(VirtioBlockFeature.VIRTIO_BLK_F_WRITE_ZEROES) && MaxWriteZeroesSeg != 0 ? WholeBlocks(MaxWriteZeroesSectors, block) : 0;
        limits = new BlockLimits
        {
            Bytes = SizeInBytes(block),
            BlockBytes = block,
            PhysicalBlockBytes = physical,
            SegmentAlignment = 1,
            IsReadOnly = Has(VirtioBlockFeature.VIRTIO_BLK_F_RO),
            // Without the field a device that can flush is one that must be flushed.
            HasWriteCache = hasFlush && (!Has(VirtioBlockFeature.VIRTIO_BLK_F_CONFIG_WCE) || Writeback != 0),
            CanDiscard = discard != 0,
            CanWriteZeros = zeros != 0,
            MaximumDiscardBytes = discard == 0 ? zeros : zeros == 0 ? discard : Math.Min(discard, zeros),
        };
        return true;
    }

    private static ulong WholeBlocks(uint sectors, uint block) => (ulong)sectors * SectorBytes / block * block;
}
